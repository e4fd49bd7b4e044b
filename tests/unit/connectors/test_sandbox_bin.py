"""The recycle bin: 15 days, back with its key or not at all, gone for good."""

# ruff: noqa: S608 -- SQL of our own making

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import connectors.sandbox.rows.bin as bin_module
from connectors.sandbox.access import User, Views
from connectors.sandbox.errors import ApiError
from connectors.sandbox.ids import record_id
from connectors.sandbox.org import Org, OrgOptions
from connectors.sandbox.rows.bin import KEPT_S, empty_recycle_bin, purge_expired, undelete
from connectors.sandbox.rows.writer import Outcome, Writer
from connectors.sandbox.store import Store
from connectors.sandbox.users import sync_users, user_named

KEY, ORDER, CUSTOMER = "External_Id__c", "Commerce_Order__c", "Commerce_Customer__c"
ADMIN = User(1, "admin", None)
DAY_S = 24 * 3600
Act = Callable[[Org, Store, User, list[str]], list[Outcome]]


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    opened = Org(tmp_path / "sandbox", "http://127.0.0.1:1", OrgOptions())
    yield opened
    opened.close()


@pytest.fixture
def store(org: Org, tmp_path: Path) -> Iterator[Store]:
    del org  # makes the file
    opened = Store(tmp_path / "sandbox/org.sqlite")
    yield opened
    opened.close()


def make(org: Org, store: Store, key: str, sobject: str = ORDER) -> str:
    """Return the id of a new row."""
    view = org.views.get(ADMIN, sobject)
    (outcome,) = org.writer(store, view, ADMIN).upsert(
        view.fields[KEY.lower()], [{KEY: key}], "", all_or_none=False
    )
    assert outcome.id is not None
    return outcome.id


def bin_it(org: Org, store: Store, key: str, sobject: str = ORDER, age_s: int = 0) -> str:
    """Return the id of a row deleted that many seconds ago."""
    made = make(org, store, key, sobject)
    view = org.views.get(ADMIN, sobject)
    ((sequence, _),) = store.find_keys(sobject, view.fields[KEY.lower()], [key])[key]
    org.writer(store, view, ADMIN).delete(sequence)
    store.run(f"UPDATE {sobject} SET SystemModstamp = SystemModstamp - ?", (age_s,))
    return made


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [o.problems[0].code if o.problems else "ok" for o in outcomes]


def rows(store: Store, sobject: str = ORDER) -> dict[str, int]:
    return dict(store.select(f"SELECT {KEY}, IsDeleted FROM {sobject}"))


def test_rows_of_any_objects_come_back_with_their_ids_and_values(org: Org, store: Store) -> None:
    order, customer = bin_it(org, store, "o"), bin_it(org, store, "c", CUSTOMER)

    outcomes = undelete(org, store, ADMIN, [customer[:15], order])

    assert [o.id for o in outcomes] == [customer, order]
    assert (rows(store), rows(store, CUSTOMER)) == ({"o": 0}, {"c": 0})


def test_only_what_lies_in_the_bin_comes_back_each_id_alone(org: Org, store: Store) -> None:
    live, gone = make(org, store, "live"), bin_it(org, store, "gone")
    never = record_id(live[:3], 999)

    outcomes = undelete(org, store, ADMIN, [live, never, "zz9", "500RM000003oLrB", gone, gone])

    none = "UNDELETE_FAILED"
    assert codes(outcomes) == [none, none, "MALFORMED_ID", none, "ok", none]
    assert outcomes[0].problems[0].message == "Entity is not in the recycle bin"
    assert rows(store) == {"live": 0, "gone": 0}


def test_a_row_whose_key_was_taken_since_stays_in_the_bin(org: Org, store: Store) -> None:
    old = bin_it(org, store, "key")
    new = make(org, store, "key")

    (outcome,) = undelete(org, store, ADMIN, [old])

    assert new != old
    assert codes([outcome]) == ["DUPLICATE_VALUE"]
    text = f"duplicate value found: {KEY} duplicates value on record with id: {new}"
    assert (outcome.problems[0].message, outcome.problems[0].fields) == (text, (KEY,))
    live = store.select(f"SELECT Id FROM {ORDER} WHERE IsDeleted = 0")
    assert len(live) == 1


def test_another_users_row_can_be_neither_restored_nor_purged(org: Org, store: Store) -> None:
    sync_users(store, [("sink", "Region_Sink")])
    sink, row = user_named(store, "sink"), bin_it(org, store, "not-yours")
    assert sink is not None

    refused = [act(org, store, sink, [row]) for act in (undelete, empty_recycle_bin)]

    assert [codes(outcomes) for outcomes in refused] == [["INSUFFICIENT_ACCESS_OR_READONLY"]] * 2
    assert rows(store) == {"not-yours": 1}


def test_emptying_takes_only_what_lies_in_the_bin_and_for_good(org: Org, store: Store) -> None:
    live, gone = make(org, store, "live"), bin_it(org, store, "gone")

    outcomes = empty_recycle_bin(org, store, ADMIN, [gone, live, "x"])

    assert codes(outcomes) == ["ok", "INVALID_ID_FIELD", "MALFORMED_ID"]
    assert outcomes[1].problems[0].message == "invalid record id; no recycle bin entry found"
    assert rows(store) == {"live": 0}
    assert codes(undelete(org, store, ADMIN, [gone])) == ["UNDELETE_FAILED"]


@pytest.mark.parametrize("act", [undelete, empty_recycle_bin])
def test_more_than_200_ids_are_refused_whole(org: Org, store: Store, act: Act) -> None:
    gone = bin_it(org, store, "gone")

    with pytest.raises(ApiError) as refused:
        act(org, store, ADMIN, [gone] * 201)

    assert refused.value.problems[0].code == "EXCEEDED_ID_LIMIT"
    assert rows(store) == {"gone": 1}


def test_after_15_days_a_row_cannot_come_back(org: Org, store: Store) -> None:
    old = bin_it(org, store, "old", age_s=KEPT_S + 60)

    outcomes = undelete(org, store, ADMIN, [old])

    assert codes(outcomes) == ["UNDELETE_FAILED"]


def test_without_the_right_to_delete_a_row_is_not_taken_out_of_the_bin(
    org: Org, store: Store
) -> None:
    sync_users(store, [("sink", "Region_Sink")])
    sink, row = user_named(store, "sink"), bin_it(org, store, "own")
    assert sink is not None
    store.run(f"UPDATE {ORDER} SET OwnerId = ?", (sink.sequence,))
    rights = org.metadata.permission_sets["Region_Sink"]
    orders = replace(rights.objects[ORDER], delete=False)
    less = replace(rights, objects={**rights.objects, ORDER: orders})
    prefixes = {view.name: view.prefix for view in org.views.all(ADMIN)}
    org.views = Views(replace(org.metadata, permission_sets={less.name: less}), prefixes)

    outcomes = undelete(org, store, sink, [row])

    assert codes(outcomes) == ["INSUFFICIENT_ACCESS_OR_READONLY"]


def test_an_error_half_way_brings_nothing_back(
    org: Org, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bin_it(org, store, "first"), bin_it(org, store, "second")
    restore = Writer.restore

    def fail(writer: Writer, sequence: int) -> None:
        if record_id(writer.view.prefix, sequence) == second:
            raise ZeroDivisionError
        restore(writer, sequence)

    monkeypatch.setattr(Writer, "restore", fail)
    with pytest.raises(ZeroDivisionError):
        undelete(org, store, ADMIN, [first, second])

    assert rows(store) == {"first": 1, "second": 1}


def test_after_15_days_rows_are_removed_and_younger_ones_kept(
    org: Org, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bin_module, "PURGED_AT_ONCE", 2)
    for number in range(3):
        bin_it(org, store, f"old-{number}", CUSTOMER, age_s=16 * DAY_S)
    bin_it(org, store, "old", age_s=16 * DAY_S)
    make(org, store, "live-and-old")
    store.run(f"UPDATE {ORDER} SET SystemModstamp = ?", (int(time.time()) - 16 * DAY_S,))
    bin_it(org, store, "young", age_s=0)

    count = asyncio.run(purge_expired(org))

    assert count == 4
    assert (rows(store), rows(store, CUSTOMER)) == ({"live-and-old": 0, "young": 1}, {})
    assert store.last_purge(CUSTOMER) is not None
