"""Reading the expected rows for a reconciliation; writes nothing, and could not."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

from connectors.postgres.connection import CONNECT_S
from residency.reconcile.judge import Noted
from schemas.errors import RetriableError

PAGE = 2_000  # rows


@dataclass(frozen=True, slots=True)
class Folded:
    """How many accepted records the rows of an object fold, and how far the ledger is indexed.

    Attributes:
        rows: Expected rows of the object.
        records: Accepted records that they fold.
        indexed: Leaves of the ledger that the same transaction has seen.

    """

    rows: int
    records: int
    indexed: int


class ExpectedReader:
    """Reads the expected rows of one region, each time in a read-only transaction of its own."""

    def __init__(self, dsn: str) -> None:
        """Remember where; each call connects."""
        self._dsn = dsn

    def rows(self, sobject: str, external_ids: Sequence[str]) -> dict[str, Noted]:
        """Return those expected rows of *external_ids* that there are, by external id."""
        with self._open() as connection:
            found = connection.execute(_BY_KEY, (sobject, list(external_ids))).fetchall()
        return {row[0]: Noted(*row[1:]) for row in found}

    def every(self, sobject: str) -> Iterator[list[tuple[str, Noted]]]:
        """Yield all expected rows of an object as of one moment, in portions."""
        with self._open() as connection, connection.cursor(name="expected") as cursor:
            cursor.itersize = PAGE
            cursor.execute(_ALL, (sobject,))
            while rows := cursor.fetchmany(PAGE):
                yield [(row[0], Noted(*row[1:])) for row in rows]

    def folded(self, sobject: str) -> Folded:
        """Return how many records the rows of an object fold."""
        with self._open() as connection:
            row = connection.execute(_FOLDED, (sobject,)).fetchone()
        return Folded(*map(int, row or (0, 0, 0)))

    def placed(self, sobject: str) -> Iterator[list[tuple[str, str, bool]]]:
        """Yield the accepted records whose row the index knows, in portions.

        Returns:
            The record's name, the row's external id, and whether there is such an expected row.

        """
        with self._open() as connection, connection.cursor(name="placed") as cursor:
            cursor.itersize = PAGE
            cursor.execute(_PLACED, (sobject,))
            while rows := cursor.fetchmany(PAGE):
                yield rows

    def indexed(self) -> int:
        """Return how many leaves of the ledger are indexed, and folded into the rows."""
        with self._open() as connection:
            row = connection.execute(_INDEXED).fetchone()
        return 0 if row is None else int(row[0])

    def parked(self) -> set[str]:
        """Return the names of the records that wait: they are not under way."""
        with self._open() as connection:
            rows = connection.execute("SELECT record FROM parked_records").fetchall()
        return {row[0] for row in rows}

    @contextmanager
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield a connection.

        Raises:
            RetriableError: Postgres does not answer, or egress never ran here.

        """
        try:
            with psycopg.connect(self._dsn, connect_timeout=CONNECT_S) as connection:
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield connection
        except psycopg.OperationalError as exc:
            msg = f"Postgres: {type(exc).__name__}; is the database up? see `homeport status`"
            raise RetriableError(msg) from None
        except psycopg.errors.UndefinedTable:
            msg = "Postgres has no expected rows; the region's egress makes them at its start"
            raise RetriableError(msg) from None


_COLUMNS: Final = """
SELECT external_id, fields, base_version, label_version, base_record, label_record, deleted
FROM expected_rows WHERE object = %s
"""
_BY_KEY: LiteralString = _COLUMNS + " AND external_id = ANY(%s)"
_ALL: LiteralString = _COLUMNS + " ORDER BY external_id"
_INDEXED: Final = "SELECT transfer FROM ledger_index WHERE topic_id = '' AND record = ''"
_PLACED: LiteralString = """
SELECT i.record, i.external_id, e.external_id IS NOT NULL
FROM ledger_index i LEFT JOIN expected_rows e
  ON e.object = i.object AND e.external_id = i.external_id
WHERE i.object = %s
"""
_FOLDED: LiteralString = """
SELECT count(*), coalesce(sum(records), 0),
  (SELECT transfer FROM ledger_index WHERE topic_id = '' AND record = '')
FROM expected_rows WHERE object = %s
"""
