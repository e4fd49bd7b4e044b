"""Egress without Kafka: a real ledger, a real Postgres, an org of ours that fails to order."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.postgres.egress_store import EgressStore
from connectors.postgres.expected_rows import Key
from connectors.salesforce.outcome import BEHIND, Outcome, Result
from residency.gate.check import Gate
from residency.keys import LedgerKeys, TokenKeys
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.plan.approved import APPROVED_FILE
from schemas.codec import encode
from schemas.events import Coordinates, LoggedRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.carrier import Carrier
from streams.crossing import Arrival, Parts
from streams.parking import ParkPolicy
from streams.plans import load_book

NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
KEYS = LedgerKeys("ledger.eu.test/transfers", b"s" * 32, b"r" * 32)
SCHEMA = load_registry().latest("commerce.messages.ProductReviewSubmitted")
BOOK = load_book("eu", TokenKeys("eu", b"i" * 32, b"a" * 32), NOW.date())
GATE = Gate.load("eu", APPROVED_FILE)


class CrashError(Exception):
    """The process died here."""


@dataclass
class Org:
    """The world outside: remembers rows and what was sent, and can fail, refuse or be busy."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent: list[tuple[int, str]] = field(default_factory=list)
    refuse: frozenset[str] = frozenset()  # records
    busy: frozenset[str] = frozenset()  # records whose rows it cannot take now
    older: frozenset[str] = frozenset()  # records that its validation rule finds older
    doubts: list[set[Key]] = field(default_factory=list)

    def doubt(self, keys: Iterable[Key]) -> None:
        self.doubts.append(set(keys))

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        outcomes = []
        behind: set[str] = set()
        for one in batch:
            name, row = str(one.record.id), one.record.external_id
            if row in behind:
                outcomes.append(Outcome(one, Result.PARKED, BEHIND, created=False))
                continue
            self.sent.append((one.leaf, name))
            if name in self.busy:
                behind.add(row)
                outcomes.append(Outcome(one, Result.PARKED, "UNABLE_TO_LOCK_ROW", created=False))
            elif name in self.refuse:
                fields = ("Sku__c", "Rating__c")
                told = Outcome(
                    one, Result.REJECTED, "STRING_TOO_LONG", created=False, fields=fields
                )
                outcomes.append(told)
            elif name in self.older:
                outcomes.append(Outcome(one, Result.SUPERSEDED, None, created=False))
            else:
                if one.record.deletes:
                    self.rows.pop(row, None)
                else:
                    self.rows.setdefault(row, {}).update(one.fields)
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


@dataclass
class World:
    """What survives a crash: disk, database, org, quarantine."""

    folder: Path
    dsn: str
    org: Org = field(default_factory=Org)
    quarantined: list[str] = field(default_factory=list)
    gate: Gate = GATE
    now: datetime = NOW

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
            clock=lambda: self.now,
            parking=ParkPolicy(first_wait_s=10, max_wait_s=60, chance=lambda: 1.0),
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
