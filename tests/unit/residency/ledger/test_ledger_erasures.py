"""An erasure leaf holds a commitment to whom, counts by closed words, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_rules import check_not_read, check_refused, check_schema, check_spelling

from residency.ledger.erasures import ASKED_BY, COUNTED, ErasureLeaf, subject_commitment

TIME = "2026-11-23T16:40Z"
LEAF = ErasureLeaf(
    TIME, "0f" * 16, "ab" * 32, "2026-11-22T00:00Z", "event", {"deleted": 2, "events": 7}
)
ROOT, SUBJECT = bytes(range(32)), bytes(range(16))


@given(
    st.builds(
        ErasureLeaf,
        time=st.just(TIME),
        request=st.binary(min_size=16, max_size=16).map(bytes.hex),
        subject=st.binary(min_size=32, max_size=32).map(bytes.hex),
        asked=st.just(TIME),
        by=st.sampled_from(sorted(ASKED_BY)),
        counts=st.dictionaries(st.sampled_from(sorted(COUNTED)), st.integers(1, 2**53 - 1)),
    )
)
def test_it_is_rfc_8785_and_parses_back(leaf: ErasureLeaf) -> None:
    check_spelling(leaf)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"subject": "ab" * 31},
        {"subject": "ada@example.com"},
        {"asked": None},
        {"asked": "2026-02-30T00:00Z"},
        {"by": "ada"},
        {"counts": {"customers": 1}},
        {"counts": {"events": 0}},
        {"counts": {"events": "seven"}},
    ],
)
def test_it_takes_only_its_forms(change: Any) -> None:
    check_refused(LEAF, change)


@pytest.mark.parametrize(
    "change", [{"by": 1}, {"by": ["event"]}, {"counts": [1]}, {"counts": None}, {"token": "tok"}]
)
def test_there_is_one_way_to_write_it(change: Any) -> None:
    check_not_read(LEAF, change)


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    properties = check_schema(LEAF)

    assert set(properties["counts"]["properties"]) == COUNTED
    assert set(properties["by"]["enum"]) == ASKED_BY


def test_a_commitment_is_the_same_for_one_subject_and_key_and_no_other() -> None:
    """The vector is HMAC-SHA256 under HKDF-SHA256 of the root, made with OpenSSL."""
    made = subject_commitment(ROOT, SUBJECT)

    assert made == VECTOR
    assert subject_commitment(ROOT, bytes(16)) != made
    assert subject_commitment(bytes(32), SUBJECT) != made


def test_a_commitment_needs_a_whole_root() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        subject_commitment(ROOT[:31], SUBJECT)


VECTOR = "c933bfbae6705e73b49a704fbf4b835cd0cadeafcec7c65696372ec854ca72c3"
