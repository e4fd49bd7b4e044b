"""A hop's partitions and the count of what became of their records."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from residency.plan.book import Crossed
from schemas.errors import QuarantineError
from schemas.events import RawBatch
from streams.tally import Tally

Verdict: TypeAlias = Crossed | QuarantineError


@dataclass(slots=True, eq=False)
class Place:
    """A partition that is ours, up to what is committed.

    Attributes:
        at: ``topic[partition]@``: what every record id of it starts with.
        version: Row version of its offset 0.
        next: Offset of the first record not yet committed.
        tally: What became of the records before that.

    """

    topic: str
    partition: int
    at: str
    version: int
    next: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw records, each with its place."""

    raw: RawBatch
    places: Sequence[Place] = field(repr=False)

    def after(self, verdicts: Sequence[Verdict]) -> dict[Place, tuple[int, Tally]]:
        """Return, for each place of the batch, the next offset and the count up to there."""
        made = [-1 if isinstance(v, QuarantineError) else len(v.rows) for v in verdicts]
        last = dict(zip(self.places, self.raw.offsets, strict=True))
        tallies = {place: place.tally for place in last}
        for (place, minimal), n in Counter(zip(self.places, made, strict=True)).items():
            tallies[place] = tallies[place].plus(_share(minimal, n))
        return {place: (offset + 1, tallies[place]) for place, offset in last.items()}


def _share(minimal: int, n: int) -> Tally:
    """Return the count of *n* records that became *minimal* records each; -1: quarantine."""
    if minimal < 0:
        return Tally(quarantined=n)
    return Tally(sent=n, minimal=minimal * n) if minimal else Tally(nothing=n)
