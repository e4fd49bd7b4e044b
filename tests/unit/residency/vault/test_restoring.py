"""Who of an old backup was erased since, by the ledger's leaves alone."""

from datetime import UTC, datetime

import pytest

from residency.ledger.erasures import ErasureLeaf, subject_commitment
from residency.vault.restoring import Gone, erased_since, months, unopenable

ROOT = bytes(range(32))
ONE, TWO = b"1" * 16, b"2" * 16
TAKEN = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)


def leaf(subject: bytes, time: str, request: str = "ab" * 16, by: str = "event") -> ErasureLeaf:
    commitment = subject_commitment(ROOT, subject)
    return ErasureLeaf(time, request, commitment, "2026-11-26T11:00Z", by, {"events": 1})


def test_a_subject_that_was_erased_after_the_backup_is_told_with_its_leaf() -> None:
    found = erased_since([ONE, TWO], [(7, leaf(ONE, "2026-11-26T13:00Z"))], ROOT, TAKEN)

    asked, ended = (datetime(2026, 11, 26, *at, tzinfo=UTC) for at in ((11, 0), (13, 1)))
    assert found == {ONE: Gone(ONE, "ab" * 16, asked, ended, "event", 7)}


@pytest.mark.parametrize(
    ("time", "is_gone"),
    [
        ("2026-11-26T11:58Z", False),
        ("2026-11-26T11:59Z", False),  # over at 12:00:00 at the latest
        ("2026-11-26T12:00Z", True),  # cut to the minute: it may have been at 12:00:59
        ("2026-11-26T12:01Z", True),
    ],
)
def test_what_ended_before_the_backup_is_not_and_the_minute_counts_to_its_end(
    time: str, *, is_gone: bool
) -> None:
    assert bool(erased_since([ONE], [(1, leaf(ONE, time))], ROOT, TAKEN)) == is_gone


def test_an_erasure_that_ends_when_the_backup_begins_counts() -> None:
    at = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)

    assert ONE in erased_since([ONE], [(1, leaf(ONE, "2026-11-26T11:59Z"))], ROOT, at)


def test_of_several_leaves_of_a_subject_the_last_one_counts_in_any_order() -> None:
    leaves = [
        (9, leaf(ONE, "2026-11-26T14:00Z", "99" * 16)),
        (3, leaf(ONE, "2026-11-26T13:00Z", "33" * 16)),
    ]

    for given in (leaves, leaves[::-1]):
        found = erased_since([ONE], given, ROOT, TAKEN)
        assert (found[ONE].leaf, found[ONE].request) == (9, "99" * 16)


def test_a_leaf_that_is_the_ledger_s_first_counts() -> None:
    found = erased_since([ONE], [(0, leaf(ONE, "2026-11-26T13:00Z"))], ROOT, TAKEN)

    assert found[ONE].leaf == 0


def test_no_repr_shows_who_is_gone() -> None:
    found = erased_since([ONE], [(7, leaf(ONE, "2026-11-26T13:00Z"))], ROOT, TAKEN)

    assert repr(ONE) not in repr(found[ONE])


def test_another_root_knows_nobody_and_no_leaf_needs_none() -> None:
    leaves = [(1, leaf(ONE, "2026-11-26T13:00Z"))]

    assert erased_since([ONE], leaves, bytes(32), TAKEN) == {}
    assert erased_since([ONE], [], b"", TAKEN) == {}
    with pytest.raises(ValueError, match="root of 32 bytes"):
        erased_since([ONE], leaves, b"short", TAKEN)


def test_versions_that_nobody_holds_are_named_once_in_order() -> None:
    assert unopenable([3, 1, 2, 1, 3], [2]) == (1, 3)
    assert unopenable([2], [1, 2]) == ()


def test_months_are_grouped_by_event_type_and_a_wrong_one_is_refused() -> None:
    found = months([("a.B", "2026-11"), ("a.C", "2025-01"), ("a.B", "2026-12")])

    assert found == {
        "a.B": [datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)],
        "a.C": [datetime(2025, 1, 1, tzinfo=UTC)],
    }
    with pytest.raises(ValueError, match="does not match"):
        months([("a.B", "November")])
