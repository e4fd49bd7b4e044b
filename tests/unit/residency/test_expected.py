"""A row has two versions: what the event says, and labels, which come later."""

import pytest

from residency.expected import Held
from schemas.events import VersionKind, version_kind

ROW = Held(base=5, labels=3)
GONE = Held(base=5, labels=5, is_deleted=True)


@pytest.mark.parametrize(
    ("row", "kind", "version", "is_past"),
    [
        (Held(), "base", 1, False),
        (Held(), "labels", 1, False),
        (ROW, "base", 4, True),
        (ROW, "base", 5, False),  # the same record may be sent again
        (ROW, "base", 6, False),
        (ROW, "labels", 2, True),
        (ROW, "labels", 3, False),
        (ROW, "labels", 4, False),  # older than the base, and newer than the labels
        (GONE, "base", 4, True),
        (GONE, "base", 6, False),  # it brings the row back
        (GONE, "labels", 4, True),
        (GONE, "labels", 9, True),  # labels never do
    ],
)
def test_a_record_is_past_if_its_row_has_a_newer_one_of_its_kind(
    row: Held, kind: VersionKind, version: int, is_past: bool
) -> None:
    assert row.is_past(kind, version) is is_past


def test_each_kind_raises_its_own_version_alone() -> None:
    assert ROW.after("base", 7, deletes=False) == Held(7, 3)
    assert ROW.after("labels", 7, deletes=False) == Held(5, 7)


def test_labels_of_the_row_that_was_do_not_reach_the_row_that_came_after() -> None:
    again = ROW.after("base", 6, deletes=True).after("base", 8, deletes=False)

    assert again == Held(8, 6)
    assert again.is_past("labels", 5)  # made from a text of before the deletion
    assert not again.is_past("labels", 8)


def test_a_deletion_keeps_labels_that_were_newer() -> None:
    assert Held(1, 9).after("base", 2, deletes=True) == Held(2, 9, is_deleted=True)


def test_a_record_of_labels_carries_their_version() -> None:
    assert version_kind({"External_Id__c": "x", "Label_Version__c": 7}) == "labels"
    assert version_kind({"External_Id__c": "x", "Base_Version__c": 7}) == "base"
