"""Nothing may be sent that is not in the ledger: one door, tested shut."""

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, commitment, month_key, parse_leaf
from residency.ledger.log import Draft, log_outcomes, log_transfers, resume, transfer_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.verify import verify
from schemas.events import Coordinates, MinimalRecord, RecordId

NOW = datetime(2026, 11, 23, 16, 40, 31, tzinfo=UTC)
ROOT = bytes(range(32))
PACKAGES = ("schemas", "residency", "connectors", "inference", "streams")
TOP = Path(__file__).parents[4]


def draft(offset: int, object_name: str = "Commerce_Order__c") -> Draft:
    at = Coordinates("eu.commerce.orders.v1", 1, offset)
    record = MinimalRecord(
        id=RecordId(at, 0, 0, "mKf0Jv4aQ3ywXKzQ"),
        object=object_name,
        external_id="tok_eu1_canary",
        version=1,
        schema_id=12,
        plan="ab" * 32,
        keys=3,
        value=b"canary value %d" % offset,
    )
    return Draft(record, {"Status__c": "canary"}, ("b", "a", "b"), "0.1.0")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path, "ledger.eu.example/transfers", bytes(32))


def test_every_draft_is_logged_in_order_before_it_may_be_sent(ledger: Ledger) -> None:
    ledger.append([b"earlier"])
    drafts = [draft(5), draft(6)]

    logged = log_transfers(ledger, drafts, now=NOW, root=ROOT)

    assert [(one.record, one.leaf, one.fields) for one in logged] == [
        (drafts[0].record, 1, drafts[0].fields),
        (drafts[1].record, 2, drafts[1].fields),
    ]
    leaves = [parse_leaf(entry) for entry in ledger.read(1)]
    assert leaves == [
        TransferLeaf(
            time="2026-11-23T16:40Z",
            record=one.record.id,
            object="Commerce_Order__c",
            schema=12,
            plan="ab" * 32,
            keys=3,
            release="0.1.0",
            basis=("a", "b"),
            commitment=commitment(month_key(ROOT, "2026-11"), one.record.id, one.record.value),
        )
        for one in drafts
    ]


def test_no_value_or_token_gets_into_the_files(ledger: Ledger) -> None:
    log_transfers(ledger, [draft(n) for n in range(300)], now=NOW, root=ROOT)
    ledger.close()

    for path in ledger.folder.rglob("*"):
        assert path.is_dir() or b"canary" not in path.read_bytes()


def test_one_bad_draft_logs_nothing(ledger: Ledger) -> None:
    with pytest.raises(FormatError, match="object"):
        log_transfers(ledger, [draft(1), draft(2, "no object")], now=NOW, root=ROOT)

    assert ledger.size == 0


def test_a_whole_story_verifies(ledger: Ledger) -> None:
    (logged,) = log_transfers(ledger, [draft(5)], now=NOW, root=ROOT)
    time, refused = "2026-11-23T16:41Z", draft(6).record.id

    indexes = log_outcomes(
        ledger,
        [
            OutcomeLeaf(time, logged.record.id, logged.leaf, "accepted", None),
            OutcomeLeaf(time, refused, None, "gate-refused", "scanner"),
        ],
    )

    assert indexes == range(1, 3)
    assert verify(ledger.folder, None).verified


def test_a_clock_that_goes_back_changes_only_what_the_leaves_say(ledger: Ledger) -> None:
    log_transfers(ledger, [draft(5)], now=NOW, root=ROOT)

    (logged,) = log_transfers(ledger, [draft(6)], now=NOW - timedelta(days=40), root=ROOT)
    log_transfers(ledger, [draft(7)], now=NOW, root=ROOT)

    leaf = parse_leaf(next(ledger.read(logged.leaf)))
    assert isinstance(leaf, TransferLeaf)
    assert leaf.time == "2026-10-14T16:40Z"
    again = resume(
        draft(6), leaf=logged.leaf, month=leaf.time[:7], committed=leaf.commitment, root=ROOT
    )
    assert again == logged
    ledger.close()
    with Ledger.open(ledger.folder, "ledger.eu.example/transfers", bytes(32), at_least=3) as same:
        assert same.size == 3
    assert verify(ledger.folder, None).verified


def test_a_logged_record_is_resumed_with_the_same_bytes_only(ledger: Ledger) -> None:
    (logged,) = log_transfers(ledger, [draft(5)], now=NOW, root=ROOT)
    leaf = parse_leaf(next(ledger.read(0)))
    assert isinstance(leaf, TransferLeaf)
    altered = replace(draft(5), record=replace(draft(5).record, value=b"other bytes"))

    again = resume(draft(5), leaf=0, month="2026-11", committed=leaf.commitment, root=ROOT)

    assert again == logged
    with pytest.raises(LedgerError, match="leaf 0 commits to other bytes"):
        resume(altered, leaf=0, month="2026-11", committed=leaf.commitment, root=ROOT)


def test_a_draft_shows_no_fields() -> None:
    assert "canary" not in repr(draft(1))


def test_only_the_ledger_makes_logged_records() -> None:
    makers = [
        path.relative_to(TOP).as_posix()
        for package in PACKAGES
        for path in (TOP / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("LoggedRecord")
    ]

    assert set(makers) == {"residency/ledger/log.py"}


def test_a_leaf_tells_a_deletion_from_a_write() -> None:
    write = draft(5)
    removal = replace(write, record=replace(write.record, deletes=True))

    leaves = [transfer_leaf(d, time="2026-11-23T16:40Z", key=ROOT) for d in (write, removal)]

    assert [leaf.deletes for leaf in leaves] == [False, True]
    assert [b'"deletes":true' in leaf.to_bytes() for leaf in leaves] == [False, True]
