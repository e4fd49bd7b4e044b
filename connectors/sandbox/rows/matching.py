"""The external id that rows are matched by: who may use it, and that no two records share one.

Source: REST API, "Insert or Update (Upsert) a Record Using an External ID"; SOAP API, "upsert()".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import Problem, not_found, refuse
from connectors.sandbox.rows.links import Linked, Read
from connectors.sandbox.store import key_of


def external_id_field(view: View, name: str) -> Field:
    """Return the external id field of that name.

    Raises:
        ApiError: 404, there is none that the user sees.

    """
    field = view.field(name)
    if field is None or not field.is_external_id:
        text = f"Provided external ID field does not exist or is not accessible: {name}"
        raise not_found(text)
    return field


def check_upsert(view: View, key: Field) -> None:
    """Refuse an upsert by *key* to users who may not see the row that they would double.

    Raises:
        ApiError: 403, two rows may hold the same value and the user does not see all of them.

    """
    if not key.is_unique and not view.access.view_all:
        text = "Upsert requires view all data on a non-unique custom index"
        raise refuse(403, "INSUFFICIENT_ACCESS", text)


def keyed(read: Read, key: Field) -> Read:
    """Return *read*, or the refusal of a row without a value for its key."""
    row = read.row if isinstance(read, Linked) else read
    if isinstance(row, dict) and row.get(key.name) is None:
        return [Problem("MISSING_ARGUMENT", f"{key.name} not specified")]
    return read


def refuse_twins(records: Sequence[Mapping[str, Any]], read: list[Read], key: Field) -> None:
    """Replace, in place, every record whose key another one of the request has too.

    Rows are matched before their fields are checked, so a twin with bad data counts as one.
    """
    keys = [_raw_key(record, key) for record in records]
    seen = Counter(k for k in keys if k is not None)
    for at, (value, row) in enumerate(zip(keys, read, strict=True)):
        if value is None or seen[value] == 1:
            continue
        if not isinstance(row, list) or not row[0].is_parse_error:
            text = f"Duplicate external id specified: {value}"
            read[at] = [Problem("DUPLICATE_VALUE", text, (key.name,))]


def _raw_key(record: Mapping[str, Any], key: Field) -> str | int | None:
    """Return the key's value in *record*, whatever the case of its name; None if empty."""
    value = record.get(key.name)
    if value is None:
        named = (v for name, v in record.items() if name.lower() == key.name.lower())
        value = next(named, None)
    return key_of(key, value) if isinstance(value, str | int) and value != "" else None
