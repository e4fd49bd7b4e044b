"""The org's SQLite tables: one per object, one column per field, plus the org's own."""

import sqlite3
from collections.abc import Iterable, Mapping

from connectors.sandbox.deployed.metadata import (
    NUMBER_TYPES,
    TEXT_TYPES,
    Field,
    Metadata,
    SObject,
)

FOLD = "FOLD"  # collation that `Store` brings: SQLite's own NOCASE knows A to Z only
KEY_PREFIXES = "abcdefghijklmnopqrstuvwxyz"  # custom objects get a00, a01, ... in order

ORG_TABLES = """
CREATE TABLE IF NOT EXISTS org (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (name TEXT PRIMARY KEY, prefix TEXT NOT NULL UNIQUE,
    purged_at INTEGER);
CREATE TABLE IF NOT EXISTS users (
    sequence INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, permission_set TEXT);
CREATE TABLE IF NOT EXISTS sessions (
    digest BLOB PRIMARY KEY, user INTEGER NOT NULL REFERENCES users, app TEXT NOT NULL,
    idle_s INTEGER NOT NULL, used_at INTEGER NOT NULL, issued_at INTEGER NOT NULL,
    scope TEXT NOT NULL, refresh BLOB) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_refresh ON sessions (refresh) WHERE refresh IS NOT NULL;
CREATE TABLE IF NOT EXISTS refresh_tokens (
    digest BLOB PRIMARY KEY, user INTEGER NOT NULL REFERENCES users, app TEXT NOT NULL,
    scope TEXT NOT NULL, issued_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS page_keys (
    digest BLOB PRIMARY KEY, is_link INTEGER NOT NULL, ends_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bulk_jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users,
    sobject TEXT NOT NULL, operation TEXT NOT NULL, key TEXT, delimiter TEXT NOT NULL,
    ending TEXT NOT NULL, version TEXT NOT NULL, query TEXT, state TEXT NOT NULL,
    created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL,
    is_uploaded INTEGER NOT NULL DEFAULT 0, next_byte INTEGER NOT NULL DEFAULT 0,
    processed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    work_ms INTEGER NOT NULL DEFAULT 0, error TEXT);
CREATE TABLE IF NOT EXISTS bulk_results (
    job INTEGER NOT NULL REFERENCES bulk_jobs, start INTEGER NOT NULL, length INTEGER NOT NULL,
    id TEXT NOT NULL, created INTEGER NOT NULL, error TEXT,
    PRIMARY KEY (job, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deployments (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users,
    options TEXT NOT NULL, state TEXT NOT NULL,
    created_at INTEGER NOT NULL, started_at INTEGER, changed_at INTEGER NOT NULL,
    ended_at INTEGER, total INTEGER NOT NULL DEFAULT 0, deployed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, details TEXT NOT NULL DEFAULT '{}',
    cancelled_by INTEGER);
CREATE TABLE IF NOT EXISTS retrieves (
    number INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users,
    result TEXT NOT NULL, zip BLOB NOT NULL, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS api_calls (
    app TEXT NOT NULL, minute INTEGER NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (app, minute)) WITHOUT ROWID;
"""

_SYSTEM_COLUMNS = """
    Id INTEGER PRIMARY KEY AUTOINCREMENT, OwnerId INTEGER NOT NULL,
    IsDeleted INTEGER NOT NULL DEFAULT 0, Name TEXT NOT NULL,
    CreatedDate INTEGER NOT NULL, CreatedById INTEGER NOT NULL,
    LastModifiedDate INTEGER NOT NULL, LastModifiedById INTEGER NOT NULL,
    SystemModstamp INTEGER NOT NULL"""
_TYPES: Mapping[str, str] = {
    **dict.fromkeys(TEXT_TYPES, "TEXT"),
    **dict.fromkeys(NUMBER_TYPES, "INTEGER"),
    "date": "TEXT",
    "datetime": "INTEGER",
    "boolean": "INTEGER NOT NULL DEFAULT 0",
    "reference": "INTEGER",
}


def deploy(db: sqlite3.Connection, metadata: Metadata) -> dict[str, str]:
    """Make the tables and columns that *metadata* has and *db* lacks; return the key prefixes.

    Nothing is removed: rows of an earlier deployment keep their ids and values. What is taken
    away on purpose `changes.prepare` removes before. Runs inside the caller's transaction.
    """
    prefixes: dict[str, str] = dict(db.execute("SELECT name, prefix FROM objects"))
    for sobject in metadata.objects.values():
        if sobject.rows is not None:
            prefixes[sobject.name] = sobject.prefix or ""
            db.execute(f'DROP VIEW IF EXISTS "{sobject.name}"')
            db.execute(f'CREATE VIEW "{sobject.name}" AS {sobject.rows}')
            continue
        if sobject.name not in prefixes:
            prefix = sobject.prefix or _next_prefix(prefixes.values())
            prefixes[sobject.name] = prefix
            db.execute("INSERT INTO objects VALUES (?, ?, NULL)", (sobject.name, prefix))
            db.execute(f'CREATE TABLE "{sobject.name}" ({_SYSTEM_COLUMNS})')
            _add_bin(db, sobject)
        _add_columns(db, sobject)
    return prefixes


def _next_prefix(taken: Iterable[str]) -> str:
    number = sum(prefix[0] in KEY_PREFIXES for prefix in taken)
    return f"{KEY_PREFIXES[number // 100]}{number % 100:02d}"


def _add_columns(db: sqlite3.Connection, sobject: SObject) -> None:
    present = {row[1] for row in db.execute(f'PRAGMA table_info("{sobject.name}")')}
    for field in sobject.fields:
        if field.name not in present:
            is_folded = field.type in TEXT_TYPES - {"picklist"} and not field.is_case_sensitive
            collate = f"COLLATE {FOLD}" if is_folded else ""
            db.execute(
                f'ALTER TABLE "{sobject.name}" ADD COLUMN "{field.name}"'
                f" {_TYPES[field.type]} {collate}"
            )
        if field.is_unique or field.is_external_id or field.on_delete is not None:
            _add_index(db, sobject, field)


def _add_bin(db: sqlite3.Connection, sobject: SObject) -> None:
    """Index the recycle bin by the time of the deletion; live rows cost nothing by it."""
    db.execute(
        f'CREATE INDEX "{sobject.name}.bin" ON "{sobject.name}" (SystemModstamp)'
        " WHERE IsDeleted = 1"
    )


def _add_index(db: sqlite3.Connection, sobject: SObject, field: Field) -> None:
    """Index a key or a lookup among live rows: a deleted row's key is free for a new one."""
    unique = "UNIQUE" if field.is_unique else ""
    db.execute(
        f'CREATE {unique} INDEX IF NOT EXISTS "{sobject.name}.{field.name}"'
        f' ON "{sobject.name}" ("{field.name}") WHERE IsDeleted = 0'
    )
