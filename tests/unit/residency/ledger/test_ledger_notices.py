"""A leaf about no record is as strict as any, and nothing that reads records trips over it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notice_rules import check_not_read, check_refused, check_schema, check_spelling

from residency.ledger.files import Ledger
from residency.ledger.find import Finder, Query
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.note import Signer
from residency.ledger.notices import NOTICES
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.published import SCHEMAS
from residency.ledger.reader import Reader
from residency.ledger.replays import MAX_TOPICS, VERDICTS, ReplayLeaf
from residency.ledger.verify import verify
from residency.reconcile.ledger_view import LedgerView
from residency.replay.claims import TermsBook, claim_of
from residency.replay.found import Verdict, word
from schemas.events import Coordinates, RecordId
from streams.indexing import index_entries

TIME = "2026-11-23T16:40Z"
REPLAY = ReplayLeaf(
    time=TIME,
    request="0f" * 16,
    report="ab" * 32,
    size=7,
    release="0.1.0",
    topics=("eu.commerce.customers.v1", "eu.commerce.orders.v1"),
    since="2026-11-22T00:00Z",
    until=None,
    raw=9,
    counts={"same": 8, "not-logged": 1},
)
RECORD = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), topic_id="mKf0Jv4aQ3ywXKzQ")
TRANSFER = TransferLeaf(TIME, RECORD, "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32)
OUTCOME = OutcomeLeaf(TIME, RECORD, 1, "accepted", None)
LEAVES = (REPLAY, TRANSFER, dataclasses.replace(REPLAY, request="1f" * 16), OUTCOME)
ENTRIES = [leaf.to_bytes() for leaf in LEAVES]

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
numbers = st.integers(1, 2**53 - 1)
replays = st.builds(
    ReplayLeaf,
    time=st.just(TIME),
    request=st.binary(min_size=16, max_size=16).map(bytes.hex),
    report=digests,
    size=numbers,
    release=digests,
    topics=st.sets(st.sampled_from(["a", "b.c", "d-e"]), min_size=1).map(
        lambda found: tuple(sorted(found))
    ),
    since=st.none() | st.just(TIME),
    until=st.none() | st.just(TIME),
    raw=numbers,
    counts=st.dictionaries(st.sampled_from(sorted(VERDICTS)), numbers),
    resent=numbers,
)


@given(replays)
def test_a_replay_is_rfc_8785_and_parses_back(leaf: ReplayLeaf) -> None:
    check_spelling(leaf)


@pytest.mark.parametrize(
    "change",
    [
        {"time": "today"},
        {"request": "0F" * 16},
        {"request": "0f" * 15},
        {"report": "ab"},
        {"size": -1},
        {"size": True},
        {"release": "a b"},
        {"topics": ()},
        {"topics": ("b", "a")},
        {"topics": ("a", "a")},
        {"topics": ("Ada Lovelace",)},
        {"topics": tuple(f"t{n:03}" for n in range(MAX_TOPICS + 1))},
        {"since": "1d"},
        {"until": ""},
        {"until": "2026-02-30T00:00Z"},
        {"raw": None},
        {"counts": {"ada": 1}},
        {"counts": {"same": 0}},
        {"counts": {"same": "1"}},
        {"resent": 2**53},
    ],
)
def test_a_replay_takes_only_its_forms(change: Any) -> None:
    check_refused(REPLAY, change)


@pytest.mark.parametrize("change", [{"topics": "a"}, {"counts": []}, {"reason": "x"}])
def test_there_is_one_way_to_write_a_replay(change: Any) -> None:
    check_not_read(REPLAY, change)


def test_the_most_topics_fit() -> None:
    topics = tuple(sorted("t" * 246 + f"{n:03}" for n in range(MAX_TOPICS)))

    leaf = dataclasses.replace(REPLAY, topics=topics)

    assert parse_leaf(leaf.to_bytes()) == leaf


def test_a_replay_may_have_every_verdict_and_sends_nothing_unless_it_says_so() -> None:
    leaf = dataclasses.replace(REPLAY, counts=dict.fromkeys(VERDICTS, 1))

    assert parse_leaf(leaf.to_bytes()) == leaf
    assert json.loads(leaf.to_bytes())["resent"] == 0


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    properties = check_schema(REPLAY)

    assert set(properties["counts"]["properties"]) == VERDICTS
    assert properties["topics"]["maxItems"] == MAX_TOPICS


def test_every_kind_that_may_be_asked_for_is_its_own_and_has_its_request() -> None:
    assert all(kind == leaf.kind for kind, leaf in NOTICES.items())
    assert not NOTICES.keys() & {"transfer", "outcome"}
    for kind in NOTICES:
        text = json.loads((SCHEMAS / f"{kind}.json").read_text())
        assert {"kind", "time", "request"} <= set(text["required"])


def test_a_replay_s_words_are_the_verdicts() -> None:
    assert {word(verdict) for verdict in Verdict} == VERDICTS


def test_a_ledger_with_such_leaves_verifies_and_is_indexed_without_them(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "ledger.eu.example/transfers", bytes(32)) as ledger:
        ledger.append(ENTRIES)

    report = verify(tmp_path, str(Signer("ledger.eu.example/transfers", bytes(32)).verifier))
    (entry,) = index_entries(0, ENTRIES)
    view = LedgerView(Reader(tmp_path))
    view.catch_up()

    assert report.problems == ()
    assert (entry.id, entry.transfer, entry.outcome) == (RECORD, 1, 3)
    assert view.size == len(ENTRIES)
    claims = [claim_of(n, entry, TermsBook()) for n, entry in enumerate(ENTRIES)]
    assert [claim is not None for claim in claims] == [False, True, False, False]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [0, 1, 2, 3]),
        (Query(kind="replay"), [0, 2]),
        (Query(record=str(RECORD)), [1, 3]),
        (Query(object="Commerce_Order__c"), [1, 3]),
        (Query(result="accepted"), [3]),
    ],
)
def test_a_search_finds_them_by_kind_and_time_alone(query: Query, found: list[int]) -> None:
    finder = Finder(query, len(ENTRIES))

    assert [n for n, e in enumerate(ENTRIES) if finder.matches(n, json.loads(e))] == found
