"""A union's record is told by its keys: exactly, or because no other one can be meant."""

from typing import Any

import pytest

from schemas.branches import fitting


def record(name: str, *fields: str) -> dict[str, Any]:
    """Return a record type; a field that ends in ``?`` has a default."""
    rows = [
        {"name": f.removesuffix("?"), "type": ["null", "int"]}
        | ({"default": None} if f.endswith("?") else {})
        for f in fields
    ]
    return {"type": "record", "name": name, "fields": rows}


WIDE = record("Wide", "x", "y?", "z?")
NARROW = record("Narrow", "x", "y?")
OTHER = record("Other", "x", "w?")


@pytest.mark.parametrize(
    ("records", "keys", "name"),
    [
        ([WIDE, NARROW], "xy", "Narrow"),  # Wide could be meant, Narrow is all there
        ([NARROW, WIDE], "xyz", "Wide"),
        ([NARROW, OTHER], "xw", "Other"),
        ([NARROW, OTHER], "xy", "Narrow"),
        ([WIDE], "x", "Wide"),
        ([NARROW, OTHER], "x", None),  # either could be meant
        ([NARROW, OTHER], "xyw", None),  # neither knows all keys
        ([NARROW, OTHER], "y", None),  # x is missing
        ([NARROW, NARROW], "xy", None),
        ([], "x", None),
    ],
)
def test_the_branch_is_the_only_one_that_the_keys_allow(
    records: list[dict[str, Any]], keys: str, name: str | None
) -> None:
    found = fitting(records, keys)

    assert (found and found["name"]) == name
