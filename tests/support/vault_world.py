"""A vault on a Postgres of its own, written without Kafka: for what happens to it afterwards."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from vault_line import Person, Raw

from connectors.kafka.topology import TopicInfo
from connectors.postgres.vault.reader import Kept, VaultReader
from connectors.postgres.vault.store import VaultStore
from residency import topics
from residency.keys import secret
from residency.vault.keyfiles import FileKeyStore
from schemas.events import RawBatch
from streams.settings import Settings, load_settings
from streams.vault.erased import Erased
from streams.vault.storing import Vaulting, means
from streams.vault.subjectkeys import SubjectKeys

TABLES = (
    "awaited, next_keys, subjects, events, blind_index, progress, erasures, suppressions, erased,"
    " keks"
)


@dataclass
class VaultWorld:
    """A home with the vault's settings and keys, and what writes into its database."""

    home: Path
    dsn_of: Callable[[str], str]
    topic_ids: dict[str, str] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topic_ids |= {name: f"id-{name}" for name in topics.raw_topics("eu")}
        folder = self.home / "eu" / "services"
        folder.mkdir(parents=True, mode=0o700)
        document = {
            "region": "eu",
            "service": "vault",
            "home": str(self.home),
            "kafka": {"bootstrap": "127.0.0.1:1", "username": "vault", "password": "none"},
            "postgres": {"dsn": self.dsn_of("vault")},
        }
        ids = dict.fromkeys(topics.all_topics("eu"), "of no interest") | self.topic_ids
        known = {name: TopicInfo(made, 1, 1) for name, made in ids.items()}
        (self.home / "eu" / "topics.json").write_text(
            json.dumps({name: asdict(info) for name, info in known.items()}), encoding="utf-8"
        )
        path = folder / "vault.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document), encoding="utf-8")
        with psycopg.connect(self.dsn_of("vault"), autocommit=True) as connection:
            connection.execute(f"TRUNCATE {TABLES}".encode())

    @property
    def settings(self) -> Settings:
        return load_settings(self.home, "eu", "vault")

    @property
    def keystore(self) -> FileKeyStore:
        return FileKeyStore(self.home / "eu" / "keys")

    def person(self) -> Person:
        return Person(secret(self.home / "eu" / "keys", "partition"))

    def write(self, raws: Sequence[Raw], at: datetime | None = None) -> RawBatch:
        """Store records as a writer that has just started does; return them."""
        offsets = []
        for raw in raws:
            offsets.append(self._offsets.get(raw.topic, 0))
            self._offsets[raw.topic] = offsets[-1] + 1
        time_ms = int((time.time() if at is None else at.timestamp()) * 1000)
        batch = RawBatch(
            [raw.topic for raw in raws],
            [0] * len(raws),
            offsets,
            [raw.value for raw in raws],
            [raw.key for raw in raws],
            times_ms=[time_ms] * len(raws),
        )
        self.store(batch)
        return batch

    def store(self, batch: RawBatch) -> None:
        """Store a batch as a writer that has just started does."""
        keys = SubjectKeys(self.keystore)
        vaulting = Vaulting(means(self.settings, keys, self.topic_ids))
        now, dsn = datetime.now(UTC), self.dsn_of("vault")
        with closing(VaultStore(dsn)) as store, closing(Erased(dsn)) as erased:
            store.begin(keys.version, now)
            refused = erased.refused(batch)
            with store.writing() as writing:
                vaulting.store(writing, batch, refused, now)

    def kept(self, subject: bytes) -> list[Kept]:
        with closing(VaultReader(self.dsn_of("lookup"), self.keystore.load())) as reader:
            return list(reader.events(subject))

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn_of("vault"), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def role(world: VaultWorld, name: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect as one of the region's roles."""
    with psycopg.connect(world.dsn_of(name), autocommit=True) as connection:
        yield connection
