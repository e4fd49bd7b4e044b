"""The exactly-once hop: a batch of records in, one Kafka transaction out.

What is made of the records, their source offsets and a count of what became of them commit
together or not at all. Deciding happens before the transaction opens, so that it is short:
an open transaction hides later records from everybody. The hop knows nothing of what is
decided; `Duties` does. It works in columns and keeps no object per record, because it runs
for every record of a region: what happens once per record stands in `streams.outgoing`.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from connectors.kafka.clients import (
    API_TIMEOUT_S,
    Listeners,
    Outgoing,
    acknowledged,
    member,
    send,
    transactional_producer,
)
from connectors.kafka.errors import FatalWatch, named
from connectors.kafka.record import check, headers_of
from connectors.kafka.stats import Stats, parse
from residency.telemetry.setup import Telemetry
from residency.telemetry.trace import inject, link_from
from schemas.events import RawBatch, row_version
from streams.duties import Duties, NotNowError, Route
from streams.heap import settled_heap
from streams.membership import attend
from streams.outgoing import outgoing
from streams.patience import retrying
from streams.place import Batch, Decided, Place
from streams.resting import POLL_S, Rest
from streams.tally import Tally

LOG = logging.getLogger("homeport.hop")
MAX_LINKS = 32  # of a batch's span to spans that published its records; each costs some 8 us


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
        self._has_moved = False  # partitions, inside the last consume()
        self._rest = Rest(self._partitions)
        self.reading = Stats()
        self.writing = Stats()

    @property
    def places(self) -> Sequence[Place]:
        """The partitions that are ours."""
        return list(self._places.values())

    def lag(self) -> dict[tuple[str, int], int]:
        """Return how many records of each of our partitions are not yet committed.

        A few seconds old, as librdkafka's statistics are; a partition of which nothing was
        fetched yet is not in it.
        """
        ends = self.reading.ends
        return {
            where: max(0, ends[where] - place.next)
            for place in self.places
            if (where := (place.topic, place.partition)) in ends
        }

    def run(self, halt: threading.Event) -> None:
        """Carry records over until *halt*; the batch in hand is finished first.

        Raises:
            RetriableError: A new worker may go on from what is committed.
            HaltError: Nobody may, until a person looked.

        """
        with named("hop"), settled_heap():
            route, watch = self._route, self._watch
            producer = transactional_producer(
                self._client, route.transactional, Listeners(self._wrote, watch)
            )
            consumer = member(
                self._client,
                route.group,
                route.member,
                route.max_poll_ms,
                Listeners(self._read, watch),
            )

            def step() -> None:
                self._step(consumer, producer, halt)

            attend(consumer, route.generations, self._assigned, self._revoked, step, halt)

    # Kafka calls these two inside consume(), and no transaction is open there: a batch that
    # was begun is committed before partitions go. What a client raises inside a callback must be
    # named there, see `named`.

    @named("hop, taking partitions")
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
        consumer.assign(partitions)
        if self._rest.is_on:
            consumer.pause(partitions)
        self._has_moved = True
        LOG.info("assigned %d partitions", len(partitions))
        self._duties.assigned(len(self._places))

    @named("hop, giving partitions back")
    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for gone in partitions:
            self._places.pop((gone.topic, gone.partition), None)
        consumer.unassign()
        self._has_moved = True
        LOG.info("gave %d partitions back", len(partitions))
        self._duties.assigned(len(self._places))

    def _read(self, statistics: str) -> None:
        self.reading = parse(statistics)
        self._duties.observed()

    def _wrote(self, statistics: str) -> None:
        self.writing = parse(statistics)
        self._duties.observed()

    def _step(self, consumer: Consumer, producer: Producer, halt: threading.Event) -> None:
        """Carry what is there: one record when it is quiet, a full batch under load."""
        messages = consumer.consume(1, POLL_S)
        if messages and self._route.batch > 1:  # never wait to fill it: latency for nothing
            messages += consumer.consume(self._route.batch - 1, 0)
        producer.poll(0)  # its errors and statistics
        self._watch.check()
        failed = next((m for m in messages if m.error() is not None), None)
        if failed is not None:
            check(failed)
        batch = self._ours(messages)
        if len(batch.raw):
            first = messages[:MAX_LINKS]
            links = [link for m in first if (link := link_from(headers_of(m))) is not None]
            started = time.monotonic()
            decided = self._decided(consumer, producer, batch, halt)
            self._carry(consumer, producer, decided, links, started)

    def _ours(self, messages: Sequence[Message]) -> Batch:
        """Return the records of *messages* that this worker has to decide.

        A rebalance inside consume() may take a partition, even give it back, after some of
        its records were taken out: they are its next owner's, from the committed offset on.
        """
        known = self._places
        places = [known.get((m.topic(), m.partition())) for m in messages]
        offsets = cast("list[int]", [m.offset() for m in messages])
        if self._has_moved:  # else all are ours and new
            self._has_moved = False
            return self._ours(_first_of_each(messages, places, offsets))
        owned = cast("list[Place]", places)
        values = cast("list[bytes]", [m.value() or b"" for m in messages])
        keys = cast("list[bytes]", [m.key() or b"" for m in messages])
        topics, partitions = [p.topic for p in owned], [p.partition for p in owned]
        if not self._route.is_detailed:
            return Batch(RawBatch(topics, partitions, offsets, values, keys), owned)
        headers, times = [headers_of(m) for m in messages], [m.timestamp()[1] for m in messages]
        raw = RawBatch(topics, partitions, offsets, values, keys, headers, times)
        return Batch(raw, owned)

    def _decided(
        self, consumer: Consumer, producer: Producer, batch: Batch, halt: threading.Event
    ) -> Decided:
        """Return what becomes of a batch's records, however long it takes to know.

        Where what decides does not answer, they wait, in hand and in Kafka: partitions are
        paused, not left. What a rebalance takes meanwhile is not in the batch any more.
        """

        def attempt() -> Decided:
            ours = batch.of(self.places) if self._rest.is_on else batch
            return Decided(ours, self._duties.decide(ours.raw))

        def pulse() -> None:
            producer.poll(0)
            self._watch.check()

        def rest(seconds: float) -> None:
            self._rest.take(consumer, seconds, halt, pulse)

        decided = retrying(halt, NotNowError, rest)(attempt)
        self._rest.end(consumer)
        return decided

    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(place.topic, place.partition) for place in self.places]

    def _carry(
        self,
        consumer: Consumer,
        producer: Producer,
        decided: Decided,
        links: Sequence[Any],
        started: float,
    ) -> None:
        """Commit a batch's records, its offsets and its count as one."""
        batch, verdicts = decided
        if not verdicts:
            return  # a rebalance took all of it
        after = batch.after(verdicts)
        offsets = [
            TopicPartition(place.topic, place.partition, offset, tally.to_metadata())
            for place, (offset, tally) in after.items()
        ]
        with self._signals.span(self._route.span, links) as span:
            trace = inject(span.get_span_context())
            producer.begin_transaction()
            try:
                send(producer, self._outgoing(decided, trace))
                if self._route.is_confirmed:
                    acknowledged(producer)
                    self._duties.confirm(batch.raw)
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

    def _outgoing(self, decided: Decided, trace: tuple[str, bytes]) -> Iterator[Outgoing]:
        return outgoing(decided, self._route, self._duties, trace)

    def _abort(self, producer: Producer, exc: BaseException) -> None:
        """Abort what is open; the worker crashes and reads on from the committed offsets."""
        self._duties.aborted()
        error = exc.args[0] if isinstance(exc, KafkaException) else None
        if error is None or error.txn_requires_abort():
            producer.abort_transaction(API_TIMEOUT_S)


def _first_of_each(
    messages: Sequence[Message], places: Sequence[Place | None], offsets: Sequence[int]
) -> list[Message]:
    """Return the messages of places that are ours, not committed yet, each offset once.

    A partition that was taken and given back is read again from its committed offset.
    """
    following: dict[Place, int] = {}
    kept = []
    for message, place, offset in zip(messages, places, offsets, strict=True):
        if place is not None and offset >= following.get(place, place.next):
            following[place] = offset + 1
            kept.append(message)
    return kept
