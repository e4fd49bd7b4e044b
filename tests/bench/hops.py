"""Hops to compare: the floor that only copies, the job's, the border's own; each clocked."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from hop import JobDuties, Meter, route, start_at_the_beginning
from job import Job

from connectors.kafka.clients import API_TIMEOUT_S, Listeners, member, send, transactional_producer
from connectors.kafka.headers import Headers
from residency import topics
from residency.telemetry.setup import Telemetry, telemetry
from residency.vault.suppress import Suppression
from schemas.errors import RetriableError
from schemas.events import RawBatch
from streams.border import Border
from streams.duties import BATCH, Route
from streams.hop import POLL_S, Hop
from streams.place import Decided
from streams.settings import Settings, load_settings
from streams.vault.erased import Erased

REGION = "eu"
PARTITIONS = 4
WAIT_S = 120.0


@dataclass(slots=True)
class Shares:
    """CPU seconds of the worker's own thread by what it did, and of all its threads."""

    consume: float = 0.0
    decide: float = 0.0
    produce: float = 0.0
    commit: float = 0.0
    mark: float = field(default_factory=time.thread_time)

    def to(self, part: str) -> None:
        """Put the time since the last call to *part*."""
        now = time.thread_time()
        setattr(self, part, getattr(self, part) + now - self.mark)
        self.mark = now


class ClockedHop(Hop):
    """The production hop with a clock between its steps."""

    shares: Shares

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        super()._assigned(consumer, partitions)
        self.shares.mark = time.thread_time()

    def _decided(self, *given: Any) -> Decided:
        self.shares.to("consume")
        decided = super()._decided(*given)
        self.shares.to("decide")
        return decided

    def _carry(self, *given: Any) -> None:
        super()._carry(*given)
        self.shares.to("commit")

    def _outgoing(self, decided: Decided, trace: Any) -> Iterator[Any]:
        yield from super()._outgoing(decided, trace)
        self.shares.to("produce")


@dataclass(frozen=True)
class Bench:
    """A running stack of one region, entered as its administrator."""

    home: Path

    @property
    def client(self) -> dict[str, Any]:
        """Librdkafka's settings."""
        return load_settings(self.home, REGION, "admin").kafka.librdkafka()

    def signals(self) -> Telemetry:
        """Return telemetry as the border has it, to files."""
        return telemetry("border", REGION, self.home / REGION / "telemetry", {})

    def make_topic(self, name: str) -> str:
        """Return *name*, a topic of four partitions from now on."""
        admin = AdminClient(self.client)
        (done,) = admin.create_topics([NewTopic(name, PARTITIONS, 1)]).values()
        done.result(WAIT_S)
        return name

    def publish(self, topic: str, values: Sequence[bytes], headers: Headers) -> None:
        """Put *values* on a topic, spread over its partitions."""
        producer = Producer({**self.client, "enable.idempotence": True, "compression.type": "lz4"})
        for number, value in enumerate(values):
            send(producer, [(topic, value, number.to_bytes(16, "big"), headers)])
            producer.poll(0)
        if producer.flush(WAIT_S):
            msg = "Kafka did not take the events"
            raise RetriableError(msg)

    def floor(self, way: Route, wanted: int, headers: Headers | None) -> Meter:
        """Copy *wanted* records, with these headers, by the shortest loop there is."""
        meter = Meter(wanted, threading.Event())
        (source,) = way.generations
        start_at_the_beginning(self.client, way.group, source)
        deaf = Listeners(lambda _: None, lambda _: None)
        producer = transactional_producer(self.client, way.transactional, deaf)
        consumer = member(self.client, way.group, way.member, way.max_poll_ms, deaf)

        def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            consumer.assign(partitions)
            meter.start()

        consumer.subscribe([source], on_assign=assigned)
        while not meter.halt.is_set():
            messages = consumer.consume(1, POLL_S)
            if messages:
                messages += consumer.consume(BATCH - 1, 0)
                _copy(producer, consumer, messages, way.target, headers)
                meter.note(len(messages))
        consumer.close()
        return meter

    def job(self, way: Route, wanted: int, job: Job) -> tuple[Meter, Shares]:
        """Carry out *job* on *wanted* records with the production hop."""
        meter = Meter(wanted, threading.Event())
        (source,) = way.generations
        start_at_the_beginning(self.client, way.group, source)
        job.projection.project([b""])
        signals = self.signals()
        worker = ClockedHop(self.client, way, JobDuties(job, meter), signals)
        worker.shares = Shares()
        worker.run(meter.halt)
        signals.shutdown()
        return meter, worker.shares

    def border(self, group: str, wanted: int, *, is_checked: bool = True) -> tuple[Meter, Shares]:
        """Carry *wanted* records over with the production border, in a group of its own.

        Not *is_checked*, it does not ask who is erased.
        """
        meter = Meter(wanted, threading.Event())
        start_at_the_beginning(self.client, group, topics.raw(REGION, "orders"))
        for domain in ("customers", "messages"):
            start_at_the_beginning(self.client, group, topics.raw(REGION, domain))
        worker = MeteredBorder(self.settings(), self.signals(), group, meter)
        if not is_checked:
            worker.ask_nobody()
        worker.run(meter.halt)
        return meter, worker.shares

    def settings(self) -> Settings:
        """Return the border's settings with the administrator's rights: any group is its own."""
        admin = load_settings(self.home, REGION, "admin")
        return replace(load_settings(self.home, REGION, "border"), kafka=admin.kafka)


class MeteredBorder(Border):
    """The production border with a clock, in another group."""

    def __init__(self, settings: Settings, signals: Telemetry, group: str, meter: Meter) -> None:
        """Take the group and the clock."""
        self._group = group
        self._meter = meter
        super().__init__(settings, signals)
        hop = ClockedHop(settings.kafka.librdkafka(), self._route(), self, signals)
        self.shares = hop.shares = Shares()
        self._hop = hop

    def ask_nobody(self) -> None:
        """Decide without asking who is erased."""
        self._erased = _Nobody("")

    def _route(self) -> Route:
        name = f"{self._group}.{self._settings.slot}"
        return replace(super()._route(), group=self._group, member=name, transactional=name)

    def assigned(self, partitions: int) -> None:
        """Start the clock."""
        super().assigned(partitions)
        if partitions and not self._meter.records:
            self._meter.start()

    def after_batch(self, count: int) -> None:
        """Take note of a commit."""
        self._meter.note(count)


class _Nobody(Erased):
    """Nobody is erased, and no database is asked."""

    def refused(self, batch: RawBatch) -> Mapping[int, Suppression]:
        """See `Erased.refused`."""
        del batch
        return {}


def _copy(
    producer: Producer,
    consumer: Consumer,
    messages: Sequence[Any],
    target: str,
    headers: Headers | None,
) -> None:
    after: dict[tuple[str, int], int] = {}
    producer.begin_transaction()
    if headers is None:
        for message in messages:
            producer.produce(target, message.value(), message.key())
            after[message.topic(), message.partition()] = message.offset() + 1
    else:
        for message in messages:
            producer.produce(target, message.value(), message.key(), headers=headers)
            after[message.topic(), message.partition()] = message.offset() + 1
    producer.send_offsets_to_transaction(
        [TopicPartition(*where, offset) for where, offset in after.items()],
        consumer.consumer_group_metadata(),
        API_TIMEOUT_S,
    )
    producer.commit_transaction(API_TIMEOUT_S)


def own_route(group: str) -> Route:
    """Return the floor's way beside the border: raw orders to the minimal topic."""
    way = route(topics.raw(REGION, "orders"), topics.minimal(REGION), group, 0)
    return replace(way, quarantine=topics.quarantine(REGION))
