"""The write path on a real SQLite file: whole or not at all, and equal to a dictionary."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.access import User, View, Views
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.deployed.source import load_metadata
from connectors.sandbox.rows.reader import RecordReader, Row
from connectors.sandbox.rows.writer import Writer
from connectors.sandbox.store import Store

KEY = "External_Id__c"
ADMIN = User(1, "admin", None)
METADATA = load_metadata()


class FailingStore(Store):
    """Fails after the inserts of a call and before its updates, when told to."""

    fails = False

    def update(self, sobject: str, rows: Iterable[Row]) -> None:
        if self.fails:
            msg = "the disk is gone"
            raise OSError(msg)
        super().update(sobject, rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FailingStore]:
    opened = FailingStore(tmp_path / "org.sqlite")
    yield opened
    opened.close()


def writer(store: Store, user: User = ADMIN) -> tuple[Writer, Field]:
    view: View = Views(METADATA, store.deploy(METADATA)).get(user, "Commerce_Order__c")
    key = view.field(KEY)
    assert key is not None
    return Writer(store, view, RecordReader(view), user, now=1), key


def rows(store: Store) -> dict[str, str | None]:
    return dict(store.select(f"SELECT {KEY}, Currency__c FROM Commerce_Order__c"))  # noqa: S608


def test_a_call_that_fails_half_way_leaves_nothing(store: FailingStore) -> None:
    write, key = writer(store)
    write.upsert(key, [{KEY: "old"}], "", all_or_none=False)
    store.fails = True

    with pytest.raises(OSError, match="gone"):
        write.upsert(key, [{KEY: "new"}, {KEY: "old"}], "", all_or_none=False)

    assert rows(store) == {"old": None}


KEYS = st.sampled_from(["a", "A", "b", "c"])
VALUES = st.sampled_from(["EUR", "GBP", None, "TOO LONG"])
CALLS = st.lists(
    st.tuples(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=5), st.booleans()), max_size=8
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("org") / "org.sqlite")
    yield opened
    opened.close()


EXAMPLE = count()


@given(CALLS)
def test_any_calls_leave_what_a_dictionary_would_hold(
    shared: Store, calls: list[tuple[list[Any], bool]]
) -> None:
    write, key = writer(shared)
    mine = f"{next(EXAMPLE)}-"  # examples share the org, not their rows
    model: dict[str, str | None] = {}
    ids: dict[str, str | None] = {}

    for records, all_or_none in calls:
        sent = [{KEY: mine + k, "Currency__c": v} for k, v in records]
        outcomes = write.upsert(key, sent, "", all_or_none=all_or_none)

        keys = [k for k, _ in records]
        is_good = [keys.count(k) == 1 and v != "TOO LONG" for k, v in records]
        if all_or_none and not all(is_good):
            is_good = [False] * len(records)
        assert [o.id is not None for o in outcomes] == is_good
        for (k, v), outcome in zip(records, outcomes, strict=True):
            if outcome.id is not None:
                assert outcome.created is (k not in model)
                assert ids.setdefault(k, outcome.id) == outcome.id
                model[k] = v
    held = {k.removeprefix(mine): v for k, v in rows(shared).items() if k.startswith(mine)}
    assert held == model
