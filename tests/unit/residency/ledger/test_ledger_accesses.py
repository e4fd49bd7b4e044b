"""An access leaf says who looked into the vault and why; whom it was about only its commitment."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_rules import check_not_read, check_refused, check_schema, check_spelling

from residency.ledger.accesses import CALLER, OPERATOR, AccessLeaf, Act, Purpose, subjects_bytes

TIME = "2026-11-23T16:40Z"
LEAF = AccessLeaf(
    TIME, "0f" * 16, "desk-returns", Act.FIND, Purpose.SUPPORT, 1, "ab" * 32, "cd" * 32
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(
    st.builds(
        AccessLeaf,
        time=st.just(TIME),
        request=st.binary(min_size=16, max_size=16).map(bytes.hex),
        caller=st.from_regex(CALLER, fullmatch=True),
        act=st.sampled_from(Act),
        purpose=st.sampled_from(Purpose),
        subjects=st.integers(0, 2**53 - 1),
        subject=digests,
        ticket=digests,
    )
)
def test_it_is_rfc_8785_and_parses_back(leaf: AccessLeaf) -> None:
    check_spelling(leaf)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"caller": "ada"},  # a person's name has no place in the form
        {"caller": "desk"},
        {"caller": "desk-"},
        {"caller": "desk-Returns"},
        {"caller": "desk-returns "},
        {"caller": "desk-a-b-c-d-e"},
        {"caller": f"desk-{'a' * 17}"},
        {"caller": "operator-a"},
        {"caller": None},
        {"act": "find"},
        {"purpose": "support"},
        {"subjects": -1},
        {"subjects": True},
        {"subject": "ab" * 31},
        {"subject": "ada@example.com"},
        {"ticket": "CASE-17"},
        {"ticket": "CD" * 32},
    ],
)
def test_it_takes_only_its_forms(change: Any) -> None:
    check_refused(LEAF, change)


@pytest.mark.parametrize("caller", [OPERATOR, "desk-a", f"team-{'a' * 16}", "tool-1-b-c-4"])
def test_a_caller_s_name_may_have_up_to_four_short_words(caller: str) -> None:
    assert dataclasses.replace(LEAF, caller=caller).caller == caller


@pytest.mark.parametrize(
    "change", [{"purpose": "curiosity"}, {"purpose": 1}, {"act": "look"}, {"email": "ada"}]
)
def test_there_is_one_way_to_write_it(change: Any) -> None:
    check_not_read(LEAF, change)


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    properties = check_schema(LEAF)

    assert properties["purpose"]["enum"] == list(Purpose)
    assert properties["act"]["enum"] == list(Act)


def test_the_commitment_is_to_the_same_bytes_in_whatever_order_subjects_were_found() -> None:
    one, two = b"\x01" * 16, b"\x02" * 16

    assert subjects_bytes([two, one, two]) == one + two
    assert subjects_bytes([]) == b""
