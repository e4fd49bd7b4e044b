"""The crash table of egress, on a real ledger and a real Postgres.

A fault after every step in turn, then a new carrier over what is on disk. Whatever the
step: nothing is sent without a durable leaf, the org ends with the last version of every
row, every record has one result, and the index says what the ledger says.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.embedded.stack import Stack
from connectors.postgres.egress_store import Changes, EgressStore
from connectors.postgres.expected_rows import ExpectedRow, Key
from connectors.salesforce.outcome import Outcome, Result
from residency.expected import Held
from residency.gate.check import Gate
from residency.keys import LedgerKeys, TokenKeys
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.verify import verify
from residency.plan.approved import APPROVED_FILE
from residency.plan.book import PlanBook
from schemas.codec import encode
from schemas.errors import HaltError, QuarantineError, Reason, RetriableError
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.carrier import Carrier
from streams.crossing import SCANNER_LIMIT, Arrival, Parts, Refused
from streams.limit import LimitPolicy

NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
KEYS = LedgerKeys("ledger.eu.test/transfers", b"s" * 32, b"r" * 32)
SCHEMA = load_registry().latest("commerce.messages.ProductReviewSubmitted")
BOOK = PlanBook.load("eu", TokenKeys("eu", b"i" * 32, b"a" * 32), NOW.date())
GATE = Gate.load("eu", APPROVED_FILE)


class CrashError(Exception):
    """The process died here."""


@dataclass
class Org:
    """The world outside: remembers rows and what was sent, and can fail or refuse."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[tuple[int, str]] = field(default_factory=list)
    refuse: frozenset[str] = frozenset()
    doubts: set[Key] = field(default_factory=set)

    def doubt(self, keys: Iterable[Key]) -> None:
        self.doubts |= set(keys)

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        outcomes = []
        for one in batch:
            self.sent.append((one.leaf, str(one.record.id)))
            if str(one.record.id) in self.refuse:
                outcomes.append(Outcome(one, Result.REJECTED, "STRING_TOO_LONG", created=False))
                continue
            self.rows.setdefault(one.record.external_id, {}).update(one.fields)
            outcomes.append(Outcome(one, Result.ACCEPTED, None, created=True))
        return outcomes


def review(offset: int, message: str, rating: int = 5, sku: str = "MUG-1") -> Arrival:
    data = {
        "event_id": f"0b0b8a3e-7a41-4a61-9f0f-{offset:012d}",
        "occurred_at": "2026-11-23T10:00:00Z",
        "customer": {"customer_id": "C-1", "residence": {"country": "DE"}},
        "message_id": message,
        "received_at": "2026-11-23T10:00:00Z",
        "sku": sku,
        "rating": rating,
        "channel": "web",
        "nickname": "ada",
        "body": "lovely",
    }
    value = encode(SCHEMA, from_plain(SCHEMA, data))
    at = Coordinates("eu.commerce.messages.v1", 0, offset)
    crossing = BOOK.minimise(RawEvent(at, "dG9waWM", 1, value))
    return Arrival(crossing.records[0], crossing.plan.outputs[0].basis, "test")


# Two versions of one row, a row that the gate stops (an IBAN as SKU), another row.
BATCH = (
    review(1, "M-1", rating=1),
    review(2, "M-2", sku="DE89370400440532013000"),
    review(3, "M-1", rating=4),
    review(4, "M-3", rating=2),
)


@pytest.fixture
def dsn(stack: Stack) -> Iterator[str]:
    """Egress's own database, emptied."""
    file = stack.home / "eu" / "services" / "egress.json"
    found = json.loads(file.read_text())["postgres"]["dsn"]
    drop = "DROP TABLE IF EXISTS ledger_index, expected_rows, parked_records"
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(drop)
    yield found
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(drop)


@dataclass
class World:
    """What survives a crash: disk, database, org, quarantine."""

    folder: Path
    dsn: str
    org: Org = field(default_factory=Org)
    quarantined: list[str] = field(default_factory=list)
    gate: Gate = GATE

    def egress(self, change: Callable[[Parts], Parts] = lambda parts: parts) -> Carrier:
        """Start a new process over it; *change* plants faults."""
        store = self.store = EgressStore(self.dsn)
        parts = Parts(
            gate=self.gate,
            ledger=Ledger.open(self.folder, KEYS.origin, KEYS.seed, at_least=store.indexed),
            store=store,
            sink=self.org,
            keys=KEYS,
            expected_key=b"e" * 32,
            quarantine=lambda refused: self.quarantined.extend(str(r.record.id) for r in refused),
            clock=lambda: NOW,
        )
        self.parts = parts
        carrier = Carrier(change(parts))
        carrier.catch_up()
        return carrier

    def die(self) -> None:
        """Let go of lock and connection, as the kernel does for a killed process."""
        self.parts.ledger.close()
        self.parts.store.close()

    def leaves(self) -> list[TransferLeaf | OutcomeLeaf]:
        return [parse_leaf(data) for data in self.parts.ledger.read(0)]


@pytest.fixture
def world(tmp_path: Path, dsn: str) -> World:
    return World(tmp_path / "ledger", dsn)


def expect_all_well(world: World) -> None:
    leaves = world.leaves()
    transfers = {str(leaf.record): n for n, leaf in enumerate(leaves) if leaf.kind == "transfer"}
    results = Counter(
        (str(leaf.record), leaf.result) for leaf in leaves if isinstance(leaf, OutcomeLeaf)
    )
    names = [str(arrival.record.id) for arrival in BATCH]
    assert results == {
        (names[0], "accepted"): 1,
        (names[1], "gate-refused"): 1,
        (names[2], "accepted"): 1,
        (names[3], "accepted"): 1,
    }
    assert sum(leaf.kind == "transfer" for leaf in leaves) == 3  # one leaf a record, ever
    assert all(transfers[name] == leaf for leaf, name in world.org.sent)
    assert {row["Rating__c"] for row in world.org.rows.values()} == {4, 2}
    assert set(world.quarantined) == {names[1]}
    assert world.parts.store.indexed == world.parts.ledger.size
    assert world.parts.store.results() == {"accepted": 3, "gate-refused": 1}
    keys = [(a.record.object, a.record.external_id) for a in BATCH]
    assert world.parts.store.held(keys) == {
        keys[2]: Held(BATCH[2].record.version), keys[3]: Held(BATCH[3].record.version)
    }  # fmt: skip
    world.die()
    report = verify(world.folder, None)
    assert report.verified, report.problems


class Dies:
    """Wraps a part and kills the process before or after its n-th call of one method."""

    def __init__(self, part: Any, method: str, call: int, *, before: bool) -> None:
        self._part, self._method, self._left, self._before = part, method, call, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name != self._method:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                raise CrashError
            answer = found(*args, **kwargs)
            if self._left == 0:
                raise CrashError
            return answer

        return call


STEPS = [
    ("ledger", "append", 1),  # transfer leaves
    ("sink", "write", 1),
    ("ledger", "append", 2),  # outcome leaves
    ("store", "save", 1),  # index and expected rows
]


FEW = LimitPolicy(window=100, share=0.4, at_least=1)
HITS = [review(n, f"M-{n}", sku="DE89370400440532013000") for n in range(10, 12)]


def test_more_scanner_hits_than_the_limit_halt_before_anything_is_logged_or_sent(
    world: World,
) -> None:
    carrier = world.egress(lambda parts: replace(parts, limit=FEW))

    with pytest.raises(HaltError, match="2 of the last 3 records"):
        carrier.carry([*HITS, BATCH[0]])

    assert (world.parts.ledger.size, world.org.sent, world.quarantined) == (0, [], [])
    world.die()


def test_hits_of_many_batches_add_up(world: World) -> None:
    carrier = world.egress(lambda parts: replace(parts, limit=FEW))
    assert carrier.carry(HITS[:1]) == {"gate-refused": 1}

    with pytest.raises(HaltError, match="2 of the last 2 records"):
        carrier.carry(HITS[1:])

    world.die()


def test_a_batch_that_is_tried_again_is_counted_once(world: World) -> None:
    """An org that is away for hours must not turn one hit into hundreds."""

    def plant(parts: Parts) -> Parts:
        return replace(parts, limit=FEW, sink=Dies(parts.sink, "write", 1, before=True))

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry([HITS[0], BATCH[0]])

    assert carrier.carry([HITS[0], BATCH[0]]) == {"gate-refused": 1, "accepted": 1}

    world.die()


def test_egress_ships_with_a_limit_that_one_customer_cannot_reach() -> None:
    assert SCANNER_LIMIT.at_least >= 50
    assert SCANNER_LIMIT.share < 0.1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("part", "method", "call"), STEPS)
def test_a_crash_between_any_two_steps_is_made_good(
    world: World, part: str, method: str, call: int, before: bool
) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, **{part: Dies(getattr(parts, part), method, call, before=before)})

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry(BATCH)
    world.die()

    world.egress().carry(BATCH)

    expect_all_well(world)


def test_the_same_process_may_try_a_batch_again_after_a_retriable_fault(world: World) -> None:
    """The org times out after it committed: the batch is sent again under the same leaves."""

    class TimesOut(Dies):
        pass

    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=TimesOut(parts.sink, "write", 1, before=False))

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry(BATCH)

    assert carrier.carry(BATCH) == {"accepted": 3, "gate-refused": 1}

    expect_all_well(world)


def test_a_batch_that_is_settled_already_is_neither_logged_nor_sent_again(world: World) -> None:
    carrier = world.egress()
    carrier.carry(BATCH)
    size, sent = world.parts.ledger.size, list(world.org.sent)

    assert carrier.carry(BATCH) == {}

    assert (world.parts.ledger.size, world.org.sent) == (size, sent)
    expect_all_well(world)


@pytest.mark.parametrize("table", ["ledger_index", "expected_rows"])
def test_a_lost_table_is_rebuilt_and_nothing_is_sent_twice(world: World, table: str) -> None:
    world.egress().carry(BATCH)
    sent = list(world.org.sent)
    world.die()
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {table}")

    world.egress().carry(BATCH)

    assert world.org.sent == sent
    expect_all_well(world)


def test_a_ledger_shorter_than_its_index_was_put_back_and_halts(world: World) -> None:
    """The index is written after the signed head: no crash leaves it ahead."""
    world.egress().carry(BATCH)
    world.die()
    shutil.rmtree(world.folder)

    with pytest.raises(LedgerError, match="older copy"):
        world.egress()

    world.store.close()


class Stricter:
    """The gate of a later release, which knows one more kind of personal data."""

    def check(self, _record: MinimalRecord) -> Any:
        raise QuarantineError(Reason.SCANNER, "Sku__c")


def test_a_record_that_may_have_been_sent_is_never_logged_as_refused(world: World) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=Dies(parts.sink, "write", 1, before=False))

    with pytest.raises(CrashError):
        world.egress(plant).carry(BATCH[:1])
    world.die()
    world.gate = Stricter()  # type: ignore[assignment]

    with pytest.raises(HaltError, match="leaf 0 announced it"):
        world.egress().carry(BATCH[:1])

    assert not any(isinstance(leaf, OutcomeLeaf) for leaf in world.leaves())
    world.die()


def test_a_settled_record_stays_as_it_was_logged_whatever_the_gate_says_now(world: World) -> None:
    world.egress().carry(BATCH[:1])
    world.die()
    world.gate = Stricter()  # type: ignore[assignment]

    assert world.egress().carry(BATCH[:1]) == {}

    assert world.parts.store.results() == {"accepted": 1}
    world.die()


def test_a_settled_record_with_other_bytes_halts(world: World) -> None:
    carrier = world.egress()
    carrier.carry(BATCH[:1])

    with pytest.raises(LedgerError, match="commits to other bytes"):
        carrier.carry([review(1, "M-1", rating=5)])

    world.die()


def test_a_leaf_that_commits_to_other_bytes_halts_before_anything_is_sent(world: World) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=Dies(parts.sink, "write", 1, before=True))

    with pytest.raises(CrashError):
        world.egress(plant).carry(BATCH[:1])
    world.die()
    forged = review(1, "M-1", rating=5)
    carrier = world.egress()

    with pytest.raises(LedgerError, match=r"messages\.v1\[0\]@1#0: leaf 0 commits to other bytes"):
        carrier.carry([forged])

    assert world.org.sent == []
    world.die()


def test_one_record_twice_in_a_batch_with_other_bytes_halts(world: World) -> None:
    carrier = world.egress()

    with pytest.raises(HaltError, match="twice on the minimal topic"):
        carrier.carry([BATCH[0], review(1, "M-1", rating=5)])

    assert world.org.sent == []
    world.die()


def test_one_record_twice_in_a_batch_with_the_same_bytes_is_sent_once(world: World) -> None:
    assert world.egress().carry([BATCH[0], BATCH[0]]) == {"accepted": 1}

    assert len(world.org.sent) == 1
    world.die()


def test_an_older_version_than_the_accepted_row_is_superseded_and_not_sent(world: World) -> None:
    carrier = world.egress()
    carrier.carry([review(9, "M-1", rating=5)])
    sent = list(world.org.sent)

    assert carrier.carry([BATCH[0]]) == {"superseded": 1}

    assert world.org.sent == sent
    world.die()


def test_an_expected_row_is_applied_once_and_never_goes_back(dsn: str) -> None:
    store = EgressStore(dsn)
    new = ExpectedRow("O", "x", "base", 2, {"A__c": "new", "B__c": None}, "r2")
    old = ExpectedRow("O", "x", "base", 1, {"A__c": "old"}, "r1")

    for row in (new, old, new):
        store.save(0, [], Changes([row]))

    store.close()
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT base_version, fields, base_record FROM expected_rows"
        ).fetchall()
    assert found == [(2, {"A__c": "new", "B__c": None}, "r2")]


def test_a_deleted_row_is_expected_to_be_gone_and_a_later_one_starts_afresh(dsn: str) -> None:
    store = EgressStore(dsn)
    rows = [
        ExpectedRow("O", "x", "base", 1, {"A__c": "old", "B__c": "b"}, "r1"),
        ExpectedRow("O", "x", "base", 2, {}, "r2", deleted=True),
    ]
    again = ExpectedRow("O", "x", "base", 3, {"A__c": "new"}, "r3")
    ask = "SELECT base_version, fields, base_record, deleted FROM expected_rows"

    with psycopg.connect(dsn, autocommit=True) as connection:
        store.save(0, [], Changes(rows))
        gone = connection.execute(ask).fetchall()
        store.save(0, [], Changes([rows[0], again]))
        back = connection.execute(ask).fetchall()

    store.close()
    assert gone == [(2, {}, "r2", True)]
    assert back == [(3, {"A__c": "new"}, "r3", False)]


def test_a_row_the_org_refuses_is_quarantined_with_its_code_and_expects_nothing(
    world: World,
) -> None:
    name = str(BATCH[3].record.id)
    world.org.refuse = frozenset({name})
    carrier = world.egress()

    assert carrier.carry([BATCH[3]]) == {"rejected": 1}

    assert world.quarantined == [name]
    (leaf,) = (leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf))
    assert (leaf.result, leaf.code) == ("rejected", "STRING_TOO_LONG")
    key = (BATCH[3].record.object, BATCH[3].record.external_id)
    assert world.parts.store.held([key]) == {}
    world.die()


def test_a_record_sent_again_on_purpose_is_a_transfer_of_its_own(world: World) -> None:
    """What a retry of the quarantine sends: the same row and version, the next resend number."""
    first = BATCH[3].record
    world.org.refuse = frozenset({str(first.id)})
    carrier = world.egress()
    carrier.carry([BATCH[3]])
    again = replace(BATCH[3], record=replace(first, id=replace(first.id, resend=1)))

    results = [carrier.carry([again]), carrier.carry([again])]

    assert results == [{"accepted": 1}, {}]
    assert [name for _, name in world.org.sent] == [str(first.id), f"{first.id}+1"]
    key = (first.object, first.external_id)
    assert world.parts.store.held([key]) == {key: Held(first.version)}
    world.die()


def test_a_refusal_that_cannot_be_quarantined_is_not_logged_as_settled(world: World) -> None:
    def fails(_refused: Sequence[Refused]) -> None:
        msg = "quarantine: Kafka _TIMED_OUT"
        raise RetriableError(msg)

    carrier = world.egress(lambda parts: replace(parts, quarantine=fails))
    with pytest.raises(RetriableError):
        carrier.carry(BATCH)
    world.die()

    world.egress().carry(BATCH)

    expect_all_well(world)


def test_a_database_that_went_away_is_retriable_and_the_same_carrier_goes_on(
    world: World, dsn: str
) -> None:
    carrier = world.egress()
    with psycopg.connect(dsn) as other:  # end its session, as a restart of Postgres would
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user"
        )

    with pytest.raises(RetriableError, match="Postgres"):
        carrier.carry(BATCH)

    assert carrier.carry(BATCH) == {"accepted": 3, "gate-refused": 1}
    expect_all_well(world)
