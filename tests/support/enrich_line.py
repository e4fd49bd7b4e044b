"""The topics around enrichment, from a moment on, and a worker that runs in a thread."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from label_world import MODEL, PLAN, REGISTRY, TASKS, HandMade, made_request, wire

from connectors.kafka import headers
from connectors.kafka.committed import committed
from connectors.kafka.record import Record, read
from residency import topics
from residency.plan.model import Plan
from residency.plan.stored import load_stored
from residency.policy.budgets import Budget
from residency.telemetry.setup import telemetry
from schemas.codec import decode
from schemas.events import LabelRequest
from streams.enrich import Enrich, Model, Terms
from streams.settings import Settings, load_settings

WAIT_S = 90.0  # a bound, not a figure
AMPLE = Budget("ample", "eu", 1_000_000, 30, "test")


def wait_until(what: str, is_so: Callable[[], bool], within_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.1)


def plans() -> dict[str, Plan]:
    """Return the made plan, and the real ones: their border may have written requests, too."""
    return {**load_stored("eu"), PLAN.digest: PLAN}


def made_worker(
    settings: Settings,
    model: HandMade | Model,
    budget: Budget = AMPLE,
    folder: Path | None = None,
) -> Enrich:
    """Return a worker that asks a hand-made model about made tasks, or a real one about ours."""
    asked = Model(model, TASKS, MODEL) if isinstance(model, HandMade) else model
    signals = telemetry("enrich", "eu", folder, {})
    return Enrich(settings, asked, Terms(plans(), budget), signals)


@dataclass
class Working:
    """A worker in a thread."""

    worker: Enrich
    halt: threading.Event = field(default_factory=threading.Event)
    done: "Future[None] | None" = None


@contextmanager
def working(
    home: Path,
    model: HandMade | Model,
    budget: Budget = AMPLE,
    *,
    folder: Path | None = None,
    slot: int = 0,
) -> Iterator[Working]:
    settings = replace(load_settings(home, "eu", "enrich"), slot=slot)
    running = Working(made_worker(settings, model, budget, folder))
    with ThreadPoolExecutor(1) as pool:
        running.done = pool.submit(running.worker.run, running.halt)
        try:
            yield running
        finally:
            running.halt.set()
        running.done.result(WAIT_S)


class EnrichLine:
    """Sends requests and reads what they become; each line knows its own by a topic id."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.topic_id = f"made-{uuid4().hex[:12]}"
        self._numbers = 0
        self._reader = Consumer(self._config(enable_partition_eof=True))
        self._next = {n: self._end(topics.labels("eu"), n) for n in range(topics.PARTITIONS)}
        self._found: list[Record] = []

    def requests(
        self,
        texts: Sequence[str | None],
        subject: str = "tok_eu1_someone",
        plan: Plan = PLAN,
    ) -> list[LabelRequest]:
        """Return a request per text, of raw records that no other request is of."""
        start = self._numbers
        self._numbers += len(texts)
        return [
            made_request(start + n, text, subject, plan=plan, topic_id=self.topic_id)
            for n, text in enumerate(texts)
        ]

    def send(self, requests: Sequence[LabelRequest]) -> None:
        """Put *requests* on the topic of requests, as the border does."""
        config = load_settings(self.home, "eu", "border").kafka.librdkafka(linger_ms=5)
        producer, known = Producer(config), plans()
        for one in requests:
            key, value, stamped = wire(one, known[one.plan])
            producer.produce(topics.enrich("eu"), value, key, headers=stamped)
        assert producer.flush(WAIT_S) == 0

    def made(self) -> list[Record]:
        """Return all label records of this line's requests that are committed so far."""
        # anew each time: the end of a partition is told once
        self._reader.assign(
            [TopicPartition(topics.labels("eu"), n, at) for n, at in self._next.items()]
        )
        left = topics.PARTITIONS
        while left:
            message = self._reader.poll(WAIT_S)
            assert message is not None
            error = message.error()
            if error is not None:
                assert error.name() == "_PARTITION_EOF"
                left -= 1
                continue
            record = read(message)
            self._next[record.at.partition] = record.at.offset + 1
            if text(record, headers.TOPIC_ID) == self.topic_id:
                self._found.append(record)
        return self._found

    def wait_for(self, count: int) -> list[Record]:
        """Return the label records once there are *count* of them."""
        wait_until(f"{count} label records", lambda: len(self.made()) >= count)
        return self._found

    def open_requests(self) -> int:
        """Return how many requests the group has not committed; what was aborted is none."""
        config = self._config(group_id=topics.group("enrich"))
        places = [TopicPartition(topics.enrich("eu"), n) for n in range(topics.PARTITIONS)]
        with closing(Consumer(config)) as consumer:
            done = consumer.committed(places, WAIT_S)
        starts = {(place.topic, place.partition): place.offset for place in done}
        return sum(1 for _ in committed(config, starts, WAIT_S))

    def decisions(self) -> int:
        """Return how many decisions there are on this line's requests."""
        return len(self.decision_rows())

    def decision_rows(self) -> list[str]:
        """Return the rows of the decisions on this line's requests, all columns, as text."""
        postgres = load_settings(self.home, "eu", "enrich").postgres
        assert postgres is not None
        with psycopg.connect(postgres.dsn) as connection:
            rows = connection.execute(
                "SELECT d::text FROM decisions d WHERE topic_id = %s", (self.topic_id,)
            ).fetchall()
        return [row[0] for row in rows]

    def visible(self) -> int:
        """Return up to where the topic of labels can be read: the sum of its partitions' ends."""
        return sum(self._end(topics.labels("eu"), n) for n in range(topics.PARTITIONS))

    def close(self) -> None:
        self._reader.close()

    def _end(self, topic: str, partition: int) -> int:
        consumer = Consumer(self._config())
        end = consumer.get_watermark_offsets(TopicPartition(topic, partition), WAIT_S)[1]
        consumer.close()
        return int(end)

    def _config(self, **more: Any) -> dict[str, Any]:
        given = {"group_id": "test", "isolation_level": "read_committed", **more}
        settings = load_settings(self.home, "eu", "admin")
        return settings.kafka.librdkafka(enable_auto_commit=False, **given)


def text(record: Record, name: str) -> str:
    return dict(record.headers).get(name, b"").decode()


def labels(record: Record) -> dict[str, str]:
    """Return the labels that a label record carries."""
    found = decode(REGISTRY, record.value)[1]
    return {k: v for k, v in found.items() if k not in {"External_Id__c", "Label_Version__c"}}


def by_record(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Return the labels by record id; there must be one record for each."""
    found = {text(one, headers.RECORD): labels(one) for one in records}
    assert len(found) == len(records), "a record was labelled twice"
    return found
