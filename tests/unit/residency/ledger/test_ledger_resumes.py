"""A resume leaf holds why egress had halted and a commitment to why it may go on; no text."""

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from residency.ledger.errors import FormatError
from residency.ledger.leaves import parse_leaf
from residency.ledger.published import SCHEMAS
from residency.ledger.resumes import ResumeLeaf
from schemas.errors import Cause

TIME = "2026-11-23T16:40Z"
LEAF = ResumeLeaf(TIME, "0f" * 16, "1e" * 16, Cause.GATE, "2026-11-22T00:00Z", "ab" * 32)
names = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(
    st.builds(
        ResumeLeaf,
        time=st.just(TIME),
        request=names,
        halt=names,
        cause=st.sampled_from(Cause),
        since=st.just(TIME),
        reason=st.binary(min_size=32, max_size=32).map(bytes.hex),
    )
)
def test_it_is_rfc_8785_and_parses_back(leaf: ResumeLeaf) -> None:
    data = leaf.to_bytes()

    assert data == rfc8785.dumps(json.loads(data))
    assert parse_leaf(data) == leaf


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"halt": "1e" * 15},
        {"cause": "gate"},
        {"since": None},
        {"reason": "row edited by Ada"},
        {"reason": "ab" * 31},
    ],
)
def test_it_takes_only_its_forms(change: Any) -> None:
    with pytest.raises(FormatError):
        dataclasses.replace(LEAF, **change)


@pytest.mark.parametrize("change", [{"cause": "boredom"}, {"cause": 1}, {"by": "ada"}])
def test_there_is_one_way_to_write_it(change: Any) -> None:
    data = rfc8785.dumps({**json.loads(LEAF.to_bytes()), **change})

    with pytest.raises(FormatError):
        parse_leaf(data)


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    text = json.loads((SCHEMAS / "resume.json").read_text())
    validator, row = jsonschema.Draft202012Validator(text), json.loads(LEAF.to_bytes())

    assert validator.is_valid(row)
    assert set(text["properties"]["cause"]["enum"]) == set(Cause)
    assert not validator.is_valid({**row, "email": "x"})
    for name in row:
        assert not validator.is_valid({k: v for k, v in row.items() if k != name})
        assert not validator.is_valid({**row, name: "Ada Lovelace <ada@example.com>"})
