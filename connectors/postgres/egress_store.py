"""What egress keeps in its region's Postgres: the ledger's index and the expected rows.

Both can be rebuilt: the index from the ledger's entries, the expected rows by replay. The
ledger files are the truth; this is what makes them quick to ask.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from schemas.errors import RetriableError
from schemas.events import RecordId

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
  PRIMARY KEY (topic_id, record)
);
INSERT INTO ledger_index (topic_id, record, transfer) VALUES ('', '', 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS expected_rows (
  object text NOT NULL,
  external_id text NOT NULL,
  version bigint NOT NULL,
  fields jsonb NOT NULL,
  record text NOT NULL,
  deleted boolean NOT NULL,
  PRIMARY KEY (object, external_id)
);
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
class ExpectedRow:
    """What the org should hold of one row, as far as one record set it.

    Attributes:
        fields: Field name to the HMAC, hex, of the value last accepted; None: emptied.
        record: The record that wrote last.
        deleted: The row is not to be in the org: *fields* is empty, and what was known of
            it before counts no more.

    """

    object: str
    external_id: str
    version: int
    fields: Mapping[str, str | None]
    record: str
    deleted: bool = False


class EgressStore:
    """Egress's own tables. One connection, one thread; a lost connection is made anew."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects and creates what is missing."""
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield the connection, connecting if there is none that works.

        Raises:
            RetriableError: Postgres does not answer, or went away; call again.

        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=10)
                self._connection.execute(_TABLES)
            yield self._connection
        except psycopg.OperationalError as exc:
            if self._connection is not None:
                self._connection.close()
            msg = f"Postgres: {type(exc).__name__}; is the database up? see `homeport status`"
            raise RetriableError(msg) from None

    @property
    def indexed(self) -> int:
        """How many leaves of the ledger are indexed."""
        with self._open() as connection:
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

    def versions(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the accepted version of those rows (object, external id) that exist."""
        wanted = list(keys)
        rows = self._rows(
            "SELECT e.object, e.external_id, version FROM expected_rows e"
            " JOIN unnest(%s::text[], %s::text[]) AS w(object, external_id)"
            " ON e.object = w.object AND e.external_id = w.external_id",
            ([k[0] for k in wanted], [k[1] for k in wanted]),
        )
        return {(row[0], row[1]): int(row[2]) for row in rows}

    def save(self, size: int, entries: Sequence[Entry], rows: Sequence[ExpectedRow]) -> None:
        """Index *entries*, apply the accepted *rows*, move the cursor to *size*: all or none.

        Applying a row again changes nothing: an older or equal version is passed over.

        Raises:
            RetriableError: Postgres went away; nothing is saved.

        """
        with self._open() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_INDEX, [_index_row(entry) for entry in entries])
            cursor.executemany(_EXPECT, [_expect_row(row) for row in rows])
            cursor.execute(
                "UPDATE ledger_index SET transfer = %s WHERE topic_id = '' AND transfer < %s",
                (size, size),
            )

    def results(self) -> dict[str, int]:
        """Return how many records had each result."""
        rows = self._rows(
            "SELECT result, count(*) FROM ledger_index WHERE result IS NOT NULL GROUP BY result"
        )
        return {row[0]: int(row[1]) for row in rows}

    def _rows(self, query: LiteralString, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._open() as connection:
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

_EXPECT = """
INSERT INTO expected_rows (object, external_id, version, fields, record, deleted)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (object, external_id) DO UPDATE SET
  version = excluded.version,
  fields = CASE WHEN expected_rows.deleted OR excluded.deleted THEN excluded.fields
    ELSE expected_rows.fields || excluded.fields END,
  record = excluded.record,
  deleted = excluded.deleted
WHERE expected_rows.version < excluded.version
"""


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


def _expect_row(row: ExpectedRow) -> tuple[Any, ...]:
    fields = Jsonb(dict(row.fields))
    return row.object, row.external_id, row.version, fields, row.record, row.deleted
