"""Reads a region's quarantine: what lies there, why, and what was settled since.

An entry is a record of the quarantine topic, keyed by the record id of what could not go on.
A retry that settles it writes a second record under the same key; see `streams.retry`.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message

from connectors.kafka import headers
from connectors.kafka.committed import committed
from connectors.kafka.errors import named
from connectors.kafka.headers import Rejection
from connectors.kafka.record import read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import secret
from residency.seal import Seal, SealError, purpose_of
from residency.vault.rawseal import is_sealed
from schemas import codec
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RecordId
from schemas.plainjson import to_plain
from schemas.registry import Registry
from streams.settings import ReplaySettings, Settings, database
from streams.vault.keystores import open_keystore
from streams.vault.rawopener import RawOpener

LOG = logging.getLogger("homeport.quarantine")
TIMEOUT_S = 30.0  # longer than a dead worker's transaction hides records
RECORD = re.compile(r"[^\[\]@#]+\[\d+\]@\d+(?:#\d+(?:\+\d+)?)?")
MS = 1_000
SEE = "see `homeport status`"
READER = "homeport.quarantine-reader"  # librdkafka wants a group; nothing is committed to it


@dataclass(frozen=True, slots=True)
class Entry:
    """One record that could not go on.

    Attributes:
        record: Its id: ``topic[partition]@offset`` of a raw record that the border could not
            decide, with ``#output`` of a minimal record that egress could not send.
        reason: One of `schemas.errors.Reason`.
        plan: Digest of the plan that could not decide it, or None.
        topic_id: Kafka's id of its raw topic.
        since: When it was put there.
        lies_at: Where in the quarantine topic.
        sealed: Its payload in an envelope; empty where it was too large to carry.
        settled: How a retry settled it, ``sent`` or ``nothing``; None while it is open.
        rejection: What the org said of it, where it was the org that refused.

    """

    record: str
    reason: str
    path: str | None
    plan: str | None
    topic_id: str
    since: datetime
    lies_at: Coordinates
    sealed: bytes = field(repr=False)
    settled: str | None = None
    rejection: Rejection | None = None

    @property
    def minimal(self) -> RecordId | None:
        """The minimal record's id, or None where the raw record itself lies here."""
        return RecordId.parse(self.record, self.topic_id) if "#" in self.record else None

    @property
    def raw(self) -> Coordinates:
        """Where the raw record lies."""
        minimal = self.minimal
        return minimal.at if minimal else RecordId.parse(f"{self.record}#0").at

    def to_json(self) -> dict[str, Any]:
        """Return everything but the payload."""
        return {
            "record": self.record,
            "reason": self.reason,
            "path": self.path,
            "plan": self.plan,
            "topic_id": self.topic_id,
            "since": self.since.isoformat(),
            "lies_at": str(self.lies_at),
            "sealed_bytes": len(self.sealed),
            "settled": self.settled,
            **(asdict(self.rejection) if self.rejection else {}),
        }


def entries(settings: Settings | ReplaySettings, group: str = READER) -> dict[str, Entry]:
    """Return everything in the region's quarantine by record, oldest first.

    Args:
        settings: Those of ``admin``, the principal of tools for people, or a replay's.
        group: A consumer group whose name the principal may use; it joins none.

    Raises:
        RetriableError: Kafka does not answer.

    """
    found: dict[str, Entry] = {}
    for message in _everything(settings, topics.quarantine(settings.region), group):
        record = read(message)
        told = headers.texts(record.headers)
        name = told.get(headers.RECORD, "")
        if RECORD.fullmatch(name) is None:
            LOG.warning("%s: not written by a worker of ours; who else writes here?", record.at)
            continue
        if (settled := told.get(headers.SETTLED)) is not None:
            if name in found:
                found[name] = replace(found[name], settled=settled)
            continue
        found[name] = Entry(
            record=name,
            reason=told.get(headers.REASON, ""),
            path=told.get(headers.PATH) or None,
            plan=told.get(headers.PLAN) or None,
            topic_id=told.get(headers.TOPIC_ID, ""),
            since=datetime.fromtimestamp(message.timestamp()[1] / MS, UTC),
            lies_at=record.at,
            sealed=record.value,
            rejection=headers.rejection(told),
        )
    return dict(sorted(found.items(), key=lambda item: (item[1].since, item[0])))


def _everything(settings: Settings | ReplaySettings, topic: str, group: str) -> Iterator[Message]:
    """Yield what is committed on *topic* now, each partition in order."""
    partitions = load_topics(settings.home, settings.region)[topic].partitions
    client = settings.kafka.librdkafka(group_id=group, log_level=0)  # a tool: it says what failed
    with named("quarantine", SEE):
        starts = {(topic, n): OFFSET_BEGINNING for n in range(partitions)}
        yield from committed(client, starts, TIMEOUT_S)


def reader(settings: Settings) -> Consumer:
    """Return a consumer that joins no group and commits nothing."""
    return Consumer(
        settings.kafka.librdkafka(
            group_id=READER,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="error",
            log_level=0,  # a tool for people says itself what failed
        )
    )


def opener(settings: Settings) -> RawOpener:
    """Return what opens, for a person, raw values that the gateway sealed; close it."""
    return RawOpener(database(settings.postgres, "admin"), open_keystore(settings))


def payload(settings: Settings, entry: Entry, opener: RawOpener) -> bytes | None:
    """Return what *entry* holds, opened with the region's key; None where it was not carried.

    Raises:
        SealError: It does not open.

    """
    if not entry.sealed:
        return None
    seal = Seal(_key(settings.folder / "keys", purpose_of(entry.record)))
    value = seal.open(entry.record, entry.reason, entry.sealed)
    return value if entry.minimal else plain_of(entry, value, opener)


def plain_of(entry: Entry, value: bytes, opener: RawOpener) -> bytes:
    """Return the event in the *value* of the raw record of *entry*.

    Raises:
        SealError: The gateway sealed it, and no key opens it.

    """
    found = opener.one(entry.raw.topic, value)
    if is_sealed(found):
        msg = f"{entry.record}: no key opens it: its subject is erased, or its key is lost"
        raise SealError(msg)
    return found


def _key(folder: Path, purpose: str) -> bytes:
    """Return a key that must exist: one made now would open nothing."""
    if not (folder / f"{purpose}.json").exists():
        msg = f"{folder}: the key {purpose!r} is not here; run this in the record's own region"
        raise SealError(msg)
    return secret(folder, purpose)


def plain(registry: Registry, value: bytes) -> dict[str, Any] | None:
    """Return *value* as schema and plain JSON, or None if it is not Avro of a schema we know."""
    try:
        schema, decoded = codec.decode(registry, value)
    except QuarantineError:
        return None
    return {"schema": schema.subject, "schema_id": schema.id, "data": to_plain(schema, decoded)}
