"""What every leaf about no record is held to: one spelling, strict forms, a schema as strict."""

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
import rfc8785

from residency.ledger.errors import FormatError
from residency.ledger.leaves import parse_leaf
from residency.ledger.notices import Notice
from residency.ledger.published import SCHEMAS


def check_spelling(leaf: Notice) -> None:
    """Hold that its bytes are canonical JSON, and that it is what they parse to."""
    data = leaf.to_bytes()
    assert data == rfc8785.dumps(json.loads(data))
    assert parse_leaf(data) == leaf


def check_refused(leaf: Any, change: dict[str, Any]) -> None:
    """Hold that it cannot be made with *change* of one field, which the error names."""
    (name,) = change
    with pytest.raises(FormatError, match=_told(name)):
        dataclasses.replace(leaf, **change)


def check_not_read(leaf: Notice, change: dict[str, Any]) -> None:
    """Hold that bytes which say *change* of one field are none, as `check_refused`."""
    (name,) = change
    row = json.loads(leaf.to_bytes())
    data = rfc8785.dumps({**row, **change})
    with pytest.raises(FormatError, match=_told(name if name in row else "kind")):
        parse_leaf(data)


def _told(name: str) -> str:
    return rf"^a leaf's '{name}' must be \w"


def check_schema(leaf: Notice) -> Any:
    """Hold its published schema to taking what we write and nothing more; return its properties."""
    text = json.loads((SCHEMAS / f"{leaf.kind}.json").read_text())
    validator, row = jsonschema.Draft202012Validator(text), json.loads(leaf.to_bytes())
    assert validator.is_valid(row)
    assert not validator.is_valid({**row, "email": "x"})
    for name in row:
        assert not validator.is_valid({k: v for k, v in row.items() if k != name})
        assert not validator.is_valid({**row, name: "Ada Lovelace <ada@example.com>"})
    return text["properties"]
