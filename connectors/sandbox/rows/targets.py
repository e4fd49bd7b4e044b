"""Which rows the records of an update name by their ids.

Source: REST API, "Update Records Using sObject Collections".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.errors import IS_DELETED, NO_SUCH_ROW, Problem
from connectors.sandbox.ids import sequence_of
from connectors.sandbox.store import Store

_NOT_NAMED = Problem("MISSING_ARGUMENT", "Id not specified in an update call")
NO_ID_ALLOWED = Problem(
    "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",)
)

Target = tuple[int, int]  # number and owner of a live row


def without_id(record: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    """Return the record's id, None if it has none, and its other members."""
    text: object = None
    others: dict[str, Any] = {}
    for name, value in record.items():
        if name.lower() == "id":
            text = value
        else:
            others[name] = value
    return text, others


def targets(store: Store, view: View, ids: Sequence[object]) -> list[Target | Problem]:
    """Return the live row that each of *ids* names, or why it names none; in order."""
    numbers = [sequence_of(view.prefix, i) if isinstance(i, str) else None for i in ids]
    times = Counter(numbers)
    wanted = [number for number in times if number is not None]
    rows = store.find_rows(view.name, ["OwnerId", "IsDeleted"], wanted)

    def one(text: object, number: int | None) -> Target | Problem:
        if text is None or text == "":
            return _NOT_NAMED
        if number is None:
            message = f"{view.sobject.label} ID: id value of incorrect type: {text}"
            return Problem("MALFORMED_ID", message, ("Id",))
        if times[number] > 1:
            return Problem("DUPLICATE_VALUE", f"Duplicate id specified: {text}", ("Id",))
        row = rows.get(number)
        if row is None:
            return NO_SUCH_ROW
        return IS_DELETED if row["IsDeleted"] else (number, int(row["OwnerId"] or 0))

    return [one(text, number) for text, number in zip(ids, numbers, strict=True)]
