"""What becomes of a batch of raw records in the vault: sealed, indexed, or named only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from connectors.postgres.vault.store import Asked, Refused, Row, Term, Writing
from connectors.postgres.vault.suppressions import token_digest
from residency.keys import secret, token_keys
from residency.plan.stored import load_stored
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.erasure import request_of
from residency.vault.index import BlindIndex
from residency.vault.kinds import UNKNOWN, EventKind, event_of, load_kinds
from residency.vault.sealing import nonces
from residency.vault.subjects import NOBODY, subject_of_key
from residency.vault.suppress import EPOCH, Suppression
from residency.vault.terms import Found, Terms
from schemas.codec import HEADER, decode_physical
from schemas.errors import QuarantineError
from schemas.events import RawBatch
from schemas.registry import Registry, load_registry
from streams.settings import Settings
from streams.vault.subjectkeys import Known, SubjectKeys

MAX_TEXTS = 1_000  # of one subject that are remembered as indexed
AHEAD = timedelta(days=1)  # a time of Kafka's that lies further ahead is none


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


class _Record(NamedTuple):
    """A new record, and what is known of it. A tuple: there is one for each record of a region."""

    topic: str
    partition: int
    offset: int
    topic_id: str
    kind: EventKind
    schema_id: int
    kept_at: datetime
    subject: bytes
    value: bytes

    def __repr__(self) -> str:
        """Show its name, not what it holds."""
        return f"_Record({self.name})"

    @property
    def name(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Vaulting:
    """Seals and stores batches."""

    def __init__(self, means: Means) -> None:
        """Take what to do it with."""
        self._means = means
        self._events: dict[bytes, tuple[str, int]] = {}

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
        records = [self._record(batch, n, now) for n in new if n not in refused]
        lasting = [r for r in records if not _is_over(r, now)]
        asked = {
            r.name: one for r in lasting if r.kind.erases and (one := self._asked(r)) is not None
        }
        # a restored vault reads again what was carried out, and nothing would destroy it once more
        over = writing.carried_out([one.request for one in asked.values()])
        gone = {name for name, one in asked.items() if one.request in over}
        past = [r for r in lasting if r.name in gone]
        lasting = [r for r in lasting if r.name not in gone]
        self._seal(writing, lasting, now)
        named = [n for n in new if n in refused]
        writing.refuse([Refused(*where[n], batch.offsets[n], refused[n].request) for n in named])
        writing.refuse(
            [Refused(r.topic_id, r.partition, r.offset, asked[r.name].request) for r in past]
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
            found = event_of(value, self._means.registry)
            if found[0] != UNKNOWN:  # of those there is no end
                self._events[header] = found
        return self._means.kinds[found[0]], found[1]

    def _record(self, batch: RawBatch, n: int, now: datetime) -> _Record:
        topic, value = batch.topics[n], batch.values[n]
        kind, schema_id = self._kind(value)
        return _Record(
            topic,
            batch.partitions[n],
            batch.offsets[n],
            self._means.topic_ids[topic],
            kind,
            schema_id,
            _time(batch.times_ms[n], now),
            subject_of_key(batch.keys[n]),
            value,
        )

    def _seal(self, writing: Writing, records: Sequence[_Record], now: datetime) -> None:
        subjects = list({record.subject: None for record in records})
        known = self._means.keys.of(writing, subjects, now)
        months = {(r.kind.event, r.kept_at.year, r.kept_at.month): r.kept_at for r in records}
        writing.make_months([(event, at) for (event, _, _), at in months.items()])
        drawn = nonces(len(records))
        writing.keep(
            _sealed(record, known[record.subject], nonce)
            for record, nonce in zip(records, drawn, strict=True)
        )
        writing.index(self._new_terms(records, known))

    def _new_terms(self, records: Sequence[_Record], known: Mapping[bytes, Known]) -> set[Term]:
        """Return the rows of the index that records add, as far as is known."""
        index = self._means.index
        by_schema: dict[int, list[_Record]] = {}
        for record in records:
            if record.kind.event != UNKNOWN:
                by_schema.setdefault(record.schema_id, []).append(record)
        whose: list[bytes] = []
        new: list[Found] = []
        for schema_id, some in by_schema.items():
            indexed = [known[record.subject].indexed for record in some]
            for number, text in self._means.terms.find(schema_id, [r.value for r in some]):
                if text not in indexed[number]:
                    indexed[number].add(text)
                    whose.append(some[number].subject)
                    new.append(text)
            for one in indexed:
                if len(one) > MAX_TEXTS:
                    one.clear()
        return {
            Term(made.kind, digest, whose[number])
            for made in self._means.terms.make(new)
            for number, digest in zip(
                made.numbers, index.digests(made.kind, made.terms), strict=True
            )
        }

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
        request = request_of(record.topic_id, name)
        return Asked(request, record.subject, token, token_digest(token), record.kept_at, name)


def _sealed(record: _Record, known: Known, nonce: bytes) -> Row:
    topic, partition, offset, topic_id, kind, schema_id, kept_at, subject, value = record
    sealed = known.seal.close(record.name, topic_id, subject, value, nonce)
    return Row(kind.event, kept_at, topic, topic_id, partition, offset, subject, schema_id, sealed)


def _time(time_ms: int, now: datetime) -> datetime:
    """Return Kafka's time of a record; where it has none that can be, the time it was read."""
    try:
        kept_at = EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return now
    return kept_at if time_ms > 0 and kept_at < now + AHEAD else now


def _is_over(record: _Record, now: datetime) -> bool:
    return record.kept_at < now - timedelta(days=record.kind.retention_days)


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
