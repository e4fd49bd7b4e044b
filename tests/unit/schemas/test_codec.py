"""The codec: what we write we read, and bytes that are not the schema's are refused.

fastavro alone would accept some of them: see `schemas.strict`.
"""

import io
import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import HEADER, decode, decode_body, encode, split
from schemas.errors import QuarantineError, Reason
from schemas.registry import EventSchema, load_registry
from schemas.strict import NotAvroError, compile_check, read_long

REGISTRY = load_registry()
SUBJECTS = [schema.id for schema in REGISTRY]


def made(*fields: dict[str, Any], schema_id: int = 9) -> EventSchema:
    avro = {"type": "record", "name": "R", "namespace": "t", "fields": list(fields)}
    return EventSchema(schema_id, "t.R", 1, "", avro, "orders")


def one(avro: Any) -> EventSchema:
    return made({"name": "a", "type": avro})


def record_values(avro: Any, names: dict[str, Any]) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """Return values of a type, as `decode` would give them."""
    if isinstance(avro, list):
        return st.one_of([record_values(branch, names) for branch in avro])
    if isinstance(avro, dict) and avro["type"] in {"record", "enum"}:
        names[f"{avro['namespace']}.{avro['name']}"] = avro
    avro = names.get(avro, avro) if isinstance(avro, str) else avro
    kind = avro["type"] if isinstance(avro, dict) else avro
    if kind == "record":
        return st.fixed_dictionaries(
            {field["name"]: record_values(field["type"], names) for field in avro["fields"]}
        )
    if kind == "array":
        return st.lists(record_values(avro["items"], names), max_size=2)
    if kind == "map":
        return st.dictionaries(
            st.text(max_size=3), record_values(avro["values"], names), max_size=2
        )
    if kind == "enum":
        return st.sampled_from(avro["symbols"])
    logical = avro.get("logicalType") if isinstance(avro, dict) else None
    if logical == "decimal":
        return st.integers(-(10**18) + 1, 10**18 - 1).map(lambda n: Decimal(n).scaleb(-2))
    by_name: dict[str | None, st.SearchStrategy[Any]] = {
        "date": st.dates(),
        "timestamp-millis": st.datetimes(timezones=st.just(UTC)).map(
            lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
        ),
        "uuid": st.uuids(),
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "double": st.floats(allow_nan=False),
        "string": st.text(max_size=8),
    }
    return by_name[logical or kind]


@pytest.mark.parametrize("schema_id", SUBJECTS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_every_event_reads_back_as_it_was_written(schema_id: int, data: st.DataObject) -> None:
    schema = REGISTRY.by_id(schema_id)
    value = data.draw(record_values(schema.avro, {}))

    wire = encode(schema, value)

    assert wire[:5] == struct.pack(">bI", 0, schema_id)
    assert decode(REGISTRY, wire) == (schema, value)
    assert encode(schema, decode(REGISTRY, wire)[1]) == wire


OPTIONAL_BIC = {"name": "bic", "type": ["null", "string"], "default": None}


def test_a_union_of_records_is_told_by_its_keys() -> None:
    branches = [
        {"type": "record", "name": name, "namespace": "t", "fields": fields}
        for name, fields in {
            "Card": [{"name": "holder", "type": "string"}, {"name": "brand", "type": "string"}],
            "Iban": [{"name": "iban", "type": "string"}, OPTIONAL_BIC],
        }.items()
    ]
    schema = one(["null", *branches])

    first = encode(schema, {"a": {"holder": "x", "brand": "y"}})
    second = encode(schema, {"a": {"iban": "x", "bic": None}})

    assert (first[5], second[5]) == (2, 4)  # zig-zag of branch 1 and branch 2
    with pytest.raises(QuarantineError):
        encode(schema, {"a": {"holder": "x", "iban": "y"}})


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
ENUM = {"type": "enum", "name": "E", "namespace": "t", "symbols": ["a", "b"]}
UUID_TYPE = {"type": "string", "logicalType": "uuid"}
HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2**63 - 1
BAD_BYTES = {
    "truncated": ("string", b"\x08abc"),
    "nothing at all": ("string", b""),
    "bytes left over": ("string", b"\x02ab"),
    "length past the end": ("string", HUGE + b"abc"),
    "negative length": ("string", b"\x05abc"),
    "not UTF-8": ("string", b"\x04\xff\xfe"),
    "a surrogate": ("string", b"\x06\xed\xa0\x80"),
    "an integer of 11 bytes": ("long", b"\x80" * 10 + b"\x01"),
    "an integer of 65 bits": ("long", b"\xff" * 9 + b"\x02"),
    "an integer longer than it need be": ("long", b"\x82\x00"),
    "an int of 33 bits": ("int", b"\x80\x80\x80\x80\x20"),
    "a boolean of 2": ("boolean", b"\x02"),
    "enum index past the end": (ENUM, b"\x04"),
    "enum index -1": (ENUM, b"\x01"),
    "union index past the end": (["null", "string"], b"\x04"),
    "union index -1": (["null", "string"], b"\x01\x02a"),
    "an array of more items than bytes": ({"type": "array", "items": "null"}, HUGE + b"\x00"),
    "an array of a null": ({"type": "array", "items": "null"}, b"\x02\x00"),
    "an array of a record of nothing": (
        {"type": "array", "items": {"type": "record", "name": "N", "namespace": "t", "fields": []}},
        b"\x02\x00",
    ),
    "arrays of nothing in an array": (
        {"type": "array", "items": {"type": "array", "items": {"type": "null"}}},
        b"\x02\x02\x00\x00",
    ),
    "a block shorter than it says": ({"type": "array", "items": "int"}, b"\x01\x04\x02\x00"),
    "a map that does not end": ({"type": "map", "values": "int"}, b"\x02\x02a\x02"),
    "a decimal of too many digits": (DECIMAL, b"\x08\x7f\xff\xff\xff"),
    "a decimal without digits": (DECIMAL, b"\x00"),
    "a uuid in braces": (UUID_TYPE, b"\x4c{00000000-0000-0000-0000-000000000000}"),
    "a uuid without dashes": (UUID_TYPE, b"\x40" + b"0" * 32),
    "a date past year 9999": ({"type": "int", "logicalType": "date"}, b"\xfe\xff\xff\xff\x0f"),
    "a time past year 9999": ({"type": "long", "logicalType": "timestamp-millis"}, HUGE),
    "fixed too short": ({"type": "fixed", "name": "F", "namespace": "t", "size": 4}, b"abc"),
}


@pytest.mark.parametrize(("avro", "body"), BAD_BYTES.values(), ids=BAD_BYTES)
def test_bytes_that_are_not_the_schemas_are_malformed(avro: Any, body: bytes) -> None:
    with pytest.raises(QuarantineError) as caught:
        decode_body(one(avro), body)

    assert (caught.value.reason, caught.value.path) == (Reason.MALFORMED, None)
    assert caught.value.__cause__ is None  # fastavro's texts show values
    assert caught.value.__suppress_context__


def test_an_array_in_blocks_with_their_sizes_is_legal() -> None:
    schema = one({"type": "array", "items": "int"})

    assert decode_body(schema, b"\x01\x02\x02" + b"\x02\x04" + b"\x00") == {"a": [1, 2]}


@pytest.mark.parametrize("wire", [b"", b"\x00\x00\x00\x03", b"\x01\x00\x00\x03\xe9abc", b'{"a":1}'])
def test_what_is_not_the_wire_format_is_malformed(wire: bytes) -> None:
    with pytest.raises(QuarantineError) as caught:
        split(wire)

    assert caught.value.reason is Reason.MALFORMED


def test_an_unknown_schema_is_named_as_such() -> None:
    with pytest.raises(QuarantineError) as caught:
        decode(REGISTRY, HEADER.pack(0, 4242) + b"abc")

    assert caught.value.reason is Reason.UNKNOWN_SCHEMA


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUBJECTS), st.binary(max_size=300))
def test_no_bytes_get_anything_but_a_value_or_quarantine(schema_id: int, body: bytes) -> None:
    try:
        schema, value = decode(REGISTRY, HEADER.pack(0, schema_id) + body)
    except QuarantineError:
        return

    assert decode_body(schema, encode(schema, value)[5:]) == value


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_truncated_or_lengthened_event_is_read(data: st.DataObject) -> None:
    schema = REGISTRY.by_id(data.draw(st.sampled_from(SUBJECTS)))
    body = encode(schema, data.draw(record_values(schema.avro, {})))[5:]
    cut = data.draw(st.integers(0, len(body) - 1))

    for changed in (body[:cut], body + b"\x00"):
        with pytest.raises(QuarantineError):
            decode_body(schema, changed)


@pytest.mark.parametrize(
    ("avro", "value"),
    [
        ("int", 2**31),
        ("string", 7),
        ("string", "\ud800"),
        (ENUM, "elsewhere"),
        (DECIMAL, Decimal("1.234")),
        (DECIMAL, Decimal("123.45")),
        (["null", "string"], 7),
    ],
)
def test_a_value_that_does_not_fit_is_not_written_and_not_shown(avro: Any, value: Any) -> None:
    with pytest.raises(QuarantineError) as caught:
        encode(one(avro), {"a": value})

    assert caught.value.__suppress_context__
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize("value", [{}, {"a": 1, "b": 2}])
def test_a_record_with_missing_or_unknown_fields_is_not_written(value: dict[str, Any]) -> None:
    with pytest.raises(QuarantineError):
        encode(one("int"), value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_read_as_fastavro_writes_them(number: int) -> None:
    body = encode(one("long"), {"a": number})[5:]

    assert read_long(body, 0) == (number, len(body))


def test_a_decoded_event_has_pythons_own_types() -> None:
    schema = made(
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "sum", "type": DECIMAL},
        {"name": "id", "type": UUID_TYPE},
    )
    value = {
        "day": date(1969, 12, 31),
        "at": datetime(2026, 1, 31, 8, 0, 0, 5000, UTC),
        "sum": Decimal("-12.50"),
        "id": UUID(int=7),
    }

    read = decode_body(schema, encode(schema, value)[5:])

    assert read == value
    assert str(read["sum"]) == "-12.50"


def test_the_check_alone_refuses_what_fastavro_lets_through() -> None:
    lax: list[tuple[Any, bytes]] = [
        (ENUM, b"\x01"),
        ("int", b"\x80\x80\x80\x80\x20"),
        (DECIMAL, b"\x08\x7f\xff\xff\xff"),
    ]
    for avro, body in lax:
        schema = one(avro)
        check = compile_check(schema.avro)

        assert fastavro.schemaless_reader(io.BytesIO(body), schema.parsed, None)
        with pytest.raises(NotAvroError):
            check(body)
