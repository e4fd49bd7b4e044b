"""What the vault is told of each event type, in ``events.toml``."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from schemas.codec import split
from schemas.errors import QuarantineError, SetupError
from schemas.registry import Registry

FILE = Path(__file__).with_name("events.toml")
CUSTOMER = "customer.customer_id"
UNKNOWN = "unknown"  # the event type of a value that names no schema of ours
NO_SCHEMA = 0  # its schema id


@dataclass(frozen=True, slots=True)
class EventKind:
    """One event type.

    Attributes:
        event: Avro full name, or `UNKNOWN`.
        retention_days: How long the vault keeps its events.
        erases: It asks for the erasure of its subject.
        registers: It makes its subject a customer, again if need be.

    """

    event: str
    retention_days: int
    erases: bool = False
    registers: bool = False


@cache
def load_kinds(path: Path = FILE) -> Mapping[str, EventKind]:
    """Return the rows by event type.

    Raises:
        SetupError: The file is not readable, or a row has another form.

    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        kinds = {name: _kind(name, row) for name, row in _rows(raw)}
    except (OSError, ValueError, TypeError) as exc:
        msg = f"{path.name}: not readable ({type(exc).__name__}); a row has retention_days >= 1"
        raise SetupError(msg) from exc
    if UNKNOWN not in kinds:
        msg = f"{path.name}: no row [{UNKNOWN}], for records that name no schema of ours"
        raise SetupError(msg)
    return kinds


def faults(registry: Registry, kinds: Mapping[str, EventKind]) -> list[str]:
    """Return which event schemas have no row, which rows no schema, and who asks for whom."""
    events = {schema.subject for schema in registry.raw()}
    rows = kinds.keys() - {UNKNOWN}
    nobody = {
        schema.subject
        for schema in registry.raw()
        if schema.subject in rows
        and kinds[schema.subject].erases
        and CUSTOMER not in {leaf.path for leaf in schema.leaves}
    }
    return [
        *(f"no row for {name}: say how long it is kept" for name in sorted(events - rows)),
        *(f"{name} is no event of ours; take its row out" for name in sorted(rows - events)),
        *(f"{name} erases, and has no {CUSTOMER}" for name in sorted(nobody)),
    ]


def event_of(value: bytes, registry: Registry) -> tuple[str, int]:
    """Return the event type and schema id that a raw record's value names; 0 for `UNKNOWN`."""
    try:
        schema = registry.by_id(split(value)[0])
    except (QuarantineError, KeyError):
        return UNKNOWN, NO_SCHEMA
    return (schema.subject, schema.id) if schema in registry.raw() else (UNKNOWN, NO_SCHEMA)


def _rows(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name and row of each table that holds no further ones: the names have dots."""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            raise TypeError(key)
        name = f"{path}.{key}" if path else key
        if any(isinstance(inner, Mapping) for inner in value.values()):
            yield from _rows(value, name)
        else:
            yield name, value


def _kind(name: str, row: Mapping[str, Any]) -> EventKind:
    kind = EventKind(name, **row)
    flags = (kind.erases, kind.registers)
    if type(kind.retention_days) is not int or {type(flag) for flag in flags} != {bool}:
        raise TypeError(name)
    if kind.retention_days < 1:
        raise ValueError(name)
    return kind
