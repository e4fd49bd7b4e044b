"""The topics that egress reads, and records on them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka import headers
from connectors.kafka.record import Place
from residency import topics
from streams.backlog import BatchPolicy
from streams.crossing import Arrival
from streams.settings import Settings, load_settings

WAIT_S = 60.0
PARTITION_BY_KEY = -1
OUTGOING = TOPIC, LABELS = topics.outgoing("eu")
POLICY = BatchPolicy(usual=100, backlog=2_000, most=2_200)


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class Line:
    """The topics that egress reads, with its offsets at their ends."""

    settings: Settings
    ends: dict[Place, int] = field(default_factory=dict)

    @classmethod
    def at_its_end(cls, home: Path) -> "Line":
        """Return the line of a stack's region eu; egress leaves behind what lies there now."""
        line = cls(load_settings(home, "eu", "egress"))
        line._skip()
        return line

    def _skip(self) -> None:
        consumer = self.consumer()
        for place in [(topic, n) for topic in OUTGOING for n in range(topics.PARTITIONS)]:
            ends = consumer.get_watermark_offsets(TopicPartition(*place), WAIT_S)
            self.ends[place] = ends[1]
        consumer.commit(offsets=self.assigned(), asynchronous=False)
        consumer.close()

    def consumer(self, **more: Any) -> Consumer:
        return Consumer(
            self.settings.kafka.librdkafka(
                group_id=topics.group("egress"), enable_auto_commit=False,
                auto_offset_reset="error", isolation_level="read_committed", **more,
            )
        )  # fmt: skip

    def assigned(self) -> list[TopicPartition]:
        return [TopicPartition(*place, offset) for place, offset in self.ends.items()]

    def committed(self) -> int:
        """Return how many records egress has left behind since."""
        consumer = self.consumer()
        found = consumer.committed(self.assigned(), WAIT_S)
        consumer.close()
        return sum(p.offset - self.ends[p.topic, p.partition] for p in found)

    def send(
        self, arrivals: Sequence[Arrival], *, size: int = 0, partition: int = PARTITION_BY_KEY
    ) -> None:
        """Write minimal records as a border does; with *size*, values of so many bytes."""
        producer = self.producer()
        self.put(producer, arrivals, size=size, partition=partition)
        assert producer.flush(WAIT_S) == 0

    def producer(self, **more: Any) -> Producer:
        login = load_settings(self.settings.home, "eu", "admin").kafka
        return Producer(login.librdkafka(**more))

    def put(
        self,
        producer: Producer,
        arrivals: Sequence[Arrival],
        topic: str = TOPIC,
        *,
        size: int = 0,
        partition: int = PARTITION_BY_KEY,
    ) -> None:
        """Give records to *producer*."""
        for arrival in arrivals:
            record = arrival.record
            stamp = headers.Stamp(
                record.id.topic_id,
                record.object,
                record.plan,
                record.keys,
                arrival.basis,
                "ab" * 32,
            )
            producer.produce(
                topic,
                record.value + bytes(size),
                record.external_id.encode(),
                partition,
                headers=headers.of_minimal(str(record.id), record.version, stamp.encoded()),
            )
            producer.poll(0)
