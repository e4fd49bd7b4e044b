"""Plain JSON: what fits reads back the same, what does not is named without its value."""

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode_body, encode
from schemas.errors import QuarantineError, Reason
from schemas.plainjson import PlainJsonError, from_plain, to_plain
from schemas.registry import EventSchema, load_registry

REGISTRY = load_registry()
SECRET = "anna.secret@example.org"

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}
ENUM = {"type": "enum", "name": "E", "namespace": "t", "symbols": ["a", "b"]}
CARD = {
    "type": "record",
    "name": "Card",
    "namespace": "t",
    "fields": [
        {"name": "number", "type": "string"},
        {"name": "name", "type": ["null", "string"], "default": None},
    ],
}
IBAN = {
    "type": "record",
    "name": "Iban",
    "namespace": "t",
    "fields": [
        {"name": "iban", "type": "string"},
        {"name": "name", "type": ["null", "string"], "default": None},
    ],
}


def of(*fields: dict[str, Any]) -> EventSchema:
    avro = {"type": "record", "name": "R", "namespace": "t", "fields": list(fields)}
    return EventSchema(9, "t.R", 1, "", avro, "orders")


def one(avro: Any) -> EventSchema:
    return of({"name": "a", "type": avro})


BY_CARD = {"number": "1", "name": None}
BY_IBAN = {"iban": "x", "name": "y"}
FITS: dict[str, tuple[Any, Any, Any]] = {
    "string": ("string", "ü", "ü"),
    "int": ("int", -(2**31), -(2**31)),
    "long": ("long", 2**63 - 1, 2**63 - 1),
    "double": ("double", 3, 3.0),
    "boolean": ("boolean", False, False),
    "bytes": ("bytes", "AAH/", b"\x00\x01\xff"),
    "fixed": ({"type": "fixed", "name": "F", "namespace": "t", "size": 2}, "AAE=", b"\x00\x01"),
    "enum": (ENUM, "b", "b"),
    "decimal": (DECIMAL, "-12.50", Decimal("-12.50")),
    "decimal at its limit": (DECIMAL, "999.99", Decimal("999.99")),
    "date": ({"type": "int", "logicalType": "date"}, "1969-12-31", date(1969, 12, 31)),
    "timestamp": (
        {"type": "long", "logicalType": "timestamp-millis"},
        "2026-01-31T08:00:00.005Z",
        datetime(2026, 1, 31, 8, 0, 0, 5000, UTC),
    ),
    "uuid": ({"type": "string", "logicalType": "uuid"}, str(UUID(int=7)), UUID(int=7)),
    "array": ({"type": "array", "items": DECIMAL}, ["1.00"], [Decimal("1.00")]),
    "map": ({"type": "map", "values": ["null", "int"]}, {"x": 1, "y": None}, {"x": 1, "y": None}),
    "null": (["null", "string"], None, None),
    "first record": (["null", CARD, IBAN], BY_CARD, BY_CARD),
    "second record": ([CARD, IBAN], BY_IBAN, BY_IBAN),
    "text or number": (["null", "string", "long"], 7, 7),
}


@pytest.mark.parametrize(("avro", "plain", "value"), FITS.values(), ids=FITS)
def test_every_type_reads_encodes_decodes_and_writes_back(
    avro: Any, plain: Any, value: Any
) -> None:
    schema = one(avro)

    read = from_plain(schema, {"a": plain})
    decoded = decode_body(schema, encode(schema, read)[5:])

    assert read == decoded == {"a": value}
    assert to_plain(schema, decoded) == {"a": plain}
    assert type(decoded["a"]) is type(value)


def test_of_a_record_only_the_fields_that_are_wanted_are_written() -> None:
    schema = of(*({"name": name, "type": "long"} for name in "abc"))
    value = {"a": 1, "b": 2, "c": 3}

    assert to_plain(schema, value) == value
    assert to_plain(schema, value, only={"c", "a", "none"}) == {"a": 1, "c": 3}
    assert to_plain(schema, value, only=()) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-31T09:30:00+01:30", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31t08:00:00z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00.123456789Z", datetime(2026, 1, 31, 8, 0, 0, 123000, UTC)),
    ],
)
def test_a_time_is_brought_to_utc_and_cut_to_milliseconds(text: str, value: datetime) -> None:
    schema = one({"type": "long", "logicalType": "timestamp-millis"})

    assert from_plain(schema, {"a": text}) == {"a": value}


WRONG: dict[str, tuple[Any, Any, str]] = {
    "number for string": ("string", 7, "is not a string"),
    "surrogate": ("string", "\ud800", "is not valid Unicode"),
    "string for int": ("int", "7", "is not an integer"),
    "boolean for int": ("int", True, "is not an integer"),
    "fraction for int": ("int", 7.0, "is not an integer"),
    "int of 33 bits": ("int", 2**31, "is out of range"),
    "long of 65 bits": ("long", -(2**63) - 1, "is out of range"),
    "not a number": ("double", math.nan, "is out of range"),
    "number past a double": ("double", 10**400, "is out of range"),
    "string for boolean": ("boolean", "true", "is not true or false"),
    "not base64": ("bytes", "a!", "is not base64"),
    "fixed of another size": (FITS["fixed"][0], "AA==", "has not the size"),
    "enum": (ENUM, SECRET, "is not one of the enum's symbols"),
    "enum list": (ENUM, ["a"], "is not one of the enum's symbols"),
    "decimal as number": (DECIMAL, 12.5, "is not a string"),
    "decimal words": (DECIMAL, "NaN", "is not a decimal"),
    "decimal exponent": (DECIMAL, "1e2", "is not a decimal"),
    "decimal in other digits": (DECIMAL, "\u0661", "is not a decimal"),
    "decimal scale": (DECIMAL, "1.234", "more than 2 decimals"),
    "decimal size": (DECIMAL, "1000.00", "more than 3 digits"),
    "date": (FITS["date"][0], "2026-02-30", "is not a date"),
    "date as week": (FITS["date"][0], "2026-W01-1", "is not a date"),
    "time without zone": (FITS["timestamp"][0], "2026-01-31T08:00:00", "is not an RFC 3339 time"),
    "time as number": (FITS["timestamp"][0], 1769846400000, "is not a string"),
    "time with a bad hour": (FITS["timestamp"][0], "2026-01-31T25:00:00Z", "is not an RFC 3339"),
    "time before year 1": (FITS["timestamp"][0], "0001-01-01T00:00:00+01:00", "is not an RFC 3339"),
    "uuid": (FITS["uuid"][0], "{00000000-0000-0000-0000-000000000000}", "is not a uuid"),
    "null": ("string", None, "is not a string"),
    "null in a union": (["string", "int"], None, "may not be null"),
    "array": ({"type": "array", "items": "int"}, {}, "is not an array"),
    "map": ({"type": "map", "values": "int"}, [], "is not an object"),
    "record": (CARD, "x", "is not an object"),
    "no branch": (["null", CARD, IBAN], {"number": "1", "iban": "2"}, "fits no branch"),
    "either branch": (["null", CARD, IBAN], {"name": "x"}, "fits no branch"),
    "neither text nor number": (["null", "string", "long"], True, "fits no branch"),
    "int or long": (["int", "long"], 7, "fits no branch of the union, or more than one"),
}


@pytest.mark.parametrize(("avro", "plain", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named_by_path_and_problem(avro: Any, plain: Any, words: str) -> None:
    with pytest.raises(PlainJsonError, match=words) as caught:
        from_plain(one(avro), {"a": plain})

    assert caught.value.path == "a"
    assert caught.value.reason is Reason.MALFORMED
    assert SECRET not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize(
    ("avro", "plain", "path"),
    [
        ({"type": "array", "items": CARD}, [{"number": "1"}, {}], "a[].number"),
        ({"type": "map", "values": "int"}, {SECRET: "x"}, "a{}"),
        (["null", CARD], {"number": 1}, "a.number"),
        (CARD, {"number": "1", SECRET: 1}, "a"),
    ],
)
def test_a_path_is_the_schemas_and_never_a_key_of_the_sender(
    avro: Any, plain: Any, path: str
) -> None:
    with pytest.raises(PlainJsonError) as caught:
        from_plain(one(avro), {"a": plain})

    assert caught.value.path == path
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.problem}"


@pytest.mark.parametrize("data", [None, [], "x", 7])
def test_an_event_that_is_not_an_object_is_malformed(data: object) -> None:
    with pytest.raises(PlainJsonError, match="the event: is not an object") as caught:
        from_plain(one("int"), data)

    assert caught.value.path is None
    assert isinstance(caught.value, QuarantineError)


def test_a_missing_field_takes_its_default_or_is_named() -> None:
    schema = of(
        {"name": "must", "type": "int"},
        {"name": "may", "type": {"type": "map", "values": "int"}, "default": {}},
    )

    value = from_plain(schema, {"must": 1})
    value["may"]["x"] = 1

    assert from_plain(schema, {"must": 1}) == {"must": 1, "may": {}}  # not the one we changed
    with pytest.raises(PlainJsonError, match="must: is missing"):
        from_plain(schema, {})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.sampled_from([*FITS.values()]), JSON_VALUES)
def test_any_json_is_read_or_refused_and_what_is_read_can_be_written(
    case: tuple[Any, Any, Any], data: Any
) -> None:
    schema = one(case[0])
    try:
        value = from_plain(schema, {"a": data})
    except PlainJsonError:
        return

    encoded = encode(schema, value)

    assert from_plain(schema, json.loads(json.dumps(to_plain(schema, value)))) == value
    assert decode_body(schema, encoded[5:]) == value or isinstance(data, float)
