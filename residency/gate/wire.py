"""Read a minimal record's bytes, trusting nothing about whoever wrote them.

Logical types are taken off the schema before fastavro sees it: it then decodes plain
longs and bytes, which re-encode to the same bytes or were not canonical, and this module
turns them into dates and decimals itself.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import fastavro

from schemas.errors import SetupError

MAGIC: Final = 0
HEADER_BYTES: Final = 5  # 0x00 and a 4-byte big-endian schema id
MAX_BYTES: Final = 16_384  # of one minimal record; ours have a few hundred
MAX_DECIMAL_BYTES: Final = 8  # 18 digits fit in 60 bits and a sign
CLEARED: Final = "cleared"
DELETED: Final = "deleted"
VERSIONS: Final = ("Base_Version__c", "Label_Version__c")  # a record carries that of its kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    ("string", None): "string",
    ("long", None): "long",
    ("boolean", None): "boolean",
    ("long", "timestamp-millis"): "timestamp",
    ("bytes", "decimal"): "decimal",
}
# What fastavro raises on bytes that are not the schema's; fuzzed in the tests.
_CORRUPT = (
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,  # UnicodeDecodeError is one
)


class Violation(Exception):  # noqa: N818 - a finding that Gate.check turns into its error
    """A record breaks a rule of the gate; names the field and the rule, never a value."""

    def __init__(self, rule: str, name: str | None = None) -> None:
        """Keep the rule, and the field's name where one field is at fault."""
        super().__init__(rule)
        self.rule = rule
        self.field = name


@dataclass(frozen=True, slots=True)
class WireSchema:
    """A minimal schema as the gate reads it.

    Attributes:
        id: Pinned id in the wire header.
        object: Salesforce object its records are for.
        types: Field name to ``string``, ``long``, ``boolean``, ``timestamp``, ``decimal``.
        scales: Field name to digits after the point, decimals only.
        version: The field with the record's version; it says which kind of record it is.
        parsed: What fastavro decodes with; holds no logical types.

    """

    id: int
    object: str
    types: Mapping[str, str]
    scales: Mapping[str, int]
    version: str
    parsed: Any = field(repr=False)


def load_schemas(folder: Traversable | None = None) -> Mapping[int, WireSchema]:
    """Return the minimal schemas by wire id; by default the ones we ship.

    Raises:
        SetupError: A file is not a schema the gate can read, or two share an id.

    """
    source = folder or resources.files("schemas").joinpath("avro", "minimal")
    schemas: dict[int, WireSchema] = {}
    for file in sorted(source.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".avsc"):
            continue
        schema = _read_schema(file.name, json.loads(file.read_text(encoding="utf-8")))
        if schema.id in schemas:
            msg = f"{file.name}: schema id {schema.id} is taken; give it its own"
            raise SetupError(msg)
        schemas[schema.id] = schema
    return schemas


def _read_schema(name: str, source: Mapping[str, Any]) -> WireSchema:
    try:
        schema_id, target = source["homeport.schema-id"], source["homeport.object"]
    except KeyError as error:
        msg = f"{name}: has no {error.args[0]!r}; the gate cannot tell what it writes"
        raise SetupError(msg) from error
    types: dict[str, str] = {}
    scales: dict[str, int] = {}
    plain: list[dict[str, Any]] = []
    for row in source["fields"]:
        plain.append({"name": row["name"], "type": _plain(row["type"])})
        if row["name"] == CLEARED:
            continue
        base = _leaf(row["type"])
        kind = _TYPES.get((base["type"], base.get("logicalType")))
        if kind is None:
            msg = f"{name}: the gate knows no type of field {row['name']}; use one it reads"
            raise SetupError(msg)
        types[row["name"]] = kind
        if kind == "decimal":
            scales[row["name"]] = base["scale"]
    versions = [name for name in VERSIONS if name in types]
    if len(versions) != 1:
        msg = f"{name}: has {len(versions)} versions; give it one of {', '.join(VERSIONS)}"
        raise SetupError(msg)
    parsed = fastavro.parse_schema(
        {"type": "record", "name": f"gate.{source['name']}", "fields": plain}
    )
    return WireSchema(schema_id, target, types, scales, versions[0], parsed)


def _leaf(avro: Any) -> Mapping[str, Any]:  # noqa: ANN401 - Avro's JSON is str, list or dict
    """Return the type under ``["null", type]``, always as a mapping."""
    if isinstance(avro, list):
        avro = next(branch for branch in avro if branch != "null")
    return {"type": avro} if isinstance(avro, str) else avro


def _plain(avro: Any) -> Any:  # noqa: ANN401 - Avro's JSON is str, list or dict
    """Return *avro* without logical types."""
    if isinstance(avro, list):
        return [_plain(branch) for branch in avro]
    if isinstance(avro, dict) and "logicalType" in avro:
        return avro["type"]
    return avro


def read(value: bytes, schemas: Mapping[int, WireSchema]) -> tuple[WireSchema, dict[str, Any]]:
    """Return the schema *value* names and its decoded fields, ``cleared`` among them.

    Raises:
        Violation: The bytes are not one canonical record of a minimal schema.

    """
    if len(value) > MAX_BYTES:
        rule = f"wire: more than {MAX_BYTES} bytes"
        raise Violation(rule)
    if len(value) < HEADER_BYTES or value[0] != MAGIC:
        rule = "wire: no header of 0x00 and a schema id"
        raise Violation(rule)
    schema = schemas.get(int.from_bytes(value[1:HEADER_BYTES], "big"))
    if schema is None:
        rule = "wire: schema id is not that of a minimal schema"
        raise Violation(rule)
    fields = _decode(value[HEADER_BYTES:], schema)
    for name, kind in schema.types.items():
        if fields[name] is not None and kind in _FROM_PLAIN:
            fields[name] = _FROM_PLAIN[kind](name, fields[name], schema)
    return schema, fields


def _decode(body: bytes, schema: WireSchema) -> dict[str, Any]:
    """Return *body* decoded to plain values, once it re-encodes to the same bytes."""
    stream, again = io.BytesIO(body), io.BytesIO()
    decoded: Any = None
    try:
        decoded = fastavro.schemaless_reader(stream, schema.parsed, None)
        fastavro.schemaless_writer(again, schema.parsed, decoded)
    except _CORRUPT:
        # Raised below, outside this block: a UnicodeDecodeError carries the record's
        # bytes, and would ride along as the new error's context.
        decoded = None
    if not isinstance(decoded, dict):
        rule = "wire: not the schema's bytes"
        raise Violation(rule)
    if stream.tell() != len(body):
        rule = "wire: bytes after the end of the record"
        raise Violation(rule)
    if again.getvalue() != body:
        rule = "wire: not the canonical encoding"
        raise Violation(rule)
    return decoded


def _timestamp(name: str, millis: int, _schema: WireSchema) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        pass  # raised below: the error's own text would hold the number
    rule = "range: outside the calendar"
    raise Violation(rule, name)


def _decimal(name: str, raw: bytes, schema: WireSchema) -> Decimal:
    if not 0 < len(raw) <= MAX_DECIMAL_BYTES:
        rule = f"type: a decimal has 1 to {MAX_DECIMAL_BYTES} bytes"
        raise Violation(rule, name)
    unscaled = int.from_bytes(raw, "big", signed=True)
    # The same amount in more bytes is what copying a raw span would give, and its length
    # could tell two equal amounts apart.
    shortest = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    if len(raw) != shortest:
        rule = "type: a decimal is in its fewest bytes"
        raise Violation(rule, name)
    return Decimal(unscaled).scaleb(-schema.scales[name])


_FROM_PLAIN: Final[Mapping[str, Callable[[str, Any, WireSchema], Any]]] = {
    "timestamp": _timestamp,
    "decimal": _decimal,
}
