"""Raw records for the vault, a writer that runs in a thread, and what its database then holds."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from connectors.kafka.topology import load_topics
from connectors.postgres.vault.reader import Kept, VaultReader
from connectors.postgres.vault.suppressions import token_digest
from residency import topics
from residency.keys import secret
from residency.telemetry.setup import telemetry
from residency.vault.index import BlindIndex, Kind, term
from residency.vault.keyfiles import FileKeyStore
from residency.vault.subjects import subject_of
from schemas.codec import encode
from schemas.events import Coordinates
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.settings import load_settings
from streams.vault.writer import VaultWriter

WAIT_S = 60.0  # a bound, not a figure
REGISTERED = "commerce.customers.CustomerRegistered"
ERASURE = "commerce.customers.CustomerErasureRequested"
PLACED = "commerce.orders.OrderPlaced"
MESSAGE = "commerce.messages.SupportMessageReceived"
REGISTRY = load_registry()


def templates() -> dict[str, dict[str, Any]]:
    """Return an event of each type that we use, as the demo's shop makes them."""
    wanted = {REGISTERED, ERASURE, PLACED, MESSAGE}
    found: dict[str, dict[str, Any]] = {}
    for one in Shop(random.Random(11), ["eu"]).publications(2_000):
        if one.trap is None and one.type in wanted:
            found.setdefault(one.type, one.data)
        if found.keys() == wanted:
            break
    return found


TEMPLATES = templates()


@dataclass(frozen=True)
class Raw:
    """A raw record to send."""

    topic: str
    key: bytes
    value: bytes


@dataclass
class Person:
    """A customer nobody else is, and the events about them."""

    partition_key: bytes
    customer_id: str = field(default_factory=lambda: f"cus-{uuid4().hex}")
    email: str = field(default_factory=lambda: f"{uuid4().hex}@mail.example")

    @property
    def subject(self) -> bytes:
        return subject_of(self.partition_key, self.customer_id)

    def event(self, kind: str, **more: Any) -> Raw:
        """Return an event about the person; *more* replaces fields of it."""
        data = deepcopy(TEMPLATES[kind])
        data["customer"]["customer_id"] = self.customer_id
        if "email" in data["customer"]:
            data["customer"]["email"] = self.email
        for path in ("sender_email", "contact_email"):
            if path in data:
                data[path] = self.email
        schema = REGISTRY.latest(kind)
        value = encode(schema, from_plain(schema, {**data, **more}))
        return Raw(topics.raw("eu", schema.domain), self.subject, value)


class VaultLine:
    """Sends raw records and looks into the vault, of the region eu of a stack."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.keys = home / "eu" / "keys"
        self._partition_key = secret(self.keys, "partition")
        self.index = BlindIndex(secret(self.keys, "vault-index"))
        self.topic_ids = {name: info.id for name, info in load_topics(home, "eu").items()}

    def person(self) -> Person:
        return Person(self._partition_key)

    def send(self, raws: Sequence[Raw], time_ms: int | None = None) -> list[Coordinates]:
        """Put records on their topics, as the gateway does; return where they lie."""
        config = load_settings(self.home, "eu", "gateway").kafka.librdkafka(linger_ms=5)
        producer = Producer(config)
        found: dict[int, Coordinates] = {}

        def told(n: int) -> Callable[[KafkaError | None, Message], None]:
            def note(error: KafkaError | None, message: Message) -> None:
                assert error is None
                at = message.topic(), message.partition(), message.offset()
                found[n] = Coordinates(*at)  # type: ignore[arg-type]

            return note

        for n, raw in enumerate(raws):
            more = {} if time_ms is None else {"timestamp": time_ms}
            producer.produce(raw.topic, raw.value, raw.key, on_delivery=told(n), **more)
        assert producer.flush(WAIT_S) == 0
        return [found[n] for n in range(len(raws))]

    def dsn(self, role: str) -> str:
        file = self.home / "eu" / "services" / f"{role}.json"
        found: str = json.loads(file.read_text(encoding="utf-8"))["postgres"]["dsn"]
        return found

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what the vault's own role finds."""
        with psycopg.connect(self.dsn("vault"), autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def suppress(self, subject: bytes, token: str = "", since: datetime | None = None) -> None:
        """Suppress somebody, as an erasure does, which is asked for now if nothing is said."""
        self.rows(
            "INSERT INTO vault.suppressions (subject, token_digest, since, request)"
            " VALUES (%s, %s, %s, %s) RETURNING 1",
            *(subject, token_digest(token), since or datetime.now(UTC), uuid4().hex),
        )

    @contextmanager
    def reading(self, role: str = "lookup") -> Iterator[VaultReader]:
        with closing(VaultReader(self.dsn(role), FileKeyStore(self.keys).load())) as reader:
            yield reader

    def kept(self, subject: bytes) -> list[Kept]:
        with self.reading() as reader:
            return list(reader.events(subject))

    def record(self, at: Coordinates) -> Kept | None:
        with self.reading() as reader:
            return reader.record(self.topic_ids[at.topic], at.partition, at.offset)

    def has_passed(self, places: Sequence[Coordinates]) -> bool:
        """Tell whether the writer has stored everything up to these records."""
        progress = {(row[0], row[1]): row[2] for row in self.rows(
            "SELECT topic, partition, next FROM vault.progress"
        )}  # fmt: skip
        return all(progress.get((at.topic, at.partition), 0) > at.offset for at in places)

    def wait_for(self, places: Sequence[Coordinates]) -> None:
        wait_until("the vault has it", lambda: self.has_passed(places))

    def find(self, kind: Kind, value: str) -> list[bytes]:
        with self.reading() as reader:
            return reader.subjects_of(kind, self.index.digest(kind, term(kind, value)))


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_S} s"
        time.sleep(0.05)


@contextmanager
def writing(home: Path, slot: int = 0, folder: Path | None = None) -> Iterator[VaultWriter]:
    """Run a vault writer in a thread; what it raises is raised at the end."""
    settings = replace(load_settings(home, "eu", "vault"), slot=slot)
    writer, halt = VaultWriter(settings, telemetry("vault", "eu", folder, {})), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done: Future[None] = pool.submit(writer.run, halt)
        try:
            yield writer
        finally:
            halt.set()
        done.result(WAIT_S)
