"""The external id that a request's records are matched by: each has one, and no two the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import Problem
from connectors.sandbox.rows.links import Linked, Read
from connectors.sandbox.store import key_of


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
