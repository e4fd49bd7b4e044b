"""Rows in SQLite. One `Store` is one connection and belongs to one thread.

WAL with ``synchronous=NORMAL``: a committed transaction survives ``kill -9`` of the server; a
power cut may take the last ones back, whole.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.embedded.files import PRIVATE_FILE, private_dir
from connectors.sandbox.deployed.changes import prepare
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
        self._db.executescript(ORG_TABLES)

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

    def deploy(self, metadata: Metadata, before: Metadata | None = None) -> dict[str, str]:
        """Bring the tables to *metadata*, less what only *before* has; return the key prefixes.

        Raises:
            UnfitRowsError: A field cannot be unique, two live rows have the same value.

        """
        with self.transaction():
            if before is not None:
                prepare(self._db, before, metadata)
            prefixes = deploy(self._db, metadata)
            self._db.execute("INSERT OR IGNORE INTO users VALUES (1, ?, NULL)", (ADMIN,))
            sql = "INSERT OR IGNORE INTO org VALUES ('created_at', ?)"
            self._db.execute(sql, (str(int(time.time())),))
        return prefixes

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
        self.note_purge(sobject)

    def note_purge(self, sobject: str) -> None:
        """Note that rows of *sobject* were removed for good just now."""
        sql = "UPDATE objects SET purged_at = ? WHERE name = ?"
        self._db.execute(sql, (int(time.time()), sobject))

    def last_purge(self, sobject: str) -> int | None:
        """Return when rows of *sobject* were last removed, in seconds since 1970, if any were."""
        sql = "SELECT purged_at FROM objects WHERE name = ?"
        row = self._db.execute(sql, (sobject,)).fetchone()
        return None if row is None else row[0]

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
