"""What quarantined records become under today's plans, and why some stay as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.headers import Stamp
from connectors.kafka.record import read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import token_keys
from residency.plan.book import Crossing
from residency.plan.labels import request_value
from residency.release import release_digest
from residency.seal import SealError
from schemas.errors import QuarantineError, Reason
from schemas.events import LabelRequest, MinimalRecord, RawBatch, RawEvent, RecordId
from schemas.registry import load_registry
from streams.plans import load_book
from streams.quarantine import Entry, opener, payload, plain_of
from streams.settings import Settings, database
from streams.vault.erased import Erased, Owners

if TYPE_CHECKING:
    from residency.vault.suppress import Suppression

FETCH_S = 10.0


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
    """An entry that can be decided now.

    Attributes:
        value: Of its raw record.

    """

    entry: Entry
    plan: str
    rows: tuple[Row, ...] = field(repr=False)
    value: bytes = field(repr=False)


class Decider:
    """Decides entries again; sends nothing and settles nothing."""

    def __init__(self, settings: Settings) -> None:
        """Take today's plans, and the keys of the operator's region."""
        self._settings = settings
        self._topics = load_topics(settings.home, settings.region)
        keys = token_keys(settings.folder / "keys", settings.region)
        self._book = load_book(settings.region, keys, datetime.now(UTC).date())
        self._release = release_digest()
        self._opener = opener(settings)

    def close(self) -> None:
        """Close the connection to Postgres."""
        self._opener.close()

    def decide(self, consumer: Consumer, entry: Entry) -> Again | Outcome:
        """Return what *entry* becomes today, or why it stays."""
        info = self._topics.get(entry.raw.topic)
        if info is None or info.id != entry.topic_id:
            return Outcome(entry.record, stays="its raw topic was recreated since")
        try:
            value = self._value(consumer, entry)
        except SealError as error:
            return Outcome(entry.record, stays=str(error))
        if value is None:
            return Outcome(entry.record, stays="its raw record is gone from Kafka")
        raw = RawEvent(entry.raw, info.id, info.generation, value)
        try:
            return self._again(entry, self._book.minimise(raw), value)
        except QuarantineError as error:
            where = f" at {error.path}" if error.path else ""
            return Outcome(entry.record, stays=f"{error.reason}{where}")

    def _value(self, consumer: Consumer, entry: Entry) -> bytes | None:
        """Return the event that *entry* comes from, or None if Kafka has deleted it.

        Raises:
            SealError: It does not open.

        """
        value = None if entry.minimal else payload(self._settings, entry, self._opener)
        if value is None and (found := fetch(consumer, entry)) is not None:
            value = plain_of(entry, found, self._opener)
        return value

    def _again(self, entry: Entry, crossing: Crossing, raw: bytes) -> Again | Outcome:
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
        return Again(entry, plan.digest, tuple(rows), raw)


class Guard:
    """Keeps what is of erased subjects in quarantine."""

    def __init__(self, settings: Settings) -> None:
        """Take the operator's settings; connects on the first call.

        Raises:
            SetupError: The region's database, or the key of its subjects, is not at hand.

        """
        self._erased = Erased(database(settings.postgres, "admin"))
        self._owners = Owners(settings.folder / "keys")
        self._known: dict[bytes, Suppression] = {}

    def close(self) -> None:
        """Close the connection to Postgres."""
        self._erased.close()

    def but_erased(
        self, decided: Sequence[Again | Outcome], *, is_lifting: bool
    ) -> list[Again | Outcome]:
        """Return *decided*, but that entries of erased subjects stay; *is_lifting* keeps lifts."""
        again = [one for one in decided if isinstance(one, Again)]
        batch = self._batch([(one.entry, one.value) for one in again])
        self._known = dict(self._erased.of(batch.keys))
        judged = self._erased.judge(batch, self._known)
        if is_lifting:
            self._erased.lift(judged.lifts)
            for subject, at in judged.lifts.items():
                self._known[subject] = replace(self._known[subject], lifted_at=at)
        stay = {again[n].entry.record for n in judged.refused}
        return [
            Outcome(one.entry.record, stays=str(Reason.ERASED_SUBJECT))
            if isinstance(one, Again) and one.entry.record in stay
            else one
            for one in decided
        ]

    def refuses(self, entry: Entry, value: bytes) -> bool:
        """Tell whether an entry's raw record, of a *value*, is of an erased subject."""
        batch = self._batch([(entry, value)])
        return bool(self._erased.judge(batch, self._erased.of(batch.keys)).refused)

    def owner(self, value: bytes) -> bytes:
        """Return whose the event of a raw record is; `NOBODY` if it says none."""
        return self._owners.of(value)

    def _batch(self, some: Sequence[tuple[Entry, bytes]]) -> RawBatch:
        """Return raw records as they lay on their topics."""
        return RawBatch(
            [entry.raw.topic for entry, _ in some],
            [entry.raw.partition for entry, _ in some],
            [entry.raw.offset for entry, _ in some],
            [value for _, value in some],
            [self._owners.of(value) for _, value in some],
        )

    def check(self, batch: Sequence[Again]) -> None:
        """See that nobody of *batch* was erased since it was looked at.

        Raises:
            RetriableError: Somebody was.

        """
        subjects = {self._owners.of(one.value) for one in batch}
        known = {subject: one for subject, one in self._known.items() if subject in subjects}
        self._erased.unchanged(known, subjects)


def fetch(consumer: Consumer, entry: Entry) -> bytes | None:
    """Return the raw record that *entry* comes from, or None if Kafka has deleted it."""
    at = entry.raw
    consumer.assign([TopicPartition(at.topic, at.partition, at.offset)])
    message = consumer.poll(FETCH_S)
    if message is None or message.error() is not None:
        return None
    record = read(message)
    return record.value if record.at == at else None
