"""One egress batch, step by step: gate, ledger, sink, outcomes, expected rows.

The order is the promise. Nothing is sent before its transfer leaf is durable; what may be
lost in a crash is only what the next start can find out again:

* no leaf: gate, leaf, send;
* a leaf without an outcome: send the same bytes again;
* a leaf and an outcome: nothing to send, apply the expected row once more;
* a leaf that commits to other bytes: halt.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from connectors.postgres.egress_store import EgressStore, Entry, ExpectedRow
from connectors.salesforce.outcome import Outcome, Result
from residency.expected import field_hmacs
from residency.gate.check import Gate
from residency.keys import LedgerKeys
from residency.ledger.files import Ledger
from residency.ledger.leaves import OutcomeLeaf, TransferLeaf, month_of, parse_leaf, quantise
from residency.ledger.leaves import Result as LeafResult
from residency.ledger.log import Draft, log_outcomes, log_transfers, resume
from schemas.errors import HaltError, QuarantineError, Reason
from schemas.events import LoggedRecord, MinimalRecord, RecordId
from streams.limit import LimitPolicy, QuarantineLimit

GATE_REFUSED: Final = "gate-refused"
_RESULTS: Final[Mapping[Result, LeafResult]] = {
    Result.ACCEPTED: "accepted",
    Result.SUPERSEDED: "superseded",
    Result.REJECTED: "rejected",
}
CATCH_UP = 5_000  # leaves indexed per database transaction
# Clean records have no hits at all (docs/measurements.md): so many are a fault of ours.
SCANNER_LIMIT: Final = LimitPolicy(window=5_000, share=0.02, at_least=50)


class Sink(Protocol):
    """Writes logged records to the destination."""

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        """Return one outcome per record, in order, or raise: then nothing is known."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A minimal record as it came from Kafka, with what its border claims of it."""

    record: MinimalRecord
    basis: tuple[str, ...]
    release: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that stays: why, and where in it."""

    record: MinimalRecord
    reason: Reason
    path: str | None


@dataclass(slots=True)
class Sorted:
    """A batch by what the ledger knows of each record."""

    fresh: list[Draft] = field(default_factory=list)
    unsettled: list[tuple[Draft, Entry]] = field(default_factory=list)
    settled: list[tuple[Draft, Entry]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a carrier works with; each knows nothing of the others."""

    gate: Gate
    ledger: Ledger
    store: EgressStore
    sink: Sink
    keys: LedgerKeys
    expected_key: bytes = field(repr=False)
    quarantine: Callable[[Sequence[Refused]], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    limit: LimitPolicy = SCANNER_LIMIT


class Carrier:
    """Carries batches of minimal records out of the region. One thread."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts; call `catch_up` before the first batch."""
        self._parts = parts
        self._limit = QuarantineLimit(parts.limit)
        self._noted: list[RecordId] = []

    def catch_up(self) -> None:
        """Make the index say what the ledger's signed head says.

        The index is written after the head, so it can lag behind and never be ahead; a
        ledger that is shorter than its index was put back, and `Ledger.open` refuses it.
        """
        self._index([])

    def carry(self, batch: Sequence[Arrival]) -> Mapping[str, int]:
        """Return how many records of *batch* had each result, once all of it is settled.

        Raises:
            RetriableError: The org or the database does not answer. Call again with the
                same batch: what is logged is found, what was sent is sent again.
            HaltError: Going on could send what must stay, or too many records look like
                personal data; nothing of the batch is logged or sent then.

        """
        parts = self._parts
        self._index([])  # leaves that an earlier try of this batch logged
        found = self._sort(batch)
        self._note(batch, found.refused)
        logged = log_transfers(parts.ledger, found.fresh, now=parts.clock(), root=parts.keys.root)
        logged += [self._resumed(draft, entry) for draft, entry in found.unsettled]
        place = {arrival.record.id: n for n, arrival in enumerate(batch)}
        logged.sort(key=lambda one: place[one.record.id])
        outcomes = self._write(logged)
        rejected = [_rejected(o) for o in outcomes if o.result is Result.REJECTED]
        if found.refused or rejected:
            parts.quarantine([*found.refused, *rejected])
        leaves = self._outcome_leaves(outcomes, found.refused)
        log_outcomes(parts.ledger, leaves)
        again = [self._resumed(d, e) for d, e in found.settled if e.result == Result.ACCEPTED]
        accepted = [o.record for o in outcomes if o.result is Result.ACCEPTED]
        self._index([self._row(one) for one in (*again, *accepted)])
        return Counter(leaf.result for leaf in leaves)

    def _index(self, rows: Sequence[ExpectedRow]) -> None:
        """Index the leaves since the last time and apply *rows*; the ledger is the truth."""
        ledger, store = self._parts.ledger, self._parts.store
        start = store.indexed
        while start < ledger.size or rows:
            stop = min(start + CATCH_UP, ledger.size)
            leaves = enumerate(ledger.read(start, stop), start)
            entries = [_entry(index, parse_leaf(data)) for index, data in leaves]
            store.save(stop, entries, rows if stop == ledger.size else [])
            start, rows = stop, [] if stop == ledger.size else rows

    def _sort(self, batch: Sequence[Arrival]) -> Sorted:
        known = self._parts.store.look_up([arrival.record.id for arrival in batch])
        found = Sorted()
        seen: dict[RecordId, bytes] = {}
        for arrival in batch:
            if arrival.record.id in seen:
                if seen[arrival.record.id] != arrival.record.value:
                    msg = f"{arrival.record.id}: twice on the minimal topic, with other bytes"
                    raise HaltError(msg)
                continue
            seen[arrival.record.id] = arrival.record.value
            entry = known.get(arrival.record.id)
            if entry is not None and entry.result == GATE_REFUSED:
                continue
            try:
                fields = self._parts.gate.check(arrival.record)
            except QuarantineError as error:
                if entry is None:
                    found.refused.append(Refused(arrival.record, error.reason, error.path))
                elif entry.outcome is None:  # an earlier release let it pass, and may have sent it
                    msg = (
                        f"{entry.id}: leaf {entry.transfer} announced it, and now the gate refuses"
                        " it: ask the org whether it has the row, then settle it by hand"
                    )
                    raise HaltError(msg) from None
                continue
            draft = Draft(arrival.record, fields, arrival.basis, arrival.release)
            if entry is None:
                found.fresh.append(draft)
            elif entry.outcome is None:
                found.unsettled.append((draft, entry))
            else:
                found.settled.append((draft, entry))
        return found

    def _note(self, batch: Sequence[Arrival], refused: Sequence[Refused]) -> None:
        """Count what the scanner found, once a batch however often it is tried."""
        ids = [arrival.record.id for arrival in batch]
        if ids != self._noted:
            self._limit.note(len(batch), len(refused))
            self._noted = ids

    def _resumed(self, draft: Draft, entry: Entry) -> LoggedRecord:
        if entry.transfer is None or entry.month is None or entry.commitment is None:
            msg = f"{entry.id}: indexed without a leaf; run egress again to rebuild the index"
            raise HaltError(msg)
        return resume(
            draft,
            leaf=entry.transfer,
            month=entry.month,
            committed=entry.commitment,
            root=self._parts.keys.root,
        )

    def _write(self, logged: Sequence[LoggedRecord]) -> list[Outcome]:
        """Send what is not older than what the org already accepted of its row."""
        if not logged:
            return []
        keys = {(one.record.object, one.record.external_id) for one in logged}
        newest = self._parts.store.versions(keys)
        send: list[LoggedRecord] = []
        outcomes: list[Outcome] = []
        for one in logged:
            key = one.record.object, one.record.external_id
            if one.record.version < newest.get(key, 0):
                outcomes.append(Outcome(one, Result.SUPERSEDED, None, created=False))
            else:
                newest[key] = one.record.version
                send.append(one)
        return outcomes + (self._parts.sink.write(send) if send else [])

    def _outcome_leaves(
        self, outcomes: Sequence[Outcome], refused: Sequence[Refused]
    ) -> list[OutcomeLeaf]:
        time = quantise(self._parts.clock())
        sent = [
            OutcomeLeaf(time, o.record.record.id, o.record.leaf, _RESULTS[o.result], o.code)
            for o in outcomes
        ]
        kept = [OutcomeLeaf(time, r.record.id, None, GATE_REFUSED, r.reason) for r in refused]
        return sent + kept

    def _row(self, logged: LoggedRecord) -> ExpectedRow:
        record = logged.record
        kept = {} if record.deletes else logged.fields
        return ExpectedRow(
            record.object,
            record.external_id,
            record.version,
            field_hmacs(self._parts.expected_key, record.object, kept),
            str(record.id),
            record.deletes,
        )


def _entry(index: int, leaf: TransferLeaf | OutcomeLeaf) -> Entry:
    if isinstance(leaf, TransferLeaf):
        return Entry(leaf.record, index, leaf.commitment, month_of(leaf.time))
    return Entry(leaf.record, outcome=index, result=leaf.result)


def _rejected(outcome: Outcome) -> Refused:
    return Refused(outcome.record.record, Reason.REJECTED, None)
