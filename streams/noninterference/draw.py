"""One pair in the making, and what a part of an event is to it."""

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Bytes2 = tuple[bytes, bytes]  # side A, side B


@dataclass(slots=True)
class Draw:
    """The choices of the pair that is being made.

    Attributes:
        rng: Decides everything.
        memo: Choices that several parts of one event must agree on; empty at its start.
        varied: How often the two sides had different values, by number of the leaf.

    """

    rng: random.Random
    varied: list[int]
    memo: dict[Hashable, Any] = field(default_factory=dict)

    def pick(self, pool: Sequence[Any]) -> Any:  # noqa: ANN401, whatever the pool holds
        """Return one of *pool*; several times faster than ``choice``."""
        return pool[int(self.rng.random() * len(pool))]


class Node(Protocol):
    """One place of an event."""

    def pair(self, draw: Draw) -> Bytes2:
        """Return the Avro bytes of the place on both sides."""
        ...

    def one(self, draw: Draw) -> bytes:
        """Return them for one side alone, where the other has no such place."""
        ...


class Chosen(Protocol):
    """A place whose values others look at; asked twice for one pair, it answers the same."""

    def choose(self, draw: Draw) -> tuple[Any, Any]:
        """Return the physical values on both sides."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """Where generalisers find their context: the leaf, and the unions on the way to it."""

    leaves: dict[str, Chosen]
    unions: dict[str, Chosen]

    def look_up(self, draw: Draw, path: str | None) -> tuple[Any, Any]:
        """Return what `residency.plan.strip.look_up` will find at *path* on both sides."""
        if path is None or path not in self.leaves:
            return None, None
        ways = [u.choose(draw) for p, u in self.unions.items() if path == p or _is_in(path, p)]
        found = self.leaves[path].choose(draw)
        a, b = (None if any(way[side] is None for way in ways) else found[side] for side in (0, 1))
        return a, b


def _is_in(path: str, around: str) -> bool:
    return path.startswith(around + ".")
