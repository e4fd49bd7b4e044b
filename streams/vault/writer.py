"""The vault's writer: raw topics to sealed events in the region's Postgres.

A batch is one transaction: sealed events, terms of the blind index, new subjects' keys,
erasures that events ask for, and `progress`. `progress` alone says where to read on, so that a
record is kept once, whenever a worker dies; Kafka's committed offsets follow and tell others how
far it is. While Postgres does not answer, records wait in Kafka.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from confluent_kafka import Consumer, Message, TopicPartition

from connectors.kafka.clients import API_TIMEOUT_S, MAX_POLL_MS, Listeners, member
from connectors.kafka.errors import FatalWatch, named
from connectors.kafka.record import check
from connectors.kafka.stats import Stats, parse
from connectors.kafka.topology import check_topic_ids, load_topics
from connectors.postgres.vault.store import VaultStore
from residency import topics
from residency.telemetry.setup import Telemetry, telemetry
from residency.vault.kinds import load_kinds
from schemas.errors import RetriableError
from schemas.events import RawBatch
from streams.duties import NotNowError
from streams.heap import settled_heap
from streams.kafkawatch import KafkaWatch
from streams.membership import attend
from streams.patience import retrying
from streams.resting import POLL_S, Rest
from streams.settings import Settings, database
from streams.vault.erased import Erased
from streams.vault.keystores import open_keystore
from streams.vault.pruning import Pruning
from streams.vault.rawopener import RawOpener
from streams.vault.storing import Stored, Vaulting, means
from streams.vault.subjectkeys import SubjectKeys

LOG = logging.getLogger("homeport.vault")
BATCH = 2_000  # records of one transaction


@dataclass(slots=True)
class Place:
    """A partition that is ours; *next* is the first offset that is not stored."""

    topic: str
    partition: int
    next: int


class VaultWriter:
    """One vault worker: a slot of the region's consumer group."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take the writer's own settings and open its keys; connects in `run`.

        Raises:
            SetupError: The settings name no database, or a key cannot be opened.

        """
        dsn = database(settings.postgres, "vault")
        region = settings.region
        self._settings = settings
        self._signals = signals
        known = load_topics(settings.home, region)
        self._topics = {name: known[name] for name in topics.raw_topics(region)}
        self._keys = SubjectKeys(open_keystore(settings))
        self._vaulting = Vaulting(means(settings, self._keys, self._ids()))
        self._store, self._erased = VaultStore(dsn), Erased(dsn)
        self._opener = RawOpener(dsn, open_keystore(settings))
        self._pruning = Pruning(dsn, load_kinds())
        self._places: dict[tuple[str | None, int | None], Place] = {}
        self._rest = Rest(self._partitions)
        self._watch = FatalWatch()
        self._kafka = KafkaWatch(signals.recorder, "vault")
        self._reading = Stats()
        self._is_ready = False
        self._kept = 0

    def _ids(self) -> dict[str, str]:
        return {name: info.id for name, info in self._topics.items()}

    def health(self) -> Mapping[str, Any]:
        """Return whether this worker works, on how much, how far behind, and if it must wait."""
        return {
            "ready": self._is_ready,
            "partitions": len(self._places),
            "kept": self._kept,
            "lag": self._lag(),
            "waiting": self._rest.is_on,
        }

    def _lag(self) -> int:
        ends, places = self._reading.ends, list(self._places.values())
        return sum(max(0, ends.get((p.topic, p.partition), 0) - p.next) for p in places)

    def run(self, halt: threading.Event) -> None:
        """Store records until *halt*; the batch in hand is finished first.

        Raises:
            RetriableError: A new worker may go on from what is stored.
            HaltError: Nobody may, until a person looked: a topic was made anew, or Kafka has
                lost records that are not stored yet.

        """
        try:
            with named("vault"), settled_heap():
                check_topic_ids(self._settings.kafka.librdkafka(), dict(self._topics))
                retrying(halt)(self._begin)
                if self._settings.slot == 0:  # one of several does it for all
                    self._pruning.start()
                self._run(halt)
        finally:
            self._is_ready = False
            self._pruning.close()
            self._store.close()
            self._erased.close()
            self._opener.close()
            self._signals.shutdown()

    def _begin(self) -> None:
        self._store.check()
        self._store.begin(self._keys.version, datetime.now(UTC))

    def _run(self, halt: threading.Event) -> None:
        slot = f"{self._settings.region}.{self._settings.slot}"
        consumer = member(
            self._settings.kafka.librdkafka(),
            topics.group("vault"),
            f"vault.{slot}",
            MAX_POLL_MS,
            Listeners(self._observed, self._watch),
        )

        def step() -> None:
            self._step(consumer, halt)

        attend(consumer, self._topics, self._assigned, self._revoked, step, halt)

    # Kafka calls these two inside consume(), where no transaction is open.

    @named("vault, taking partitions")
    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Read on from `progress`; from the committed offset where nothing is stored yet."""
        stored, ids = self._store.progress(), self._ids()
        for found in consumer.committed(partitions, API_TIMEOUT_S):
            following = stored.get((ids[found.topic], found.partition), found.offset)
            place = Place(found.topic, found.partition, following)
            self._places[found.topic, found.partition] = place
        ours = [self._places[p.topic, p.partition] for p in partitions]
        at = [TopicPartition(place.topic, place.partition, place.next) for place in ours]
        consumer.assign(at)
        if at:  # a worker that died between both has stored more than it committed
            consumer.commit(offsets=at, asynchronous=False)
        if self._rest.is_on:
            consumer.pause(at)
        self._is_ready = True
        LOG.info("assigned %d partitions", len(partitions))

    @named("vault, giving partitions back")
    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for gone in partitions:
            self._places.pop((gone.topic, gone.partition), None)
        consumer.unassign()
        LOG.info("gave %d partitions back", len(partitions))

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition) for p in self._places.values()]

    def _observed(self, statistics: str) -> None:
        self._reading = parse(statistics)
        self._kafka.look(self._reading, Stats())
        self._signals.recorder.set("homeport.vault.waiting", self._lag())

    def _step(self, consumer: Consumer, halt: threading.Event) -> None:
        messages = consumer.consume(1, POLL_S)
        if messages:
            messages += consumer.consume(BATCH - 1, 0)
        self._watch.check()
        self._pruning.check()
        for failed in (m for m in messages if m.error() is not None):
            check(failed)
        while messages:
            messages = self._stored(consumer, messages, halt)

    def _stored(
        self, consumer: Consumer, messages: Sequence[Message], halt: threading.Event
    ) -> list[Message]:
        """Store the first of *messages*, as many as go together, and return the rest."""
        started = time.monotonic()

        def attempt() -> tuple[RawBatch, Stored]:
            ours = self._opener.open(_columns(self._ours(messages)))
            together = self._vaulting.part(ours)
            batch = ours if together == len(ours) else ours.part(range(together))
            return batch, self._try(batch)

        def rest(seconds: float) -> None:
            self._rest.take(consumer, seconds, halt, self._watch.check)

        batch, stored = retrying(halt, NotNowError, rest)(attempt)
        self._rest.end(consumer)
        if len(batch):
            self._commit(consumer, batch)
            self._told(batch, stored, time.monotonic() - started)
        return self._ours(messages)

    def _try(self, batch: RawBatch) -> Stored:
        """Store a batch.

        Raises:
            NotNowError: Postgres does not answer; whether it is stored, `progress` says.

        """
        if not len(batch):
            return Stored()
        try:
            with self._signals.span("vault.batch"):
                refused = self._erased.refused(batch)
                with self._store.writing() as writing:
                    return self._vaulting.store(writing, batch, refused, datetime.now(UTC))
        except BaseException as error:
            self._keys.forget()
            if not isinstance(error, RetriableError):
                raise
            self._signals.recorder.add("homeport.pauses", 1, stage="vault")
            raise NotNowError(str(error)) from None  # a text of ours

    def _ours(self, messages: Sequence[Message]) -> list[Message]:
        """Return those that are of our partitions and not stored yet, each once.

        A rebalance may take a partition, even give it back, after records were taken out.
        """
        following = {where: place.next for where, place in self._places.items()}
        kept = []
        for message in messages:
            where, offset = (message.topic(), message.partition()), cast("int", message.offset())
            if offset >= following.get(where, offset + 1):
                following[where] = offset + 1
                kept.append(message)
        return kept

    def _commit(self, consumer: Consumer, batch: RawBatch) -> None:
        """Move our places, and tell Kafka."""
        after = dict(
            zip(zip(batch.topics, batch.partitions, strict=True), batch.offsets, strict=True)
        )
        for where, offset in after.items():
            if (place := self._places.get(where)) is not None:
                place.next = offset + 1
        offsets = [TopicPartition(*where, offset + 1) for where, offset in after.items()]
        consumer.commit(offsets=offsets, asynchronous=True)

    def _told(self, batch: RawBatch, stored: Stored, seconds: float) -> None:
        recorder = self._signals.recorder
        recorder.record("homeport.batch.duration", seconds, stage="vault")
        recorder.record("homeport.batch.records", len(batch), stage="vault")
        for outcome, n in (
            ("kept", stored.kept),
            ("erased", stored.erased),
            ("expired", stored.expired),
        ):
            recorder.add("homeport.records", n, stage="vault", outcome=outcome)
        for name in stored.asked:
            LOG.info("%s: asks for an erasure; its subject is suppressed", name)
        self._kept += stored.kept


def _columns(messages: Sequence[Message]) -> RawBatch:
    return RawBatch(
        cast("list[str]", [m.topic() for m in messages]),
        cast("list[int]", [m.partition() for m in messages]),
        cast("list[int]", [m.offset() for m in messages]),
        cast("list[bytes]", [m.value() or b"" for m in messages]),
        cast("list[bytes]", [m.key() or b"" for m in messages]),
        times_ms=[m.timestamp()[1] for m in messages],
    )


def build(settings: Settings) -> VaultWriter:
    """Return the vault's writer of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return VaultWriter(settings, telemetry("vault", settings.region, folder, os.environ))
