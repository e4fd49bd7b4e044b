"""A backup of the vault: one zip file, every table as PostgreSQL's own binary COPY of one snapshot.

    <table>.copy      the rows
    manifest.json     last: what it is of, and each table's digest

What is sealed stays sealed, and no key-encryption key is in it: the file tells a thief what a dump
of the database tells (docs/vault.md). It is 0600 all the same.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, LiteralString

import orjson
import psycopg
from psycopg import IsolationLevel, sql

from connectors.postgres.connection import Connection
from connectors.postgres.vault import migrate
from schemas.errors import SetupError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CHUNK: Final = 2**20
# All tables of the vault but `migrations`, with their columns: a restore reads by name.
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "keks": ("version", "since"),
    "subjects": ("subject", "kek", "wrapped", "made_at"),
    "events": (
        *("event", "kept_at", "topic", "topic_id", "partition"),
        *("offset", "subject", "schema_id", "sealed"),
    ),
    "blind_index": ("kind", "digest", "subject"),
    "progress": ("topic_id", "topic", "partition", "next"),
    "erasures": (
        *("request", "subject", "token", "asked_at", "asked_by"),
        *("ticket", "step", "state", "leaf", "ended_at"),
    ),
    "suppressions": ("subject", "token_digest", "since", "request", "lifted_at"),
    "erased": ("topic_id", "partition", "offset", "request", "named_at"),
    "next_keys": ("subject", "kek", "wrapped", "made_at", "request"),
}
_MONTHS: LiteralString = """
SELECT DISTINCT event, to_char(kept_at AT TIME ZONE 'UTC', 'YYYY-MM') FROM vault.events
ORDER BY 1, 2
"""

Progress = Callable[[str, int], None]  # table, bytes so far


@dataclass(frozen=True, slots=True)
class Part:
    """One table of a backup: its size, and the SHA-256 of its bytes, hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of.

    Attributes:
        region: Whose vault.
        migration: The tables' form.
        taken_at: The snapshot's time, aware.
        tables: By name.
        months: (event type, ``2026-11``) of every month that has events.

    """

    region: str
    migration: int
    taken_at: datetime
    tables: Mapping[str, Part]
    months: tuple[tuple[str, str], ...]

    def to_json(self) -> bytes:
        """Return the manifest as it lies in the file."""
        return orjson.dumps({"format": FORMAT, **asdict(self)}, option=orjson.OPT_INDENT_2)

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        """Return the manifest that *text* is; the inverse of `to_json`.

        Raises:
            ValueError: It is none of this format.

        """
        try:
            raw = orjson.loads(text)
            if raw.pop("format") != FORMAT or set(raw["tables"]) != set(TABLES):
                raise ValueError(FORMAT)
            raw["tables"] = {name: Part(**part) for name, part in raw["tables"].items()}
            raw["taken_at"] = datetime.fromisoformat(raw["taken_at"])
            raw["months"] = tuple((event, month) for event, month in raw["months"])
            return cls(**raw)
        except (AttributeError, KeyError, TypeError) as exc:
            raise ValueError(FORMAT) from exc


def write(dsn: str, region: str, path: Path, progress: Progress) -> Manifest:
    """Write a backup of a region's vault to *path*, which must not be there; return its manifest.

    Services go on meanwhile. Interrupted, it leaves no file.

    Raises:
        SetupError: The file is there or cannot be written, or a migration is missing.
        RetriableError: Postgres does not answer.

    """
    connection = Connection(dsn)
    try:
        with connection.open() as opened, _new_file(path) as file:
            opened.isolation_level = IsolationLevel.REPEATABLE_READ
            opened.read_only = True
            with opened.transaction(), zipfile.ZipFile(file, "w") as out:
                return _write(opened, region, out, progress)
    finally:
        connection.close()


def _write(
    connection: psycopg.Connection[Any], region: str, out: zipfile.ZipFile, progress: Progress
) -> Manifest:
    migrate.check(connection)
    ((taken_at,),) = connection.execute("SELECT now()").fetchall()
    parts = {name: _copy_out(connection, name, out, progress) for name in TABLES}
    found = [(event, month) for event, month in connection.execute(_MONTHS).fetchall()]
    number = len(migrate.migrations())
    manifest = Manifest(region, number, taken_at, parts, tuple(found))
    out.writestr(MANIFEST, manifest.to_json())
    return manifest


def _copy_out(
    connection: psycopg.Connection[Any], table: str, out: zipfile.ZipFile, progress: Progress
) -> Part:
    digest, size = hashlib.sha256(), 0
    query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT BINARY)")
    statement = query.format(columns_of(table), sql.Identifier("vault", table))
    with (
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
        out.open(f"{table}.copy", "w", force_zip64=True) as member,
    ):
        for data in copy:
            member.write(data)
            digest.update(data)
            size += len(data)
            progress(table, size)
    return Part(size, digest.hexdigest())


def columns_of(table: str) -> sql.Composed:
    """Return a table's columns for a statement."""
    return sql.SQL(", ").join(map(sql.Identifier, TABLES[table]))


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """Open a new 0600 file; it is durable when the block ends, and gone if it fails."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    if path.exists():
        msg = f"{path}: is there already; choose another name"
        raise SetupError(msg)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        msg = f"{path}: cannot be written ({type(exc).__name__}); choose another folder"
        raise SetupError(msg) from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def opened(path: Path) -> Iterator[tuple[Manifest, zipfile.ZipFile]]:
    """Yield the manifest of a backup, and the file.

    Raises:
        SetupError: It is no backup of this release's format, or was cut short.

    """
    try:
        with zipfile.ZipFile(path) as file:
            yield Manifest.parse(file.read(MANIFEST)), file
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
        msg = f"{path}: no backup of a vault ({type(exc).__name__}); was it cut short?"
        raise SetupError(msg) from exc


def read(path: Path, file: zipfile.ZipFile, table: str, part: Part) -> Iterator[bytes]:
    """Yield a table's bytes.

    Raises:
        SetupError: At the end: they are not those that were written.

    """
    digest = hashlib.sha256()
    with file.open(f"{table}.copy") as member:
        while data := member.read(CHUNK):
            digest.update(data)
            yield data
    if digest.hexdigest() != part.sha256:
        msg = f"{path}: {table} is not what was written; take another backup"
        raise SetupError(msg)
