"""The exactly-once hop: a batch of records in, one Kafka transaction out.

What is made of the records, their source offsets and a count of what became of them commit
together or not at all. Deciding happens before the transaction opens, so that it is short:
an open transaction hides later records from everybody. The hop knows nothing of what is
decided; `Duties` does. It works in columns and keeps no object per record, because it runs
for every record of a region: what happens once per record stands in `_records`.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from connectors.kafka.config import MAX_MESSAGE_BYTES, dotted
from connectors.kafka.errors import FatalWatch, named
from connectors.kafka.headers import Headers, of_minimal
from connectors.kafka.record import check, headers_of
from residency.plan.book import Crossed
from residency.plan.model import Plan
from residency.telemetry.setup import Telemetry
from residency.telemetry.trace import inject, link_from
from schemas.errors import QuarantineError
from schemas.events import RawBatch, row_version
from streams.tally import Tally

LOG = logging.getLogger("homeport.hop")
BATCH = 2_000  # records; a transaction costs about 5 ms however many it carries
POLL_S = 0.05  # how long an idle worker waits before it looks whether to stop
TRANSACTION_TIMEOUT_MS = 5_000  # how long a dead worker's transaction can hide records
SESSION_TIMEOUT_MS = 6_000
MAX_POLL_MS = 120_000  # a batch takes well under a second, two stuck calls to Kafka a minute
API_TIMEOUT_S = 30.0
MAX_LINKS = 128  # of a batch's span to the spans that published its records
# Bounds on memory, whatever the broker does: what is fetched ahead, what waits to be sent.
FETCH_QUEUE_KIB = 16_384
FETCH_QUEUE_RECORDS = 5 * BATCH  # per partition
FETCH_BYTES = 8 * 2**20  # of one answer; a single larger record is still fetched
SEND_QUEUE_KIB = 65_536
FULL_WAIT_S = 0.1  # for the broker to take some of a full queue

Verdict: TypeAlias = Crossed | QuarantineError


@dataclass(frozen=True, slots=True)
class Route:
    """Where a hop's records come from and go to, and as whom it takes part.

    Attributes:
        generations: Source topics, each with its generation: the high part of row versions.
        target: Topic of what is made.
        quarantine: Topic of what cannot be decided.
        group: Consumer group; its workers share the partitions.
        member: ``group.instance.id``, stable per slot: a restart is no rebalance.
        transactional: ``transactional.id``, stable per slot: a restart fences its zombie.
        max_poll_ms: A worker that takes longer over a batch is no member any more.

    """

    generations: Mapping[str, int]
    target: str
    quarantine: str
    group: str
    member: str
    transactional: str
    max_poll_ms: int = MAX_POLL_MS


class Duties(Protocol):
    """What a hop is for."""

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        """Return a verdict per record, in order. Nothing is open yet: raising is clean."""
        ...

    def stamp(self, topic: str, plan: Plan) -> Sequence[Headers] | None:
        """Return per output of *plan* the headers all its records share; None: no headers."""
        ...

    def refuse(
        self, record: str, topic: str, error: QuarantineError, value: bytes
    ) -> tuple[bytes | None, Headers]:
        """Return value and headers of a quarantined record's entry."""
        ...

    def assigned(self, partitions: int) -> None:
        """Take note of how many partitions are this worker's now."""
        ...

    def committed(self, batch: RawBatch, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Take note of a batch that is committed, and how long it took."""
        ...

    def aborted(self) -> None:
        """Take note of a transaction that was not committed."""
        ...


@dataclass(slots=True, eq=False)
class Place:
    """A partition that is ours, up to what is committed.

    Attributes:
        at: ``topic[partition]@``: what every record id of it starts with.
        version: Row version of its offset 0.
        next: Offset of the first record not yet committed.
        tally: What became of the records before that.

    """

    topic: str
    partition: int
    at: str
    version: int
    next: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw records, each with its place."""

    raw: RawBatch
    places: Sequence[Place] = field(repr=False)


class Hop:
    """One worker of a hop. One thread."""

    def __init__(
        self, client: Mapping[str, Any], route: Route, duties: Duties, signals: Telemetry
    ) -> None:
        """Take librdkafka's settings of address and credentials; connects in `run`."""
        self._client = client
        self._route = route
        self._duties = duties
        self._signals = signals
        self._watch = FatalWatch()
        self._places: dict[tuple[str | None, int | None], Place] = {}

    @property
    def places(self) -> Sequence[Place]:
        """The partitions that are ours."""
        return list(self._places.values())

    def run(self, halt: threading.Event) -> None:
        """Carry records over until *halt*; the batch in hand is finished first.

        Raises:
            RetriableError: A new worker may go on from what is committed.
            HaltError: Nobody may, until a person looked.

        """
        with named("hop"):
            producer = self._producer()
            consumer = self._consumer()
            try:
                consumer.subscribe(
                    list(self._route.generations),
                    on_assign=self._assigned,
                    on_revoke=self._revoked,
                )
                while not halt.is_set():
                    self._step(consumer, producer)
            finally:
                consumer.close()

    def _producer(self) -> Producer:
        extra = dotted(
            transactional_id=self._route.transactional,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            linger_ms=5,
            compression_type="lz4",
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_kbytes=SEND_QUEUE_KIB,
        )
        producer = Producer({**self._client, **extra})
        producer.init_transactions(API_TIMEOUT_S)  # fences a zombie of this slot
        return producer

    def _consumer(self) -> Consumer:
        extra = dotted(
            group_id=self._route.group,
            group_instance_id=self._route.member,
            partition_assignment_strategy="cooperative-sticky",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=1_500,
            max_poll_interval_ms=self._route.max_poll_ms,
            enable_auto_commit=False,
            auto_offset_reset="error",  # a lost offset must not mean "start somewhere"
            isolation_level="read_committed",
            queued_max_messages_kbytes=FETCH_QUEUE_KIB,
            queued_min_messages=FETCH_QUEUE_RECORDS,
            fetch_max_bytes=FETCH_BYTES,
            error_cb=self._watch,
        )
        return Consumer({**self._client, **extra})

    # Kafka calls these two inside consume(), and no transaction is open there: a batch that
    # was begun is committed before partitions go.

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for found in consumer.committed(partitions, API_TIMEOUT_S):
            self._places[found.topic, found.partition] = Place(
                topic=found.topic,
                partition=found.partition,
                at=f"{found.topic}[{found.partition}]@",
                version=row_version(self._route.generations[found.topic], 0),
                next=found.offset,
                tally=Tally.from_metadata(found.metadata),
            )
        consumer.incremental_assign(partitions)
        LOG.info("assigned %d partitions", len(partitions))
        self._duties.assigned(len(self._places))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for gone in partitions:
            self._places.pop((gone.topic, gone.partition), None)
        consumer.incremental_unassign(partitions)
        LOG.info("gave %d partitions back", len(partitions))
        self._duties.assigned(len(self._places))

    def _step(self, consumer: Consumer, producer: Producer) -> None:
        """Carry what is there: one record when it is quiet, a full batch under load."""
        messages = consumer.consume(1, POLL_S)
        if messages:  # never wait to fill a batch: that would be latency for nothing
            messages += consumer.consume(BATCH - 1, 0)
        self._watch.check()
        batch = self._ours(messages)
        if len(batch.raw):
            first = messages[:MAX_LINKS]
            links = [link for m in first if (link := link_from(headers_of(m))) is not None]
            self._carry(consumer, producer, batch, links)

    def _ours(self, messages: Sequence[Message]) -> Batch:
        """Return the records of *messages* that this worker has to decide.

        A rebalance inside consume() may take a partition, even give it back, after some of
        its records were taken out: they are its next owner's, from the committed offset on.
        """
        known = self._places
        for message in messages:
            if message.error() is not None:
                check(message)
        places = [known.get((m.topic(), m.partition())) for m in messages]
        offsets = cast("list[int]", [m.offset() for m in messages])
        stale = [
            place is None or offset < place.next
            for place, offset in zip(places, offsets, strict=True)
        ]
        if any(stale):
            return self._ours(
                [m for m, is_stale in zip(messages, stale, strict=True) if not is_stale]
            )
        owned = cast("list[Place]", places)
        values = cast("list[bytes]", [m.value() or b"" for m in messages])
        topics, partitions = [p.topic for p in owned], [p.partition for p in owned]
        return Batch(RawBatch(topics, partitions, offsets, values), owned)

    def _carry(
        self, consumer: Consumer, producer: Producer, batch: Batch, links: Sequence[Any]
    ) -> None:
        """Decide a batch, then commit its records, its offsets and its count as one."""
        started = time.monotonic()
        verdicts = self._duties.decide(batch.raw)
        after = _after(batch, verdicts)
        offsets = [
            TopicPartition(place.topic, place.partition, offset, tally.to_metadata())
            for place, (offset, tally) in after.items()
        ]
        with self._signals.span("border.batch", links) as span:
            trace = inject(span.get_span_context())
            producer.begin_transaction()
            try:
                for topic, value, key, headers in self._records(batch, verdicts, trace):
                    _send(producer, topic, value, key, headers)
                producer.send_offsets_to_transaction(
                    offsets, consumer.consumer_group_metadata(), API_TIMEOUT_S
                )
                producer.commit_transaction(API_TIMEOUT_S)
            except BaseException as exc:
                self._abort(producer, exc)
                raise
        for place, (offset, tally) in after.items():
            place.next, place.tally = offset, tally
        self._duties.committed(batch.raw, verdicts, time.monotonic() - started)

    def _records(
        self, batch: Batch, verdicts: Sequence[Verdict], trace: tuple[str, bytes]
    ) -> Iterator[tuple[str, bytes | None, bytes, Headers | None]]:
        """Yield topic, value, key and headers of everything that the batch becomes."""
        target, quarantine = self._route.target, self._route.quarantine
        stamps: dict[tuple[str, str], Sequence[Headers] | None] = {}
        raw = batch.raw
        for place, offset, value, verdict in zip(
            batch.places, raw.offsets, raw.values, verdicts, strict=True
        ):
            if isinstance(verdict, QuarantineError):
                record = f"{place.at}{offset}"
                refused, why = self._duties.refuse(record, place.topic, verdict, value)
                yield quarantine, refused, record.encode(), why
                continue
            plan, rows = verdict
            if not rows:
                continue
            which = place.topic, plan.digest
            if which not in stamps:
                shared = self._duties.stamp(place.topic, plan)
                stamps[which] = shared and [[*one, trace] for one in shared]
            stamped = stamps[which]
            for number, (key, minimal) in enumerate(rows):
                if stamped is None:
                    yield target, minimal, key, None
                    continue
                record = f"{place.at}{offset}#{number}"
                version = place.version + offset
                yield target, minimal, key, of_minimal(record, version, stamped[number])

    def _abort(self, producer: Producer, exc: BaseException) -> None:
        """Abort what is open; the worker crashes and reads on from the committed offsets."""
        self._duties.aborted()
        error = exc.args[0] if isinstance(exc, KafkaException) else None
        if error is None or error.txn_requires_abort():
            producer.abort_transaction(API_TIMEOUT_S)


def _after(batch: Batch, verdicts: Sequence[Verdict]) -> dict[Place, tuple[int, Tally]]:
    """Return, per place of the batch, the next offset and the count up to there."""
    made = [-1 if isinstance(v, QuarantineError) else len(v.rows) for v in verdicts]
    tallies = {place: place.tally for place in batch.places}
    for (place, minimal), n in Counter(zip(batch.places, made, strict=True)).items():
        tallies[place] = tallies[place].plus(_share(minimal, n))
    last = dict(zip(batch.places, batch.raw.offsets, strict=True))
    return {place: (offset + 1, tallies[place]) for place, offset in last.items()}


def _share(minimal: int, n: int) -> Tally:
    """Return the count of *n* records that became *minimal* records each; -1: quarantine."""
    if minimal < 0:
        return Tally(quarantined=n)
    return Tally(sent=n, minimal=minimal * n) if minimal else Tally(nothing=n)


def _send(
    producer: Producer, topic: str, value: bytes | None, key: bytes, headers: Headers | None
) -> None:
    """Queue a record; wait where the broker is slower than we are, so that memory stays bounded."""
    while True:
        try:
            if headers is None:
                producer.produce(topic, value, key)
            else:
                producer.produce(topic, value, key, headers=headers)
        except BufferError:
            producer.poll(FULL_WAIT_S)
        else:
            return
