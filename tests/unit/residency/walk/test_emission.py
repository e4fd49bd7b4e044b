"""The program of a minimal record, instruction by instruction as `ops` lays them out."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from residency.plan.model import FieldPlan, OutputPlan
from residency.plan.walk import ops
from residency.plan.walk.emission import Emission, Source, write_emission
from residency.plan.walk.wish import UnwalkableError
from schemas.registry import EventSchema

NEVER, FIRST, SECOND = 0, 1, 2  # where null stands
NO_FIELD = -1  # among the clearable
KEPT = Source(slot=7)
LONGS = (-(2**63), 2**63 - 1)
EXTERNAL = FieldPlan("Id__c", "string", "path", "id")
HEAD = b"\0\0\0\0\x63"
TYPES: dict[str, Any] = {
    "string": "string",
    "boolean": "boolean",
    "long": "long",
    "timestamp-millis": {"type": "long", "logicalType": "timestamp-millis"},
}


def decimal(precision: int, scale: int = 0) -> dict[str, Any]:
    amount = {"type": "bytes", "logicalType": "decimal"}
    return {**amount, "precision": precision, "scale": scale}


def written(
    fields: list[tuple[str, Any]],
    plans: tuple[FieldPlan, ...],
    sources: Mapping[str, Source],
    *,
    deletes: bool = False,
) -> Emission:
    made = [{"name": name, "type": avro} for name, avro in fields]
    avro = {"type": "record", "name": "M", "namespace": "m", "fields": made}
    schema = EventSchema(99, "m.M", 1, "", avro, "minimal")
    output = OutputPlan("Thing__c", 99, EXTERNAL, plans, (), deletes)
    return write_emission(output, schema, sources, "eu")


def rows(emission: Emission) -> list[list[int]]:
    code = list(emission.code)
    return [code[at : at + ops.EMIT_WIDTH] for at in range(0, len(code), ops.EMIT_WIDTH)]


def literals(emission: Emission) -> list[bytes]:
    raw, ends = bytes(emission.literals), list(emission.literal_ends)
    assert ends[0] == 0
    assert ends[-1] == len(raw)
    return [raw[a:z] for a, z in pairwise(ends)]


def constant(number: int) -> list[int]:
    return [ops.LITERAL, number, 0, NO_FIELD, 0, 0]


def test_a_program_has_a_row_per_field_and_one_per_run_of_constants() -> None:
    plans = (
        FieldPlan("Clear__c", "string", "clear"),
        FieldPlan("Kept__c", "string", "path", "kept"),
        FieldPlan("Size__c", "string", "path", "size"),
        FieldPlan("Status__c", "string", "constant", value="é"),
        FieldPlan("Void__c", "string", "constant"),
        FieldPlan("Zone__c", "string", "region", value="not this"),
    )
    sources = {
        "Id__c": Source(fill=0),
        "Kept__c": KEPT,
        "Size__c": Source(slot=3, symbols=("S", "M")),
    }
    fields = [
        ("Unset__c", ["null", "string"]), ("Late__c", ["string", "null"]),
        ("Base_Version__c", "long"), ("Status__c", "string"), ("Size__c", ["null", "string"]),
        ("Id__c", "string"), ("Clear__c", ["string", "null"]), ("Kept__c", ["string", "null"]),
        ("Void__c", ["null", "string"]), ("Zone__c", ["string", "null"]),
        ("cleared", {"type": "array", "items": "string"}), ("deleted", "boolean"),
    ]  # fmt: skip

    made = written(fields, plans, sources)

    assert rows(made) == [
        constant(0),
        [ops.VERSION, -1, 0, NO_FIELD, 0, 0],
        constant(1),
        [ops.SYMBOL, 3, FIRST, 2, 2, 0],
        [ops.FILL, 0, NEVER, NO_FIELD, 0, 0],
        [ops.EMPTY, -1, SECOND, 0, 0, 0],
        [ops.TEXT, 7, SECOND, 1, *LONGS],
        constant(4),
        [ops.CLEARED, -1, 0, NO_FIELD, 5, 6],
        constant(11),
    ]
    assert literals(made) == [
        HEAD + b"\0\2", b"\4\xc3\xa9", b"\2S", b"\2M", b"\2\0\0\4eu",
        b"\x10Clear__c", b"\x0eKept__c", b"\x0eSize__c", b"\x12Status__c", b"\x0eVoid__c",
        b"\x0eZone__c", b"\0",
    ]  # fmt: skip
    assert made.names == 6


@pytest.mark.parametrize(
    ("avro", "marked"), [("boolean", b"\1"), (["null", "boolean"], b"\2\1")]
)  # fmt: skip
def test_a_record_that_deletes_says_so(avro: Any, marked: bytes) -> None:
    made = written(
        [("Id__c", "string"), ("deleted", avro)], (), {"Id__c": Source(fill=1)}, deletes=True
    )

    assert rows(made) == [constant(0), [ops.FILL, 1, NEVER, NO_FIELD, 0, 0], constant(1)]
    assert literals(made) == [HEAD, marked]
    assert made.names == 0


OPCODES = [
    ("string", "path", ops.TEXT),
    ("boolean", "path", ops.TRUTH),
    ("long", "path", ops.NUMBER),
    ("long", "min", ops.NUMBER),
    ("long", "max", ops.NUMBER),
    ("long", "sum", ops.NUMBER_OR_ZERO),
    ("long", "count", ops.NUMBER_OR_ZERO),
    ("timestamp-millis", "path", ops.NUMBER),
    ("timestamp-millis", "min", ops.NUMBER),
    ("timestamp-millis", "max", ops.NUMBER),
]


def first_row(avro: Any, plan: FieldPlan, source: Source = KEPT) -> list[int]:
    """Return the row of a field that comes after the external id."""
    sources = {"Id__c": Source(fill=0), plan.name: source}
    return rows(written([("Id__c", "string"), (plan.name, avro)], (plan,), sources))[2]


@pytest.mark.parametrize(("kind", "source", "op"), OPCODES)
def test_what_is_read_as_it_stands_has_all_of_64_bits(kind: str, source: Any, op: int) -> None:
    row = first_row(TYPES[kind], FieldPlan("F__c", kind, source, "f"))

    assert row == [op, 7, NEVER, 0, *LONGS]


@pytest.mark.parametrize(
    ("source", "op"),
    [
        ("path", ops.AMOUNT), ("sum", ops.TOTAL_OR_ZERO), ("min", ops.TOTAL), ("max", ops.TOTAL),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("precision", "bounds"),
    [(1, (-9, 9)), (2, (-99, 99)), (18, (1 - 10**18, 10**18 - 1)), (19, LONGS), (30, LONGS)],
)
def test_a_decimal_is_as_large_as_its_digits_say_as_long_as_64_bits_hold_them(
    source: Any, op: int, precision: int, bounds: tuple[int, int]
) -> None:
    row = first_row(["null", decimal(precision)], FieldPlan("F__c", "decimal", source, "f"))

    assert row == [op, 7, FIRST, 0, *bounds]


@pytest.mark.parametrize(
    ("avro", "range_", "scale", "bounds"),
    [
        ("long", (-3, 8), None, (-3, 8)),
        ("long", (2, 2), None, (2, 2)),
        (decimal(6, 2), (-3, 8), 2, (-300, 800)),
        (decimal(6, 2), (-3, 8), 0, (-3, 8)),
        (decimal(3, 1), (-3, 500), 1, (-30, 999)),
        (decimal(3, 1), (-500, 8), 1, (-999, 80)),
    ],
)
def test_a_range_in_whole_units_narrows_what_the_type_holds(
    avro: Any, range_: tuple[int, int], scale: int | None, bounds: tuple[int, int]
) -> None:
    kind = "long" if avro == "long" else "decimal"
    plan = FieldPlan("F__c", kind, "path", "f", range=range_, scale=scale)

    assert first_row(avro, plan)[-2:] == list(bounds)


def test_symbols_are_for_texts_alone() -> None:
    plan = FieldPlan("F__c", "boolean", "path", "f")

    assert first_row("boolean", plan, Source(slot=7, symbols=("S",)))[0] == ops.TRUTH


@pytest.mark.parametrize(
    "avro",
    [["string"], ["string", "long"], ["null", "string", "long"], ["null", "string", "null"]],
)
def test_a_minimal_field_is_a_type_with_null_or_without(avro: Any) -> None:
    with pytest.raises(UnwalkableError, match="a type and null"):
        first_row(avro, FieldPlan("F__c", "string", "path", "f"))


def test_a_required_field_that_nothing_fills_is_refused_by_name() -> None:
    with pytest.raises(UnwalkableError, match="Lost__c is required"):
        written([("Id__c", "string"), ("Lost__c", "string")], (), {"Id__c": Source(fill=0)})


def test_a_planned_field_that_the_schema_lacks_is_refused_by_name() -> None:
    plans = (FieldPlan("Lost__c", "string", "path", "f"),)

    with pytest.raises(UnwalkableError, match="no field Lost__c"):
        written([("Id__c", "string")], plans, {"Id__c": Source(fill=0)})


@pytest.mark.parametrize(
    ("avro", "source"), [("double", "path"), ("boolean", "min"), ("string", "sum")]
)
def test_a_kind_of_field_that_the_kernel_does_not_write_is_refused(avro: Any, source: Any) -> None:
    with pytest.raises(UnwalkableError, match=f"F__c: {avro} is no kind"):
        first_row(avro, FieldPlan("F__c", avro, source, "f"))


def test_a_source_is_a_slot_or_a_fill_once_it_is_told_so() -> None:
    assert Source() == Source(slot=-1, fill=-1, symbols=())
