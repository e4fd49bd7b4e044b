"""A border that runs in a thread, the topics around it from a moment on, and events for it."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.embedded.stack import Stack
from connectors.kafka.committed import committed, written
from connectors.kafka.record import Place, Record, read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import secret, token_keys
from residency.plan.book import Crossing
from residency.telemetry.setup import telemetry
from residency.vault.subjects import subject_of
from schemas.codec import encode
from schemas.errors import RetriableError
from schemas.events import Coordinates, MinimalRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.border import Border
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Observer
from streams.plans import load_book
from streams.settings import load_settings
from streams.tally import Tally
from streams.vault.erased import PARTITION

WAIT_S = 90.0  # a bound, not a figure: three workers join and leave on two shared cores
ORDERS, CUSTOMERS = topics.raw("eu", "orders"), topics.raw("eu", "customers")
Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class Sent:
    """One raw record to publish."""

    topic: str
    value: bytes | None = field(repr=False)
    key: bytes = b"k"
    headers: Headers = field(default_factory=list)


@dataclass
class Working:
    """A border at work in a thread."""

    border: Border
    halt: threading.Event
    done: "Future[None]" = field(init=False)

    def stop(self) -> None:
        self.halt.set()
        self.done.result(WAIT_S)


@contextmanager
def working(
    stack: Stack,
    folder: Path | None = None,
    slot: int = 0,
    home: Path | None = None,
    *,
    is_kept: bool = False,
) -> Iterator[Working]:
    """Run a border; if *is_kept*, a new one after each it may go on from, as a supervisor does."""

    def made() -> Border:
        settings = load_settings(stack.home, "eu", "border")
        settings = replace(settings, home=home or settings.home, slot=slot)
        return Border(settings, telemetry("border", "eu", folder, {}))

    def run() -> None:
        while True:
            try:
                running.border.run(running.halt)
            except RetriableError:
                if not is_kept:
                    raise
            if running.halt.is_set():
                return
            running.border = made()

    running = Working(made(), threading.Event())
    with ThreadPoolExecutor(1) as pool:
        running.done = pool.submit(run)
        try:
            yield running
        finally:
            running.halt.set()
        running.done.result(WAIT_S)


def wait_until(what: str, is_so: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_S} s"
        time.sleep(0.2)


class Line:
    """The topics around the border, from a moment on."""

    def __init__(self, stack: Stack) -> None:
        self.home = stack.home
        self._key = secret(stack.home / "eu" / "keys", PARTITION)  # a gateway makes it
        self._observer = Observer(stack.home, "eu")
        self._start = self._ends()
        self._before = self._observer.counts().border

    @property
    def tally(self) -> Tally:
        """What the border has counted since."""
        return self._observer.counts().border.minus(self._before)

    def subject(self, event: Publication) -> bytes:
        """Return the key under which a gateway publishes an event."""
        return subject_of(self._key, event.data["customer"]["customer_id"])

    def send(self, records: Sequence[Sent]) -> list[Coordinates]:
        """Return where each record lies."""
        config = load_settings(self.home, "eu", "gateway").kafka.librdkafka(
            compression_type="lz4", message_max_bytes=8 * 2**20
        )
        producer, found = Producer(config), dict[int, Coordinates]()

        def note(error: Any, message: Any, number: int) -> None:
            assert error is None, error
            found[number] = Coordinates(message.topic(), message.partition(), message.offset())

        for number, one in enumerate(records):
            producer.produce(
                one.topic,
                one.value,
                one.key,
                headers=one.headers,
                on_delivery=lambda error, message, n=number: note(error, message, n),
            )
        assert producer.flush(WAIT_S) == 0
        return [found[number] for number in range(len(records))]

    def settle(self) -> None:
        """Wait until the border has counted every raw record there is."""
        wait_until("the border", self.is_settled)

    def is_settled(self) -> bool:
        counts = self._observer.counts()
        return counts.raw == counts.border.raw

    def made(self) -> list[Record]:
        """Return what was committed to the topics of what the border makes since."""
        return list(map(read, committed(self._config(), self._start, WAIT_S)))

    def committed(self) -> dict[tuple[str, int], tuple[int, Tally]]:
        """Return offset and count of every raw partition, as the broker has them."""
        consumer = Consumer(self._config(group_id=topics.group("border")))
        wanted = [
            TopicPartition(topic, n)
            for topic in topics.raw_topics("eu")
            for n in range(topics.PARTITIONS)
        ]
        found = consumer.committed(wanted, WAIT_S)
        consumer.close()
        return {(p.topic, p.partition): (p.offset, Tally.from_metadata(p.metadata)) for p in found}

    def open_transactions(self) -> list[Place]:
        """Return the partitions whose readers wait for a transaction to end."""
        waiting = []
        with closing(Consumer(self._config(isolation_level="read_committed"))) as reader:
            for place, end in written(self._config(), self._start, WAIT_S).items():
                if reader.get_watermark_offsets(TopicPartition(*place), WAIT_S)[1] != end:
                    waiting.append(place)
        return waiting

    def _ends(self) -> dict[Place, int]:
        made = (topics.minimal("eu"), topics.enrich("eu"), topics.quarantine("eu"))
        places = [(topic, n) for topic in made for n in range(topics.PARTITIONS)]
        return written(self._config(), places, WAIT_S)

    def _config(self, **more: Any) -> dict[str, Any]:
        settings = load_settings(self.home, "eu", "admin")
        return settings.kafka.librdkafka(**{"group_id": "test", **more})


SEEDS = count(random.SystemRandom().randrange(2**32))


def publications(region: str = "eu", n: int = 50) -> list[Publication]:
    return list(Shop(random.Random(next(SEEDS)), [region]).publications(n))


def wire(event: Publication) -> bytes:
    registry = load_registry()
    versions = {s.version: s for s in registry.versions(event.type)}
    schema = versions[event.schema_version or max(versions)]
    return encode(schema, from_plain(schema, event.data))


def one(kind: str, region: str = "eu") -> Publication:
    wanted = (e for _ in range(20) for e in publications(region) if not e.trap)
    return next(e for e in wanted if e.type.endswith(f".{kind}"))


def in_country(event: Publication, country: str) -> Publication:
    data = deepcopy(event.data)
    data["customer"]["residence"]["country"] = country
    return replace(event, data=data)


def stripped(stack: Stack, value: bytes, at: Coordinates) -> MinimalRecord:
    """Return what the definition makes of an order, in this process and with the same keys."""
    (record,) = crossed(stack, value, at).records
    return record


def crossed(stack: Stack, value: bytes, at: Coordinates) -> Crossing:
    known = load_topics(stack.home, "eu")[at.topic]
    keys = token_keys(stack.home / "eu" / "keys", "eu")
    book = load_book("eu", keys, datetime.now(UTC).date())
    return book.minimise(RawEvent(at, known.id, known.generation, value))
