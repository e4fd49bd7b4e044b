"""What egress knows of rows abroad, for an erasure: read only."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString, NamedTuple

import psycopg

from connectors.postgres.connection import Connection
from schemas.errors import RetriableError


class RowKey(NamedTuple):
    """A row of the org's: object and external id."""

    object: str
    external_id: str


@dataclass(frozen=True, slots=True)
class RowKnown:
    """The newest record of a row that the org accepted, or that waits for the org.

    Attributes:
        key: The row.
        record: The record's name.
        version: The row's, by that record.
        is_deleted: The row is not to be in the org.

    """

    key: RowKey = field(repr=False)
    record: str
    version: int
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """What the index says of a record.

    Attributes:
        leaf: Its transfer leaf; None: the gate refused it.
        result: What became of it; None: nothing yet.

    """

    leaf: int | None
    result: str | None


class Abroad:
    """One connection, one thread; a lost connection is made anew.

    Every call raises `RetriableError` where Postgres does not answer, or egress never ran.
    """

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, keys: Collection[RowKey]) -> dict[RowKey, RowKnown]:
        """Return those of *keys* of which a record was accepted, or waits for the org."""
        columns = ([key.object for key in keys], [key.external_id for key in keys])
        with self._open() as connection:
            found = connection.execute(_ROWS, columns).fetchall()
            waiting = connection.execute(_PARKED, columns).fetchall()
        known: dict[RowKey, RowKnown] = {}
        for target, external_id, *rest in (*found, *waiting):
            row = RowKnown(RowKey(target, external_id), *rest)
            before = known.get(row.key)
            if before is None or before.version < row.version:
                known[row.key] = row
        return known

    def named_by(self, target: str, field_name: str, macs: Sequence[str]) -> dict[RowKey, str]:
        """Return the rows that are there and whose field has one of these HMACs, and which.

        The expected rows hold HMACs of what was last accepted (`residency.expected`).
        """
        with self._open() as connection:
            rows = connection.execute(_NAMED_BY, (field_name, target, field_name, list(macs)))
            return {RowKey(target, row[0]): row[1] for row in rows.fetchall()}

    def topic_ids(self, records: Collection[str]) -> Mapping[str, str]:
        """Return Kafka's id of the topic that each record names, as far as the index knows it."""
        with self._open() as connection:
            rows = connection.execute(_TOPIC_IDS, (list(records),)).fetchall()
        return dict(rows)

    def logged(self, records: Collection[tuple[str, str]]) -> dict[tuple[str, str], Logged]:
        """Return what the ledger says of those *records* (topic id, name) that it knows."""
        wanted = list(records)
        columns = ([one[0] for one in wanted], [one[1] for one in wanted])
        with self._open() as connection:
            rows = connection.execute(_LOGGED, columns).fetchall()
        return {(row[0], row[1]): Logged(row[2], row[3]) for row in rows}

    @contextmanager
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._connection.open() as connection:
                yield connection
        except psycopg.errors.UndefinedTable:
            msg = "Postgres has no expected rows; the region's egress makes them at its start"
            raise RetriableError(msg) from None


_WANTED: LiteralString = """
JOIN unnest(%s::text[], %s::text[]) AS w(object, external_id)
  ON e.object = w.object AND e.external_id = w.external_id
"""
_ROWS: LiteralString = (
    """
SELECT e.object, e.external_id, coalesce(base_record, label_record),
  CASE WHEN base_record IS NULL THEN label_version ELSE base_version END, deleted
FROM egress.expected_rows e
"""
    + _WANTED
)
_PARKED: LiteralString = (
    """
SELECT DISTINCT ON (e.object, e.external_id) e.object, e.external_id, record, version, deletes
FROM egress.parked_records e
"""
    + _WANTED
    + "ORDER BY e.object, e.external_id, version DESC, seq DESC"
)
_NAMED_BY: LiteralString = """
SELECT external_id, fields ->> %s FROM egress.expected_rows
WHERE object = %s AND NOT deleted AND fields ->> %s = ANY(%s)
"""
_TOPIC_IDS: LiteralString = """
SELECT record, topic_id FROM egress.ledger_index WHERE record = ANY(%s)
"""
_LOGGED: LiteralString = """
SELECT i.topic_id, i.record, transfer, result FROM egress.ledger_index i
JOIN unnest(%s::text[], %s::text[]) AS w(topic_id, record)
  ON i.topic_id = w.topic_id AND i.record = w.record
"""
