"""Write the walk's program for one schema: every leaf checked, wished-for values noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.wish import UnwalkableError, Wish
from schemas.resolve import PRIMITIVES, named_types

MAX_INSTRUCTIONS = 50_000  # named types are written out at each use; some schemas would explode
_SIMPLE = {
    "boolean": ops.BOOLEAN,
    "int": ops.INT,
    "long": ops.LONG,
    "bytes": ops.BYTES,
    "string": ops.STRING,
}
_MOST_DIGITS = 18  # of a decimal that 64 bits hold, whatever they are
_SIZED = {"float": 4, "double": 8}


@dataclass(frozen=True, slots=True)
class Program:
    """A walk as the kernel takes it; see `kernel.walk`."""

    code: Any
    table: Any
    keys: Any
    key_ends: Any
    depth: int


@dataclass(frozen=True, slots=True)
class Acts:
    """What a projection does with the bytes of each node, by its path in the schema.

    Attributes:
        drops: Paths that leave with all that lies below them.
        edits: Path of a leaf to the number of its edit.

    """

    drops: frozenset[str] = frozenset()
    edits: Mapping[str, int] = field(default_factory=dict)


def write_program(avro: Mapping[str, Any], wish: Wish, acts: Acts | None = None) -> Program:
    """Return the program that walks one value of *avro*.

    Args:
        avro: A resolved record schema.
        wish: What to note.
        acts: Given: also write the tape of a projection.

    Raises:
        UnwalkableError: The schema has arrays of nothing, or is too large written out.

    """
    writer = _Writer(named_types(avro), acts)
    writer.node(avro, wish, "", ops.SKIP if acts is None else ops.COPY)
    writer.add(ops.END)
    return Program(
        ints(writer.code),
        ints(writer.table or [0]),
        view(b"".join(writer.keys)),
        ints(list(accumulate(map(len, writer.keys), initial=0))),
        writer.depth,
    )


class _Writer:
    def __init__(self, names: Mapping[str, Mapping[str, Any]], acts: Acts | None) -> None:
        self._names = names
        self._acts = acts
        self._nesting = 0
        self.code: list[int] = []
        self.table: list[int] = []
        self.keys: list[bytes] = []
        self.depth = 0

    def add(self, op: int, *operands: int, act: int = ops.SKIP) -> int:
        """Append an instruction; return its place."""
        if len(self.code) >= MAX_INSTRUCTIONS * ops.WIDTH:
            msg = "the schema is too large written out for the walker"
            raise UnwalkableError(msg)
        self.code += [op, *operands, *[0] * (ops.WIDTH - 2 - len(operands)), act]
        return self._here() - 1

    def _here(self) -> int:
        return len(self.code) // ops.WIDTH

    def _set(self, place: int, operand: int, value: int) -> None:
        self.code[place * ops.WIDTH + 1 + operand] = value

    def node(self, avro: Any, wish: Wish, path: str, act: int) -> None:
        """Write what walks a value of type *avro*, which lies at *path*."""
        if self._acts is not None and path in self._acts.drops:
            act = ops.SKIP
        if isinstance(avro, list):
            self._union(avro, wish, path, act)
            return
        if isinstance(avro, str):
            if avro not in PRIMITIVES:
                self.node(self._names[avro], wish, path, act)
                return
            avro = {"type": avro}
        kind = avro["type"]
        if kind in self._names:
            self.node(kind, wish, path, act)
        elif kind == "record":
            for one in avro["fields"]:
                name = one["name"]
                below = f"{path}.{name}" if path else name
                self.node(one["type"], wish.fields.get(name, Wish()), below, act)
        elif kind in {"array", "map"}:
            self._many(avro, wish, path, act)
        else:
            self._leaf(avro, wish, path, act)

    def _union(self, branches: Sequence[Any], wish: Wish, path: str, act: int) -> None:
        place = len(self.table)
        self.table += [0] * len(branches)
        self.add(ops.UNION, len(branches), place, act=act)
        last = max((n for n, branch in enumerate(branches) if branch != "null"), default=-1)
        jumps = []
        for number, branch in enumerate(branches):
            if branch == "null":  # takes no byte and leaves its slots absent
                continue
            self.table[place + number] = self._here()
            self.node(branch, wish, path, act)
            if number != last:
                jumps.append(self.add(ops.JUMP))
        after = self._here()
        for jump in jumps:
            self._set(jump, 0, after)
        for number, branch in enumerate(branches):
            if branch == "null":
                self.table[place + number] = after

    def _many(self, avro: Mapping[str, Any], wish: Wish, path: str, act: int) -> None:
        """Write a loop over the items; the chosen ones have bodies of their own."""
        is_map = avro["type"] == "map"
        inner = avro["values"] if is_map else avro["items"]
        if not is_map and self._least(inner) == 0:
            msg = f"{path}[]: an array of nothing could be endless in no bytes"
            raise UnwalkableError(msg)
        self._nesting += 1
        self.depth = max(self.depth, self._nesting)
        self.add(ops.BEGIN)
        following = self.add(ops.NEXT)
        block = self.add(ops.BLOCK, 0, following, act=act)
        chooser = following
        if is_map:
            chooser = self.add(ops.KEY, act=act)
            self._set(following, 0, chooser)
        chosen: Mapping[str, Wish] | Mapping[int, Wish] = wish.entries if is_map else wish.items
        rows: list[int] = []
        below = path + ("{}" if is_map else "[]")
        for key, own in chosen.items():
            rows += [self._key(key) if isinstance(key, str) else key, self._here()]
            self._body(inner, own.plus(wish.each), below, act, following)
        self._set(chooser, 0, self._here())
        self._set(chooser, 1, len(self.table))
        self._set(chooser, 2, len(chosen))
        self.table += rows
        self._body(inner, wish.each or Wish(), below, act, following)
        self._set(block, 0, self._here())
        self._nesting -= 1
        for slot in wish.counts:
            self.add(ops.COUNT, slot)

    def _body(self, inner: Any, wish: Wish, path: str, act: int, following: int) -> None:
        if path.endswith("{}"):
            # a key may come twice; the last one counts, so nothing of the first may stay
            for slot in wish.slots():
                self.add(ops.CLEAR, slot)
        self.node(inner, wish, path, act)
        self.add(ops.JUMP, following)

    def _key(self, key: str) -> int:
        self.keys.append(key.encode())
        return len(self.keys) - 1

    def _leaf(self, avro: Mapping[str, Any], wish: Wish, path: str, act: int) -> None:
        if self._acts is not None and path in self._acts.edits:
            act = ops.EDIT + self._acts.edits[path]
        kind, is_decimal = avro["type"], avro.get("logicalType") == "decimal"
        slots = [slot for slot, how in wish.stores if how == ops.SET]
        keep = slots[0] + 1 if slots else 0
        if kind == "null":
            return
        if is_decimal:
            digits = avro["precision"]
            limit = 10**digits if digits <= _MOST_DIGITS else 0
            op = ops.DECIMAL if kind == "bytes" else ops.FIXED_DECIMAL
            self.add(op, avro.get("size", 0), limit, keep, act=act)
        elif avro.get("logicalType") == "uuid":
            if kind != "string":
                msg = f"{path}: a uuid that is not a string"
                raise UnwalkableError(msg)
            self.add(ops.UUID, 0, 0, keep, act=act)
        elif kind in _SIMPLE:
            self.add(_SIMPLE[kind], 0, 0, keep, act=act)
        elif kind == "enum":
            self.add(ops.ENUM, len(avro["symbols"]), 0, keep, act=act)
        else:
            self.add(ops.SIZED, avro["size"] if kind == "fixed" else _SIZED[kind], 0, keep, act=act)
        for slot, how in wish.stores:
            if slot != keep - 1:
                self.add(ops.STORE, slot, how, int(is_decimal and how != ops.SET))

    def _least(self, avro: Any) -> int:
        """Return 0 if a value of *avro* can take no byte at all, else at least 1."""
        if isinstance(avro, str):
            return int(avro != "null") if avro in PRIMITIVES else self._least(self._names[avro])
        if isinstance(avro, list):
            return 1
        kind = avro["type"]
        if kind == "record":
            return max((self._least(one["type"]) for one in avro["fields"]), default=0)
        if kind == "fixed":
            return int(avro["size"])
        return 1 if kind in {"array", "map", "enum"} else self._least(kind)
