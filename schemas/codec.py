"""The Confluent wire format: 0x00, the schema's id in four bytes, one Avro value.

A decoded union of records is the plain dict of its fields, without the branch's name. To
encode it again, its keys tell the branch (`schemas.branches`): ours never share all of
theirs, which ``homeport schema check`` makes sure of.
"""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import fastavro

from schemas.branches import fitting
from schemas.errors import QuarantineError, Reason
from schemas.registry import EventSchema, Registry
from schemas.resolve import PRIMITIVES, full_name
from schemas.strict import compile_check

MAGIC = 0
MAX_SCHEMAS = 256  # whose compiled checks are kept
HEADER = struct.Struct(">bI")  # magic byte, schema id, big-endian

# what fastavro raises on bytes or values that are not the schema's; all it lets through
# of hostile input is in here, because `strict` has bounded every length before
_FASTAVRO_ERRORS = (
    ValueError,  # Unicode errors too
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    struct.error,
    RecursionError,
    MemoryError,
)

Wrap = Callable[[Any], Any]
Names = Mapping[str, Mapping[str, Any]]


def encode(schema: EventSchema, value: Mapping[str, Any]) -> bytes:
    """Return *value* in the wire format.

    Args:
        schema: The schema to write with.
        value: Every field of the record, as `decode` or `plainjson.from_plain` returns it.
            The same value gives the same bytes; of a map, the order of keys counts.

    Raises:
        QuarantineError: The value does not fit the schema; says no more, lest it say the value.

    """
    out = io.BytesIO()
    out.write(HEADER.pack(MAGIC, schema.id))
    wrap = _wrapper(schema)
    try:
        named = wrap(value) if wrap else value
        fastavro.schemaless_writer(out, schema.parsed, named, strict=True)
        wire = out.getvalue()
        _check(schema)(wire[HEADER.size :])
    except _FASTAVRO_ERRORS:
        raise QuarantineError(Reason.MALFORMED) from None  # their texts show values
    return wire


def split(wire: bytes) -> tuple[int, bytes]:
    """Return the schema id and the Avro bytes of a record's value.

    Raises:
        QuarantineError: It is shorter than the header, or has another magic byte.

    """
    if len(wire) < HEADER.size:
        raise QuarantineError(Reason.MALFORMED)
    magic, schema_id = HEADER.unpack_from(wire)
    if magic != MAGIC:
        raise QuarantineError(Reason.MALFORMED)
    return schema_id, wire[HEADER.size :]


def decode(registry: Registry, wire: bytes) -> tuple[EventSchema, dict[str, Any]]:
    """Return the schema of a record's value, and the value.

    Dates are ``date``, timestamps aware ``datetime`` in UTC, decimals ``Decimal``, uuids
    ``UUID``, enums strings.

    Raises:
        QuarantineError: Malformed, also if bytes are left over; or an unknown schema.

    """
    schema_id, body = split(wire)
    try:
        schema = registry.by_id(schema_id)
    except KeyError:
        raise QuarantineError(Reason.UNKNOWN_SCHEMA) from None
    return schema, decode_body(schema, body)


def decode_body(schema: EventSchema, body: bytes) -> dict[str, Any]:
    """Return the value of Avro bytes without the header; see `decode`."""
    return _read(body, schema, schema.parsed)


def decode_physical(registry: Registry, wire: bytes) -> tuple[EventSchema, dict[str, Any]]:
    """Return the schema of a record's value, and the value without logical types.

    Dates are days, timestamps milliseconds, decimals two's-complement bytes, uuids text.
    What decides at run time reads this: a day number that is no date must not fail a
    record, or the failure would tell something about a value that has to stay.

    Raises:
        QuarantineError: As `decode`.

    """
    schema_id, body = split(wire)
    try:
        schema = registry.by_id(schema_id)
    except KeyError:
        raise QuarantineError(Reason.UNKNOWN_SCHEMA) from None
    return schema, _read(body, schema, schema.physical)


def _read(body: bytes, schema: EventSchema, parsed: dict[str, Any]) -> dict[str, Any]:
    try:
        _check(schema)(body)
        value: dict[str, Any] = fastavro.schemaless_reader(  # type: ignore[assignment]
            io.BytesIO(body), parsed, None
        )
    except _FASTAVRO_ERRORS:
        raise QuarantineError(Reason.MALFORMED) from None  # their texts show values
    return value


@lru_cache(MAX_SCHEMAS)
def _check(schema: EventSchema) -> Callable[[bytes], None]:
    return compile_check(schema.avro)


@lru_cache(MAX_SCHEMAS)
def _wrapper(schema: EventSchema) -> Wrap | None:
    """Return what names the branches of unions of records, or None if there are none."""
    return _wrap_type(schema.avro, schema.types)


def _wrap_type(avro: Any, names: Names) -> Wrap | None:  # noqa: ANN401
    """Return what turns a union's dict into (name, dict), or None where nothing changes."""
    if isinstance(avro, str):
        return None if avro in PRIMITIVES else _wrap_type(names[avro], names)
    if isinstance(avro, list):
        return _wrap_union([names.get(b, b) if isinstance(b, str) else b for b in avro], names)
    kind = avro["type"]
    if kind == "record":
        return _wrap_record(avro, names)
    if kind == "array":
        item = _wrap_type(avro["items"], names)
        return (lambda value: [item(one) for one in value]) if item else None
    if kind == "map":
        inner = _wrap_type(avro["values"], names)
        return (lambda value: {key: inner(one) for key, one in value.items()}) if inner else None
    return None


def _wrap_record(avro: Mapping[str, Any], names: Names) -> Wrap | None:
    wraps = {field["name"]: _wrap_type(field["type"], names) for field in avro["fields"]}
    active = {name: wrap for name, wrap in wraps.items() if wrap}
    if not active:
        return None
    return lambda value: {
        name: active[name](item) if name in active else item for name, item in value.items()
    }


def _wrap_union(branches: Sequence[Any], names: Names) -> Wrap | None:
    records = [b for b in branches if isinstance(b, Mapping) and b["type"] == "record"]
    wraps = {full_name(branch): _wrap_type(branch, names) for branch in records}
    lists = [
        wrap for b in branches if _is(b, "array") and (wrap := _wrap_type(b, names)) is not None
    ]
    if len(records) < 2 and not any(wraps.values()) and not lists:  # noqa: PLR2004
        return None

    def wrap_branch(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list) and lists:
            return lists[0](value)
        if not isinstance(value, Mapping) or not records:
            return value
        branch = fitting(records, value)
        if branch is None:
            msg = "no branch of a union fits, or more than one"
            raise ValueError(msg)
        wrap = wraps[full_name(branch)]
        return full_name(branch), wrap(value) if wrap else value

    return wrap_branch


def _is(avro: Any, kind: str) -> bool:  # noqa: ANN401
    return isinstance(avro, Mapping) and avro["type"] == kind
