"""Rows in SQLite. One `Store` is one connection and belongs to one thread.

WAL with ``synchronous=NORMAL``: a committed transaction survives ``kill -9`` of the server; a
power cut may take the last ones back, whole.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.embedded.files import PRIVATE_FILE, private_dir
from connectors.sandbox.access import User
from connectors.sandbox.deployed.metadata import Field, Metadata
from connectors.sandbox.deployed.schema import FOLD, ORG_TABLES, deploy
from connectors.sandbox.rows.values import Row

ADMIN = "admin"
BUSY_TIMEOUT_S = 30
MAX_VARIABLES = 500  # per statement; SQLite allows more, the planner likes few


class Change:
    """A transaction in progress."""

    is_taken_back = False

    def take_back(self) -> None:
        """Undo, at the end of the block, what was written in it."""
        self.is_taken_back = True


class Store:
    """The org's tables."""

    def __init__(self, file: Path) -> None:
        """Open *file*, making it (0600) if there is none."""
        private_dir(file.parent)
        if not file.exists():
            file.touch(mode=PRIVATE_FILE)
        self._db = sqlite3.connect(
            file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._db.create_collation(FOLD, _compare_folded)
        self._db.create_function("fold", 1, _fold, deterministic=True)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator["Change"]:
        """Write everything in the block or nothing; inside another one, a part of it."""
        is_inner, change = self._db.in_transaction, Change()
        self._db.execute("SAVEPOINT part" if is_inner else "BEGIN IMMEDIATE")
        try:
            yield change
        except BaseException:
            change.take_back()
            raise
        finally:
            if change.is_taken_back:
                self._db.execute("ROLLBACK TO part" if is_inner else "ROLLBACK")
            if is_inner or not change.is_taken_back:
                self._db.execute("RELEASE part" if is_inner else "COMMIT")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the same state throughout the block; inside a transaction, what it has written."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def deploy(self, metadata: Metadata) -> dict[str, str]:
        """Bring the tables up to *metadata* and return the key prefix of each object."""
        self._db.executescript(ORG_TABLES)
        with self.transaction():
            prefixes = deploy(self._db, metadata)
            self._db.execute("INSERT OR IGNORE INTO users VALUES (1, ?, NULL)", (ADMIN,))
            self.setting("created_at", str(int(time.time())))
        return prefixes

    def setting(self, name: str, default: str) -> str:
        """Return an org setting, storing *default* the first time."""
        self._db.execute("INSERT OR IGNORE INTO org VALUES (?, ?)", (name, default))
        row = self._db.execute("SELECT value FROM org WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    def select(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._db.execute(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a query as they are taken, all of one state."""
        return self._db.execute(sql, values)

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement and return how many rows it touched."""
        return self._db.execute(sql, values).rowcount

    def run_all(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of *rows*."""
        self._db.executemany(sql, rows)

    def add(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one INSERT and return the new row's number."""
        number = self._db.execute(sql, values).lastrowid
        return number or 0

    def find_keys(
        self, sobject: str, field: Field, keys: Iterable[str | int]
    ) -> dict[Any, list[tuple[int, int]]]:
        """Return (sequence, owner) of the live rows that hold each key; absent = no row.

        Keys come back as `key_of` writes them.
        """
        found: dict[Any, list[tuple[int, int]]] = {}
        wanted = list(keys)
        for at in range(0, len(wanted), MAX_VARIABLES):
            part = wanted[at : at + MAX_VARIABLES]
            marks = ",".join("?" * len(part))
            sql = (
                f'SELECT "{field.name}", Id, OwnerId FROM "{sobject}"'  # noqa: S608 -- metadata
                f' WHERE IsDeleted = 0 AND "{field.name}" IN ({marks})'
            )
            for key, sequence, owner in self._db.execute(sql, part):
                found.setdefault(key_of(field, key), []).append((sequence, owner))
        return found

    def find_rows(
        self, sobject: str, columns: Sequence[str], sequences: Iterable[int]
    ) -> dict[int, Row]:
        """Return *columns* of the rows with those numbers, by number."""
        names = ", ".join(f'"{c}"' for c in columns)
        found: dict[int, Row] = {}
        wanted = list(sequences)
        for at in range(0, len(wanted), MAX_VARIABLES):
            part = wanted[at : at + MAX_VARIABLES]
            marks = ",".join("?" * len(part))
            sql = f'SELECT Id, {names} FROM "{sobject}" WHERE Id IN ({marks})'  # noqa: S608 -- metadata
            for sequence, *values in self._db.execute(sql, part):
                found[sequence] = dict(zip(columns, values, strict=True))
        return found

    def find_row(self, sobject: str, sequence: int | None) -> tuple[int, bool] | None:
        """Return (owner, deleted) of the row with that number, or None if there is none."""
        sql = f'SELECT OwnerId, IsDeleted FROM "{sobject}" WHERE Id = ?'  # noqa: S608 -- metadata
        row = self._db.execute(sql, (sequence,)).fetchone()
        return None if row is None else (int(row[0]), bool(row[1]))

    def purge(self, sobject: str, sequence: int) -> None:
        """Remove the row with that number; the number is never given out again."""
        self._db.execute(f'DELETE FROM "{sobject}" WHERE Id = ?', (sequence,))  # noqa: S608 -- metadata

    def next_sequence(self, sobject: str) -> int:
        """Return the number that the next row of *sobject* gets, inside a transaction."""
        sql = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        row = self._db.execute(sql, (sobject,)).fetchone()
        return 1 if row is None else int(row[0]) + 1

    def insert(self, sobject: str, rows: Iterable[Row]) -> None:
        """Add rows that name every column they set, ``Id`` included."""
        for columns, group in _by_columns(rows):
            names = ", ".join(f'"{c}"' for c in columns)
            marks = ",".join("?" * len(columns))
            sql = f'INSERT INTO "{sobject}" ({names}) VALUES ({marks})'  # noqa: S608 -- metadata
            self._db.executemany(sql, group)

    def update(self, sobject: str, rows: Iterable[Row]) -> None:
        """Set the columns each row names, ``Id`` excepted, on the row of that ``Id``."""
        for columns, group in _by_columns(rows):
            sets = ", ".join(f'"{c}" = ?{i}' for i, c in enumerate(columns, 1) if c != "Id")
            key = columns.index("Id") + 1
            sql = f'UPDATE "{sobject}" SET {sets} WHERE Id = ?{key}'  # noqa: S608 -- metadata
            self._db.executemany(sql, group)

    def sync_users(self, users: Iterable[tuple[str, str]]) -> None:
        """Make sure that each (username, permission set) exists; the administrator keeps theirs."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO users (username, permission_set) VALUES (?, ?)"
                " ON CONFLICT (username) DO UPDATE SET permission_set = excluded.permission_set"
                " WHERE permission_set IS NOT NULL",
                users,
            )

    def user(self, username: str) -> User | None:
        """Return the user of that name."""
        sql = "SELECT sequence, username, permission_set FROM users WHERE username = ?"
        row = self._db.execute(sql, (username,)).fetchone()
        return None if row is None else User(*row)

    def user_of(self, sequence: int) -> User | None:
        """Return the user with that number."""
        sql = "SELECT sequence, username, permission_set FROM users WHERE sequence = ?"
        row = self._db.execute(sql, (sequence,)).fetchone()
        return None if row is None else User(*row)

    def user_exists(self, sequence: int) -> bool:
        """Return whether there is a user with that number."""
        sql = "SELECT 1 FROM users WHERE sequence = ?"
        return self._db.execute(sql, (sequence,)).fetchone() is not None

    def open_session(self, digest: bytes, user: User, app: str, idle_s: int) -> None:
        """Store a session that ends *idle_s* seconds after its last use."""
        now = int(time.time())
        with self.transaction():
            self._db.execute("DELETE FROM sessions WHERE used_at + idle_s < ?", (now,))
            self._db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
                (digest, user.sequence, app, idle_s, now),
            )

    def session(self, digest: bytes) -> tuple[User, str, int, int] | None:
        """Return (user, app, idle seconds, last use) of a session, expired or not."""
        sql = (
            "SELECT u.sequence, u.username, u.permission_set, s.app, s.idle_s, s.used_at"
            " FROM sessions s JOIN users u ON u.sequence = s.user WHERE s.digest = ?"
        )
        row = self._db.execute(sql, (digest,)).fetchone()
        return None if row is None else (User(*row[:3]), *row[3:])

    def touch_session(self, digest: bytes, now: int) -> None:
        """Note a use of the session at *now*, seconds since 1970."""
        self._db.execute("UPDATE sessions SET used_at = ? WHERE digest = ?", (now, digest))

    def close_session(self, digest: bytes) -> bool:
        """End a session; return whether there was one."""
        return self._db.execute("DELETE FROM sessions WHERE digest = ?", (digest,)).rowcount > 0

    def close_sessions(self, app: str | None) -> int:
        """End all sessions, or those of the app of that name; return how many there were."""
        sql = "DELETE FROM sessions WHERE ?1 IS NULL OR app = ?1"
        return self._db.execute(sql, (app,)).rowcount

    def add_usage(self, calls: Mapping[tuple[str, int], int]) -> None:
        """Add API calls, by app and minute since 1970."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO api_calls VALUES (?, ?, ?)"
                " ON CONFLICT (app, minute) DO UPDATE SET calls = calls + excluded.calls",
                ((app, minute, count) for (app, minute), count in calls.items()),
            )

    def usage(self, since: int) -> list[tuple[str, int, int]]:
        """Return (app, minute, API calls) from the minute *since* on, and forget the earlier."""
        self._db.execute("DELETE FROM api_calls WHERE minute < ?", (since,))
        return self._db.execute("SELECT app, minute, calls FROM api_calls").fetchall()


def key_of(field: Field, value: str | int) -> str | int:
    """Return *value* in the form in which two keys of *field* are equal or not."""
    if isinstance(value, str) and not field.is_case_sensitive:
        return value.lower()
    return value


def _by_columns(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """Return the rows' values grouped by the columns they name, for `executemany`."""
    groups: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(tuple(row.values()))
    return groups.items()


def _compare_folded(a: str, b: str) -> int:
    """Return -1, 0 or 1, as two texts of a field without case are ordered; see `key_of`."""
    a, b = a.lower(), b.lower()
    return (a > b) - (a < b)


def _fold(text: str | float | None) -> str | float | None:
    """Return *text* as SOQL compares it: without case."""
    return text.casefold() if isinstance(text, str) else text
