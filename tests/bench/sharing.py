"""Two workers of one group, each a process of its own: who carries how much."""

import json
import multiprocessing
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from hop import Meter, carry, route, start_at_the_beginning
from hops import PARTITIONS, WAIT_S, Bench
from job import Job
from orders import JOB, KEY, SCHEMA_IN, SCHEMA_OUT

GROUP, TOPIC = "two", "bench.two"


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker is told."""

    client: dict[str, Any]
    slot: int
    target: str


class ReadyMeter(Meter):
    """A clock that also says when the worker has its partitions."""

    ready: Any

    def start(self) -> None:
        """Start the clock."""
        super().start()
        self.ready.set()


def _work(task: Task, ready: Any, stop: Any, told: Any) -> None:
    """Run one worker until *stop*; tell what it did."""
    halt = threading.Event()
    meter = ReadyMeter(0, halt)
    meter.ready = ready
    threading.Thread(target=lambda: (stop.wait(), halt.set()), daemon=True).start()
    job = Job.load(json.dumps(SCHEMA_IN), json.dumps(SCHEMA_OUT), json.dumps(JOB), key=KEY)
    carry(task.client, route(TOPIC, task.target, GROUP, task.slot), job, meter)
    told.put((task.slot, meter.report()))


def share(bench: Bench, target: str, values: Sequence[bytes]) -> dict[str, Any]:
    """Return what each of two workers carried, published once both are there, and its cost."""
    start_at_the_beginning(bench.client, GROUP, bench.make_topic(TOPIC))
    spawn = multiprocessing.get_context("spawn")
    stop, told, ready = spawn.Event(), spawn.Queue(), [spawn.Event(), spawn.Event()]
    workers = [
        spawn.Process(
            target=_work, args=(Task(bench.client, slot, target), ready[slot], stop, told)
        )
        for slot in range(2)
    ]
    for worker in workers:
        worker.start()
    for one in ready:
        one.wait(WAIT_S)
    bench.publish(TOPIC, values, [])
    deadline = time.monotonic() + WAIT_S
    while _committed(bench) < len(values) and time.monotonic() < deadline:
        time.sleep(0.2)
    stop.set()
    found = dict(told.get(timeout=WAIT_S) for _ in workers)
    for worker in workers:
        worker.join(WAIT_S)
    return {f"worker {slot}": row for slot, row in sorted(found.items())}


def _committed(bench: Bench) -> int:
    consumer = Consumer({**bench.client, "group.id": GROUP})
    places = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    found = consumer.committed(places, WAIT_S)
    consumer.close()
    return sum(max(0, place.offset) for place in found)
