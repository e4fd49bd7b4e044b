"""What a query's answer will look like: ``query?q=...&columns=true``, as the Salesforce CLI asks.

Source: the columns that the CLI's data plugin reads, `columnMetadata` and its `joinColumns`.
"""

from collections.abc import Sequence
from typing import Any

from connectors.sandbox.deployed.metadata import NUMBER_TYPES, TEXT_TYPES, Field
from connectors.sandbox.soql.compiled import Column, Compiled

_APEX = {
    "id": "Id", "reference": "Id", "boolean": "Boolean", "date": "Date", "datetime": "Datetime",
    "int": "Integer",
}  # fmt: skip


def answer_columns(compiled: Compiled) -> dict[str, Any]:
    """Return the answer that describes the columns of a query instead of its rows."""
    is_id_selected = any(c.operand.field.name == "Id" and not c.path for c in compiled.columns)
    return {
        "columnMetadata": _all(compiled),
        "entityName": compiled.view.name,
        "groupBy": bool(compiled.query.group_by),
        "idSelected": is_id_selected and not compiled.is_aggregate,
        "keyPrefix": compiled.view.prefix,
    }


def _all(compiled: Compiled) -> list[dict[str, Any]]:
    if compiled.is_count:
        return [_entry("count", "count()", is_aggregate=True, is_number=True)]
    if compiled.is_aggregate:
        return [_leaf(column) for column in compiled.columns]
    entries = _level(compiled.columns, 0)
    for child in compiled.children:
        joined = _all(child.compiled)
        entries.append(_entry(child.name, child.name, is_aggregate=True, joined=joined))
    return entries


def _level(columns: Sequence[Column], depth: int) -> list[dict[str, Any]]:
    """Return the entries of the columns that are *depth* or more relationships up."""
    entries: list[dict[str, Any]] = []
    made: set[str] = set()
    for column in columns:
        if len(column.path) == depth:
            entries.append(_leaf(column))
            continue
        step = column.path[depth]
        if step not in made:
            made.add(step)
            inside = [c for c in columns if c.path[: depth + 1] == column.path[: depth + 1]]
            place = column.operand.reference.place.line[depth + 1]
            joined = _level(inside, depth + 1)
            entries.append(_entry(step, step, foreign_key=place.key, joined=joined))
    return entries


def _leaf(column: Column) -> dict[str, Any]:
    operand, field = column.operand, column.operand.field
    if operand.is_aggregate:
        shown = f"{(operand.item.function or '').lower()}({operand.reference.name})"
        is_number = operand.kind != "field" or field.type in NUMBER_TYPES
        return _entry(column.name, shown, is_aggregate=True, is_number=is_number)
    view = operand.reference.place.view
    is_editable = field.name in view.editable
    return _entry(column.name, column.name, is_number=field.type in NUMBER_TYPES) | {
        "apexType": _apex_type(field),
        "booleanType": field.type == "boolean",
        "custom": field.is_custom,
        "insertable": is_editable and view.access.create,
        "textType": field.type in TEXT_TYPES,
        "updatable": is_editable and view.access.edit,
    }


def _entry(  # noqa: PLR0913 -- one member each
    name: str,
    shown: str,
    *,
    is_aggregate: bool = False,
    is_number: bool = False,
    foreign_key: str | None = None,
    joined: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    return {
        "aggregate": is_aggregate,
        "apexType": None,
        "booleanType": False,
        "columnName": name,
        "custom": False,
        "displayName": shown,
        "foreignKeyName": foreign_key,
        "insertable": False,
        "joinColumns": list(joined),
        "numberType": is_number,
        "textType": False,
        "updatable": False,
    }


def _apex_type(field: Field) -> str:
    if field.type in TEXT_TYPES:
        return "String"
    return _APEX.get(field.type, "Double")
