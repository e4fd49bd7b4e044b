"""How one leaf is filled on both sides: freely, alike, or alike in what may be told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import SetupError
from streams.noninterference.draw import Bytes2, Draw, Places
from streams.noninterference.wire import sized

Groups = Mapping[Any, Sequence[bytes]]  # generalised output -> values that have it


@dataclass(frozen=True, slots=True)
class FreeLeaf:
    """Nothing of it leaves, whatever it is."""

    number: int
    pool: Sequence[bytes]

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        a, b = draw.pick(self.pool), draw.pick(self.pool)
        if a != b:
            draw.varied[self.number] += 1
        return a, b

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        value: bytes = draw.pick(self.pool)
        return value


@dataclass(frozen=True, slots=True)
class FreeText:
    """As `FreeLeaf`, for text: now and then of two parts, so that no two runs agree."""

    number: int
    pool: Sequence[bytes]

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        a, b = self.one(draw), self.one(draw)
        if a != b:
            draw.varied[self.number] += 1
        return a, b

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        text: bytes = draw.pick(self.pool)
        if draw.rng.random() < 0.3:  # noqa: PLR2004
            text += draw.pick(self.pool)
        return sized(text)


@dataclass(frozen=True, slots=True)
class KeptLeaf:
    """It leaves as it is, so both sides have the same value.

    Attributes:
        pool: Values, each with all its encodings: a decimal may be longer than it need be.
        path: Where it lies, if a generaliser looks at it.

    """

    pool: Sequence[tuple[Any, Sequence[bytes]]] = field(repr=False)
    path: str | None = None

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        encoded = self._chosen(draw)[1]
        return draw.pick(encoded), draw.pick(encoded)

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return self.pair(draw)[0]

    def choose(self, draw: Draw) -> tuple[Any, Any]:
        """See Chosen."""
        value = self._chosen(draw)[0]
        return value, value

    def _chosen(self, draw: Draw) -> tuple[Any, Sequence[bytes]]:
        if self.path is None:
            return draw.pick(self.pool)  # type: ignore[no-any-return]
        if self.path not in draw.memo:
            draw.memo[self.path] = draw.pick(self.pool)
        return draw.memo[self.path]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class ContextLeaf:
    """It does not leave itself, but a generaliser looks at it: free, and known to both."""

    number: int
    path: str
    pool: Sequence[tuple[Any, bytes]] = field(repr=False)

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        (_, a), (_, b) = self._chosen(draw)
        if a != b:
            draw.varied[self.number] += 1
        return a, b

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return self._chosen(draw)[0][1]

    def choose(self, draw: Draw) -> tuple[Any, Any]:
        """See Chosen."""
        (a, _), (b, _) = self._chosen(draw)
        return a, b

    def _chosen(self, draw: Draw) -> tuple[tuple[Any, bytes], tuple[Any, bytes]]:
        if self.path not in draw.memo:
            draw.memo[self.path] = draw.pick(self.pool), draw.pick(self.pool)
        return draw.memo[self.path]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class TokenLeaf:
    """Its token leaves: values differ, and are equal where they are equal on the other side.

    Attributes:
        spellings: Per class of equal values, all of one token on each side: the encoded
            spellings of side A, and of side B. No token stands in two classes.

    """

    number: int
    spellings: Sequence[tuple[Sequence[bytes], Sequence[bytes]]] = field(repr=False)

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        mine, theirs = draw.pick(self.spellings)
        a, b = draw.pick(mine), draw.pick(theirs)
        if a != b:
            draw.varied[self.number] += 1
        return a, b

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return self.pair(draw)[0]


class Generalised:
    """Something coarser leaves: values differ within what gives the same output."""

    def __init__(
        self,
        number: int,
        places: Places,
        contexts: Sequence[str | None],
        groups: "Grouping",
    ) -> None:
        """Take the leaf's number, where its contexts lie, and what groups its values."""
        self._number = number
        self._places = places
        self._contexts = contexts
        self._groups = groups
        self._common: dict[Any, Sequence[tuple[Sequence[bytes], Sequence[bytes]]]] = {}

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        found = [self._places.look_up(draw, path) for path in self._contexts]
        key = tuple(a for a, _ in found), tuple(b for _, b in found)
        if key not in self._common:
            self._common[key] = self._shared(*key)
        mine, theirs = draw.pick(self._common[key])
        a, b = draw.pick(mine), draw.pick(theirs)
        if a != b:
            draw.varied[self._number] += 1
        return a, b

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return self.pair(draw)[0]

    def _shared(
        self, a: tuple[Any, ...], b: tuple[Any, ...]
    ) -> Sequence[tuple[Sequence[bytes], Sequence[bytes]]]:
        """Return the values of each output that both contexts can give."""
        of_a, of_b = self._groups.by_output(a), self._groups.by_output(b)
        shared = [(values, of_b[output]) for output, values in of_a.items() if output in of_b]
        if not shared:
            msg = f"leaf {self._number}: no output is common to two contexts; add candidates"
            raise SetupError(msg)
        # outputs of one single value cannot vary; they are only tried where there is no other
        return [pair for pair in shared if len(set(pair[0]) | set(pair[1])) > 1] or shared


class Grouping:
    """The candidates of one leaf by what the plan's generalisers make of them."""

    def __init__(
        self,
        candidates: Sequence[tuple[Any, bytes]],
        output: "Output",
    ) -> None:
        """Take values with their bytes, and what tells their output in a context."""
        self._candidates = candidates
        self._output = output
        self._made: dict[tuple[Any, ...], dict[Any, list[bytes]]] = {}

    def by_output(self, context: tuple[Any, ...]) -> Groups:
        """Return the encoded candidates by output."""
        if context not in self._made:
            groups: dict[Any, list[bytes]] = {}
            for value, encoded in self._candidates:
                groups.setdefault(self._output(value, context), []).append(encoded)
            self._made[context] = groups
        return self._made[context]


class Output:
    """What all the plan's generalisers of one leaf make of a value, together."""

    def __init__(self, made: Sequence[Any], slots: Sequence[Sequence[int]]) -> None:
        """Take the functions, and which of the contexts each one reads."""
        self._made = made
        self._slots = slots

    def __call__(self, value: Any, context: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ANN401
        """Return every function's output."""
        return tuple(
            make(value, *(context[slot] for slot in slots))
            for make, slots in zip(self._made, self._slots, strict=True)
        )
