"""Write the program that writes one output's minimal record from slots and fills."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from residency.plan.kinds import digits, kind_of
from residency.plan.model import FieldPlan, OutputPlan
from residency.plan.walk import assemble, ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.fills import text, varint
from residency.plan.walk.wish import UnwalkableError
from schemas.codec import HEADER, MAGIC
from schemas.registry import CLEARED, DELETED, EventSchema

VERSION = "Base_Version__c"
_OPS = {
    ("string", "path"): ops.TEXT,
    ("boolean", "path"): ops.TRUTH,
    ("decimal", "path"): ops.AMOUNT,
    ("decimal", "sum"): ops.TOTAL_OR_ZERO,
    ("decimal", "min"): ops.TOTAL,
    ("decimal", "max"): ops.TOTAL,
    ("long", "count"): ops.NUMBER_OR_ZERO,
    ("long", "sum"): ops.NUMBER_OR_ZERO,
    **{
        (kind, source): ops.NUMBER
        for kind in ("long", "timestamp-millis")
        for source in ("path", "min", "max")
    },
}
_MOST_DIGITS = 18  # of a decimal that 64 bits hold, whatever they are
_ANY = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Emission:
    """An output as the kernel takes it; see `assemble.assemble`."""

    code: Any
    literals: Any
    literal_ends: Any
    names: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where the walk puts what a field is made of: a slot or a fill.

    Attributes:
        symbols: Of an enum that is kept.

    """

    slot: int = -1
    fill: int = -1
    symbols: Sequence[str] = ()


def write_emission(
    output: OutputPlan, schema: EventSchema, sources: Mapping[str, Source], region: str
) -> Emission:
    """Return the program of *output*, whose minimal schema is *schema*.

    Raises:
        UnwalkableError: The minimal schema or a field's plan is of a form only `strip` knows.

    """
    return _Writer(output, sources, region).write(schema)


@dataclass(slots=True)
class _Writer:
    output: OutputPlan
    sources: Mapping[str, Source]
    region: str
    code: list[int] = field(default_factory=list)
    literals: list[bytes] = field(default_factory=list)
    constant: bytes = b""

    def write(self, schema: EventSchema) -> Emission:
        """Return the finished program."""
        plans = {made.name: made for made in (self.output.external_id, *self.output.fields)}
        places = {made.name: number for number, made in enumerate(self.output.fields)}
        self.constant += HEADER.pack(MAGIC, schema.id)
        for one in schema.avro["fields"]:
            name, nullable = one["name"], _nullable(one["type"])
            made = plans.pop(name, None)
            if name == VERSION:
                self._add(ops.VERSION)
            elif name == CLEARED:
                self._cleared(list(places))
            elif name == DELETED:
                self.constant += _present(nullable) + bytes([self.output.deletes])
            elif made is None:
                self._unset(name, nullable)
            else:
                self._field(made, one["type"], nullable, places.get(name, -1))
        if plans:
            msg = f"{schema.subject} has no field {', '.join(plans)}"
            raise UnwalkableError(msg)
        self._flush()
        return Emission(
            ints(self.code),
            view(b"".join(self.literals)),
            ints(list(accumulate(map(len, self.literals), initial=0))),
            len(places),
        )

    def _unset(self, name: str, nullable: int) -> None:
        if nullable == assemble.NOT_NULLABLE:
            msg = f"{name} is required, and nothing fills it"
            raise UnwalkableError(msg)
        self.constant += _null(nullable)

    def _field(self, made: FieldPlan, avro: Any, nullable: int, place: int) -> None:
        fixed = made.value if made.source == "constant" else self.region
        if made.source in {"constant", "region"}:
            self.constant += _present(nullable) + text((fixed or "").encode())
        elif made.source == "clear":
            self._add(ops.EMPTY, -1, nullable, place)
        else:
            op, source, low, high = self._value(made, avro)
            self._add(op, source, nullable, place, low, high)

    def _value(self, made: FieldPlan, avro: Any) -> tuple[int, int, int, int]:
        """Return (opcode, source, low, high) of a field that is made from the event."""
        source, to = self.sources[made.name], kind_of(avro)
        if source.fill >= 0:
            return ops.FILL, source.fill, 0, 0
        if to == "string" and source.symbols:
            return ops.SYMBOL, source.slot, self._literals(source.symbols), 0
        op = _OPS.get((to, made.source))
        if op is None:
            msg = f"{made.name}: {to} is no kind of minimal field for a {made.source}"
            raise UnwalkableError(msg)
        return op, source.slot, *_bounds(made, avro)

    def _cleared(self, names: Sequence[str]) -> None:
        first = self._literals(names)
        self._add(ops.CLEARED, -1, 0, -1, first, len(names))

    def _literals(self, texts: Sequence[str]) -> int:
        """Keep texts one after the other; return the first one's number."""
        self._flush()
        self.literals += [text(one.encode()) for one in texts]
        return len(self.literals) - len(texts)

    def _add(self, *words: int) -> None:
        self._flush()
        self.code += [*words, *(-1, 0, -1, 0, 0)[len(words) - 1 :]]

    def _flush(self) -> None:
        """Put the constant bytes so far where they belong: before what follows."""
        if self.constant:
            self.literals.append(self.constant)
            self.constant = b""
            self.code += [ops.LITERAL, len(self.literals) - 1, 0, -1, 0, 0]


def _nullable(avro: Any) -> int:
    if not isinstance(avro, list):
        return assemble.NOT_NULLABLE
    if len(avro) != 2 or "null" not in avro:
        msg = "a minimal field is a type, or a type and null"
        raise UnwalkableError(msg)
    return assemble.NULL_FIRST if avro[0] == "null" else assemble.NULL_FIRST + 1


def _null(nullable: int) -> bytes:
    return varint(0 if nullable == assemble.NULL_FIRST else 1)


def _present(nullable: int) -> bytes:
    if nullable == assemble.NOT_NULLABLE:
        return b""
    return varint(1 if nullable == assemble.NULL_FIRST else 0)


def _bounds(made: FieldPlan, avro: Any) -> tuple[int, int]:
    """Return between which numbers a value must lie, unscaled, and what its type holds."""
    low, high = _ANY
    precision, _ = digits(avro)
    if 0 < precision <= _MOST_DIGITS:
        low, high = 1 - 10**precision, 10**precision - 1
    if made.range is not None:
        unit = 10 ** (made.scale or 0)
        low, high = max(low, made.range[0] * unit), min(high, made.range[1] * unit)
    return low, high
