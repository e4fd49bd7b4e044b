"""What becomes of a batch of raw records in the vault: sealed, indexed, or named only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from connectors.postgres.vault.copying import Alike
from connectors.postgres.vault.rows import Asked, Refused
from connectors.postgres.vault.store import Writing
from connectors.postgres.vault.suppressions import token_digest
from residency.keys import secret, token_keys
from residency.plan.stored import load_stored
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.erasure import request_of
from residency.vault.index import BlindIndex
from residency.vault.kinds import NO_SCHEMA, UNKNOWN, EventKind, event_of, load_kinds
from residency.vault.sealing import bound, bound_prefix, nonces
from residency.vault.subjects import NOBODY, subject_of_key
from residency.vault.suppress import EPOCH, Suppression
from residency.vault.terms import Terms
from schemas.codec import HEADER, decode_physical
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawBatch
from schemas.registry import Registry, load_registry
from streams.settings import Settings
from streams.vault.newterms import NewTerms
from streams.vault.subjectkeys import Known, SubjectKeys

TOGETHER = 250  # records sealed before the server is given them, and their terms looked for
DAY_MS = 86_400_000
AHEAD_MS = DAY_MS  # a time of Kafka's that lies further ahead is none


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch's new records.

    Attributes:
        kept: How many are sealed in the vault.
        erased: How many are of erased subjects: named, not kept.
        expired: How many are older than their type is kept.
        asked: Names of those that asked for an erasure.

    """

    kept: int = 0
    erased: int = 0
    expired: int = 0
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Means:
    """What a region's vault is written with."""

    registry: Registry
    kinds: Mapping[str, EventKind]
    keys: SubjectKeys
    index: BlindIndex
    terms: Terms
    tokeniser: Tokeniser
    topic_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What the records of one partition, schema and event type have in common."""

    topic: str
    partition: int
    topic_id: str
    kind: EventKind
    schema_id: int
    prefix: bytes
    row: Callable[[int, int, bytes, bytes], bytes]


class _Record(NamedTuple):
    """A new record, and what is known of it. A tuple: there is one for each record of a region."""

    stretch: _Stretch
    offset: int
    kept_ms: int
    subject: bytes
    value: bytes

    def __repr__(self) -> str:
        """Show its name, not what it holds."""
        return f"_Record({self.name})"

    @property
    def name(self) -> str:
        return str(Coordinates(self.stretch.topic, self.stretch.partition, self.offset))


class Vaulting:
    """Seals and stores batches."""

    def __init__(self, means: Means) -> None:
        """Take what to do it with."""
        self._means = means
        self._events: dict[bytes, tuple[EventKind, int]] = {}

    def part(self, batch: RawBatch) -> int:
        """Return how many records of a batch to store together.

        Up to the first that asks for an erasure: what comes after it is of an erased subject.
        """
        values = enumerate(batch.values)
        first = next((n for n, value in values if self._kind(value)[0].erases), len(batch))
        return min(first + 1, len(batch))

    def store(
        self,
        writing: Writing,
        batch: RawBatch,
        refused: Mapping[int, Suppression],
        now: datetime,
    ) -> Stored:
        """Store what `progress` says is new of a batch, and move it on.

        Args:
            writing: The open transaction.
            batch: Raw records of this region, each partition's in order.
            refused: What refuses records, by their number.
            now: The time, UTC.

        Raises:
            SetupError: As `SubjectKeys.of`.
            KeyWrapError: As there.

        """
        ids = self._means.topic_ids
        where = [(ids[t], p) for t, p in zip(batch.topics, batch.partitions, strict=True)]
        topics = dict(zip(where, batch.topics, strict=True))
        begun = writing.progress(topics)
        new = [n for n, place in enumerate(where) if batch.offsets[n] >= begun.get(place, 0)]
        records = self._records(batch, [n for n in new if n not in refused], now)
        oldest = {kind.event: _oldest_ms(kind, now) for kind in self._means.kinds.values()}
        lasting = [r for r in records if r.kept_ms >= oldest[r.stretch.kind.event]]
        erasing = [r for r in lasting if r.stretch.kind.erases]
        asked = {r.name: one for r in erasing if (one := self._asked(r)) is not None}
        # a restored vault reads again what was carried out, and nothing would destroy it once more
        over = writing.carried_out([one.request for one in asked.values()])
        gone = {name for name, one in asked.items() if one.request in over}
        past = [r for r in erasing if r.name in gone]
        lasting = [r for r in lasting if r not in past]
        self._seal(writing, lasting, now)
        named = [n for n in new if n in refused]
        writing.refuse([Refused(*where[n], batch.offsets[n], refused[n].request) for n in named])
        writing.refuse(
            [
                Refused(r.stretch.topic_id, r.stretch.partition, r.offset, asked[r.name].request)
                for r in past
            ]
        )
        for name, one in asked.items():
            if name not in gone:
                writing.ask(one)
        writing.move(topics, {where[n]: batch.offsets[n] + 1 for n in new})
        return Stored(
            len(lasting),
            len(named) + len(past),
            len(records) - len(lasting) - len(past),
            tuple(name for name in asked if name not in gone),
        )

    def _kind(self, value: bytes) -> tuple[EventKind, int]:
        """Return the event type and the schema id that a value names."""
        header = value[: HEADER.size]
        found = self._events.get(header)
        if found is None:
            event, schema_id = event_of(value, self._means.registry)
            found = self._means.kinds[event], schema_id
            if event != UNKNOWN:  # of those there is no end
                self._events[header] = found
        return found

    def _stretch(self, topic: str, partition: int, value: bytes) -> _Stretch:
        """Return what a record has in common with others."""
        kind, schema_id = self._kind(value)
        topic_id = self._means.topic_ids[topic]
        prefix = bound_prefix(topic, partition, topic_id)
        rows = Alike(kind.event, topic, topic_id, partition, schema_id)
        return _Stretch(topic, partition, topic_id, kind, schema_id, prefix, rows.row)

    def _records(self, batch: RawBatch, numbers: Sequence[int], now: datetime) -> list[_Record]:
        """Return some of a batch's records, by their numbers."""
        now_ms, topics, partitions = _ms(now), batch.topics, batch.partitions
        stretches = dict[tuple[str, int, bytes], _Stretch]()
        records = []
        for n in numbers:
            value, time_ms = batch.values[n], batch.times_ms[n]
            which = topics[n], partitions[n], value[: HEADER.size]
            stretch = stretches.get(which)
            if stretch is None:
                stretch = stretches[which] = self._stretch(topics[n], partitions[n], value)
            is_time = 0 < time_ms < now_ms + AHEAD_MS
            kept_ms, subject = time_ms if is_time else now_ms, subject_of_key(batch.keys[n])
            records.append(_Record(stretch, batch.offsets[n], kept_ms, subject, value))
        return records

    def _seal(self, writing: Writing, records: Sequence[_Record], now: datetime) -> None:
        subjects = list({record.subject: None for record in records})
        known = self._means.keys.of(writing, subjects, now)
        writing.make_months(_months(records))
        new = NewTerms(self._means.terms, self._means.index)
        writing.keep(_parts(records, known, new))
        new.store(writing)

    def _asked(self, record: _Record) -> Asked | None:
        """Return the erasure that an event asks for; None where it does not say whose."""
        if record.subject == NOBODY:  # not the gateway's: it would erase all that is nobody's
            return None
        try:
            _, fields = decode_physical(self._means.registry, record.value)
        except QuarantineError:
            return None  # the border names it; it asks for nothing that could be read
        token = self._means.tokeniser.identity("customer", fields["customer"]["customer_id"])
        name = record.name
        request = request_of(record.stretch.topic_id, name)
        asked_at = EPOCH + timedelta(milliseconds=record.kept_ms)
        return Asked(request, record.subject, token, token_digest(token), asked_at, name)


def _parts(
    records: Sequence[_Record], known: Mapping[bytes, Known], new: NewTerms
) -> Iterator[bytes]:
    """Yield the records' rows, sealed, some at a time.

    Terms of those are looked for when the next are asked for: meanwhile the server stores them.
    """
    drawn = nonces(len(records))
    for start in range(0, len(records), TOGETHER):
        some = records[start:][:TOGETHER]
        theirs = [known[record.subject] for record in some]
        rows = []
        for (stretch, offset, kept_ms, subject, value), one, nonce in zip(
            some, theirs, drawn[start:], strict=False
        ):
            sealed = one.seal.close_bound(value, nonce, bound(stretch.prefix, offset, subject))
            rows.append(stretch.row(kept_ms * 1_000, offset, subject, sealed))
        yield b"".join(rows)
        _look(new, some, theirs)


def _look(new: NewTerms, records: Sequence[_Record], known: Sequence[Known]) -> None:
    """Look for terms of records that name a schema, schema by schema."""
    of_schema: dict[int, list[int]] = {}
    for number, record in enumerate(records):
        of_schema.setdefault(record.stretch.schema_id, []).append(number)
    for schema_id, numbers in of_schema.items():
        if schema_id != NO_SCHEMA:
            some = [records[n] for n in numbers]
            new.look(
                schema_id,
                [record.value for record in some],
                [record.subject for record in some],
                [known[n] for n in numbers],
            )


def _months(records: Sequence[_Record]) -> list[tuple[str, datetime]]:
    """Return a time of each month of each event type of some records."""
    days = {(r.stretch.kind.event, r.kept_ms // DAY_MS) for r in records}
    at = [(event, EPOCH + timedelta(days=day)) for event, day in days]
    return list({(event, a.year, a.month): (event, a) for event, a in at}.values())


def _ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def _oldest_ms(kind: EventKind, now: datetime) -> int:
    return _ms(now - timedelta(days=kind.retention_days))


def means(settings: Settings, keys: SubjectKeys, topic_ids: Mapping[str, str]) -> Means:
    """Return what the region's vault is written with."""
    folder, region = settings.folder / "keys", settings.region
    return Means(
        load_registry(),
        load_kinds(),
        keys,
        BlindIndex(secret(folder, "vault-index")),
        terms_of(folder, region),
        Tokeniser(token_keys(folder, region), CENTRAL),
        topic_ids,
    )


def terms_of(folder: Path, region: str) -> Terms:
    """Return what finds the terms of a region's events; *folder* is that of its keys."""
    plans, tokens = load_stored(region).values(), token_keys(folder, region)
    names = {CENTRAL, *(plan.destination for plan in plans)}
    return Terms(load_registry(), plans, {name: Tokeniser(tokens, name) for name in names})
