"""A real border between real topics: publish one side of every pair, and read what comes out."""

import gc
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from connectors.kafka.committed import committed, written
from connectors.kafka.config import MAX_MESSAGE_BYTES
from connectors.kafka.record import Place, Record, read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.telemetry.setup import telemetry
from schemas.errors import RetriableError
from streams.border import Border
from streams.demo.observe import Observer
from streams.noninterference.signals import Lines, listening
from streams.settings import load_settings

STALLED_S = 60.0  # without the border deciding anything
TIMEOUT_S = 30.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw record to publish."""

    topic: str
    partition: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Side:
    """What one side of all pairs became.

    Attributes:
        starts: Where its raw records begin, by place.
        records: On the minimal and the quarantine topic, each partition in its order.
        lines: What was logged.
        folder: Where metrics and spans were exported to.

    """

    starts: dict[Place, int]
    records: list[Record] = field(repr=False)
    lines: Lines = field(repr=False)
    folder: Path


@dataclass(frozen=True, slots=True)
class Stage:
    """The topics of a running stack's region, with nobody else at work on them."""

    home: Path
    region: str

    def partitions(self, topic: str) -> int:
        """Return how many partitions *topic* has."""
        return load_topics(self.home, self.region)[topic].partitions

    def play(
        self, raw: Iterable[Raw], folder: Path, rng: random.Random, progress: Callable[[int], None]
    ) -> Side:
        """Publish *raw* in this order, let a border carry it over, return what became of it.

        Args:
            raw: One side of the pairs.
            folder: For what the border exports.
            rng: For keys and headers of the raw records, which must not show, either.
            progress: Told how many records are decided.

        Raises:
            RetriableError: The border does not get on.

        """
        starts = self._ends(topics.raw_topics(self.region))
        outs = self._ends((topics.minimal(self.region), topics.quarantine(self.region)))
        self._publish(raw, rng)
        with listening() as lines, self._border(folder) as failed:
            self._settle(progress, failed)
        return Side(starts, self._read(outs), lines, folder)

    def _publish(self, raw: Iterable[Raw], rng: random.Random) -> None:
        config = load_settings(self.home, self.region, "gateway").kafka
        producer = Producer(
            config.librdkafka(
                compression_type="lz4",
                message_max_bytes=MAX_MESSAGE_BYTES,
                linger_ms=20,
                queue_buffering_max_kbytes=65_536,
            )
        )
        for one in raw:
            headers: Any = _headers(rng)
            while True:
                try:
                    producer.produce(
                        one.topic,
                        one.value,
                        rng.randbytes(8),
                        one.partition,
                        headers=headers,
                    )
                    break
                except BufferError:  # as many as it holds are on their way
                    producer.poll(POLL_S)
            producer.poll(0)
        if producer.flush(TIMEOUT_S):
            msg = "the broker does not take the raw records; see `homeport logs`"
            raise RetriableError(msg)

    @contextmanager
    def _border(self, folder: Path) -> Iterator[Callable[[], bool]]:
        """Run a border meanwhile; yield whether it has ended before its time."""
        settings = load_settings(self.home, self.region, "border")
        border = Border(settings, telemetry("border", self.region, folder, {}))
        halt = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(border.run, halt)
            try:
                yield running.done
            finally:
                halt.set()
            running.result(TIMEOUT_S)
        del border
        gc.collect()  # its clients refer to themselves, and would outlive the broker

    def _settle(self, progress: Callable[[int], None], failed: Callable[[], bool]) -> None:
        observer, before, since = Observer(self.home, self.region), -1, time.monotonic()
        start = observer.counts().border.raw
        while not failed():  # its error is raised where it ran
            counts = observer.counts()
            progress(counts.border.raw - start)
            if counts.raw == counts.border.raw:
                return
            if counts.border.raw != before:
                before, since = counts.border.raw, time.monotonic()
            elif time.monotonic() - since > STALLED_S:
                msg = f"the border decided nothing for {STALLED_S:.0f} s; see `homeport logs`"
                raise RetriableError(msg)
            time.sleep(POLL_S)

    def _ends(self, names: Iterable[str]) -> dict[Place, int]:
        places = [(name, n) for name in names for n in range(self.partitions(name))]
        return written(self._client(), places, TIMEOUT_S)

    def _read(self, starts: dict[Place, int]) -> list[Record]:
        """Return what was committed since *starts*."""
        found = map(read, committed(self._client(), starts, TIMEOUT_S))
        return sorted(found, key=lambda record: record.at)

    def _client(self) -> dict[str, Any]:
        settings = load_settings(self.home, self.region, "admin")
        return settings.kafka.librdkafka(group_id="noninterference")


def _headers(rng: random.Random) -> list[tuple[str, bytes | None]]:
    """Return inbound headers as a hostile caller would send them; not one may show."""
    trace, span = rng.randbytes(16).hex(), rng.randbytes(8).hex()
    choices: list[tuple[str, bytes | None]] = [
        ("traceparent", f"00-{trace}-{span}-01".encode()),
        ("tracestate", b"a=" + rng.randbytes(rng.randrange(40))),
        ("baggage", b"who=" + trace.encode()),
        ("homeport-plan", rng.randbytes(rng.randrange(70))),
        (f"x-{span}", None),
    ]
    return rng.sample(choices, rng.randrange(len(choices)))
