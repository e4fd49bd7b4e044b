"""Decides quarantined records again, after what kept them was mended.

Not by publishing them anew: a record's coordinates are its name in the ledger, its row version in
the org and one of the border's count. The same raw record is decided under today's plans, and
what it becomes goes to the minimal topic under the old coordinates, with a resend number
that sets it apart. In the same transaction a second record under the entry's key settles
it. So no retry counts twice, whenever it dies; two at once fence each other. Where the plan wants
labels, the region's model is asked again, by a request of the same name.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from connectors.kafka import headers
from connectors.kafka.clients import (
    API_TIMEOUT_S,
    Listeners,
    send,
    transactional_producer,
)
from connectors.kafka.errors import named
from connectors.kafka.headers import Headers, Stamp, of_minimal
from connectors.kafka.record import read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import token_keys
from residency.plan.book import Crossing
from residency.plan.labels import request_value
from residency.release import release_digest
from residency.seal import SealError
from schemas.errors import QuarantineError
from schemas.events import LabelRequest, MinimalRecord, RawEvent, RecordId
from schemas.registry import load_registry
from streams.plans import load_book
from streams.quarantine import Entry, entries, payload, reader
from streams.settings import Settings

FETCH_S = 10.0
AGAIN = "what was not named is as it was; run it again"
BATCH = 500  # entries per transaction


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a retry of one entry ended.

    Attributes:
        sent: Names of the minimal records it became, or becomes by way of the region's model;
            none: there is nothing to send.
        stays: Why it is still in quarantine, or None if it is settled.

    """

    record: str
    sent: tuple[str, ...] = ()
    stays: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One record that an entry becomes: a minimal record, or a request for labels."""

    topic: str
    name: RecordId
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    version: int
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Again:
    """An entry that can be decided now."""

    entry: Entry
    plan: str
    rows: tuple[Row, ...] = field(repr=False)


class Decider:
    """Decides entries again; sends nothing and settles nothing."""

    def __init__(self, settings: Settings) -> None:
        """Take today's plans, and the keys of the operator's region."""
        self._settings = settings
        self._topics = load_topics(settings.home, settings.region)
        keys = token_keys(settings.folder / "keys", settings.region)
        self._book = load_book(settings.region, keys, datetime.now(UTC).date())
        self._release = release_digest()

    def decide(self, consumer: Consumer, entry: Entry) -> Again | Outcome:
        """Return what *entry* becomes today, or why it stays."""
        try:
            value = None if entry.minimal else payload(self._settings, entry)
        except SealError as error:
            return Outcome(entry.record, stays=str(error))
        info = self._topics.get(entry.raw.topic)
        if info is None or info.id != entry.topic_id:
            return Outcome(entry.record, stays="its raw topic was recreated since")
        if value is None:
            value = _fetch(consumer, entry)
        if value is None:
            return Outcome(entry.record, stays="its raw record is gone from Kafka")
        raw = RawEvent(entry.raw, info.id, info.generation, value)
        try:
            return self._again(entry, self._book.minimise(raw))
        except QuarantineError as error:
            where = f" at {error.path}" if error.path else ""
            return Outcome(entry.record, stays=f"{error.reason}{where}")

    def _again(self, entry: Entry, crossing: Crossing) -> Again | Outcome:
        plan, minimal = crossing.plan, entry.minimal
        region, registry = self._settings.region, load_registry()
        made: dict[int, tuple[str, bytes, MinimalRecord | LabelRequest]] = {
            **{r.id.output: (topics.minimal(region), r.value, r) for r in crossing.records},
            **{
                r.id.output: (topics.enrich(region), request_value(r, registry), r)
                for r in crossing.requests
            },
        }
        if minimal is not None and minimal.output not in made:
            return Outcome(entry.record, stays="today's plan makes no such output")
        resend = minimal.resend + 1 if minimal else 1
        rows = []
        for number in made if minimal is None else [minimal.output]:
            topic, value, record = made[number]
            stamp = Stamp(
                topic_id=entry.topic_id,
                object=record.object,
                plan=plan.digest,
                keys=record.keys,
                basis=plan.outputs[number].basis,
                release=self._release,
                deletes=plan.outputs[number].deletes,
            )
            name = RecordId(entry.raw, number, resend, entry.topic_id)
            key = record.external_id.encode()
            rows.append(Row(topic, name, key, value, record.version, stamp))
        return Again(entry, plan.digest, tuple(rows))


class Retry:
    """One run of retries in a region, with the operator's credentials."""

    def __init__(self, settings: Settings) -> None:
        """Fence every other retry of the region, then look what is in quarantine.

        In this order: what an earlier run committed is seen, and what it has not it never will.
        """
        self._settings = settings
        self._decider = Decider(settings)
        client = settings.kafka.librdkafka(log_level=0)
        name = topics.transactional_prefix("quarantine") + settings.region
        silent = Listeners(lambda _statistics: None, lambda _error: None)
        with named("retry", AGAIN):
            self._producer: Producer = transactional_producer(client, name, silent)
        self.open = still_open(settings)

    def run(self, chosen: Sequence[Entry]) -> Iterator[Outcome]:
        """Yield how each of *chosen* ended; what was yielded is committed.

        Raises:
            RetriableError: Kafka does not answer, or another retry took over.

        """
        with closing(reader(self._settings)) as consumer, named("retry", AGAIN):
            for start in range(0, len(chosen), BATCH):
                decided = [self._decider.decide(consumer, e) for e in chosen[start:][:BATCH]]
                self._commit([one for one in decided if isinstance(one, Again)])
                yield from (_outcome(one) for one in decided)

    def _commit(self, batch: Sequence[Again]) -> None:
        """Send minimal records and settle their entries, as one."""
        if not batch:
            return
        producer, region = self._producer, self._settings.region
        producer.begin_transaction()
        try:
            for one in batch:
                for row in one.rows:
                    stamped = of_minimal(str(row.name), row.version, row.stamp.encoded())
                    send(producer, [(row.topic, row.value, row.key, stamped)])
                settled: Headers = headers.for_settled(
                    one.entry.record, one.entry.topic_id, one.plan, _how(one)
                )
                name_bytes = one.entry.record.encode()
                send(producer, [(topics.quarantine(region), None, name_bytes, settled)])
            producer.commit_transaction(API_TIMEOUT_S)
        except KafkaException as exc:
            if exc.args[0].txn_requires_abort():
                producer.abort_transaction(API_TIMEOUT_S)
            raise


def preview(settings: Settings, chosen: Sequence[Entry]) -> Iterator[Outcome]:
    """Yield how a retry of each of *chosen* would end now; nothing is sent, nobody fenced.

    Raises:
        RetriableError: Kafka does not answer.

    """
    decider = Decider(settings)
    with closing(reader(settings)) as consumer, named("retry", AGAIN):
        for entry in chosen:
            yield _outcome(decider.decide(consumer, entry))


def still_open(settings: Settings) -> dict[str, Entry]:
    """Return what is in quarantine and not settled, by record, oldest first.

    Raises:
        RetriableError: Kafka does not answer.

    """
    return {name: entry for name, entry in entries(settings).items() if entry.settled is None}


def _how(one: Again) -> str:
    return "sent" if one.rows else "nothing"


def _outcome(one: Again | Outcome) -> Outcome:
    if isinstance(one, Outcome):
        return one
    return Outcome(one.entry.record, tuple(str(row.name) for row in one.rows))


def _fetch(consumer: Consumer, entry: Entry) -> bytes | None:
    """Return the raw record that *entry* comes from, or None if Kafka has deleted it."""
    at = entry.raw
    consumer.assign([TopicPartition(at.topic, at.partition, at.offset)])
    message = consumer.poll(FETCH_S)
    if message is None or message.error() is not None:
        return None
    record = read(message)
    return record.value if record.at == at else None
