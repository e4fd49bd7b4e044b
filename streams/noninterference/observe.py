"""All that leaves of one raw event through the core: what an observer outside would see.

Records with their headers as border and enrichment write them, what the gate says and hands to the
sink, the ledger's leaf, and the text of every error. Nothing here holds a regulated value
unless the core let one through, and even then it is compared and never shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import orjson

from connectors.kafka.headers import TRACEPARENT, Stamp, of_minimal
from residency.gate.check import Gate
from residency.ledger.leaves import TransferLeaf
from residency.plan.book import Crossed, Crossing, PlanBook
from residency.plan.labels import label_record, read_request, request_value
from residency.plan.model import OutputPlan, Plan
from schemas.errors import HomeportError, QuarantineError
from schemas.events import (
    LabelRequest,
    MinimalRecord,
    RawBatch,
    RawEvent,
    RecordId,
    row_version,
)
from schemas.registry import load_registry

Decision = Crossing | Crossed | Exception
Cross = Callable[[PlanBook, Sequence[RawEvent]], Sequence[Decision]]
# stand for what does not depend on the event: when it ran, which code, which trace
TIME, RELEASE, TRACE = "2026-01-01T00:00Z", "0" * 64, f"00-{'1' * 32}-{'2' * 16}-01"
# a commitment is a hash of the record's bytes, tokens included: renamed with them
COMMITMENT = "0" * 64
GENERATION = 1


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """One record on the minimal topic, and what egress would make of it.

    Attributes:
        verdict: The gate's: ``passes``, or the text of its error; empty if it is not asked,
            because the same bytes came the other way.
        sent: What the sink would get, as JSON; empty if the gate stops it.
        leaf: The ledger's entry; empty if the gate stops it.

    """

    name: str
    object: str
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)
    verdict: str = field(default="", repr=False)
    sent: bytes = field(default=b"", repr=False)
    leaf: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one raw event became.

    Attributes:
        ending: ``crosses``, or ``quarantine`` with reason and path.
        error: The whole text of the error, if there was one.
        fault: The class of an error that must not happen, or None.
        asked: What the region's model is asked. It stays, so the sides need not agree on it;
            the ways from raw bytes to it must.

    """

    ending: str
    records: tuple[SeenRecord, ...] = field(default=(), repr=False)
    error: str = field(default="", repr=False)
    fault: str | None = None
    asked: tuple[bytes, ...] = field(default=(), repr=False)


def one_by_one(book: PlanBook, events: Sequence[RawEvent]) -> list[Decision]:
    """Return what `PlanBook.minimise` makes of each event: the reference."""
    return [_crossed(book, event) for event in events]


def _crossed(book: PlanBook, event: RawEvent) -> Decision:
    try:
        return book.minimise(event)
    except Exception as error:  # noqa: BLE001, any other than quarantine is what is looked for
        return error


def batched(book: PlanBook, events: Sequence[RawEvent]) -> Sequence[Decision]:
    """Return what `PlanBook.minimise_batch` makes of them: the border's own way."""
    batch = RawBatch(
        [event.at.topic for event in events],
        [event.at.partition for event in events],
        [event.at.offset for event in events],
        [event.value for event in events],
        [sha256(event.value).digest() for event in events],  # differ between the sides, too
    )
    try:
        return book.minimise_batch(batch, lambda _topic: GENERATION)
    except Exception as error:  # noqa: BLE001, as above: one event must not fail a batch
        return [error] * len(events)


def interpreters(book: PlanBook) -> Mapping[str, Cross]:
    """Return the ways from raw bytes to minimal records, by name; the reference first.

    Without its accelerator the second one is the first, record by record.
    """
    if not book.is_fast:
        return {"minimise": one_by_one}
    return {"minimise": one_by_one, "minimise_batch": batched}


@dataclass(frozen=True, slots=True)
class Observer:
    """Sees what leaves."""

    book: PlanBook
    gate: Gate

    def see(self, event: RawEvent, decision: Decision) -> Seen:
        """Return all that an observer outside would see of one decided event."""
        match decision:
            case QuarantineError():
                where = f" at {decision.path}" if decision.path else ""
                return Seen(f"quarantine: {decision.reason}{where}", error=str(decision))
            case Exception():
                return Seen("fails", error=str(decision), fault=type(decision).__name__)
            case Crossing(plan, made, requests):
                made += tuple(_labelled(request, plan) for request in requests)
                seen = [self._record(one, plan.outputs[one.id.output]) for one in made]
                asked = tuple(request_value(one, load_registry()) for one in requests)
                return Seen("crosses", tuple(seen), asked=asked)
            case Crossed(plan, rows):
                kept = [
                    row for row, output in zip(rows, plan.outputs, strict=True) if output.labels
                ]
                seen = list(self._rows(event, plan, rows))
                return Seen("crosses", tuple(seen), asked=tuple(value for _, value in kept))

    def _record(self, record: MinimalRecord, output: OutputPlan) -> SeenRecord:
        """Return a record of the reference, with what egress will make of it."""
        verdict, sent, leaf = "passes", b"", b""
        try:
            sent = orjson.dumps(self.gate.check(record), default=_text)
            leaf = _leaf(record, output)
        except HomeportError as error:
            verdict = f"{type(error).__name__}: {error}"
        stamp = Stamp(
            record.id.topic_id,
            record.object,
            record.plan,
            record.keys,
            output.basis,
            RELEASE,
            record.deletes,
        )
        return SeenRecord(
            name=str(record.id),
            object=record.object,
            key=record.external_id.encode(),
            value=record.value,
            headers=_headers(str(record.id), record.version, stamp),
            verdict=verdict,
            sent=sent,
            leaf=leaf,
        )

    def _rows(
        self, event: RawEvent, plan: Plan, rows: Sequence[tuple[bytes, bytes]]
    ) -> Iterator[SeenRecord]:
        """Yield the rows of a batch, with the headers that the border gives them."""
        version = row_version(event.generation, event.at.offset)
        for number, (row, output) in enumerate(zip(rows, plan.outputs, strict=True)):
            name, keys = f"{event.at}#{number}", self.book.keys_version(plan)
            stamp = Stamp(
                event.topic_id,
                output.object,
                plan.digest,
                keys,
                output.basis,
                RELEASE,
                output.deletes,
            )
            value = row[1]
            if output.labels:
                at = RecordId(event.at, number, 0, event.topic_id)
                request = read_request(at, plan.digest, keys, value, load_registry())
                value = _labelled(request, plan).value
            yield SeenRecord(
                name=name,
                object=output.object,
                key=row[0],
                value=value,
                headers=_headers(name, version, stamp),
            )


def _labelled(request: LabelRequest, plan: Plan) -> MinimalRecord:
    """Return what a request becomes with labels that do not depend on its texts.

    Labels are declared: two texts may well have different ones. Nothing else may differ.
    """
    turn = request.id.at.offset
    labels = plan.outputs[request.id.output].labels
    chosen = {one.field: one.values[turn % len(one.values)] for one in labels}
    return label_record(request, plan, chosen, load_registry())


def _headers(name: str, version: int, stamp: Stamp) -> tuple[tuple[str, bytes], ...]:
    given = of_minimal(name, version, [*stamp.encoded(), (TRACEPARENT, TRACE)])
    return tuple((header, _bytes(value)) for header, value in given)


def _leaf(record: MinimalRecord, output: OutputPlan) -> bytes:
    return TransferLeaf(
        TIME,
        record.id,
        record.object,
        record.schema_id,
        record.plan,
        record.keys,
        RELEASE,
        tuple(sorted(set(output.basis))),
        COMMITMENT,
    ).to_bytes()


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _text(value: Any) -> str:  # noqa: ANN401, whatever orjson does not know
    if isinstance(value, Decimal | date | datetime):
        return str(value)
    msg = f"the gate gave a {type(value).__name__}; teach observe.py to write it"
    raise TypeError(msg)
