"""A backup put in the place of the vault, in one transaction, and without those erased since.

Nobody reads any of it before the transaction ends, and at its end the erased are gone from it.
What the live tables know of erasures stays, whatever the backup knew.
"""

import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from connectors.postgres.connection import Connection
from connectors.postgres.vault import backup, migrate
from connectors.postgres.vault.backup import Manifest, Progress
from residency.vault.restoring import Gone, months, unopenable
from schemas.errors import SetupError

REPLACED: Final = ("subjects", "events", "blind_index", "progress")
# What is there already stays.
MERGED: Final = ("keks", "erasures", "suppressions", "erased", "next_keys")
SERVICES: Final = ("vault", "lookup", "erase")  # roles of services that must be stopped

DigestOf = Callable[[psycopg.Cursor[Any], bytes], bytes]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        manifest: Of the backup.
        subjects: How many the vault has now.
        erased: How many of the backup were erased since, and are gone from it.
        from_ledger: How many of those only the ledger knew.

    """

    manifest: Manifest
    subjects: int
    erased: int
    from_ledger: int


@dataclass(frozen=True, slots=True)
class Means:
    """What a restore is told by the region.

    Attributes:
        region: Which.
        versions: Of the key-encryption keys that are held.
        ledger_says: Which of some subjects the ledger says were erased since the backup.
        token_digest_of: A subject's token's digest, from an event that is about to go.
        places: Of raw records: topic id, topic and partition of all that the vault reads.

    """

    region: str
    versions: Collection[int]
    ledger_says: Callable[[Manifest, Iterable[bytes]], Mapping[bytes, Gone]]
    token_digest_of: DigestOf
    places: Collection[tuple[str, str, int]]


def restore(dsn: str, path: Path, means: Means, progress: Progress) -> Restored:
    """Replace the vault's content by a backup's; all of it, or nothing.

    Raises:
        SetupError: The file is no backup of this region and form, a service is running, or the
            keys of the backup lie under versions that are not held.
        RetriableError: Postgres does not answer; nothing has changed.

    """
    connection = Connection(dsn)
    try:
        with (
            backup.opened(path) as (manifest, file),
            connection.open() as opened,
            opened.transaction(),
            opened.cursor(binary=True) as cursor,
        ):
            _check(cursor, path, manifest, means.region)
            return _Restore(cursor, path, manifest, file, progress).run(means)
    finally:
        connection.close()


def _check(cursor: psycopg.Cursor[Any], path: Path, manifest: Manifest, region: str) -> None:
    migrate.check(cursor.connection)
    if manifest.region != region:
        msg = f"{path}: a backup of {manifest.region}, not of {region}; nothing was changed"
        raise SetupError(msg)
    if manifest.migration != (number := len(migrate.migrations())):
        msg = (
            f"{path}: of migration {manifest.migration}, the vault has {number}; restore it with"
            " the release that wrote it, into an empty vault, then run `homeport vault migrate`"
        )
        raise SetupError(msg)
    cursor.execute("SELECT vault.hold_keys()")
    running = [row[0] for row in cursor.execute(_RUNNING, (list(SERVICES),)).fetchall()]
    if running:
        msg = (
            f"{', '.join(running)}: connected to the vault; stop the region's workers first"
            " (`homeport down`, then `homeport up --without-workers`)"
        )
        raise SetupError(msg)


class _Restore:
    """One restore, in its transaction."""

    def __init__(
        self,
        cursor: psycopg.Cursor[Any],
        path: Path,
        manifest: Manifest,
        file: zipfile.ZipFile,
        progress: Progress,
    ) -> None:
        self._cursor = cursor
        self._path = path
        self._manifest = manifest
        self._file = file
        self._progress = progress

    def run(self, means: Means) -> Restored:
        cursor, manifest = self._cursor, self._manifest
        cursor.execute(_EMPTY)
        for event, firsts in months(manifest.months).items():
            for first in firsts:
                cursor.execute("SELECT vault.make_partition(%s, %s)", (event, first))
        for table in REPLACED:
            self._load(table, sql.Identifier("vault", table))
        # else the writer read on from where it was before the restore, and left a gap
        cursor.executemany(_FROM_THE_START, sorted(means.places))
        for table in MERGED:
            self._merge(table)
        cursor.execute(_UNUSED)
        self._check_keys(means.versions)
        known = self._known()
        said = means.ledger_says(manifest, self._subjects())
        news = [gone for subject, gone in said.items() if subject not in known]
        for gone in news:
            self._tell(gone, means.token_digest_of(cursor, gone.subject))
        erased = [(subject, request) for subject, request in known.items()]
        erased += [(gone.subject, gone.request) for gone in news]
        self._forget(erased)
        return Restored(manifest, self._count(), len(erased), len(news))

    def _load(self, table: str, target: sql.Identifier) -> None:
        query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
        part, done = self._manifest.tables[table], 0
        with self._cursor.copy(query.format(target, backup.columns_of(table))) as copy:
            for data in backup.read(self._path, self._file, table, part):
                copy.write(data)
                done += len(data)
                self._progress(table, done)

    def _merge(self, table: str) -> None:
        loaded = sql.Identifier(f"restored_{table}")
        names = {"loaded": loaded, "table": sql.Identifier("vault", table)}
        make = sql.SQL("CREATE TEMPORARY TABLE {loaded} (LIKE {table}) ON COMMIT DROP")
        self._cursor.execute(make.format(**names))
        self._load(table, loaded)
        add = sql.SQL("INSERT INTO {table} ({c}) SELECT {c} FROM {loaded} ON CONFLICT DO NOTHING")
        self._cursor.execute(add.format(**names, c=backup.columns_of(table)))

    def _check_keys(self, held: Collection[int]) -> None:
        """Pass if every key can be opened.

        Raises:
            SetupError: One lies under a version that was retired: its events are lost for good.

        """
        rows = self._cursor.execute(_VERSIONS).fetchall()
        lost = unopenable((row[0] for row in rows), held)
        if lost:
            msg = (
                f"{self._path}: keys lie under version {', '.join(map(str, lost))} of the"
                " key-encryption key, which was retired; nothing was changed"
            )
            raise SetupError(msg)

    def _known(self) -> dict[bytes, str]:
        """Return the subjects of the backup that the tables say were erased since."""
        rows = self._cursor.execute(_KNOWN, (self._manifest.taken_at,)).fetchall()
        return {row[0]: row[1] for row in rows}

    def _subjects(self) -> list[bytes]:
        return [row[0] for row in self._cursor.execute("SELECT subject FROM vault.subjects")]

    def _tell(self, gone: Gone, token_digest: bytes) -> None:
        """Keep an erasure that only the ledger knew, and suppress its subject again."""
        values = (gone.request, gone.subject, gone.asked_at, gone.by, gone.leaf, gone.ended_at)
        self._cursor.execute(_ERASURE, values)
        self._cursor.execute(
            _SUPPRESSION, (gone.subject, token_digest, gone.asked_at, gone.request)
        )

    def _forget(self, erased: list[tuple[bytes, str]]) -> None:
        """Take subjects out of what was restored; only their records' names stay."""
        subjects, requests = [one[0] for one in erased], [one[1] for one in erased]
        self._cursor.execute(_NAMES, (subjects, requests))
        for statement in _FORGET:
            self._cursor.execute(statement, (subjects,))

    def _count(self) -> int:
        row = self._cursor.execute("SELECT count(*) FROM vault.subjects").fetchone()
        return 0 if row is None else int(row[0])


_RUNNING: LiteralString = """
SELECT DISTINCT usename::text FROM pg_stat_activity
WHERE datname = current_database() AND usename::text = ANY(%b) AND pid <> pg_backend_pid()
ORDER BY 1
"""
_VERSIONS: LiteralString = "SELECT kek FROM vault.subjects UNION SELECT kek FROM vault.next_keys"
# Of erasures that have come home since: nobody would ever make it the subject's own.
_UNUSED: LiteralString = """
DELETE FROM vault.next_keys n
WHERE NOT EXISTS (SELECT FROM vault.erasures e WHERE e.request = n.request AND e.step = 'abroad')
"""
_EMPTY: LiteralString = "TRUNCATE vault.subjects, vault.events, vault.blind_index, vault.progress"
# Of what the backup knows nothing, nothing had been stored.
_FROM_THE_START: LiteralString = """
INSERT INTO vault.progress (topic_id, topic, partition, next) VALUES (%s, %s, %s, 0)
ON CONFLICT (topic_id, partition) DO NOTHING
"""
# An erasure that is not at home yet goes on by itself, and needs what the backup has of it.
_KNOWN: LiteralString = """
SELECT s.subject, a.request FROM vault.subjects s
JOIN vault.suppressions p ON p.subject = s.subject
JOIN vault.erasures a ON a.request = p.request
WHERE a.step IN ('home', 'logged', 'certified', 'done') AND coalesce(a.ended_at, 'infinity') >= %s
"""
_ERASURE: LiteralString = """
INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step, leaf, ended_at)
VALUES (%s, %s, '', %s, %s, 'done', %s, %s) ON CONFLICT (request) DO NOTHING
"""
_SUPPRESSION: LiteralString = """
INSERT INTO vault.suppressions (subject, token_digest, since, request) VALUES (%s, %s, %s, %s)
ON CONFLICT (subject) DO NOTHING
"""
_NAMES: LiteralString = """
INSERT INTO vault.erased (topic_id, partition, "offset", request)
SELECT e.topic_id, e.partition, e."offset", g.request FROM vault.events e
JOIN unnest(%b::bytea[], %b::text[]) AS g(subject, request) ON g.subject = e.subject
ON CONFLICT (topic_id, partition, "offset") DO NOTHING
"""
_FORGET: tuple[LiteralString, ...] = (
    "DELETE FROM vault.events WHERE subject = ANY(%b)",
    "DELETE FROM vault.blind_index WHERE subject = ANY(%b)",
    "DELETE FROM vault.subjects WHERE subject = ANY(%b)",
)
