"""The border's exact count, kept in the metadata of the offsets it commits.

Counters and offsets commit in one Kafka transaction, so the counts are as exactly-once as
the records: after any crash they say what became of every raw record up to the offset.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a partition's raw records, since the topic began.

    Attributes:
        sent: Raw records that became at least one minimal record.
        nothing: Raw records of which the CRM needs nothing.
        quarantined: Raw records in quarantine.
        minimal: Minimal records.
        requests: Requests for labels: each becomes a minimal record later, by way of a model.

    """

    sent: int = 0
    nothing: int = 0
    quarantined: int = 0
    minimal: int = 0
    requests: int = 0

    @property
    def raw(self) -> int:
        """How many raw records are accounted for."""
        return self.sent + self.nothing + self.quarantined

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum."""
        return Tally(
            self.sent + other.sent,
            self.nothing + other.nothing,
            self.quarantined + other.quarantined,
            self.minimal + other.minimal,
            self.requests + other.requests,
        )

    def minus(self, other: "Tally") -> "Tally":
        """Return what came after *other*."""
        return Tally(
            self.sent - other.sent,
            self.nothing - other.nothing,
            self.quarantined - other.quarantined,
            self.minimal - other.minimal,
            self.requests - other.requests,
        )

    def to_metadata(self) -> str:
        """Return the text that is committed beside an offset."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_metadata(cls, text: str | None) -> Self:
        """Return the tally that *text* says; zero where nothing was committed yet."""
        return cls(**json.loads(text)) if text else cls()


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of all."""
    result = Tally()
    for tally in tallies:
        result = result.plus(tally)
    return result
