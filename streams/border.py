"""The border: raw topics to minimal topic, one Kafka transaction per batch.

Minimal records, quarantine records, source offsets and the count of them all commit
together or not at all. Deciding happens before the transaction opens, so that it is
short: an open transaction hides later records from everybody.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from connectors.kafka import headers
from connectors.kafka.config import MAX_MESSAGE_BYTES
from connectors.kafka.errors import FatalWatch, named
from connectors.kafka.record import Record, read
from connectors.kafka.topology import TopicInfo, check_topic_ids, load_topics
from residency import topics
from residency.keys import token_keys
from residency.plan.book import Crossing, PlanBook
from residency.release import release_digest
from residency.telemetry.setup import Telemetry, telemetry
from residency.telemetry.trace import inject, link_from
from schemas.errors import QuarantineError, Reason, RetriableError
from schemas.events import RawEvent
from streams.processor import discover
from streams.settings import Settings
from streams.tally import Tally

LOG = logging.getLogger("homeport.border")
BATCH = 500  # records
POLL_S = 0.05
TRANSACTION_TIMEOUT_MS = 5_000  # how long a dead worker's transaction can hide records
SESSION_TIMEOUT_MS = 6_000
API_TIMEOUT_S = 30.0
MAX_LINKS = 128  # of a batch's span to the spans that published its records


@dataclass(frozen=True, slots=True)
class Decided:
    """What one raw record becomes: a crossing, or its quarantine."""

    raw: RawEvent
    crossing: Crossing | None
    quarantine: QuarantineError | None

    @property
    def tally(self) -> Tally:
        """The record's share of the count."""
        if self.crossing is None:
            return Tally(quarantined=1)
        made = len(self.crossing.records)
        return Tally(sent=1, minimal=made) if made else Tally(nothing=1)


def decide(book: PlanBook, raw: RawEvent) -> Decided:
    """Return what *raw* becomes; every record becomes something."""
    try:
        return Decided(raw, book.minimise(raw), None)
    except QuarantineError as error:
        return Decided(raw, None, error)


class Border:
    """One border worker: a slot of the region's consumer group."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take the border's own settings; connects in `run`."""
        region = settings.region
        self._settings = settings
        self._signals = signals
        self._slot = f"{region}.{settings.slot}"
        self._topics: Mapping[str, TopicInfo] = load_topics(settings.home, region)
        keys = token_keys(settings.folder / "keys", region)
        self._book = PlanBook.load(region, keys, datetime.now(UTC).date(), discover())
        self._release = release_digest()
        self._tallies: dict[tuple[str, int], Tally] = {}
        self._watch = FatalWatch()
        self._is_ready = False

    def health(self) -> Mapping[str, Any]:
        """Return what this worker has counted since it was assigned its partitions."""
        return {"ready": self._is_ready, "partitions": len(self._tallies)}

    def run(self, halt: threading.Event) -> None:
        """Carry records over until *halt*."""
        try:
            with named("border"):
                self._run(halt)
        finally:
            self._is_ready = False
            self._signals.shutdown()

    def _run(self, halt: threading.Event) -> None:
        raw_topics = topics.raw_topics(self._settings.region)
        known = {name: self._topics[name] for name in raw_topics}
        check_topic_ids(self._settings.kafka.librdkafka(), known)
        producer = self._producer()
        consumer = self._consumer()
        try:
            consumer.subscribe(list(raw_topics), on_assign=self._assigned, on_revoke=self._revoked)
            while not halt.is_set():
                messages = consumer.consume(BATCH, POLL_S)
                self._watch.check()
                if messages:
                    self._carry(consumer, producer, messages)
        finally:
            consumer.close()

    def _producer(self) -> Producer:
        producer = Producer(
            self._settings.kafka.librdkafka(
                transactional_id=topics.transactional_prefix("border") + self._slot,
                transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
                linger_ms=5,
                compression_type="lz4",
                message_max_bytes=MAX_MESSAGE_BYTES,
            )
        )
        producer.init_transactions(API_TIMEOUT_S)  # fences a zombie of this slot
        return producer

    def _consumer(self) -> Consumer:
        return Consumer(
            self._settings.kafka.librdkafka(
                group_id=topics.group("border"),
                group_instance_id=f"border.{self._slot}",
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=SESSION_TIMEOUT_MS,
                heartbeat_interval_ms=1_500,
                enable_auto_commit=False,
                auto_offset_reset="error",  # a lost offset must not mean "start somewhere"
                isolation_level="read_committed",
                error_cb=self._watch,
            )
        )

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for found in consumer.committed(partitions, API_TIMEOUT_S):
            self._tallies[found.topic, found.partition] = Tally.from_metadata(found.metadata)
        consumer.incremental_assign(partitions)
        self._is_ready = True
        LOG.info("assigned %d partitions", len(partitions))

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Callbacks run inside consume(), never while a transaction is open.
        for gone in partitions:
            self._tallies.pop((gone.topic, gone.partition), None)
        consumer.incremental_unassign(partitions)

    def _carry(self, consumer: Consumer, producer: Producer, messages: Sequence[Message]) -> None:
        """Decide a batch, then commit its records, its offsets and its count as one."""
        started = time.monotonic()
        records = [read(message) for message in messages]
        decided = [decide(self._book, self._raw(record)) for record in records]
        links = [link for r in records[:MAX_LINKS] if (link := link_from(r.headers))]
        with self._signals.span("border.batch", links) as span:
            trace = inject(span.get_span_context())[1].decode()
            offsets, tallies = self._positions(decided)
            producer.begin_transaction()
            try:
                for one in decided:
                    self._produce(producer, one, trace)
                producer.send_offsets_to_transaction(
                    offsets, consumer.consumer_group_metadata(), API_TIMEOUT_S
                )
                producer.commit_transaction(API_TIMEOUT_S)
            except KafkaException as exc:
                self._abort(producer, exc)
        self._tallies |= tallies
        self._measure(decided, time.monotonic() - started)

    def _raw(self, record: Record) -> RawEvent:
        info = self._topics[record.at.topic]
        return RawEvent(record.at, info.id, info.generation, record.value)

    def _positions(
        self, decided: Iterable[Decided]
    ) -> tuple[list[TopicPartition], dict[tuple[str, int], Tally]]:
        """Return the offsets after the batch, with the counts up to there as metadata."""
        after: dict[tuple[str, int], int] = {}
        tallies: dict[tuple[str, int], Tally] = {}
        for one in decided:
            at = one.raw.at
            where = at.topic, at.partition
            before = tallies.get(where) or self._tallies.get(where)
            if before is None:  # counting from zero would falsify the count for ever
                msg = f"{at}: of a partition that is not ours; the worker starts afresh"
                raise RetriableError(msg)
            tallies[where] = before.plus(one.tally)
            after[where] = at.offset + 1
        offsets = [
            TopicPartition(*where, offset, tallies[where].to_metadata())
            for where, offset in after.items()
        ]
        return offsets, tallies

    def _produce(self, producer: Producer, one: Decided, trace: str) -> None:
        region, at = self._settings.region, one.raw.at
        if one.crossing is not None:
            for record, output in zip(one.crossing.records, one.crossing.plan.outputs, strict=True):
                producer.produce(
                    topics.minimal(region),
                    record.value,
                    record.external_id.encode(),
                    headers=headers.for_minimal(record, output.basis, self._release, trace),
                )
        elif one.quarantine is not None:
            error = one.quarantine
            # Kafka may refuse an oversize value; named, it lies where it lay
            value = None if error.reason is Reason.OVERSIZE else one.raw.value
            producer.produce(
                topics.quarantine(region),
                value,
                str(at).encode(),
                headers=headers.for_quarantine(
                    str(at), one.raw.topic_id, error.reason, error.path, None
                ),
            )

    def _abort(self, producer: Producer, exc: KafkaException) -> None:
        """Abort, then crash: the restarted worker reads on from the committed offsets."""
        self._signals.recorder.add("homeport.transactions", 1, stage="border", end="aborted")
        if exc.args[0].txn_requires_abort():
            producer.abort_transaction(API_TIMEOUT_S)
        raise exc

    def _measure(self, decided: Sequence[Decided], seconds: float) -> None:
        recorder = self._signals.recorder
        recorder.add("homeport.transactions", 1, stage="border", end="committed")
        recorder.record("homeport.batch.duration", seconds, stage="border")
        recorder.record("homeport.batch.records", len(decided), stage="border")
        counts = {"minimal": 0, "nothing": 0}
        for one in decided:
            if one.quarantine is not None:
                recorder.add(
                    "homeport.quarantined", 1, stage="border", reason=one.quarantine.reason
                )
            tally = one.tally
            counts["minimal"] += tally.minimal
            counts["nothing"] += tally.nothing
        for outcome, n in counts.items():
            recorder.add("homeport.records", n, stage="border", outcome=outcome)


def build(settings: Settings) -> Border:
    """Return the border worker of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Border(settings, telemetry("border", settings.region, folder, os.environ))
