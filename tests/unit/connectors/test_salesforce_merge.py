"""Records of one row become few rows to send, and the org ends as it would one by one."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.merge import VERSIONS, Key, Step, merge
from schemas.errors import HaltError
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ORDER, CUSTOMER, KEY = "Commerce_Order__c", "Commerce_Customer__c", "External_Id__c"
BASE, LABEL = VERSIONS


def logged(
    offset: int, key: str, sobject: str = ORDER, *, deletes: bool = False, **fields: Any
) -> LoggedRecord:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))
    record = MinimalRecord(at, sobject, key, offset, 1, "", 1, b"", deletes)
    return LoggedRecord(record, offset, {KEY: key, **fields})


def shape(steps: Iterable[Step]) -> list[tuple[int, ...]]:
    return [step.places for step in steps]


def test_the_newest_value_of_each_field_goes_out_once() -> None:
    batch = [
        logged(0, "a", Base_Version__c=1, Status__c="placed", Total__c=1),
        logged(1, "b", Base_Version__c=2),
        logged(2, "a", Label_Version__c=1, Topic__c="delivery"),
        logged(3, "a", Base_Version__c=4, Status__c=None),
    ]

    found = merge(batch, KEY)

    assert {key: shape(steps) for key, steps in found.items()} == {
        (ORDER, "a"): [(0, 2, 3)],
        (ORDER, "b"): [(1,)],
    }
    (step,) = found[ORDER, "a"]
    assert step.ids == tuple(batch[place].record.id for place in (0, 2, 3))
    assert step.fields == {
        KEY: "a",
        BASE: 4,
        LABEL: 1,
        "Status__c": None,
        "Total__c": 1,
        "Topic__c": "delivery",
    }


def test_ids_that_differ_in_case_or_object_are_different_rows() -> None:
    batch = [logged(0, "a"), logged(1, "A"), logged(2, "a", CUSTOMER)]

    assert len(merge(batch, KEY)) == 3


def test_a_deletion_stands_alone_in_its_turn() -> None:
    batch = [logged(n, "a", deletes=n in {2, 3}, Base_Version__c=n) for n in range(6)]

    (steps,) = merge(batch, KEY).values()

    assert shape(steps) == [(0, 1), (2,), (3,), (4, 5)]
    assert [step.deletes for step in steps] == [False, True, True, False]


def test_after_a_deletion_versions_start_afresh() -> None:
    versions = [5, 6, 3, 4]
    batch = [logged(n, "a", deletes=n == 1, Base_Version__c=v) for n, v in enumerate(versions)]

    (steps,) = merge(batch, KEY).values()

    assert shape(steps) == [(0,), (1,), (2, 3)]


def test_no_step_shows_a_value() -> None:
    ((step,),) = merge([logged(1, "tok_canary", Status__c="canary")], KEY).values()

    assert "canary" not in repr(step)


@pytest.mark.parametrize(
    ("versions", "shapes"),
    [
        ([{BASE: 5}, {BASE: 5}], [(0, 1)]),
        ([{BASE: 5}, {BASE: 4}], [(0,), (1,)]),
        ([{BASE: 5}, {LABEL: 4}], [(0, 1)]),  # another kind has a count of its own
        ([{BASE: 5}, {LABEL: 4}, {BASE: 4}], [(0, 1), (2,)]),
        ([{LABEL: 5}, {BASE: 9}, {LABEL: 4}], [(0, 1), (2,)]),
        # nothing is merged with it, as its fields would pass with the newer one's version
        ([{BASE: 5}, {BASE: 4}, {BASE: 5}, {BASE: 6}], [(0,), (1,), (2, 3)]),
        ([{BASE: 5}, {BASE: 4}, {BASE: 4}], [(0,), (1,), (2,)]),
        ([{}, {BASE: 4}], [(0, 1)]),
    ],
)
def test_a_record_that_is_older_than_what_is_merged_is_left_to_the_org(
    versions: list[dict[str, int]], shapes: list[tuple[int, ...]]
) -> None:
    batch = [logged(n, "a", **fields) for n, fields in enumerate(versions)]

    (steps,) = merge(batch, KEY).values()

    assert shape(steps) == shapes


@pytest.mark.parametrize("fields", [{KEY: ""}, {KEY: None}, {KEY: 7}, {}])
def test_a_record_without_an_external_id_is_named(fields: dict[str, Any]) -> None:
    bad = LoggedRecord(logged(1, "tok_canary").record, 1, fields)

    with pytest.raises(HaltError, match=r"@1#0: Commerce_Order__c has no External_Id__c") as caught:
        merge([logged(0, "a"), bad], KEY)

    assert "canary" not in str(caught.value)


def test_an_error_names_the_newest_record_that_has_the_field() -> None:
    batch = [logged(0, "a", Total__c=1), logged(1, "a", Total__c=2), logged(2, "a")]

    (step,) = merge(batch, KEY)[ORDER, "a"]

    assert step.name("Total__c").startswith("eu.commerce.orders.v1[0]@1#0: ")
    assert step.name().startswith("eu.commerce.orders.v1[0]@2#0: ")
    assert step.name("Other__c") == step.name()


RECORDS = st.tuples(
    st.sampled_from([ORDER, CUSTOMER]),
    st.sampled_from("abA"),
    st.booleans(),
    st.dictionaries(
        st.sampled_from([BASE, LABEL, "F1__c", "F2__c"]), st.integers(1, 9), max_size=3
    ),
)


def fold(writes: Iterable[tuple[Key, bool, Any]]) -> dict[Key, dict[str, Any]]:
    rows: dict[Key, dict[str, Any]] = defaultdict(dict)
    for key, deletes, fields in writes:
        if deletes:
            rows.pop(key, None)
        else:
            rows[key] |= fields
    return dict(rows)


@given(st.lists(RECORDS, max_size=30))
def test_merged_or_not_the_rows_are_the_same(
    drawn: list[tuple[str, str, bool, dict[str, int]]],
) -> None:
    batch = [
        logged(n, key, sobject, deletes=deletes, **fields)
        for n, (sobject, key, deletes, fields) in enumerate(drawn)
    ]

    found = merge(batch, KEY)

    steps = [step for queue in found.values() for step in queue]
    assert sorted(place for step in steps for place in step.places) == list(range(len(batch)))
    for key, queue in found.items():
        places = [place for step in queue for place in step.places]
        assert places == sorted(places)
        assert {(r.record.object, r.record.external_id) for s in queue for r in s.records} == {key}
    singles = [single for step in steps for single in step.alone()]
    assert [s.records for s in singles] == [(batch[s.places[0]],) for s in singles]
    one_by_one = fold(
        ((one.record.object, one.record.external_id), one.record.deletes, one.fields)
        for one in batch
    )
    assert fold((step.key, step.deletes, step.fields) for step in steps) == one_by_one
    assert fold((step.key, step.deletes, step.fields) for step in singles) == one_by_one
