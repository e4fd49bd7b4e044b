"""A hop's partitions and the count of what became of their records."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from connectors.kafka.headers import Headers
from residency.plan.book import Crossed
from schemas.errors import QuarantineError
from schemas.events import RawBatch
from streams.tally import Tally


class Stamped(NamedTuple):
    """What a record becomes where each of its rows has headers of its own.

    Attributes:
        rows: Key, value and headers of each; the headers lack the trace's.
        is_again: An operator sent it again on purpose: it is none of the count.

    """

    rows: tuple[tuple[bytes, bytes, Headers], ...]
    is_again: bool = False

    def __repr__(self) -> str:
        """Show how many rows there are, not what they hold."""
        return f"Stamped({len(self.rows)} rows)"


Verdict: TypeAlias = Crossed | Stamped | QuarantineError
Shape: TypeAlias = tuple[int, int]  # minimal records and requests that one record became
REFUSED: Final[Shape] = (-1, -1)


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

    def of(self, places: Iterable[Place]) -> "Batch":
        """Return the records whose place is one of *places*, itself and not one made anew."""
        kept = {id(place) for place in places}
        numbers = [n for n, place in enumerate(self.places) if id(place) in kept]
        return Batch(self.raw.part(numbers), [self.places[n] for n in numbers])

    def after(self, verdicts: Sequence[Verdict]) -> dict[Place, tuple[int, Tally]]:
        """Return, for each place of the batch, the next offset and the count up to there."""
        made = [REFUSED if isinstance(v, QuarantineError) else shape_of(v) for v in verdicts]
        last = dict(zip(self.places, self.raw.offsets, strict=True))
        tallies = {place: place.tally for place in last}
        for (place, shape), n in Counter(zip(self.places, made, strict=True)).items():
            tallies[place] = tallies[place].plus(_share(shape, n))
        return {place: (offset + 1, tallies[place]) for place, offset in last.items()}


class Decided(NamedTuple):
    """A batch and, for each of its records, what becomes of it."""

    batch: Batch
    verdicts: Sequence[Verdict]


def shape_of(made: Crossed | Stamped) -> Shape:
    """Return how many minimal records, and how many requests for labels, a record became."""
    if isinstance(made, Stamped):
        return (0 if made.is_again else len(made.rows)), 0
    requests = made.plan.requests
    return len(made.rows) - requests, requests


def _share(shape: Shape, n: int) -> Tally:
    """Return the count of *n* records of one shape."""
    minimal, requests = shape
    if shape == REFUSED:
        return Tally(quarantined=n)
    if shape == (0, 0):
        return Tally(nothing=n)
    return Tally(sent=n, minimal=minimal * n, requests=requests * n)
