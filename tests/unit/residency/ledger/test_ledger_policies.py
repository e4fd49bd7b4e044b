"""A policy leaf names the plans that may be used and the files that hold the rules; no rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_rules import check_not_read, check_refused, check_schema, check_spelling

from residency.ledger.policies import MAX_FILES, MAX_PLANS, PolicyLeaf

TIME = "2026-11-23T16:40Z"
PLAN, OTHER = "ab" * 32, "cd" * 32
FILES = {"bases.toml": "01" * 32, "packs/us-ca.toml": "02" * 32}
LEAF = PolicyLeaf(TIME, "0f" * 16, {PLAN: "2027-06-27", OTHER: None}, FILES)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(
    st.builds(
        PolicyLeaf,
        time=st.just(TIME),
        request=st.binary(min_size=16, max_size=16).map(bytes.hex),
        plans=st.dictionaries(digests, st.none() | st.dates().map(lambda day: day.isoformat())),
        files=st.dictionaries(st.sampled_from([*FILES, "a_b-c.toml"]), digests, min_size=1),
    )
)
def test_it_is_rfc_8785_and_parses_back(leaf: PolicyLeaf) -> None:
    check_spelling(leaf)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"plans": {"AB" * 32: None}},
        {"plans": {PLAN: "27 June 2027"}},
        {"plans": {PLAN: "2027-02-30"}},
        {"plans": {PLAN: "20270627"}},
        {"plans": {PLAN: 7}},
        {"plans": {f"{n:064x}": None for n in range(MAX_PLANS + 1)}},
        {"files": {}},
        {"files": {"ada@example.com": "01" * 32}},
        {"files": {"../bases.toml": "01" * 32}},
        {"files": {"a/b/c.toml": "01" * 32}},
        {"files": {f"{'a' * 41}.toml": "01" * 32}},
        {"files": {f"{'a' * 41}/b.toml": "01" * 32}},
        {"files": {".toml": "01" * 32}},
        {"files": {"/b.toml": "01" * 32}},
        {"files": {"bases.toml": "01" * 31}},
        {"files": {f"f{n}.toml": "01" * 32 for n in range(MAX_FILES + 1)}},
    ],
)
def test_it_takes_only_its_forms(change: Any) -> None:
    check_refused(LEAF, change)


@pytest.mark.parametrize(
    "change", [{"plans": [PLAN]}, {"plans": None}, {"files": "bases.toml"}, {"by": "ada"}]
)
def test_there_is_one_way_to_write_it(change: Any) -> None:
    check_not_read(LEAF, change)


@pytest.mark.parametrize("path", ["a.toml", "a/b.toml", f"{'a' * 40}/{'b' * 40}.toml"])
def test_it_takes_short_names_and_long_ones(path: str) -> None:
    check_spelling(PolicyLeaf(TIME, "0f" * 16, {}, {path: "01" * 32}))


def test_the_most_that_it_holds_fits_an_entry() -> None:
    plans = {f"{n:064x}": "2027-06-27" for n in range(MAX_PLANS)}
    files = {f"{'p' * 40}/{n:040d}.toml": "01" * 32 for n in range(MAX_FILES)}

    check_spelling(PolicyLeaf(TIME, "0f" * 16, plans, files))


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    properties = check_schema(LEAF)

    assert properties["plans"]["maxProperties"] == MAX_PLANS
    assert properties["files"]["maxProperties"] == MAX_FILES
