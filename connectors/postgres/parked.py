"""Parked records: the org could not take them yet, so they wait here, in their region.

Each is whole: the bytes that its transfer leaf commits to and all it needs to be sent again, for
its offset is committed, and Kafka may have forgotten it by then. The records of one row are a
queue in the order they came: only its head has a time to be tried again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg

from connectors.postgres.expected_rows import Key
from schemas.events import MinimalRecord, RecordId

TABLE: Final = """
CREATE TABLE IF NOT EXISTS parked_records (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  topic_id text NOT NULL,
  record text NOT NULL,
  object text NOT NULL,
  external_id text NOT NULL,
  version bigint NOT NULL,
  schema_id bigint NOT NULL,
  plan text NOT NULL,
  keys integer NOT NULL,
  value bytea NOT NULL,
  deletes boolean NOT NULL,
  basis text[] NOT NULL,
  release text NOT NULL,
  model text,
  code text NOT NULL,
  attempts integer NOT NULL,
  next_at timestamptz,
  since timestamptz NOT NULL,
  PRIMARY KEY (topic_id, record)
);
CREATE INDEX IF NOT EXISTS parked_queues ON parked_records (object, external_id, seq);
CREATE INDEX IF NOT EXISTS parked_heads ON parked_records (next_at) WHERE next_at IS NOT NULL;
"""
QUEUE_PART = 100  # records of one row that are tried together


@dataclass(frozen=True, slots=True)
class Parked:
    """One record that waits.

    Attributes:
        record: With its bytes.
        basis: Transfer-basis ids, as its transfer leaf has them.
        release: Of the software that made it.
        model: Digest of the model that gave its labels; None: it has none.
        code: Why it waits: the org's error code, ``BEHIND``, or another of the sink's.
        attempts: How often it was sent.
        next_at: When to try it again; None behind another record of its row.
        since: When it was parked.

    """

    record: MinimalRecord
    basis: tuple[str, ...]
    release: str
    model: str | None
    code: str
    attempts: int
    next_at: datetime | None
    since: datetime


@dataclass(frozen=True, slots=True)
class ParkChange:
    """What a settled batch changes of the parked records.

    Attributes:
        put: Parked, in order: new ones, and those that stay with a new code and time.
        gone: Settled.

    """

    put: Sequence[Parked] = ()
    gone: Sequence[RecordId] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many records are parked, and since when the oldest."""

    count: int = 0
    since: datetime | None = None


def change(cursor: psycopg.Cursor[Any], what: ParkChange) -> None:
    """Put records in, take others out, and let the next of their rows be tried at once."""
    cursor.executemany(_PUT, [_values(one) for one in what.put])
    if not what.gone:
        return
    ids = ([one.topic_id for one in what.gone], [str(one) for one in what.gone])
    keys = cursor.execute(_REMOVE, ids).fetchall()
    cursor.execute(_WAKE, ([key[0] for key in keys], [key[1] for key in keys]))


def queued(connection: psycopg.Connection[Any], keys: Iterable[Key]) -> dict[Key, set[RecordId]]:
    """Return the names of the parked records of those rows that have any."""
    wanted = list(keys)
    rows = connection.execute(_QUEUED, ([k[0] for k in wanted], [k[1] for k in wanted]))
    found: dict[Key, set[RecordId]] = {}
    for target, external_id, record, topic_id in rows.fetchall():
        found.setdefault((target, external_id), set()).add(RecordId.parse(record, topic_id))
    return found


def due(connection: psycopg.Connection[Any], now: datetime, limit: int) -> list[Parked]:
    """Return records of the rows whose head is due, each row's in order, its head first.

    Args:
        connection: To the region's database.
        now: The time.
        limit: Records at most; the longest-due rows come first, and no row's head is left
            out for another's tail.

    """
    rows = connection.execute(_DUE, (now, limit, QUEUE_PART, limit)).fetchall()
    return [
        Parked(
            MinimalRecord(
                id=RecordId.parse(row[1], row[0]),
                object=row[2],
                external_id=row[3],
                version=row[4],
                schema_id=row[5],
                plan=row[6],
                keys=row[7],
                value=bytes(row[8]),
                deletes=row[9],
            ),
            tuple(row[10]),
            *row[11:],
        )
        for row in rows
    ]


def waiting(connection: psycopg.Connection[Any]) -> Waiting:
    """Return how many records are parked, and since when the oldest."""
    row = connection.execute("SELECT count(*), min(since) FROM parked_records").fetchone()
    return Waiting() if row is None else Waiting(*row)


_PUT: LiteralString = """
INSERT INTO parked_records (topic_id, record, object, external_id, version, schema_id, plan, keys,
  value, deletes, basis, release, model, code, attempts, next_at, since)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic_id, record) DO UPDATE SET
  code = excluded.code, attempts = excluded.attempts, next_at = excluded.next_at
"""

_REMOVE: LiteralString = """
DELETE FROM parked_records p USING unnest(%s::text[], %s::text[]) AS w(topic_id, record)
WHERE p.topic_id = w.topic_id AND p.record = w.record
RETURNING p.object, p.external_id
"""

_WAKE: LiteralString = """
UPDATE parked_records p SET next_at = p.since
FROM (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[]) AS k(object, external_id)) w
WHERE p.object = w.object AND p.external_id = w.external_id AND p.next_at IS NULL
  AND NOT EXISTS (SELECT FROM parked_records q WHERE q.object = p.object
    AND q.external_id = p.external_id AND q.seq < p.seq)
"""

_QUEUED: LiteralString = """
SELECT p.object, p.external_id, record, topic_id FROM parked_records p
JOIN unnest(%s::text[], %s::text[]) AS w(object, external_id)
  ON p.object = w.object AND p.external_id = w.external_id
"""

_DUE: LiteralString = """
WITH heads AS (
  SELECT object, external_id, next_at FROM parked_records
  WHERE next_at <= %s ORDER BY next_at, seq LIMIT %s
), queues AS (
  SELECT p.*, heads.next_at AS due_at,
    row_number() OVER (PARTITION BY p.object, p.external_id ORDER BY p.seq) AS place
  FROM parked_records p JOIN heads USING (object, external_id)
), chosen AS (
  SELECT * FROM queues WHERE place <= %s ORDER BY place, due_at, seq LIMIT %s
)
SELECT topic_id, record, object, external_id, version, schema_id, plan, keys, value, deletes,
  basis, release, model, code, attempts, next_at, since
FROM chosen ORDER BY seq
"""


def _values(one: Parked) -> tuple[Any, ...]:
    record = one.record
    return (
        record.id.topic_id,
        str(record.id),
        record.object,
        record.external_id,
        record.version,
        record.schema_id,
        record.plan,
        record.keys,
        record.value,
        record.deletes,
        list(one.basis),
        one.release,
        one.model,
        one.code,
        one.attempts,
        one.next_at,
        one.since,
    )
