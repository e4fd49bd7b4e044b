"""The runner of the vault's migrations: each once, in order, in a transaction with its mark."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from schemas.errors import SetupError

OWNER = "vault"  # the role that owns the tables; the writer's
FOLDER = Path(__file__).with_name("migrations")

_MARKS: LiteralString = """
CREATE TABLE IF NOT EXISTS vault.migrations (
  number integer PRIMARY KEY,
  name text NOT NULL,
  digest text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(4711, 0)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the folder, such as ``0001_tables.sql``.

    Attributes:
        digest: SHA-256 of its text, hex: an applied one never changes.

    """

    number: int
    name: str
    digest: str
    text: str = field(repr=False)


@cache
def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Return those of this release, in their order.

    Raises:
        SetupError: Their numbers are not 1, 2, 3, ...

    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        number, _, name = path.stem.partition("_")
        digest = hashlib.sha256(text.encode()).hexdigest()
        found.append(Migration(int(number), name, digest, text))
    if [one.number for one in found] != list(range(1, len(found) + 1)):
        msg = f"{folder}: the numbers of migrations have a gap or a double; rename the newest"
        raise SetupError(msg)
    return tuple(found)


def applied(connection: psycopg.Connection[Any]) -> int:
    """Return the number of the newest migration that the database has; 0: none.

    Raises:
        SetupError: It is newer than this release, or one was changed after it was applied.

    """
    if connection.execute("SELECT to_regclass('vault.migrations')").fetchone() == (None,):
        return 0
    rows = connection.execute("SELECT number, digest FROM vault.migrations ORDER BY 1").fetchall()
    known = migrations()
    if len(rows) > len(known):
        msg = f"the vault has migration {len(rows)}, this release {len(known)}; run the newer one"
        raise SetupError(msg)
    for (number, digest), one in zip(rows, known, strict=False):
        if (number, digest) != (one.number, one.digest):
            msg = (
                f"migration {one.number} ({one.name}) was changed after it was applied; restore it"
            )
            raise SetupError(msg)
    return len(rows)


def migrate(connection: psycopg.Connection[Any]) -> Sequence[Migration]:
    """Apply what is missing and return it; may be repeated, and by several at once.

    Args:
        connection: As the owner of the schema ``vault``; not in a transaction.

    Raises:
        SetupError: As `applied`, or a role is missing that the migrations grant rights to.

    """
    try:
        with connection.transaction():
            connection.execute(_LOCK)
            connection.execute(_MARKS)
            missing = migrations()[applied(connection) :]
            for one in missing:
                connection.execute(one.text.encode())
                connection.execute(
                    "INSERT INTO vault.migrations (number, name, digest) VALUES (%s, %s, %s)",
                    (one.number, one.name, one.digest),
                )
    except (psycopg.errors.UndefinedObject, psycopg.errors.InvalidSchemaName) as exc:
        lacking = exc.diag.message_primary or "something"
        msg = f"the vault's migrations need roles and schemas first ({lacking}); see docs/vault.md"
        raise SetupError(msg) from None
    return missing


def check(connection: psycopg.Connection[Any]) -> None:
    """Pass if the database has every migration of this release.

    Raises:
        SetupError: It has not, or as `applied`.

    """
    has, wanted = applied(connection), len(migrations())
    if has < wanted:
        msg = f"the vault has migration {has} of {wanted}; run `homeport vault migrate`"
        raise SetupError(msg)
