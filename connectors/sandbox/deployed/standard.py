"""The standard objects, read from ``standard.toml``."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.sandbox.deployed.metadata import SYSTEM_FIELDS, Field, SObject


def _object(name: str, table: Mapping[str, Any]) -> SObject:
    fields = {field["name"]: _field(field) for field in table["fields"]}
    system = [f for f in SYSTEM_FIELDS if f.name not in table.get("without", ())]
    return SObject(
        name=name,
        label=table["label"],
        plural=table["plural"],
        is_private=False,
        fields=(
            *(fields.pop(f.name, f) for f in system),
            *fields.values(),
        ),
        prefix=table["prefix"],
        rows=table.get("rows"),
        named_by=tuple(table.get("named_by", ())),
    )


def _field(table: Mapping[str, Any]) -> Field:
    """Return the field in *table*, whose members are those of `Field`."""
    members: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in table.items()
    }
    return Field(**members)


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
STANDARD: Mapping[str, SObject] = {name: _object(name, t) for name, t in _TABLES.items()}
