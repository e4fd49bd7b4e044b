"""A resume leaf holds why egress had halted and a commitment to why it may go on; no text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_rules import check_not_read, check_refused, check_schema, check_spelling

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
    check_spelling(leaf)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"halt": "1e" * 15},
        {"cause": "gate"},
        {"since": None},
        {"since": "2026-02-30T00:00Z"},
        {"reason": "row edited by Ada"},
        {"reason": "ab" * 31},
    ],
)
def test_it_takes_only_its_forms(change: Any) -> None:
    check_refused(LEAF, change)


@pytest.mark.parametrize("change", [{"cause": "boredom"}, {"cause": 1}, {"by": "ada"}])
def test_there_is_one_way_to_write_it(change: Any) -> None:
    check_not_read(LEAF, change)


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    properties = check_schema(LEAF)

    assert set(properties["cause"]["enum"]) == set(Cause)
