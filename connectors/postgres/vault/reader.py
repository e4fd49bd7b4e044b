"""Reads the vault: who has a value, what is kept of a subject, the archive of a partition.

For look-ups, exports, erasures and replays, each by a role that may read and nothing else.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from connectors.postgres.connection import Connection
from connectors.postgres.vault.tables import opened
from residency.vault.index import Kind
from residency.vault.keyring import Keyring
from residency.vault.sealing import EventSeal
from schemas.events import Coordinates

FETCH = 500  # rows in memory at once


@dataclass(frozen=True, slots=True)
class Kept:
    """One raw record as the vault keeps it, opened. Never leaves its region.

    Attributes:
        kept_at: Kafka's time of the record.
        event: Avro full name, or ``unknown``.
        schema_id: Of its value; 0 for ``unknown``.
        subject: Whose it is; `residency.vault.subjects.NOBODY` where nobody knows.
        value: As Kafka had it.

    """

    topic: str
    topic_id: str
    partition: int
    offset: int
    kept_at: datetime
    event: str
    schema_id: int
    subject: bytes
    value: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """The raw record's name, such as ``eu.commerce.orders.v1[0]@7``."""
        return str(Coordinates(self.topic, self.partition, self.offset))


class VaultReader:
    """One connection that writes nothing, for one thread; a lost one is made anew."""

    def __init__(self, dsn: str, keyring: Keyring) -> None:
        """Remember where, and what opens subjects' keys; connects on the first call."""
        self._connection = Connection(dsn, is_read_only=True)
        self._keyring = keyring

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def subjects_of(self, kind: Kind, digest: bytes) -> list[bytes]:
        """Return the subjects that have a value, by its digest (`BlindIndex`); maybe none.

        Raises:
            RetriableError: As all calls here: Postgres does not answer.
            SetupError: As all calls here: it has no vault, or hides it from this role.

        """
        with opened(self._connection) as connection:
            rows = connection.execute(_SUBJECTS, (int(kind), digest)).fetchall()
        return [bytes(row[0]) for row in rows]

    def events(self, subject: bytes, *, event: str | None = None) -> Iterator[Kept]:
        """Yield what is kept of a subject, of one event type if given, oldest first.

        Raises:
            KeyWrapError: Its key does not open: another keyring.
            EventSealError: An event does not open: somebody changed the row.

        """
        query = _COLUMNS + _OF_SUBJECT + (_OF_EVENT if event is not None else "") + _OLDEST
        values = (subject,) if event is None else (subject, event)
        return self._rows(query, values)

    def newest(self, subject: bytes, events: Collection[str], limit: int) -> list[Kept]:
        """Return the newest of a subject's events of these types, at most *limit*, newest first.

        Raises:
            KeyWrapError: As `events`.
            EventSealError: Likewise.

        """
        return self._few(_COLUMNS + _NEWEST, (subject, sorted(events), limit))

    def record(self, topic_id: str, partition: int, offset: int) -> Kept | None:
        """Return one raw record; None: it was never kept, or its subject is erased."""
        found = self._few(_COLUMNS + _OF_RECORD, (topic_id, partition, offset))
        return found[0] if found else None

    def archive(self, topic_id: str, partition: int, start: int, stop: int) -> Iterator[Kept]:
        """Yield the raw records of a partition from *start* to before *stop*, by offset.

        Offsets may lack: they were never kept, have gone by retention, or are erased.
        """
        while start < stop:
            values = (topic_id, partition, start, stop, FETCH)
            found = self._few(_COLUMNS + _OF_PARTITION, values)
            yield from found
            if len(found) < FETCH:
                return
            start = found[-1].offset + 1

    def erased(self, topic_id: str, partition: int, start: int, stop: int) -> dict[int, int | None]:
        """Return the offsets of erased subjects' records in a range, each with its leaf.

        None: the erasure has none yet.
        """
        with opened(self._connection) as connection:
            rows = connection.execute(_ERASED, (topic_id, partition, start, stop)).fetchall()
        return dict(rows)

    def under_way(self) -> set[bytes]:
        """Return the subjects whose erasure was asked for and is not done."""
        with opened(self._connection) as connection:
            rows = connection.execute(_UNDER_WAY).fetchall()
        return {bytes(row[0]) for row in rows}

    def first(self, topic_id: str, partition: int, since: datetime) -> int | None:
        """Return the first offset that is kept of a partition from a time on; None: none is."""
        with opened(self._connection) as connection:
            row = connection.execute(_FIRST, (topic_id, partition, since)).fetchone()
        return None if row is None else row[0]

    def _few(self, query: LiteralString, values: Sequence[Any]) -> list[Kept]:
        """Return the rows of a query, opened."""
        with opened(self._connection) as connection:
            rows = connection.execute(query, values).fetchall()
        seals: dict[bytes, EventSeal] = {}
        return [self._opened(row, seals) for row in rows]

    def _rows(self, query: LiteralString, values: Sequence[Any]) -> Iterator[Kept]:
        """Yield the rows of a query, opened, a few in memory at a time."""
        seals: dict[bytes, EventSeal] = {}
        with (
            opened(self._connection) as connection,
            connection.transaction(),
            connection.cursor("vault") as cursor,
        ):
            cursor.itersize = FETCH
            cursor.execute(query, values)
            for row in cursor:
                yield self._opened(row, seals)

    def _opened(self, row: Sequence[Any], seals: dict[bytes, EventSeal]) -> Kept:
        subject, sealed, version, wrapped = (row[7], row[8], row[9], row[10])
        seal = seals.get(subject)
        if seal is None:
            seal = EventSeal(self._keyring.unwrap(subject, version, wrapped))
            if len(seals) >= FETCH:
                seals.clear()
            seals[subject] = seal
        at = Coordinates(row[2], row[4], row[5])
        value = seal.open(str(at), row[3], subject, sealed)
        return Kept(row[2], row[3], row[4], row[5], row[1], row[0], row[6], subject, value)


_SUBJECTS: LiteralString = (
    "SELECT DISTINCT subject FROM vault.blind_index WHERE kind = %s AND digest = %s ORDER BY 1"
)
_COLUMNS: LiteralString = """
SELECT e.event, e.kept_at, e.topic, e.topic_id, e.partition, e."offset", e.schema_id,
  e.subject, e.sealed, s.kek, s.wrapped
FROM vault.events e JOIN vault.subjects s ON s.subject = e.subject
"""
_OF_SUBJECT: LiteralString = "WHERE e.subject = %s "
_OF_EVENT: LiteralString = "AND e.event = %s "
_NEWEST: LiteralString = """
WHERE e.subject = %s AND e.event = ANY(%s)
ORDER BY e.kept_at DESC, e.topic_id DESC, e.partition DESC, e."offset" DESC LIMIT %s
"""
_OLDEST: LiteralString = 'ORDER BY e.kept_at, e.topic_id, e.partition, e."offset"'
_OF_RECORD: LiteralString = 'WHERE e.topic_id = %s AND e.partition = %s AND e."offset" = %s'
_OF_PARTITION: LiteralString = """
WHERE e.topic_id = %s AND e.partition = %s AND e."offset" >= %s AND e."offset" < %s
ORDER BY e."offset" LIMIT %s
"""
_UNDER_WAY: LiteralString = "SELECT DISTINCT subject FROM vault.erasures WHERE ended_at IS NULL"
_FIRST: LiteralString = """
SELECT min("offset") FROM vault.events WHERE topic_id = %s AND partition = %s AND kept_at >= %s
"""
_ERASED: LiteralString = """
SELECT d."offset", a.leaf FROM vault.erased d LEFT JOIN vault.erasures a ON a.request = d.request
WHERE d.topic_id = %s AND d.partition = %s AND d."offset" >= %s AND d."offset" < %s
"""
