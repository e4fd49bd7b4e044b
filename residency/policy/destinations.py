"""Who receives minimal records: a receiving org, where it is hosted, and its certificates."""

from datetime import date

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked_dataclass

STRICT = ConfigDict(extra="forbid")


@checked_dataclass(frozen=True, config=STRICT)
class Certification:
    """A dated certificate that a destination holds."""

    scheme: str
    valid_from: date
    valid_to: date


@checked_dataclass(frozen=True, config=STRICT)
class Destination:
    """A receiving org: where it is hosted, for whom, under which certificates."""

    id: str
    hosting_country: str
    entity: str
    certifications: tuple[Certification, ...] = ()

    def certified_until(self, scheme: str, on: date) -> date | None:
        """Return the last day of its certificate in *scheme* that holds *on* a day, or None.

        A renewal is a new row beside the old one, so the latest end counts.
        """
        ends = [
            c.valid_to
            for c in self.certifications
            if c.scheme == scheme and c.valid_from <= on <= c.valid_to
        ]
        return max(ends, default=None)
