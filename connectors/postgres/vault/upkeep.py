"""What keeps the vault in order: keys wrapped anew, events that have had their time, a summary."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg

from connectors.postgres.connection import Connection
from connectors.postgres.vault import migrate
from connectors.postgres.vault.migrate import Migration
from residency.vault.kinds import EventKind
from schemas.errors import RetriableError, SetupError

AWAITED = timedelta(days=30)  # longer than Kafka may keep a raw record
TOGETHER = 5_000  # keys wrapped anew in one transaction: well under a second
PATIENCE: LiteralString = "SET LOCAL lock_timeout = '5s'"  # readers of the archive may be long

Wrapped = tuple[int, bytes]  # version, wrapped key
Rewrap = Callable[[bytes, int, bytes], Wrapped]  # subject, version, wrapped key


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention took.

    Attributes:
        events: How many events of each type that lost any.
        subjects: How many subjects lost their key and index, having no event left.
        names: How many names of erased subjects' records.

    """

    events: Mapping[str, int]
    subjects: int
    names: int


class Upkeep:
    """As the vault's own role. One connection, one thread; a lost connection is made anew."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def migrate(self) -> list[Migration]:
        """Apply the migrations that are missing, and return them; raises as `migrate.migrate`."""
        with self._connection.open() as connection:
            return list(migrate.migrate(connection))

    def check(self) -> None:
        """Pass if the database has this release's migrations; raises as `migrate.check`."""
        with self._connection.open() as connection:
            migrate.check(connection)

    def version(self) -> int:
        """Return the newest version of the key-encryption key that writers use; 0: none yet."""
        return self._number("SELECT coalesce(max(version), 0) FROM vault.keks")

    def declare(self, version: int, at: datetime) -> None:
        """Have writers use a version from now on."""
        with self._connection.open() as connection:
            connection.execute(
                "INSERT INTO vault.keks (version, since) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (version, at),
            )

    def older(self, version: int) -> int:
        """Return how many keys lie under versions before *version*, once no writer makes more.

        Writers that began before *version* was declared are waited for.
        """
        with self._connection.open() as connection, connection.transaction():
            connection.execute("SELECT vault.hold_keys()")
            row = connection.execute(_OLDER, (version,)).fetchone()
        return 0 if row is None else int(row[0])

    def rewrap(self, version: int, anew: Rewrap, limit: int = TOGETHER) -> int:
        """Wrap some keys of older versions anew; return how many, 0 when none is left.

        Args:
            version: What they are to lie under.
            anew: Returns a subject's key wrapped under it.
            limit: How many at most.

        """
        for take, put in _REWRAPPED:
            with self._transaction() as cursor:
                rows = cursor.execute(take, (version, limit)).fetchall()
                if rows:
                    made = [(one[0], *anew(*one)) for one in rows]
                    cursor.execute(put, [list(column) for column in zip(*made, strict=True)])
                    return len(rows)
        return 0

    def forget(self, version: int) -> None:
        """Say that a version is retired.

        Raises:
            SetupError: A key lies under it.

        """
        with self._transaction() as cursor:
            cursor.execute("SELECT vault.hold_keys()")
            row = cursor.execute(_UNDER, (version,)).fetchone()
            if row != (0,):
                msg = f"keys still lie under version {version}; run `homeport vault rotate` first"
                raise SetupError(msg)
            cursor.execute("DELETE FROM vault.keks WHERE version = %s", (version,))

    def prune(self, kinds: Mapping[str, EventKind], now: datetime) -> Pruned:
        """Delete the events that have had their time, and the keys of subjects without events.

        The names of erased subjects' records, too, once no record of their time is kept anywhere:
        of what type those were nothing says, so the longest period counts, and with it what Kafka
        may keep. By then whatever lay beside them is gone as well.

        Raises:
            RetriableError: Somebody reads what is to go; try again later. Nothing of the type at
                hand is gone.

        """
        gone: dict[str, int] = {}
        for kind in kinds.values():
            before = now - timedelta(days=kind.retention_days)
            with self._transaction() as cursor:
                cursor.execute(PATIENCE)
                row = cursor.execute(_DROP, (kind.event, before)).fetchone()
                rest = cursor.execute(_EXPIRED, (kind.event, before)).rowcount
            count = rest + (0 if row is None else int(row[0]))
            if count:
                gone[kind.event] = count
        subjects = self._strays(now - AWAITED)
        longest = timedelta(days=max(kind.retention_days for kind in kinds.values()))
        with self._transaction() as cursor:
            names = cursor.execute(_NAMES, (now - longest - AWAITED,)).rowcount
        return Pruned(gone, subjects, names)

    def _strays(self, since: datetime) -> int:
        """Delete key and index of subjects without events; return how many.

        Args:
            since: For whom a gateway has sealed after that, keeps the key.

        """
        found = 0
        with self._transaction() as cursor:
            cursor.execute(_ARRIVED, (since,))
        while True:
            with self._transaction() as cursor:
                cursor.execute(PATIENCE)
                # in a statement of its own: what writers had in hand must be seen by the next
                cursor.execute("SELECT vault.hold_keys()")
                strays = [row[0] for row in cursor.execute(_STRAYS, (since, TOGETHER)).fetchall()]
                cursor.execute(_NO_INDEX, (strays,))
                cursor.execute(_NO_KEYS, (strays,))
            found += len(strays)
            if len(strays) < TOGETHER:
                return found

    def summary(self) -> dict[str, Any]:
        """Return what the vault holds, in numbers. Rows of events are PostgreSQL's estimate."""
        with self._transaction() as cursor:
            has = migrate.applied(cursor.connection)
            return {
                "migration": has,
                "migrations": len(migrate.migrations()),
                "keys": [dict(zip(("version", "since", "subjects"), r, strict=True))
                         for r in cursor.execute(_KEYS).fetchall()],
                "events": [dict(zip(("event", "months", "rows", "bytes"), r, strict=True))
                           for r in cursor.execute(_EVENTS).fetchall()],
                "progress": [dict(zip(("topic", "partition", "next"), r, strict=True))
                             for r in cursor.execute(_PROGRESS).fetchall()],
                "erasures": dict(cursor.execute(_ERASURES).fetchall()),
                "suppressed": self._one(cursor, _SUPPRESSED),
            } if has else {"migration": 0, "migrations": len(migrate.migrations())}  # fmt: skip

    @staticmethod
    def _one(cursor: psycopg.Cursor[Any], query: LiteralString) -> int:
        row = cursor.execute(query).fetchone()
        return 0 if row is None else int(row[0])

    def _number(self, query: LiteralString) -> int:
        with self._transaction() as cursor:
            return self._one(cursor, query)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        try:
            with (
                self._connection.open() as connection,
                connection.transaction(),
                connection.cursor(binary=True) as cursor,
            ):
                yield cursor
        except psycopg.errors.LockNotAvailable:
            msg = "the vault is being read or written for long; try again later"
            raise RetriableError(msg) from None


_ALL_KEYS: LiteralString = """
SELECT count(*) FROM
  (SELECT kek FROM vault.subjects UNION ALL SELECT kek FROM vault.next_keys) k WHERE
"""
_OLDER: LiteralString = _ALL_KEYS + "kek < %s"
_UNDER: LiteralString = _ALL_KEYS + "kek = %s"
_TAKE: LiteralString = """
SELECT subject, kek, wrapped FROM vault.{} WHERE kek < %s
ORDER BY kek, subject LIMIT %s FOR UPDATE
"""
_PUT: LiteralString = """
UPDATE vault.{} s SET kek = n.kek, wrapped = n.wrapped
FROM unnest(%b::bytea[], %b::integer[], %b::bytea[]) AS n(subject, kek, wrapped)
WHERE s.subject = n.subject
"""
_REWRAPPED: tuple[tuple[LiteralString, LiteralString], ...] = (
    (_TAKE.format("subjects"), _PUT.format("subjects")),
    (_TAKE.format("next_keys"), _PUT.format("next_keys")),
)
_DROP: LiteralString = "SELECT vault.drop_months(%s, %s)"
_EXPIRED: LiteralString = "DELETE FROM vault.events WHERE event = %s AND kept_at < %s"
_NAMES: LiteralString = "DELETE FROM vault.erased WHERE named_at < %s"
_STRAYS: LiteralString = """
SELECT subject FROM vault.subjects s
WHERE NOT EXISTS (SELECT FROM vault.events e WHERE e.subject = s.subject)
  AND NOT EXISTS (SELECT FROM vault.awaited a WHERE a.subject = s.subject AND a.at > %s) LIMIT %s
"""
_ARRIVED: LiteralString = "DELETE FROM vault.awaited WHERE at <= %s"
_NO_INDEX: LiteralString = "DELETE FROM vault.blind_index WHERE subject = ANY(%b)"
_NO_KEYS: LiteralString = "DELETE FROM vault.subjects WHERE subject = ANY(%b)"
_KEYS: LiteralString = """
SELECT version, since, (SELECT count(*) FROM vault.subjects s WHERE s.kek = k.version)
FROM vault.keks k ORDER BY version
"""
_EVENTS: LiteralString = r"""
SELECT substring(pg_get_expr(p.relpartbound, p.oid) FROM '''(.*)'''), count(*),
  sum(greatest(c.reltuples, 0))::bigint, sum(pg_total_relation_size(c.oid))::bigint
FROM pg_partition_tree('vault.events') t
JOIN pg_class c ON c.oid = t.relid JOIN pg_class p ON p.oid = t.parentrelid
WHERE t.isleaf AND t.level = 2 GROUP BY 1 ORDER BY 1
"""
_PROGRESS: LiteralString = "SELECT topic, partition, next FROM vault.progress ORDER BY 1, 2"
_ERASURES: LiteralString = "SELECT step, count(*) FROM vault.erasures GROUP BY 1 ORDER BY 1"
_SUPPRESSED: LiteralString = "SELECT count(*) FROM vault.suppressions WHERE lifted_at IS NULL"
