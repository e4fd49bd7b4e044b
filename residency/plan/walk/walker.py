"""One plan carried out on whole batches of Avro bytes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from residency.generalise import generaliser
from residency.plan.model import FieldPlan, Plan, leaf_path
from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.assemble import assemble
from residency.plan.walk.emission import Emission, Source, write_emission
from residency.plan.walk.fills import (
    Column,
    Fill,
    FormatCheck,
    GeneralisedFill,
    Operand,
    TokenFill,
    reader_of,
    text,
    varint,
)
from residency.plan.walk.kernel import walk
from residency.plan.walk.program import Program, UnwalkableError, Wish, write_program
from residency.policy.rules import Action
from residency.tokens import Kind, Tokeniser
from schemas.registry import EventSchema, Registry

_HOW = {"sum": ops.SUM, "min": ops.LEAST, "max": ops.MOST}
_WRITE: Mapping[str, Callable[[Any], bytes]] = {
    "string": lambda made: text(made.encode()),
    "decimal": text,
    "long": varint,
    "timestamp-millis": varint,
}
BODY_AT = 5  # magic byte and schema id come first
_SHORT = 64  # bytes of a string with its length, where one byte holds the length
_LITTLE = 4_096  # bytes of an output buffer to start with

Row = tuple[bytes, bytes]  # external id; minimal record in the wire format


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk made of a batch.

    Attributes:
        rows: Per event one (key, value) per output of the plan, or None where `strip`
            has to decide.
        asked: Per event the text at each of the paths asked for; None where it is absent
            and where the event is not plain.

    """

    rows: list[tuple[Row, ...] | None]
    asked: list[tuple[bytes | None, ...]]


class Walker:
    """Carries out one plan. Holds the region's keys through its tokeniser, no values."""

    def __init__(
        self,
        plan: Plan,
        schema: EventSchema,
        tokeniser: Tokeniser,
        registry: Registry,
        ask: Sequence[str] = (),
    ) -> None:
        """Compile *plan*.

        Args:
            plan: The plan.
            schema: The schema of its events.
            tokeniser: Holds the keys.
            registry: Knows the minimal schemas.
            ask: Paths of strings that the caller needs to see, such as the residence.

        Raises:
            UnwalkableError: Schema or plan is of a form that only `strip` knows.

        """
        if plan.normaliser != tokeniser.normaliser:
            msg = f"a plan of normaliser {plan.normaliser}; strip says what to do"
            raise UnwalkableError(msg)
        builder = _Builder(plan, schema, tokeniser)
        self._asked = [builder.slot(path) for path in ask]
        self._outputs = tuple(
            builder.output(number, registry) for number in range(len(plan.outputs))
        )
        self._fills = tuple(builder.fills)
        self._checks = tuple(builder.checks)
        self._slots = builder.slots
        self._program: Program = write_program(schema.avro, builder.wish)

    def walk(self, values: Sequence[bytes], versions: Sequence[int]) -> Walked:
        """Return what leaves of each event.

        Args:
            values: Confluent wire format, all of the plan's schema.
            versions: The row version of each.

        """
        found = _Found.of(self._program, values, self._slots)
        for check in self._checks:
            check.mark(found.data, found.slots, found.status)
        fills, fill_ends, columns = self._fill(found)
        outputs = [
            self._emit(emission, found, fills, fill_ends, versions) for emission, _ in self._outputs
        ]
        keys = [columns[fill] for _, fill in self._outputs]
        is_plain = (found.status == ops.PLAIN).tolist()
        made = [zip(k, v, strict=True) for k, v in zip(keys, outputs, strict=True)]
        rows: list[tuple[Row, ...] | None] = (
            list(zip(*made, strict=True)) if made else [()] * len(values)
        )
        if not all(is_plain):
            rows = [row if plain else None for row, plain in zip(rows, is_plain, strict=True)]
        return Walked(rows, self._ask(found))

    def _ask(self, found: "_Found") -> list[tuple[bytes | None, ...]]:
        if not self._asked:
            return [()] * len(found.status)
        data = found.data
        columns = [
            [None if z < 0 else data[a:z] for a, z in zip(*found.slots[slot].tolist(), strict=True)]
            for slot in self._asked
        ]
        return list(zip(*columns, strict=True))

    def _fill(self, found: "_Found") -> tuple[Any, Any, dict[int, list[bytes]]]:
        """Return (the fills joined, where each ends per event, the external ids per fill)."""
        ids = {fill for _, fill in self._outputs}
        joined: list[bytes] = []
        ends: list[list[int]] = []
        keys: dict[int, list[bytes]] = {}
        base = 0
        for number, fill in enumerate(self._fills):
            column = fill.column(found.data, found.slots)
            ends.append(list(accumulate(column.sizes, initial=base)))
            base = ends[-1][-1]
            joined.append(column.joined)
            if number in ids:
                keys[number] = _texts(column)
        places = np.array(ends or [[0]], np.int64)
        return view(b"".join(joined)), places, keys

    def _emit(
        self, emission: Emission, found: "_Found", fills: Any, ends: Any, versions: Sequence[int]
    ) -> list[bytes]:
        """Return one output's record per event; nothing for what is not plain."""
        numbers = ints(versions)
        record_ends = np.zeros(len(found.status), np.int64)
        room = _LITTLE + 2 * (len(found.data) + len(fills)) + 512 * len(found.status)
        while True:
            out = np.empty(room, np.uint8)
            done = assemble(
                emission.code, emission.literals, emission.literal_ends, emission.names,
                found.array, found.slots, fills, ends, numbers, found.status, out, record_ends,
            )  # fmt: skip
            if done == len(found.status):
                break
            room *= 2
        joined = out[: record_ends[-1]].tobytes() if len(record_ends) else b""
        return [joined[a:z] for a, z in pairwise([0, *record_ends.tolist()])]


def spans_of(values: Sequence[bytes]) -> tuple[bytes, Any, Any, Any]:
    """Return (the values joined, the same as an array, where each body starts, where it ends)."""
    data = b"".join(values)
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 0, ends[:-1]
    starts += BODY_AT
    return data, view(data), ints(starts), ints(ends)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a walk found in a batch."""

    data: bytes
    array: Any
    slots: Any
    status: Any

    @classmethod
    def of(cls, program: Program, values: Sequence[bytes], slots: int) -> "_Found":
        """Walk a batch."""
        number = len(values)
        data, array, starts, ends = spans_of(values)
        found = np.full((max(slots, 1), 2, number), ops.ABSENT, np.int64)
        status = np.zeros(number, np.uint8)
        walk(
            program.code, program.table, program.keys, program.key_ends, program.depth,
            array, starts, ends, found, np.empty((2, 3), np.int64), np.empty(number, np.int64),
            status,
        )  # fmt: skip
        found[:, 1, status != ops.PLAIN] = ops.ABSENT
        return cls(data, array, found, status)


def _texts(column: Column) -> list[bytes]:
    """Return the strings of a column that has one for each event, all of one length."""
    joined, size = column.joined, column.sizes[0] if column.sizes else 1
    skip = len(varint(size)) if size > _SHORT else 1
    return [joined[at + skip : at + size] for at in range(0, len(joined), size)]


class _Builder:
    """Gives every path that a plan reads a slot, and every value that Python makes a fill."""

    def __init__(self, plan: Plan, schema: EventSchema, tokeniser: Tokeniser) -> None:
        self._plan = plan
        self._tokeniser = tokeniser
        self._leaves = {leaf.path: leaf for leaf in schema.leaves}
        self._taken: dict[tuple[str, int], int] = {}
        self.wish = Wish()
        self.fills: list[Fill] = []
        self.checks: list[FormatCheck] = []
        self.slots = 0

    def slot(self, path: str, how: int = ops.SET) -> int:
        """Return the slot of the value at *path*."""
        key = path, how
        if key not in self._taken:
            self._taken[key] = self.slots
            self.wish.at(path).stores.append((self.slots, how))
            self.slots += 1
        return self._taken[key]

    def output(self, number: int, registry: Registry) -> tuple[Emission, int]:
        """Return an output's emission and the fill of its external id."""
        output = self._plan.outputs[number]
        external = self._tokens(output.external_id, is_required=True)
        sources = {made.name: self._source(made) for made in output.fields}
        sources[output.external_id.name] = external
        emission = write_emission(
            output, registry.by_id(output.schema_id), sources, self._plan.region
        )
        return emission, external.fill

    def _source(self, made: FieldPlan) -> Source:
        path = made.path or ""
        if made.source == "count":
            slot = self.slots
            self.slots += 1
            self.wish.at(path).counts.append(slot)
            return Source(slot)
        if made.source in _HOW:
            return Source(self.slot(path, _HOW[made.source]))
        if made.source != "path":
            return Source()
        match made.action:
            case Action.TOKENISE:
                return self._tokens(made)
            case Action.GENERALISE:
                return self._generalised(made)
            case Action.KEEP:
                return self._kept(made)
            case _:
                msg = f"{made.name}: a plan never maps a field whose action is {made.action}"
                raise UnwalkableError(msg)

    def _tokens(self, made: FieldPlan, *, is_required: bool = False) -> Source:
        kind: Kind = "identity" if made.identity else "attribute"
        slot = self.slot(made.path or "")
        return self._filled(TokenFill(slot, kind, made.domain or "", self._tokeniser, is_required))

    def _filled(self, fill: Fill) -> Source:
        self.fills.append(fill)
        return Source(fill=len(self.fills) - 1)

    def _operand(self, path: str) -> Operand:
        return Operand(self.slot(path), reader_of(self._leaves[leaf_path(path)].avro))

    def _generalised(self, made: FieldPlan) -> Source:
        return self._filled(
            GeneralisedFill(
                self._operand(made.path or ""),
                generaliser(made.how or ""),
                _WRITE[made.to],
                self._operand(made.country) if made.country else None,
                self._operand(made.at) if made.at else None,
            )
        )

    def _kept(self, made: FieldPlan) -> Source:
        path = made.path or ""
        leaf, slot = self._leaves[leaf_path(path)], self.slot(path)
        if made.pattern is not None:
            self.checks.append(FormatCheck(slot, re.compile(made.pattern)))
        is_enum = isinstance(leaf.avro, Mapping) and leaf.avro["type"] == "enum"
        return replace(Source(slot), symbols=leaf.avro["symbols"] if is_enum else ())
