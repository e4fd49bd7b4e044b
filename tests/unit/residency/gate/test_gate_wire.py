"""The bytes of a minimal record: one encoding of each, and none that is not quite it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from residency.gate.wire import (
    HEADER_BYTES,
    MAX_BYTES,
    Violation,
    load_schemas,
    read,
)
from schemas.codec import encode
from schemas.errors import SetupError
from schemas.registry import load_registry

WIRE = load_schemas()
ORDER = next(schema for schema in load_registry() if schema.object == "Commerce_Order__c")
UNSET: dict[str, Any] = {field["name"]: None for field in ORDER.avro["fields"]}


def order(**fields: Any) -> bytes:
    known = {"External_Id__c": "tok", "Base_Version__c": 1, "cleared": []}
    if "deleted" in UNSET:
        known["deleted"] = False
    return encode(ORDER, UNSET | known | fields)


def refused(value: bytes) -> Violation:
    with pytest.raises(Violation) as caught:
        read(value, WIRE)
    return caught.value


def test_a_violation_reads_as_its_rule() -> None:
    assert str(Violation("wire: so", "Field__c")) == "wire: so"


def test_a_schema_shows_no_more_than_its_names() -> None:
    assert "parsed" not in repr(next(iter(WIRE.values())))


@pytest.mark.parametrize(
    ("size", "rule"), [(0, "no header"), (4, "no header"), (5, "not the schema's")]
)
def test_a_header_alone_is_a_header(size: int, rule: str) -> None:
    assert refused(order()[:size]).rule.startswith(f"wire: {rule}")


@pytest.mark.parametrize(
    ("size", "rule"),
    [(MAX_BYTES, "wire: bytes after the end"), (MAX_BYTES + 1, "wire: more than 16384 bytes")],
)
def test_a_record_may_have_so_many_bytes_and_no_more(size: int, rule: str) -> None:
    assert refused(order().ljust(size, b"\0")).rule.startswith(rule)


@pytest.mark.parametrize("place", range(1, HEADER_BYTES))
def test_every_byte_of_the_schema_id_counts(place: int) -> None:
    value = bytearray(order())
    value[place] ^= 0x80

    assert refused(bytes(value)).rule == "wire: schema id is not that of a minimal schema"


def shortest(unscaled: int) -> bytes:
    return next(
        unscaled.to_bytes(width, "big", signed=True)
        for width in range(1, 9)
        if -(1 << (8 * width - 1)) <= unscaled < 1 << (8 * width - 1)
    )


AMOUNTS = [0, *(sign * n for k in range(7, 63, 8) for n in (2**k - 1, 2**k) for sign in (1, -1))]


@pytest.mark.parametrize("unscaled", AMOUNTS)
def test_an_amount_has_one_encoding(unscaled: int) -> None:
    raw = shortest(unscaled)
    value = order(Total__c=raw)
    padding = b"\xff" if unscaled < 0 else b"\0"
    old, new = _avro(raw), _avro(padding + raw)
    assert value.count(old) == 1

    assert read(value, WIRE)[1]["Total__c"] == Decimal(unscaled).scaleb(-2)
    assert refused(value.replace(old, new)).field == "Total__c"


def _avro(raw: bytes) -> bytes:
    return bytes([2, 2 * len(raw)]) + raw


@pytest.mark.parametrize("millis", [2**63 - 1, -(2**63), 1_764_000_000_000_000])
def test_a_time_outside_the_calendar_is_refused(millis: int) -> None:
    violation = refused(order(Placed_At__c=millis))

    assert (violation.field, violation.rule) == ("Placed_At__c", "range: outside the calendar")


SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "A",
    "homeport.object": "A__c",
    "homeport.schema-id": 7,
    "fields": [
        {"name": "Base_Version__c", "type": "long"},
        {"name": "X__c", "type": ["null", "string"]},
    ],
}


def write(folder: Path, name: str, **changes: Any) -> None:
    text = json.dumps({k: v for k, v in (SCHEMA | changes).items() if v is not None})
    (folder / name).write_text(text, encoding="utf-8")


TYPES = {"Base_Version__c": "long", "X__c": "string"}


def test_only_avsc_files_are_schemas(tmp_path: Path) -> None:
    write(tmp_path, "a.avsc")
    (tmp_path / "README.md").write_text("no schema", encoding="utf-8")

    (schema,) = load_schemas(tmp_path).values()

    assert (schema.id, schema.object, dict(schema.types)) == (7, "A__c", TYPES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"homeport.object": None}, "b.avsc: has no 'homeport.object'"),
        ({"homeport.schema-id": None}, "b.avsc: has no 'homeport.schema-id'"),
        ({}, "b.avsc: schema id 7 is taken"),
        (
            {"homeport.schema-id": 8, "fields": [{"name": "X__c", "type": "double"}]},
            "b.avsc: the gate knows no type of field X__c",
        ),
    ],
)
def test_a_schema_that_the_gate_cannot_read_is_refused(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    write(tmp_path, "a.avsc")
    write(tmp_path, "b.avsc", **changes)

    with pytest.raises(SetupError) as caught:
        load_schemas(tmp_path)

    assert str(caught.value).startswith(told)
