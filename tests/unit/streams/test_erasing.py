"""Rows are found by two ways, sent under one number each, and told without a value."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.topology import TopicInfo
from connectors.postgres.vault.abroad import Logged, RowKey, RowKnown
from connectors.postgres.vault.reader import Kept
from residency.expected import field_hmacs
from residency.keys import TokenKeys
from residency.plan.book import Crossed
from residency.replay.resend import Again
from residency.vault.erasure import Erasure, RowAbroad, State, Step
from residency.vault.suppress import Suppression
from schemas.codec import encode
from schemas.events import RawBatch, row_version
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.erasing import sending
from streams.erasing.listing import Lister
from streams.erasing.sending import RowSender
from streams.erasing.telling import line, told
from streams.plans import load_book

REGISTRY = load_registry()
BOOK = load_book("eu", TokenKeys("eu", b"i" * 32, b"a" * 32), datetime.now(UTC).date())
ORDERS, CUSTOMERS = "eu.commerce.orders.v1", "eu.commerce.customers.v1"
TOPICS = {
    name: TopicInfo(f"id-{name}", 1, 4) for name in (ORDERS, CUSTOMERS, "eu.commerce.messages.v1")
}
CANCELLED = "commerce.orders.OrderCancelled"
TEMPLATE = next(
    one.data
    for one in Shop(random.Random(11), ["eu"]).publications(500)
    if one.type == CANCELLED and one.trap is None
)
EXPECTED, SUBJECT = b"e" * 32, b"s" * 16
TOKEN = "tok_eu1_" + "c" * 26
ASKED = Erasure("ab" * 16, SUBJECT, TOKEN, 0.0, "command", Step.SETTLED)


def kept(offset: int, value: bytes, topic: str = ORDERS) -> Kept:
    return Kept(topic, TOPICS[topic].id, 0, offset, datetime.now(UTC), "x", 1, SUBJECT, value)


LATER, HOUR = datetime(2026, 12, 1, tzinfo=UTC), timedelta(hours=1)


def cancelled(order: str, at: datetime = LATER - 2 * HOUR) -> bytes:
    schema = REGISTRY.latest(CANCELLED)
    data = {**TEMPLATE, "order_id": order, "occurred_at": at.isoformat()}
    return encode(schema, from_plain(schema, data))


@dataclass
class Abroad:
    """What egress knows, by hand."""

    known: dict[RowKey, RowKnown] = field(default_factory=dict)
    parents: dict[str, set[RowKey]] = field(default_factory=dict)  # by HMAC
    index: dict[tuple[str, str], Logged] = field(default_factory=dict)
    older: dict[str, str] = field(default_factory=dict)

    def rows(self, keys: Collection[RowKey]) -> dict[RowKey, RowKnown]:
        return {key: self.known[key] for key in keys if key in self.known}

    def named_by(self, target: str, name: str, macs: Sequence[str]) -> dict[RowKey, str]:
        return {
            key: mac
            for mac in macs
            for key in self.parents.get(mac, ())
            if (key.object, name) == (target, "Customer_Key__c")
        }

    def topic_ids(self, records: Collection[str]) -> Mapping[str, str]:
        return {record: self.older[record] for record in records}

    def logged(self, records: Collection[tuple[str, str]]) -> dict[tuple[str, str], Logged]:
        return {one: self.index[one] for one in records if one in self.index}


class Reader:
    def __init__(self, events: Sequence[Kept]) -> None:
        self._events = events

    def events(self, subject: bytes) -> Iterator[Kept]:
        assert subject == SUBJECT
        yield from self._events


def list_rows(
    abroad: Abroad,
    events: Sequence[Kept] = (),
    one: Erasure = ASKED,
    suppressed: Mapping[bytes, Suppression] = {},
) -> Erasure:
    lister = Lister(BOOK, TOPICS, abroad, EXPECTED)  # type: ignore[arg-type]
    (found,) = lister.list([one], Reader(events), suppressed)  # type: ignore[arg-type]
    return found


def order_key(order: str) -> RowKey:
    batch = RawBatch([ORDERS], [0], [1], [cancelled(order)], [b""])
    (crossed,) = BOOK.minimise_batch(batch, lambda _: 1)
    assert isinstance(crossed, Crossed)
    return RowKey("Commerce_Order__c", crossed.rows[0][0].decode())


def known(key: RowKey, record: str, version: int, *, is_deleted: bool = False) -> RowKnown:
    return RowKnown(key, record, version, is_deleted)


def test_the_archive_names_rows_and_those_that_the_org_never_took_are_left() -> None:
    one, other = order_key("O-1"), order_key("O-2")
    abroad = Abroad({one: known(one, f"{ORDERS}[0]@9#0", row_version(1, 9))})

    found = list_rows(abroad, [kept(3, cancelled("O-1")), kept(4, cancelled("O-2"))])

    assert other not in abroad.known
    assert found.step is Step.LISTED
    (row,) = found.state.rows
    assert (row.object, row.token) == one
    assert (row.name, row.topic_id) == (f"{ORDERS}[0]@9#0", f"id-{ORDERS}")
    assert (row.version, row.deletes) == (row_version(1, 9), False)
    assert BOOK.plans  # whichever names it, it says what becomes of it
    assert row.plan in {plan.digest for plan in BOOK.plans.values()}


def test_the_expected_rows_name_rows_whose_events_are_gone() -> None:
    key, case = RowKey("Commerce_Order__c", "tok_o"), RowKey("Commerce_Case__c", "tok_m")
    macs = [
        field_hmacs(EXPECTED, one.object, {"Customer_Key__c": TOKEN})["Customer_Key__c"] or ""
        for one in (key, case)
    ]
    customer = RowKey("Commerce_Customer__c", TOKEN)
    abroad = Abroad(
        {
            key: known(key, f"{ORDERS}[1]@5#0", row_version(1, 5)),
            case: known(case, "eu.commerce.messages.v1[0]@2#0", row_version(1, 2)),
            customer: known(customer, f"{CUSTOMERS}[0]@1#0+3", row_version(1, 1)),
        },
        {macs[0]: {key}, macs[1]: {case}},
    )

    found = list_rows(abroad)

    assert {(row.object, row.deletes) for row in found.state.rows} == {
        ("Commerce_Order__c", False), ("Commerce_Case__c", True), ("Commerce_Customer__c", False),
    }  # fmt: skip


def test_rows_that_are_deleted_or_have_gone_on_since_are_left_alone() -> None:
    gone, newer = RowKey("Commerce_Customer__c", TOKEN), order_key("O-1")
    abroad = Abroad(
        {
            gone: known(gone, f"{CUSTOMERS}[0]@1#0", row_version(1, 1), is_deleted=True),
            newer: known(newer, f"{ORDERS}[0]@8#0", row_version(1, 8)),
        }
    )
    asked = replace(ASKED, state=State(raw={f"{ORDERS}[0]": 8}))

    found = list_rows(abroad, [kept(3, cancelled("O-1"))], asked)

    assert found.state.rows == ()
    earlier = replace(ASKED, state=State(raw={f"{ORDERS}[0]": 9}))
    assert len(list_rows(abroad, [kept(3, cancelled("O-1"))], earlier).state.rows) == 1


def test_rows_of_who_has_registered_again_are_theirs() -> None:
    old, new = order_key("O-1"), order_key("O-2")
    abroad = Abroad(
        {
            old: known(old, f"{ORDERS}[0]@3#0", row_version(1, 3)),
            new: known(new, f"{ORDERS}[0]@4#0", row_version(1, 4)),
        }
    )
    events = [kept(3, cancelled("O-1")), kept(4, cancelled("O-2", LATER))]
    lifted = {SUBJECT: Suppression(SUBJECT, LATER - HOUR, "ab" * 16, LATER)}

    found = list_rows(abroad, events, suppressed=lifted)

    assert [row.token for row in found.state.rows] == [old.external_id]


def test_a_row_of_an_older_topic_has_that_ones_id() -> None:
    key = order_key("O-1")
    record = f"{ORDERS}[0]@9#0"
    abroad = Abroad({key: known(key, record, row_version(0, 9))}, older={record: "older"})

    found = list_rows(abroad, [kept(3, cancelled("O-1"))])

    assert found.state.rows[0].topic_id == "older"


def test_a_row_of_which_only_labels_were_accepted_is_erased_under_its_base_output() -> None:
    key = RowKey("Commerce_Case__c", "tok_m")
    mac = field_hmacs(EXPECTED, key.object, {"Customer_Key__c": TOKEN})["Customer_Key__c"] or ""
    record = "eu.commerce.messages.v1[0]@2#1"

    found = list_rows(Abroad({key: known(key, record, row_version(1, 2))}, {mac: {key}}))

    assert [row.name for row in found.state.rows] == ["eu.commerce.messages.v1[0]@2#0"]


def test_an_event_that_no_plan_decides_is_named() -> None:
    found = list_rows(Abroad(), [kept(3, b"not Avro")])

    assert found.state.undecided == (f"{ORDERS}[0]@3",)


# -- sending


@dataclass
class World:
    """What the sender meets, by hand."""

    abroad: Abroad = field(default_factory=Abroad)
    saved: list[Erasure] = field(default_factory=list)
    sent: list[Again] = field(default_factory=list)
    fences: int = 0
    is_behind: bool = False
    fails: Callable[[], None] = lambda: None

    def save(self, erasures: Sequence[Erasure]) -> None:
        self.saved += erasures

    def outgoing_ends(self) -> dict[str, int]:
        return {"m[0]": 1}

    def passed(self, service: str, ends: Mapping[str, int]) -> bool:
        assert (service, ends) == ("egress", {"m[0]": 1})
        return not self.is_behind

    def sender(self, settings: object) -> "World":
        del settings
        self.fences += 1
        return self

    def send(self, batch: Sequence[Again], check: Callable[[], None]) -> None:
        check()
        self.sent += batch

    @property
    def names(self) -> list[str]:
        return [str(one.id) for one in self.sent]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(sending, "Sender", found.sender)
    return found


def sender(world: World) -> RowSender:
    parts: Any = world
    return RowSender(parts, BOOK, parts, parts.abroad, parts)


def row_of(record: str, number: int = 0, **more: Any) -> RowAbroad:
    plan, output = next(
        (plan, n)
        for plan in BOOK.plans.values()
        for n, output in enumerate(plan.outputs)
        if output.object == "Commerce_Order__c"
    )
    version = row_version(1, int(record.split("@")[1].split("#", maxsplit=1)[0]))
    return RowAbroad(
        "Commerce_Order__c", f"tok_eu1_{number:026d}", record, "id", version, plan.digest, output,
        deletes=False, **more,
    )  # fmt: skip


def listed(*rows: RowAbroad, **more: Any) -> Erasure:
    return replace(ASKED, step=Step.LISTED, state=State(rows=rows, **more))


FIRST = f"{ORDERS}[0]@7#0"


def test_without_rows_there_is_nothing_to_wait_for(world: World) -> None:
    (done,) = sender(world).go_on([listed()])

    assert (done.step, world.fences) == (Step.ABROAD, 0)


def test_a_record_takes_the_next_number_that_is_kept_before_it_is_sent(world: World) -> None:
    world.abroad.index = {("id", f"{FIRST}+{n}"): Logged(n, "accepted") for n in range(1, 10)}
    world.abroad.index["id", FIRST] = Logged(0, "accepted")

    assert sender(world).go_on([listed(row_of(FIRST))]) == []

    assert world.names == [f"{FIRST}+10"]
    (saved,) = world.saved
    assert saved.state.numbered
    assert [row.name for row in saved.state.rows] == [f"{FIRST}+10"]
    assert world.sent[0].output.deletes is False


def test_nothing_is_numbered_while_egress_is_behind_those_who_numbered_before(
    world: World,
) -> None:
    world.is_behind = True
    asking = sender(world)

    for _ in range(3):
        assert asking.go_on([listed(row_of(FIRST))]) == []

    assert (world.saved, world.sent, world.fences) == ([], [], 1)
    world.is_behind = False
    asking.go_on([listed(row_of(FIRST))])
    assert world.names == [f"{FIRST}+1"]


def test_who_begins_anew_sends_only_what_the_ledger_does_not_have(world: World) -> None:
    other = f"{ORDERS}[0]@8#0"
    one = listed(row_of(f"{FIRST}+1"), row_of(f"{other}+1", 1), numbered=True)
    world.abroad.index["id", f"{FIRST}+1"] = Logged(4, None)

    sender(world).go_on([one])

    assert world.names == [f"{other}+1"]


def test_it_is_sent_once_and_over_when_the_ledger_has_the_outcomes(world: World) -> None:
    asking, one = sender(world), listed(row_of(FIRST))
    asking.go_on([one])
    (numbered,) = world.saved

    assert asking.go_on([numbered]) == []
    assert len(world.sent) == 1
    world.abroad.index["id", f"{FIRST}+1"] = Logged(4, "accepted")
    (done,) = asking.go_on([numbered])

    assert done.step is Step.ABROAD
    assert done.state.counts == {"anonymised": 1}
    assert [(row.token, row.leaf) for row in done.state.rows] == [("", 4)]


def test_a_row_that_the_org_refuses_is_told_and_sent_again_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(sending.time, "monotonic", lambda: now[0])
    asking = sender(world)
    one = listed(row_of(f"{FIRST}+1"), numbered=True)
    world.abroad.index["id", f"{FIRST}+1"] = Logged(4, "rejected")

    (stuck,) = asking.go_on([one])
    assert stuck.step is Step.LISTED
    assert f"{FIRST}+1" in (stuck.state.problem or "")
    now[0] += sending.AGAIN_S
    (again,) = asking.go_on([stuck])
    assert [row.name for row in again.state.rows] == [f"{FIRST}+2"]
    asking.go_on([again])

    assert world.names == [f"{FIRST}+2"]


def test_rows_of_a_plan_that_is_approved_no_more_are_listed_anew(world: World) -> None:
    stale = replace(row_of(FIRST), plan="00" * 32)

    sender(world).go_on([listed(stale)])

    assert world.sent == []
    assert world.saved[-1].step is Step.SETTLED
    assert world.saved[-1].state == State()


# -- telling


def test_an_erasure_is_told_without_value_or_token(tmp_path: Path) -> None:
    one = listed(row_of(FIRST))

    document = told(one, tmp_path)

    assert document["step"] == "listed"
    assert document["steps_left"] == 5
    assert document["certificate"] is None
    assert TOKEN not in str(document)
    assert line(document) == f"{'ab' * 16}  listed; waits for the outcomes of the rows abroad"


def test_one_that_is_done_tells_what_was_counted(tmp_path: Path) -> None:
    done = replace(ASKED, step=Step.DONE, leaf=7, state=State(counts={"events": 2, "deleted": 1}))

    text = line(told(done, tmp_path))

    assert "done by leaf 7: 1 deleted, 2 events" in text
