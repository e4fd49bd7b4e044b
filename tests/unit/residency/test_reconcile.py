"""Each way in which a row can disagree is its own finding; agreement is none."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from residency.expected import field_hmacs, from_org, row_digest
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader
from residency.reconcile.findings import SEVERITIES, Finding, Looked, Report
from residency.reconcile.judge import Case, Noted, OrgRow, judge
from residency.reconcile.ledger_view import LedgerView
from schemas.events import Coordinates, RecordId, row_version

ORDER, KEY = "Commerce_Order__c", b"k" * 32
ORIGIN, SEED = "ledger.eu.example/transfers", bytes(range(32))
OURS = frozenset({"005US"})
FIELDS = {"Status__c": "aa", "Total__c": None}
TEN = datetime(2026, 11, 23, 10, tzinfo=UTC)
MINUTES = ("2026-11-23T16:40Z", "2026-11-23T16:41Z")


def record(offset: int, resend: int = 0) -> RecordId:
    at = Coordinates("eu.commerce.orders.v1", 0, offset)
    return RecordId(at, 0, resend, topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(one: RecordId, *, deletes: bool = False) -> bytes:
    leaf = TransferLeaf(MINUTES[0], one, ORDER, 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32, deletes)
    return leaf.to_bytes()


def outcome(one: RecordId, leaf: int, result: str = "accepted", time: str = MINUTES[0]) -> bytes:
    return OutcomeLeaf(time, one, leaf, result, None).to_bytes()  # type: ignore[arg-type]


def append(folder: Path, *entries: bytes) -> None:
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        ledger.append(list(entries))


@pytest.fixture
def log(tmp_path: Path) -> LedgerView:
    """Return a ledger that accepted records 7 and 9, refused 8, and deleted by 10."""
    append(
        tmp_path,
        *(transfer(record(n), deletes=n == 10) for n in (7, 8, 9, 10)),
        outcome(record(7), 0),
        outcome(record(8), 1, "rejected"),
        outcome(record(9), 2, time=MINUTES[1]),
        outcome(record(10), 3, time=MINUTES[1]),
    )
    view = LedgerView(Reader(tmp_path))
    view.catch_up()
    return view


def row(**changes: object) -> OrgRow:
    base = OrgRow("a01", "tok_eu1_a", False, "005US", row_version(1, 7), 0, FIELDS)  # noqa: FBT003
    return replace(base, **changes)  # type: ignore[arg-type]


def noted(**changes: object) -> Noted:
    base = Noted(FIELDS, row_version(1, 7), 0, str(record(7)), None, False)  # noqa: FBT003
    return replace(base, **changes)  # type: ignore[arg-type]


GONE = noted(
    fields={}, base_version=row_version(1, 10), base_record=str(record(10)), is_deleted=True
)


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ((noted(), [row()]), []),
        ((noted(), []), ["missing"]),
        ((noted(), [row(is_deleted=True)]), ["recycled"]),
        ((noted(), [row(is_deleted=True, id="a00"), row()]), []),  # made again
        ((noted(), [row(), row(id="a02")]), ["duplicate"]),
        ((noted(), [row(created_by="005X")]), ["foreign"]),  # the same values, by another hand
        ((noted(), [row(fields={"Status__c": "bb"})]), ["changed"]),
        ((noted(), [row(fields={"Status__c": None, "Total__c": "cc"})]), ["changed", "changed"]),
        ((noted(), [row(base=row_version(1, 9), fields={"Status__c": "bb"})]), ["row-lost"]),
        ((noted(), [row(base=row_version(1, 11), fields={"Status__c": "bb"})]), ["changed"]),
        ((GONE, []), []),
        ((GONE, [row(is_deleted=True)]), []),
        ((GONE, [row()]), ["not-deleted"]),
        ((None, [row(base=0)]), ["unlogged"]),
        ((None, [row(base=row_version(1, 8))]), ["unlogged"]),  # rejected is not accepted
        ((None, [row(base=row_version(1, 9))]), ["row-lost"]),
        ((None, [row(created_by="005X")]), ["foreign"]),
        ((None, [row(is_deleted=True, base=0)]), ["unlogged"]),
        ((None, []), []),
        ((noted(base_record=str(record(8)), base_version=row_version(1, 8)), [row()]),
         ["row-unbacked"]),
        ((noted(base_version=row_version(1, 9)), [row()]), ["row-unbacked"]),
        ((noted(base_record=None), [row()]), ["row-unbacked"]),
        ((noted(base_record=None, base_version=0), [row()]), ["row-unbacked"]),
        ((noted(base_record="'; DROP"), [row()]), ["row-unbacked"]),
        ((noted(label_record=str(record(8)), label_version=row_version(1, 8)), [row()]),
         ["row-unbacked"]),
        ((noted(label_record=str(record(9)), label_version=row_version(1, 9)), [row()]), []),
        ((noted(base_record=None, base_version=0, label_record=str(record(9)),
          label_version=row_version(1, 9)), [row()]), []),  # labels came first
        ((noted(), [row(base=row_version(1, 9), labels=row_version(1, 8), fields={})]),
         ["row-lost"]),
        ((replace(GONE, is_deleted=False), []), ["row-unbacked", "missing"]),
        ((noted(is_deleted=True, fields={}), []), ["row-unbacked"]),
    ],
)  # fmt: skip
def test_a_row_that_disagrees_is_a_finding_of_its_own_kind(
    case: tuple[Noted | None, list[OrgRow]], kinds: list[str], log: LedgerView
) -> None:
    found = judge(Case(ORDER, "d1", *case), OURS, log)

    assert [one.kind for one in found] == kinds
    assert {one.row for one in found} <= {"d1"}


def test_a_finding_names_the_records_that_made_the_row_and_the_orgs_ids(log: LedgerView) -> None:
    both = noted(label_record=str(record(9)), label_version=row_version(1, 9))

    (found,) = judge(Case(ORDER, "d1", both, [row(fields={}, id="a09")]), OURS, log)

    assert found.records == (str(record(7)), str(record(9)))
    assert found.org_ids == ("a09",)


def test_neither_an_external_id_nor_a_value_is_in_a_repr() -> None:
    text = repr(Case(ORDER, "d1", noted(), [row()]))

    assert "tok_eu1_a" not in text
    assert "Status__c" not in text


def test_a_resend_of_an_accepted_record_counts_once(tmp_path: Path, log: LedgerView) -> None:
    append(tmp_path, transfer(record(7, 1)), outcome(record(7, 1), 8))

    log.catch_up()

    assert log.accepted(ORDER, log.size) == 3
    assert log.deletes(ORDER, str(record(7, 1))) is False


def test_only_leaves_below_the_index_are_counted(log: LedgerView) -> None:
    assert [log.accepted(ORDER, below) for below in (4, 5, 7, 8)] == [0, 1, 2, 3]
    assert log.accepted("Commerce_Case__c", 8) == 0
    assert log.deletes("Commerce_Case__c", str(record(7))) is None


def test_the_accepted_records_of_an_object_are_named_in_the_order_of_their_leaves(
    log: LedgerView,
) -> None:
    names = [str(record(n)) for n in (7, 9, 10)]

    assert list(log.accepted_records(ORDER, log.size)) == names
    assert list(log.accepted_records(ORDER, 7)) == names[:2]
    assert list(log.accepted_records("Commerce_Case__c", log.size)) == []


def test_what_is_under_way_has_no_outcome_or_is_not_indexed(
    tmp_path: Path, log: LedgerView
) -> None:
    append(tmp_path, transfer(record(11)))
    log.catch_up()

    assert [s.offset for s in log.under_way(ORDER, log.size)] == [11]
    assert [s.offset for s in log.under_way(ORDER, 6)] == [11, 9, 10]
    assert log.under_way("Commerce_Case__c", 0) == []


def test_the_leaves_since_a_moment_begin_with_its_minute(log: LedgerView) -> None:
    moments = [datetime(2026, 11, 23, 16, minute, 30, tzinfo=UTC) for minute in (39, 40, 41, 42)]

    assert [log.first_since(moment) for moment in moments] == [4, 4, 6, 8]
    assert log.leaf_of(str(record(9))) == 6
    assert log.leaf_of(str(record(8))) is None


def test_an_entry_that_the_checkpoint_does_not_sign_ends_the_run(tmp_path: Path) -> None:
    append(tmp_path, transfer(record(7)), outcome(record(7), 0))
    file = next((tmp_path / "tile/entries").rglob("*.p/2"))
    file.write_bytes(file.read_bytes().replace(b"accepted", b"rejected"))

    with pytest.raises(LedgerError, match="not those that the checkpoint signs"):
        LedgerView(Reader(tmp_path)).catch_up()


def test_a_ledger_that_shrank_ends_the_run(tmp_path: Path, log: LedgerView) -> None:
    other = tmp_path / "other"
    append(other, transfer(record(7)))
    for name in ("checkpoint", "vkey"):
        (tmp_path / name).write_bytes((other / name).read_bytes())

    with pytest.raises(LedgerError, match="shrank from 8 to 1"):
        log.catch_up()


@pytest.mark.parametrize(
    ("kind", "sent", "held"),
    [
        ("timestamp", TEN.replace(microsecond=999_000), "2026-11-23T10:00:00.000+0000"),
        ("boolean", False, None),
        ("boolean", None, False),
        ("boolean", True, True),
        ("long", 5, 5.0),
        ("long", 0, 0),
        ("string", "", None),
    ],
)  # fmt: skip
def test_what_the_org_answers_hashes_as_what_was_sent(
    kind: str, sent: object, held: object
) -> None:
    ours = field_hmacs(KEY, ORDER, {"F__c": sent})
    theirs = field_hmacs(KEY, ORDER, {"F__c": from_org(kind, held)})

    assert ours == theirs
    assert (ours["F__c"] is None) is (sent in (None, "") or sent is False)


def test_a_text_of_the_org_that_is_no_time_is_no_error() -> None:
    assert from_org("timestamp", "tomorrow") == "tomorrow"
    assert from_org("timestamp", "2026-11-23T10:00:00") == "2026-11-23T10:00:00"


def test_a_row_is_named_by_a_digest_that_nobody_without_the_key_can_test() -> None:
    name = row_digest(KEY, ORDER, "ada@example.com")

    assert len(name) == 32
    assert name != row_digest(b"x" * 32, ORDER, "ada@example.com")
    assert name != row_digest(KEY, "Commerce_Case__c", "ada@example.com")


def test_a_report_names_every_kind_and_counts_each() -> None:
    findings = [Finding(ORDER, "changed", field="A__c"), Finding(ORDER, "changed", field="B__c")]

    report = Report("eu", ORIGIN, 8, None, "2026", {ORDER: Looked(1, 2, 3)}, findings).to_json()

    assert report["counts"] == dict.fromkeys(SEVERITIES, 0) | {"changed": 2}
    assert report["clean"] is False
    assert report["objects"] == {ORDER: {"org_rows": 1, "expected_rows": 2, "in_flight": 3}}
    assert [f["severity"] for f in report["findings"]] == ["critical", "critical"]
