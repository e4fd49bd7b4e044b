"""What egress keeps in its region's Postgres: ledger index, expected rows, parked records.

The first two can be rebuilt: the index from the ledger's entries, the expected rows by replay.
The ledger files are the truth; this is what makes them quick to ask. The parked records lie
nowhere else once Kafka has forgotten them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from connectors.postgres import expected_rows, parked
from connectors.postgres.connection import Connection
from connectors.postgres.expected_rows import ExpectedRow, Key
from connectors.postgres.parked import ParkChange, Parked, Waiting
from residency.expected import Held
from schemas.events import RecordId

# object, external_id: the row that an accepted record is part of, so that a reconciliation can say
# of which row a record is, once the expected row is lost. The ledger does not know it: an index
# that was built anew from it has none.
# The row without a name holds how many leaves are indexed. It lies in the index itself, so
# that whoever loses or restores the one loses or restores the other.
_TABLES = """
CREATE TABLE IF NOT EXISTS ledger_index (
  topic_id text NOT NULL,
  record text NOT NULL,
  transfer bigint,
  commitment text,
  month text,
  outcome bigint,
  result text,
  object text,
  external_id text,
  PRIMARY KEY (topic_id, record)
);
CREATE INDEX IF NOT EXISTS ledger_open ON ledger_index (topic_id, record) WHERE outcome IS NULL;
INSERT INTO ledger_index (topic_id, record, transfer) VALUES ('', '', 0) ON CONFLICT DO NOTHING;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says about one record.

    Attributes:
        transfer: Index of its transfer leaf; None if it never had one.
        commitment: Of that leaf.
        month: ``YYYY-MM`` of that leaf's time: names the commitment's key.
        outcome: Index of its outcome leaf; None: it is not known what became of it.
        result: Of that leaf.

    """

    id: RecordId
    transfer: int | None = None
    commitment: str | None = None
    month: str | None = None
    outcome: int | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a settled batch changes, besides the index.

    Attributes:
        rows: Rows that the org accepted, in the order of their records.
        parked: Which records wait, and which do so no more.

    """

    rows: Sequence[ExpectedRow] = ()
    parked: ParkChange = field(default_factory=ParkChange)


class EgressStore:
    """Egress's own tables. One connection, one thread; a lost connection is made anew."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects and creates what is missing."""
        self._connection = Connection(dsn, _TABLES + expected_rows.TABLE + parked.TABLE)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def indexed(self) -> int:
        """How many leaves of the ledger are indexed."""
        with self._connection.open() as connection:
            row = connection.execute(
                "SELECT transfer FROM ledger_index WHERE topic_id = '' AND record = ''"
            ).fetchone()
        return 0 if row is None else int(row[0])

    def look_up(self, ids: Sequence[RecordId]) -> dict[RecordId, Entry]:
        """Return what the ledger says about those of *ids* that it knows."""
        rows = self._rows(
            "SELECT i.topic_id, i.record, transfer, commitment, month, outcome, result"
            " FROM ledger_index i JOIN unnest(%s::text[], %s::text[]) AS w(topic_id, record)"
            " ON i.topic_id = w.topic_id AND i.record = w.record",
            ([i.topic_id for i in ids], [str(i) for i in ids]),
        )
        found = (Entry(RecordId.parse(row[1], row[0]), *row[2:]) for row in rows)
        return {entry.id: entry for entry in found}

    def in_doubt(self) -> list[RecordId]:
        """Return the records that were announced and are neither settled nor parked."""
        rows = self._rows(
            "SELECT i.topic_id, i.record FROM ledger_index i"
            " LEFT JOIN parked_records p ON p.topic_id = i.topic_id AND p.record = i.record"
            " WHERE i.outcome IS NULL AND i.record <> '' AND p.record IS NULL"
        )
        return [RecordId.parse(row[1], row[0]) for row in rows]

    def held(self, keys: Iterable[Key]) -> dict[Key, Held]:
        """Return what those rows (object, external id) hold that exist, or did."""
        with self._connection.open() as connection:
            return expected_rows.held(connection, keys)

    def queued(self, keys: Iterable[Key]) -> dict[Key, set[RecordId]]:
        """Return the names of the parked records of those rows that have any."""
        with self._connection.open() as connection:
            return parked.queued(connection, keys)

    def due(self, now: datetime, limit: int) -> list[Parked]:
        """Return at most *limit* parked records that may be tried again; see `parked.due`."""
        with self._connection.open() as connection:
            return parked.due(connection, now, limit)

    @property
    def waiting(self) -> Waiting:
        """How many records are parked, and since when the oldest."""
        with self._connection.open() as connection:
            return parked.waiting(connection)

    def save(self, size: int, entries: Iterable[Entry], changes: Changes) -> None:
        """Index *entries*, apply *changes*, move the cursor to *size*: all or none.

        Applying them again changes nothing: an older or equal version is passed over, a
        record that is parked stays where it is.

        Raises:
            RetriableError: Postgres went away; nothing is saved.

        """
        with (
            self._connection.open() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.executemany(_INDEX, [_index_row(entry) for entry in entries])
            cursor.execute(_PLACE, _places(changes.rows))
            expected_rows.apply(cursor, changes.rows)
            parked.change(cursor, changes.parked)
            cursor.execute(
                "UPDATE ledger_index SET transfer = %s WHERE topic_id = '' AND transfer < %s",
                (size, size),
            )

    def rebuild(self, size: int, groups: Iterable[Iterable[Entry]]) -> None:
        """Replace the whole index by *groups*, the first *size* leaves in order: all or none.

        An error that *groups* raises leaves the old index, and how many leaves it knows of.

        Raises:
            RetriableError: Postgres went away; nothing changed.

        """
        with (
            self._connection.open() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.execute("DELETE FROM ledger_index WHERE record <> ''")
            for entries in groups:
                cursor.executemany(_INDEX, [_index_row(entry) for entry in entries])
            cursor.execute("UPDATE ledger_index SET transfer = %s WHERE topic_id = ''", (size,))

    def results(self) -> dict[str, int]:
        """Return how many records had each result."""
        rows = self._rows(
            "SELECT result, count(*) FROM ledger_index WHERE result IS NOT NULL GROUP BY result"
        )
        return {row[0]: int(row[1]) for row in rows}

    def _rows(self, query: LiteralString, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._connection.open() as connection:
            return connection.execute(query, values).fetchall()


_INDEX = """
INSERT INTO ledger_index (topic_id, record, transfer, commitment, month, outcome, result)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic_id, record) DO UPDATE SET
  transfer = coalesce(excluded.transfer, ledger_index.transfer),
  commitment = coalesce(excluded.commitment, ledger_index.commitment),
  month = coalesce(excluded.month, ledger_index.month),
  outcome = coalesce(excluded.outcome, ledger_index.outcome),
  result = coalesce(excluded.result, ledger_index.result)
"""

_PLACE: LiteralString = """
UPDATE ledger_index i SET object = w.object, external_id = w.external_id
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
  AS w(object, external_id, topic_id, record)
WHERE i.topic_id = w.topic_id AND i.record = w.record
"""


def _places(rows: Sequence[ExpectedRow]) -> tuple[list[str], ...]:
    """Return the columns of `_PLACE`."""
    found = [(row.object, row.external_id, row.topic_id, row.record) for row in rows]
    return tuple([row[n] for row in found] for n in range(4))


def _index_row(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.id.topic_id,
        str(entry.id),
        entry.transfer,
        entry.commitment,
        entry.month,
        entry.outcome,
        entry.result,
    )
