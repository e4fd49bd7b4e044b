"""A search finds exactly what is asked for, and a follower accepts only a tree that grows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from residency.ledger.consistency import ForkError, RollbackError
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.find import Finder, Query, Span
from residency.ledger.follow import Follower
from residency.ledger.note import Signer
from residency.ledger.reader import Reader

ORIGIN, SEED = "ledger.eu.example/transfers", bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier


def transfer(offset: int, minute: int, sobject: str = "Order__c", plan: str = "ab") -> Any:
    return {
        "kind": "transfer",
        "time": f"2026-11-23T16:{minute:02d}Z",
        "record": f"eu.orders[0]@{offset}#1",
        "topic_id": "id",
        "object": sobject,
        "plan": plan * 32,
    }


def outcome(offset: int, minute: int, leaf: int | None, result: str) -> Any:
    return {
        "kind": "outcome",
        "time": f"2026-11-23T16:{minute:02d}Z",
        "record": f"eu.orders[0]@{offset}#1",
        "topic_id": "id",
        "transfer": leaf,
        "result": result,
    }


LEAVES = [
    transfer(0, 1),
    transfer(1, 2, "Case__c"),
    transfer(10, 3, plan="cd"),
    outcome(0, 4, 0, "accepted"),
    outcome(1, 5, 1, "rejected"),
    outcome(11, 6, None, "gate-refused"),
    {"kind": "replay", "time": "2026-11-23T16:07Z"},  # of no record
    outcome(12, 8, 900, "accepted"),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Query(record="eu.orders[0]@1#1"), [1, 4]),
        (Query(record="eu.orders[0]@1"), [1, 4]),
        (Query(record="eu.orders[0]@1#2"), []),
        (Query(object="Case__c"), [1, 4]),  # the outcome of its transfer, too
        (Query(plan="cdc"), [2]),
        (Query(object="Order__c", plan="ab"), [0, 3]),
        (Query(kind="outcome"), [3, 4, 5, 7]),
        (Query(result="gate-refused"), [5]),
        (Query(object="Case__c", kind="outcome", result="rejected"), [4]),
        (Query(object="Order__c", record="eu.orders[0]@12#1"), []),  # names a leaf to come
        (Query(span=Span("2026-11-23T16:02Z", "2026-11-23T16:04Z")), [1, 2]),
        (Query(object="Order__c", span=Span("2026-11-23T16:03Z")), [2, 3]),  # of an earlier one
    ],
)
def test_a_leaf_is_found_if_it_is_all_that_is_asked(query: Query, found: list[int]) -> None:
    finder = Finder(query, len(LEAVES))

    assert [index for index, leaf in enumerate(LEAVES) if finder.matches(index, leaf)] == found


def test_a_span_holds_the_minutes_that_it_touches() -> None:
    moment = datetime(2026, 11, 23, 16, 40, 30, tzinfo=UTC)
    whole = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)

    assert Span.between(moment, None).holds("2026-11-23T16:40Z")
    assert not Span.between(moment, None).holds("2026-11-23T16:39Z")
    assert Span.between(None, moment).holds("2026-11-23T16:40Z")
    assert not Span.between(None, moment).holds("2026-11-23T16:41Z")
    assert not Span.between(None, whole).holds("2026-11-23T16:40Z")


def add(folder: Path, *entries: bytes) -> None:
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        ledger.append(entries)


def test_a_follower_returns_each_new_entry_once(tmp_path: Path) -> None:
    add(tmp_path, *(b"%d" % n for n in range(300)))
    follower = Follower(Reader(tmp_path), LOG)

    nothing = follower.step()
    add(tmp_path, b"300", b"301")
    some = follower.step()
    add(tmp_path, *(b"%d" % n for n in range(302, 1_000)))
    more = follower.step()

    assert (nothing, some) == ([], [(300, b"300"), (301, b"301")])
    assert more == [(n, b"%d" % n) for n in range(302, 1_000)]
    assert follower.step() == []


def test_a_follower_names_a_fork_a_rollback_and_an_entry_outside_the_tree(tmp_path: Path) -> None:
    for name in "abcd":
        add(tmp_path / name, b"0", b"1")
    followers = {name: Follower(Reader(tmp_path / name), LOG) for name in "abcd"}
    add(tmp_path / "fork", b"0", b"x", b"2")
    add(tmp_path / "short", b"0")
    add(tmp_path / "d", b"2")
    bundle = tmp_path / "d/tile/entries/000.p/3"
    bundle.write_bytes(bundle.read_bytes().replace(b"2", b"3"))

    (tmp_path / "a").rename(tmp_path / "old-a")
    (tmp_path / "fork").rename(tmp_path / "a")
    with pytest.raises(ForkError):
        followers["a"].step()
    (tmp_path / "b").rename(tmp_path / "old-b")
    (tmp_path / "short").rename(tmp_path / "b")
    with pytest.raises(RollbackError):
        followers["b"].step()
    (tmp_path / "c/checkpoint").write_bytes(b"nothing signed")
    with pytest.raises(LedgerError):
        followers["c"].step()
    with pytest.raises(LedgerError, match="leaves 2 to 2"):
        followers["d"].step()
