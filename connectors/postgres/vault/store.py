"""What the vault's writer does to its tables: all of one batch in one transaction."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString, TypeAlias

import psycopg

from connectors.postgres.connection import Connection
from connectors.postgres.vault import copying, migrate
from connectors.postgres.vault.arrays import ByteStrings
from connectors.postgres.vault.rows import Asked, Refused, Term, Wrapped
from schemas.errors import RetriableError

Place: TypeAlias = tuple[str, int]  # Kafka's topic id, partition


class Writing:
    """One transaction of the writer; while it is open no subject's key is destroyed."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        """Take a cursor in a transaction."""
        self._cursor = cursor
        cursor.execute("SELECT vault.share_keys()")

    def kek(self) -> int:
        """Return the version that new keys are to be wrapped under; 0: nobody said yet."""
        row = self._cursor.execute("SELECT coalesce(max(version), 0) FROM vault.keks").fetchone()
        return 0 if row is None else int(row[0])

    def progress(self, places: Mapping[Place, str]) -> dict[Place, int]:
        """Return the next offset of each place that has one; nobody else moves them meanwhile."""
        ids, partitions = [p[0] for p in places], [p[1] for p in places]
        rows = self._cursor.execute(_PROGRESS, (ids, partitions)).fetchall()
        return {(row[0], row[1]): row[2] for row in rows}

    def move(self, places: Mapping[Place, str], following: Mapping[Place, int]) -> None:
        """Keep the next offset of places, by their topics."""
        rows = [(place[0], places[place], place[1], at) for place, at in following.items()]
        self._cursor.executemany(_MOVE, rows)

    def keys(self, subjects: Collection[bytes]) -> dict[bytes, Wrapped]:
        """Return the keys of those subjects that have one."""
        rows = self._cursor.execute(_KEYS, (ByteStrings(subjects),)).fetchall()
        return {row[0]: Wrapped(row[1], row[2]) for row in rows}

    def next_keys(self, subjects: Collection[bytes]) -> dict[bytes, Wrapped]:
        """Return the keys that raw records of some subjects are sealed under, not by `keys`.

        Of those whose own key is about to be destroyed.
        """
        rows = self._cursor.execute(_NEXT_KEYS, (ByteStrings(subjects),)).fetchall()
        return {row[0]: Wrapped(row[1], row[2]) for row in rows}

    def add_keys(self, keys: Mapping[bytes, Wrapped], at: datetime) -> dict[bytes, Wrapped]:
        """Keep keys of new subjects; return those that another writer made meanwhile."""
        if not keys:
            return {}
        rows = sorted((subject, one.kek, one.key) for subject, one in keys.items())
        columns = [list(column) for column in zip(*rows, strict=True)]
        made = {r[0] for r in self._cursor.execute(_ADD_KEYS, (at, *columns)).fetchall()}
        return self.keys(keys.keys() - made) if len(made) < len(keys) else {}

    def await_events(self, subjects: Collection[bytes], at: datetime) -> None:
        """Keep that events of *subjects* are on their way, sealed: their keys must stay."""
        self._cursor.execute(_AWAIT, (list(subjects), at))

    def make_months(self, months: Iterable[tuple[str, datetime]]) -> None:
        """Make the tables of event types for the months of times, where they are missing."""
        for event, at in months:
            self._cursor.execute("SELECT vault.make_partition(%s, %s)", (event, at))

    def keep(self, parts: Iterable[bytes]) -> None:
        """Store sealed events, in parts of one or more rows (`copying.Alike`).

        Each as it comes: the server takes one while the next is made.
        """
        self._copy(copying.EVENTS, parts)

    def indexed(self, subjects: Collection[bytes]) -> set[bytes]:
        """Return those subjects of whom the blind index has anything."""
        return {
            row[0] for row in self._cursor.execute(_INDEXED, (ByteStrings(subjects),)).fetchall()
        }

    def index(self, rows: Collection[bytes]) -> None:
        """Add rows (`copying.term_rows`) to the blind index, which is known to lack them."""
        if rows:
            self._copy(copying.TERMS, (b"".join(sorted(rows)),))  # near ones go to one page

    def add(self, terms: Collection[Term]) -> None:
        """Add those terms to the blind index that it does not have."""
        if terms:
            columns = [list(column) for column in zip(*sorted(terms), strict=True)]
            self._cursor.execute(_ADD, ([int(kind) for kind in columns[0]], *columns[1:]))

    def _copy(self, statement: LiteralString, parts: Iterable[bytes]) -> None:
        with self._cursor.copy(statement) as copy:
            copy.write(copying.HEADER)
            for part in parts:
                copy.write(part)
            copy.write(copying.TRAILER)

    def refuse(self, refused: Sequence[Refused]) -> None:
        """Keep the names of records of erased subjects, and nothing else of them."""
        self._cursor.executemany(
            _REFUSE, [(r.topic_id, r.partition, r.offset, r.request) for r in refused]
        )

    def carried_out(self, requests: Sequence[str]) -> set[str]:
        """Return those of some erasures that have destroyed what was kept of their subject."""
        if not requests:
            return set()
        rows = self._cursor.execute(_CARRIED_OUT, (list(requests),))
        return {str(row[0]) for row in rows.fetchall()}

    def ask(self, asked: Asked) -> None:
        """Ask for an erasure and suppress its subject."""
        one = asked
        self._cursor.execute(
            _ASK, (one.request, one.subject, one.token, one.asked_at, one.asked_by)
        )
        self._cursor.execute(_SUPPRESS, (one.subject, one.token_digest, one.asked_at, one.request))


class VaultStore:
    """The writer's own connection. One thread; a lost connection is made anew."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def backend(self) -> int:
        """Return the process of the server that works for this connection."""
        with self._connection.open() as connection:
            return connection.info.backend_pid

    def check(self) -> None:
        """Pass if the database has this release's migrations.

        Raises:
            SetupError: It has not.
            RetriableError: Postgres does not answer.

        """
        with self._connection.open() as connection:
            migrate.check(connection)

    def begin(self, version: int, at: datetime) -> None:
        """Say which version of the key-encryption key is the first; nothing if one was said."""
        with self._connection.open() as connection:
            connection.execute(_BEGIN, (version, at))

    def progress(self) -> dict[Place, int]:
        """Return the next offset of every place; raises as `writing`."""
        with self._connection.open() as connection:
            rows = connection.execute("SELECT topic_id, partition, next FROM vault.progress")
            return {(row[0], row[1]): row[2] for row in rows.fetchall()}

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Open a transaction; all that the block does is kept when it ends well, or nothing.

        Raises:
            RetriableError: Postgres went away: whether it was kept, `progress` says. Or somebody
                dropped a month's table meanwhile: nothing was kept.

        """
        try:
            with (
                self._connection.open() as connection,
                connection.transaction(),
                connection.cursor(binary=True) as cursor,
            ):
                yield Writing(cursor)
        except psycopg.errors.CheckViolation:  # "no partition of relation found for row"
            msg = "a month's table went while it was written to; retention took it"
            raise RetriableError(msg) from None


_BEGIN: LiteralString = """
INSERT INTO vault.keks (version, since) SELECT %s, %s WHERE NOT EXISTS (SELECT FROM vault.keks)
ON CONFLICT (version) DO NOTHING
"""
_PROGRESS: LiteralString = """
SELECT topic_id, partition, next FROM vault.progress p
JOIN unnest(%b::text[], %b::integer[]) AS w(id, part) ON p.topic_id = w.id AND p.partition = w.part
ORDER BY topic_id, partition FOR UPDATE OF p
"""
_MOVE: LiteralString = """
INSERT INTO vault.progress (topic_id, topic, partition, next) VALUES (%s, %s, %s, %s)
ON CONFLICT (topic_id, partition) DO UPDATE SET next = excluded.next
"""
_KEYS: LiteralString = "SELECT subject, kek, wrapped FROM vault.subjects WHERE subject = ANY(%b)"
_NEXT_KEYS: LiteralString = """
SELECT subject, kek, wrapped FROM vault.next_keys WHERE subject = ANY(%b)
"""
_ADD_KEYS: LiteralString = """
INSERT INTO vault.subjects (subject, kek, wrapped, made_at)
SELECT n.subject, n.kek, n.wrapped, %b
FROM unnest(%b::bytea[], %b::integer[], %b::bytea[]) AS n(subject, kek, wrapped)
ON CONFLICT (subject) DO NOTHING RETURNING subject
"""
_AWAIT: LiteralString = """
INSERT INTO vault.awaited AS a (subject, at)
SELECT s, n.at FROM (SELECT %b::bytea[] AS subjects, %b::timestamptz AS at) n, unnest(n.subjects) s
ORDER BY s
ON CONFLICT (subject) DO UPDATE SET at = excluded.at WHERE a.at < excluded.at - interval '1 day'
"""
_INDEXED: LiteralString = """
SELECT s FROM unnest(%b::bytea[]) s
WHERE EXISTS (SELECT FROM vault.blind_index b WHERE b.subject = s)
"""
_ADD: LiteralString = """
INSERT INTO vault.blind_index (kind, digest, subject)
SELECT * FROM unnest(%b::smallint[], %b::bytea[], %b::bytea[]) AS n(kind, digest, subject)
WHERE NOT EXISTS (SELECT FROM vault.blind_index b
  WHERE b.digest = n.digest AND b.subject = n.subject AND b.kind = n.kind)
"""
_REFUSE: LiteralString = """
INSERT INTO vault.erased (topic_id, partition, "offset", request) VALUES (%s, %s, %s, %s)
ON CONFLICT (topic_id, partition, "offset") DO NOTHING
"""
_CARRIED_OUT: LiteralString = """
SELECT request FROM vault.erasures
WHERE request = ANY(%b::text[]) AND step IN ('home', 'logged', 'certified', 'done')
"""
_ASK: LiteralString = """
INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step)
VALUES (%s, %s, %s, %s, %s, 'asked') ON CONFLICT (request) DO NOTHING
"""
_SUPPRESS: LiteralString = """
INSERT INTO vault.suppressions AS s (subject, token_digest, since, request) VALUES (%s, %s, %s, %s)
ON CONFLICT (subject) DO UPDATE SET token_digest = excluded.token_digest,
  since = greatest(s.since, excluded.since), request = excluded.request, lifted_at = NULL
"""
