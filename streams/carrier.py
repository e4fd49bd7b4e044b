"""One egress batch, step by step: gate, ledger, sink, outcomes, expected rows.

The order is the promise. Nothing is sent before its transfer leaf is durable; what may be
lost in a crash is only what the next start can find out again:

* no leaf: gate, leaf, send;
* a leaf without an outcome: send the same bytes again;
* a leaf without an outcome, and parked: it waits for its turn, see `Carrier.retry`;
* a leaf and an outcome: nothing to send, apply the expected row once more;
* a leaf that commits to other bytes: halt.

A record is parked in the transaction that saves what became of the rest of its batch, after the
outcome leaves and before the offsets are committed. So a crash finds it parked, or in doubt like
the whole batch; and it leaves its place only together with its expected row, once its outcome
leaf is durable.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from connectors.postgres.egress_store import Changes, Entry
from connectors.postgres.expected_rows import ExpectedRow
from connectors.postgres.parked import ParkChange, Parked, Waiting
from connectors.salesforce.outcome import BEHIND, Outcome, Result
from residency.expected import field_hmacs
from residency.ledger.leaves import quantise
from residency.ledger.log import Draft, log_outcomes, log_transfers, resume
from residency.ledger.outcomes import MAX_FIELDS, OutcomeLeaf, SentWith
from residency.ledger.outcomes import Result as LeafResult
from residency.ledger.requests import Requests, Served
from schemas.errors import BreachError, Cause, HaltError, Reason
from schemas.events import LoggedRecord, RecordId
from streams.crossing import Arrival, Parts, Refused, key_of
from streams.indexing import GROUP, index_entries
from streams.limit import QuarantineLimit
from streams.parking import parked
from streams.sorting import GATE_REFUSED, Sorted, sort
from streams.turns import write

_RESULTS: Final[Mapping[Result, LeafResult]] = {
    Result.ACCEPTED: "accepted",
    Result.SUPERSEDED: "superseded",
    Result.REJECTED: "rejected",
}
RETRIES = 1_000  # parked records that are tried again together
T = TypeVar("T")


class Carrier:
    """Carries batches of minimal records out of the region. One thread."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts; call `catch_up` before the first batch."""
        self._parts = parts
        self._limit = QuarantineLimit(parts.limit)
        self._noted: list[RecordId] = []
        self._doubts: set[RecordId] = set()

    def catch_up(self) -> None:
        """Make the index say what the ledger's signed head says, and see what is in doubt.

        The index is written after the head, so it can lag behind and never be ahead; a
        ledger that is shorter than its index was put back, and `Ledger.open` refuses it.
        """
        self._index()
        self._doubts = set(self._parts.store.in_doubt())

    @property
    def in_doubt(self) -> Collection[RecordId]:
        """Records that an earlier run announced and may have sent, and that are not here yet.

        Carry them in one batch: the sink then makes one row of those of one id, as that run
        did, and none of them comes after what it may have sent later.
        """
        return frozenset(self._doubts)

    @property
    def is_tight(self) -> bool:
        """Whether calls should be saved: fewer batches, each of more records."""
        return self._parts.is_tight()

    @property
    def waiting(self) -> Waiting:
        """How many records are parked, and since when the oldest."""
        return self._parts.store.waiting

    def carry(self, batch: Sequence[Arrival]) -> Mapping[str, int]:
        """Return how many records of *batch* had each result, once all of it is safe.

        Safe is settled, or parked: then it counts as ``parked``, and `retry` settles it.

        Raises:
            RetriableError: The org or the database does not answer. Call again with the
                same batch: what is logged is found, what was sent is sent again.
            HaltError: Going on could send what must stay, or too many records look like
                personal data; nothing of the batch is logged or sent then.

        """
        self._index()  # leaves that an earlier try of this batch logged
        queues = self._parts.store.queued({key_of(arrival.record) for arrival in batch})
        there = {name for names in queues.values() for name in names}
        found = self._sort(batch, there)
        self._note(batch, found.refused)
        logged = self._logged(batch, found)
        behind = [one for one in logged if key_of(one.record) in queues]
        free = [one for one in logged if key_of(one.record) not in queues]
        outcomes = [Outcome(one, Result.PARKED, BEHIND, created=False) for one in behind]
        return self._settle(found, [*self._write(free), *outcomes], {})

    def take(self, requests: Requests) -> Served:
        """Append the leaves that others ask for, and index them; return what was done.

        Raises:
            LedgerError: The disk failed.
            RetriableError: The database does not answer; the leaves are in, and indexed with
                the next batch.

        """
        served = requests.serve(self._parts.ledger)
        if served.appended:
            self._index()
        return served

    def retry(self) -> Mapping[str, int]:
        """Try parked records again that are due; return how many had each result.

        The same way: gate, the leaf they have, sink. Some may stay parked, with a later time.

        Raises:
            RetriableError: As `carry`; call again.
            HaltError: As `carry`.

        """
        due = self._parts.store.due(self._parts.clock(), RETRIES)
        if not due:
            return {}
        self._index()
        batch = [Arrival(one.record, one.basis, one.release, one.model) for one in due]
        found = self._sort(batch, frozenset())
        outcomes = self._write(self._logged(batch, found))
        return self._settle(found, outcomes, {one.record.id: one for one in due})

    def _logged(self, batch: Sequence[Arrival], found: Sorted) -> list[LoggedRecord]:
        """Return what may be sent, in the order of *batch*, each with its durable leaf."""
        parts, logged = self._parts, [self._resumed(d, entry) for d, entry in found.unsettled]
        doubtful = [one.record for one in logged if one.record.id in self._doubts]
        if doubtful:
            parts.sink.doubt({key_of(record) for record in doubtful})
            self._doubts.difference_update(record.id for record in doubtful)
        if found.fresh:
            parts.state_rules(parts.ledger, parts.clock())
        for group in _groups(found.fresh):
            logged += log_transfers(parts.ledger, group, now=parts.clock(), root=parts.keys.root)
        place = {arrival.record.id: n for n, arrival in enumerate(batch)}
        return sorted(logged, key=lambda one: place[one.record.id])

    def _write(self, logged: Sequence[LoggedRecord]) -> list[Outcome]:
        held = self._parts.store.held({key_of(one.record) for one in logged}) if logged else {}
        return write(self._parts.sink, logged, held)

    def _settle(
        self, found: Sorted, outcomes: Sequence[Outcome], before: Mapping[RecordId, Parked]
    ) -> Mapping[str, int]:
        """Log what became of the records, keep what must stay, and only then save it all."""
        parts = self._parts
        ended = [one for one in outcomes if one.result is not Result.PARKED]
        kept = [one for one in outcomes if one.result is Result.PARKED]
        rejected = [_rejected(one) for one in ended if one.result is Result.REJECTED]
        if found.refused or rejected:
            parts.quarantine([*found.refused, *rejected])
        leaves = self._outcome_leaves(ended, found.refused)
        for group in _groups(leaves):
            log_outcomes(parts.ledger, group)
        again = [self._resumed(d, e) for d, e in found.settled if e.result == Result.ACCEPTED]
        accepted = [one.record for one in ended if one.result is Result.ACCEPTED]
        drafts, now = found.drafts(), parts.clock()
        put = [
            parked(one, drafts[one.record.record.id], before, now, parts.parking) for one in kept
        ]
        gone = before.keys() - {one.record.record.id for one in kept}
        rows = [self._row(one) for one in (*again, *accepted)]
        self._index(Changes(rows, ParkChange(put, sorted(gone))))
        counts: Counter[str] = Counter(leaf.result for leaf in leaves)
        if kept and not before:
            counts["parked"] = len(kept)
        return counts

    def _index(self, changes: Changes | None = None) -> None:
        """Index the leaves since the last time and apply *changes*; the ledger is the truth."""
        ledger, store = self._parts.ledger, self._parts.store
        start = store.indexed
        while start < ledger.size or changes is not None:
            stop = min(start + GROUP, ledger.size)
            entries = index_entries(start, ledger.read(start, stop))
            is_last = stop == ledger.size
            last = changes if is_last and changes is not None else Changes()
            store.save(stop, entries, last)
            start, changes = stop, None if is_last else changes

    def _sort(self, batch: Sequence[Arrival], there: Collection[RecordId]) -> Sorted:
        known = self._parts.store.look_up([arrival.record.id for arrival in batch])
        found = sort(self._parts.gate, batch, known, there, self._parts.stays)
        for draft, entry in found.parked:
            self._resumed(draft, entry)  # halts if these are other bytes
        return found

    def _note(self, batch: Sequence[Arrival], refused: Sequence[Refused]) -> None:
        """Count what the scanner found, once a batch however often it is tried."""
        ids = [arrival.record.id for arrival in batch]
        if ids != self._noted:
            try:
                self._limit.note(len(batch), len(refused))
            except HaltError as error:
                names = tuple(str(one.record.id) for one in refused)
                raise BreachError(str(error), Cause.GATE, names) from None
            self._noted = ids

    def _resumed(self, draft: Draft, entry: Entry) -> LoggedRecord:
        if entry.transfer is None or entry.month is None or entry.commitment is None:
            msg = f"{entry.id}: indexed without a leaf; run egress again to rebuild the index"
            raise BreachError(msg, Cause.LEDGER, (str(entry.id),))
        return resume(
            draft,
            leaf=entry.transfer,
            month=entry.month,
            committed=entry.commitment,
            root=self._parts.keys.root,
        )

    def _outcome_leaves(
        self, outcomes: Sequence[Outcome], refused: Sequence[Refused]
    ) -> list[OutcomeLeaf]:
        time = quantise(self._parts.clock())
        sent = [
            OutcomeLeaf(
                time,
                o.record.record.id,
                o.record.leaf,
                _RESULTS[o.result],
                o.code,
                tuple(sorted(set(o.fields)))[:MAX_FIELDS] if o.result is Result.REJECTED else (),
                SentWith.of(o.sent_with),
            )
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
            logged.kind,
            record.version,
            field_hmacs(self._parts.expected_key, record.object, kept),
            str(record.id),
            record.deletes,
            record.id.topic_id,
            record.id.resend,
        )


def _rejected(outcome: Outcome) -> Refused:
    record = outcome.record.record
    return Refused(record, Reason.REJECTED, None, outcome.code, outcome.fields[:MAX_FIELDS])


def _groups(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + GROUP] for start in range(0, len(items), GROUP))
