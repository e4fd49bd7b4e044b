"""Rows as the REST API shows them.

Source: REST API, "sObject Rows" and "Get Records Using sObject Collections".
"""

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import ApiError, no_such_column
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.values import renderer
from connectors.sandbox.store import Store


def fields_of(view: View, names: Sequence[str]) -> list[Field]:
    """Return the fields of those names, each once, and at the end the id, which is always shown.

    Raises:
        ApiError: 400 INVALID_FIELD, there is no such field that the user sees.

    """
    found: dict[str, Field] = {}
    for name in [*names, "Id"]:
        field = view.field(name.strip())
        if field is None:
            raise ApiError(400, [no_such_column(name.strip(), view.name)])
        found.setdefault(field.name, field)
    return list(found.values())


def url_of(version: str, view: View, sequence: int) -> str:
    """Return the path of the row with that number."""
    base = f"/services/data/v{version}/sobjects/{view.name}"
    return f"{base}/{record_id(view.prefix, sequence)}"


def rendered(
    store: Store, version: str, view: View, fields: Sequence[Field], sequences: Iterable[int]
) -> dict[int, dict[str, Any]]:
    """Return the rows with those numbers, with *fields*, by number; absent = no such row."""
    renders = [(field.name, renderer(field, view.prefix)) for field in fields]
    rows = store.find_rows(view.name, [name for name, _ in renders], sequences)
    return {
        sequence: {"attributes": {"type": view.name, "url": url_of(version, view, sequence)}}
        | {name: render(row[name]) for name, render in renders}
        for sequence, row in rows.items()
    }
