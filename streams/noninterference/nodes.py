"""Records, unions, arrays and maps of both sides: alike where a plan looks, free elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.noninterference.draw import Bytes2, Draw, Node
from streams.noninterference.wire import SMALL, blocks, sized

FEW, MANY = 4, 60  # elements, usually and now and then
RARE = 0.02
SAME_SHARE = 0.5  # of free unions take one branch on both sides
NULL_SHARE = 0.15  # of optional places that are held alike


@dataclass(frozen=True, slots=True)
class RecordNode:
    """Its fields, one after the other."""

    fields: Sequence[Node]

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        made = [node.pair(draw) for node in self.fields]
        return b"".join([a for a, _ in made]), b"".join([b for _, b in made])

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return b"".join([node.one(draw) for node in self.fields])


@dataclass(frozen=True, slots=True)
class UnionNode:
    """One of its branches.

    Attributes:
        null: The index of ``null``, or None if it has none.
        held: Whether both sides take the same branch: something below leaves.
        path: Where it lies, if a generaliser's context lies below.

    """

    branches: Sequence[Node]
    null: int | None
    held: bool
    path: str | None = None

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        a, b = self._branches(draw)
        if a == b:
            mine, theirs = self.branches[a].pair(draw)
        else:
            mine, theirs = self.branches[a].one(draw), self.branches[b].one(draw)
        return SMALL[a] + mine, SMALL[b] + theirs

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        index = self._index(draw)
        return SMALL[index] + self.branches[index].one(draw)

    def choose(self, draw: Draw) -> tuple[int | None, int | None]:
        """Return both sides' branches; None for null. See Chosen."""
        a, b = self._branches(draw)
        return None if a == self.null else a, None if b == self.null else b

    def _branches(self, draw: Draw) -> tuple[int, int]:
        if self.path is None:
            return self._fresh(draw)
        key = "union", self.path
        if key not in draw.memo:
            draw.memo[key] = self._fresh(draw)
        return draw.memo[key]  # type: ignore[no-any-return]

    def _fresh(self, draw: Draw) -> tuple[int, int]:
        a = self._index(draw)
        same = self.held or draw.rng.random() < SAME_SHARE  # else what is below would rarely meet
        return a, a if same else self._index(draw)

    def _index(self, draw: Draw) -> int:
        if self.held and self.null is not None and len(self.branches) > 1:
            if draw.rng.random() < NULL_SHARE:
                return self.null
            others = [n for n in range(len(self.branches)) if n != self.null]
            return others[0] if len(others) == 1 else draw.rng.choice(others)
        return int(draw.rng.random() * len(self.branches))


@dataclass(frozen=True, slots=True)
class ArrayNode:
    """Its elements.

    Attributes:
        first: The elements that are mapped one by one.
        rest: Any other element.
        same_length: Whether its length leaves, or all elements are summed up.
        shuffled: Whether the sum alone leaves: side B has the elements in another order.

    """

    first: Sequence[Node]
    rest: Node
    same_length: bool
    shuffled: bool

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        count_a, count_b = self._counts(draw)
        shared = min(count_a, count_b)
        nodes = [*self.first[:shared], *[self.rest] * (shared - len(self.first))]
        made = [node.pair(draw) for node in nodes]
        a, b = [x for x, _ in made], [y for _, y in made]
        a += [self.rest.one(draw) for _ in range(count_a - shared)]
        b += [self.rest.one(draw) for _ in range(count_b - shared)]
        if self.shuffled and not self.first:
            draw.rng.shuffle(b)
        return blocks(draw.rng, a), blocks(draw.rng, b)

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return blocks(draw.rng, [self.rest.one(draw) for _ in range(_count(draw))])

    def _counts(self, draw: Draw) -> tuple[int, int]:
        a = _count(draw)
        if self.same_length or a < len(self.first):
            return a, a  # whether a mapped element is there leaves
        return a, max(_count(draw), len(self.first))


@dataclass(frozen=True, slots=True)
class MapNode:
    """Its entries, in any order.

    Attributes:
        mapped: The entries that are mapped one by one, by key.
        keys: What the other entries' keys are made of, encoded; none is a mapped key.

    """

    mapped: Mapping[str, Node]
    rest: Node
    keys: Sequence[bytes] = field(repr=False)

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        a: list[bytes] = []
        b: list[bytes] = []
        for key, node in self.mapped.items():
            if draw.rng.random() >= NULL_SHARE:
                name = sized(key.encode())
                mine, theirs = node.pair(draw)
                a.append(name + mine)
                b.append(name + theirs)
        for _ in range(_count(draw)):
            mine, theirs = self.rest.pair(draw)
            a.append(draw.pick(self.keys) + mine)
            if draw.rng.random() < 0.7:  # noqa: PLR2004
                b.append(draw.pick(self.keys) + theirs)
        draw.rng.shuffle(a)
        draw.rng.shuffle(b)
        return blocks(draw.rng, a), blocks(draw.rng, b)

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        entries = [draw.pick(self.keys) + self.rest.one(draw) for _ in range(_count(draw))]
        return blocks(draw.rng, entries)


def _count(draw: Draw) -> int:
    chance = draw.rng.random()
    if chance < RARE:
        return int(chance / RARE * MANY)
    return int(draw.rng.random() * FEW)
