"""What is on its way is looked at again, and is a finding only once it has come to rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.postgres.expected_reader import Folded
from residency.expected import row_digest
from residency.reconcile.judge import Noted, OrgRow
from residency.reconcile.ledger_view import Sent
from schemas.events import Coordinates, RecordId, row_version
from streams.readback import Parts
from streams.reconcile import LOOKS, Reconciler

ORDER, TOKEN = "Commerce_Order__c", "tok_eu1_a"
NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset))


def row(offset: int, status: str = "aa", **more: Any) -> OrgRow:
    values = {"id": "a01", "external_id": TOKEN, "is_deleted": False, "created_by": "005"}
    fields = {"Status__c": status}
    return OrgRow(**(values | more), base=row_version(1, offset), labels=0, fields=fields)


def noted(offset: int, status: str = "aa") -> Noted:
    return Noted(
        {"Status__c": status}, row_version(1, offset), 0, str(record(offset)), None, False  # noqa: FBT003
    )  # fmt: skip


@dataclass
class World:
    """Org, expected rows and ledger of one row; time passes when somebody waits."""

    org: list[OrgRow] = field(default_factory=list)
    notes: dict[str, Noted] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    accepted_offsets: set[int] = field(default_factory=set)
    folds: int = 0
    placed_rows: list[tuple[str, str, bool]] = field(default_factory=list)
    removed: bool = False
    then: list[Callable[["World"], None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    span: tuple[Any, ...] = ()
    origin: str = "ledger.eu.test/transfers"
    size: int = 4

    # the org
    def changed(self, _object: str, *span: Any) -> Iterator[list[OrgRow]]:
        self.span = span
        yield list(self.org)

    def named(self, _object: str, tokens: Sequence[str], ids: Sequence[str]) -> Iterator[OrgRow]:
        return (r for r in self.org if r.external_id in tokens or r.id in ids)

    def removed_since(self, *_: Any) -> bool:
        return self.removed

    def outside(self, _object: str) -> Iterator[Any]:
        return iter(())

    # the expected rows
    def rows(self, _object: str, external_ids: Sequence[str]) -> dict[str, Noted]:
        return {k: v for k, v in self.notes.items() if k in external_ids}

    def every(self, _object: str) -> Iterator[list[tuple[str, Noted]]]:
        yield list(self.notes.items())

    def folded(self, _object: str) -> Folded:
        return Folded(len(self.notes), self.folds, self.size)

    def placed(self, _object: str) -> Iterator[list[tuple[str, str, bool]]]:
        yield self.placed_rows

    def indexed(self) -> int:
        return self.size

    def parked(self) -> set[str]:
        return self.waiting

    # the ledger
    def catch_up(self) -> None:
        pass

    def deletes(self, _object: str, name: str) -> bool | None:
        return False if name in {str(record(n)) for n in self.accepted_offsets} else None

    def accepted_at(self, _object: str, offset: int) -> bool:
        return offset in self.accepted_offsets

    def accepted(self, _object: str, _below: int) -> int:
        return len(self.accepted_offsets)

    def accepted_records(self, _object: str, below: int) -> Iterator[str]:
        return (str(record(n)) for n in sorted(self.accepted_offsets) if n < 10 * below)

    def under_way(self, _object: str, _indexed: int) -> list[Sent]:
        return self.sent

    def leaf_of(self, name: str) -> int | None:
        return None if self.deletes("", name) is None else 1

    def first_since(self, _moment: datetime) -> int:
        return 2

    @property
    def waits(self) -> int:
        return len(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.then:
            self.then.pop(0)(self)

    def reconciler(self) -> Reconciler:
        one: Any = self
        return Reconciler(
            Parts("eu", one, one, one, {"005"}, b"k" * 32, [ORDER], lambda: NOW, self.sleep)
        )

    def kinds(self, since: datetime | None = None) -> list[str]:
        return [one.kind for one in self.reconciler().run(since).findings]


def settled(**more: Any) -> World:
    world = World([row(7)], {TOKEN: noted(7)}, accepted_offsets={7}, folds=1)
    for name, value in more.items():
        setattr(world, name, value)
    return world


def sent(offset: int, *, deletes: bool = False) -> Sent:
    return Sent(record(offset), ORDER, offset, deletes)


def arrives(world: World) -> None:
    """Egress settles record 9: outcome leaf and expected row."""
    world.sent = []
    world.accepted_offsets, world.folds = {7, 9}, 2
    world.notes = {TOKEN: noted(9, "bb")}


def test_what_agrees_is_not_waited_for() -> None:
    world = settled()

    assert world.kinds() == []
    assert world.waits == 0


def test_a_span_begins_a_little_early_and_ends_when_the_run_begins() -> None:
    world = settled()

    report = world.reconciler().run(NOW - timedelta(hours=1))

    assert world.span == (NOW - timedelta(minutes=70), NOW)
    assert (report.since, report.horizon) == (
        "2026-11-23T15:40:00+00:00",
        "2026-11-23T16:40:00+00:00",
    )


def test_a_row_whose_record_is_just_settled_is_no_finding() -> None:
    world = settled(org=[row(9, "bb")], sent=[sent(9)], then=[arrives])

    assert world.kinds() == []
    assert world.waits == 1


def test_a_row_that_stays_on_its_way_is_counted_and_the_next_run_looks_again() -> None:
    world = settled(org=[row(9, "bb")], sent=[sent(9)])
    reconciler = world.reconciler()

    first = reconciler.run()
    world.sent = []
    world.org = [row(9, "cc")]
    world.changed = lambda *_: iter(())  # type: ignore[method-assign]
    second = reconciler.run(NOW)

    assert (first.findings, first.looked[ORDER].in_flight) == ([], 1)
    assert world.slept == [2.0, 2.0, 2.0]
    assert [one.kind for one in second.findings] == ["changed"]


@pytest.mark.parametrize(
    "more",
    [
        {"sent": [sent(8)]},  # another record's
        {"sent": [sent(9)], "waiting": {str(record(9))}},  # parked: nothing of it was written
        {"sent": []},
    ],
    ids=["other", "parked", "none"],
)
def test_a_row_of_which_nothing_is_on_its_way_is_a_finding_at_once(more: dict[str, Any]) -> None:
    world = settled(org=[row(9, "bb")], **more)

    assert world.kinds() == ["changed"]
    assert world.waits == 0


def test_a_row_that_is_gone_may_be_one_whose_deletion_is_on_its_way() -> None:
    def settles(world: World) -> None:
        world.sent = []

    assert settled(org=[], sent=[sent(9, deletes=True)], then=[settles]).kinds() == ["missing"]
    assert settled(org=[], sent=[sent(9)]).kinds() == ["missing"]
    assert settled(org=[], sent=[sent(9, deletes=True)]).kinds() == []


def test_an_expected_row_that_changes_while_the_org_is_read_is_read_again() -> None:
    world = settled(org=[row(9, "bb")])
    reads = [{TOKEN: noted(7)}, {TOKEN: noted(7)}, {TOKEN: noted(8, "xx")}]

    def rows(*_: Any) -> dict[str, Noted]:
        return reads.pop(0) if reads else {TOKEN: noted(9, "bb")}

    world.rows = rows  # type: ignore[method-assign]
    world.accepted_offsets, world.folds = {7, 9}, 2

    assert world.kinds() == []
    assert world.waits == 1


@pytest.mark.parametrize(("removed", "kinds"), [(True, ["missing"]), (False, [])])
def test_an_old_row_is_looked_for_only_if_rows_may_be_gone(
    removed: bool,
    kinds: list[str],
) -> None:
    world = settled(org=[], removed=removed)

    assert world.kinds(NOW) == kinds


@pytest.mark.parametrize(("folds", "count"), [(0, 1), (2, -1)])
def test_a_count_that_stays_wrong_is_a_finding(folds: int, count: int) -> None:
    world = settled(folds=folds)

    (found,) = world.reconciler().run().findings

    assert (found.kind, found.count) == ("count-differs", count)
    assert world.waits == LOOKS - 1


def test_a_finding_is_told_while_it_lasts_even_outside_of_the_span() -> None:
    world = settled(org=[row(7, "bb")])
    reconciler = world.reconciler()
    first = reconciler.run()
    world.changed = lambda *_: iter(())  # type: ignore[method-assign]

    second = reconciler.run(NOW)
    world.org = [row(7)]
    third = reconciler.run(NOW)

    assert first.findings == second.findings != []
    assert third.findings == []


def test_a_row_that_org_and_database_have_lost_is_named_by_its_records() -> None:
    world = settled(accepted_offsets={7, 8, 9})
    world.placed_rows = [
        (str(record(7)), TOKEN, True),
        (str(record(8)), "tok_eu1_b", False),
        (str(record(9)), "tok_eu1_b", False),
    ]

    counted, gone = world.reconciler().run().findings

    assert (counted.kind, counted.records, counted.count) == ("count-differs", (), 2)
    assert (gone.kind, gone.count) == ("gone", 2)
    assert gone.records == (str(record(8)), str(record(9)))
    assert gone.row == row_digest(b"k" * 32, ORDER, "tok_eu1_b")


def test_a_row_that_the_org_still_has_is_not_gone_too() -> None:
    world = settled(notes={}, folds=0)
    world.placed_rows = [(str(record(7)), TOKEN, False)]

    assert world.kinds() == ["count-differs", "row-lost"]


def test_records_of_an_index_that_was_built_anew_may_be_the_lost_ones() -> None:
    """It does not say of which row they are; those that a row names are not lost."""
    world = settled(accepted_offsets={7, 8})

    (counted,) = world.reconciler().run().findings

    assert (counted.kind, counted.records) == ("count-differs", (str(record(8)),))


def test_more_folded_records_than_accepted_ones_name_none() -> None:
    world = settled(folds=2)

    (counted,) = world.reconciler().run().findings

    assert (counted.count, counted.records) == (-1, ())
