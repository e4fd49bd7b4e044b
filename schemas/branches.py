"""Which record of a union a plain dict is: told by its keys, never by trying values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

AvroRecord = Mapping[str, Any]


def keys_of(record: AvroRecord) -> tuple[frozenset[str], frozenset[str]]:
    """Return (the fields without a default, all fields) of a record type."""
    fields = record["fields"]
    required = frozenset(field["name"] for field in fields if "default" not in field)
    return required, frozenset(field["name"] for field in fields)


def fitting(records: Sequence[AvroRecord], keys: Iterable[str]) -> AvroRecord | None:
    """Return the one record type that a dict with these *keys* can be, else None.

    A dict with exactly a type's fields is that type; otherwise one type alone must have
    all its required fields among the keys and know every key. Two answers are none.
    """
    present = frozenset(keys)
    exact = [record for record in records if keys_of(record)[1] == present]
    fits = exact or [
        record for record in records if keys_of(record)[0] <= present <= keys_of(record)[1]
    ]
    return fits[0] if len(fits) == 1 else None
