"""How long one record waits: to be decided alone, and from publishing to being committed."""

import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from common import percentiles
from confluent_kafka import Consumer, Producer, TopicPartition
from hops import PARTITIONS, REGION, WAIT_S, Bench, Meter, MeteredBorder, start_at_the_beginning

from connectors.kafka import headers
from connectors.kafka.record import headers_of
from residency import topics
from residency.keys import token_keys
from schemas.events import RawBatch
from streams.plans import load_book

ORDERS = topics.raw(REGION, "orders")
WARM_UP = 1_000  # records that are not told of: the broker's first compilations


def decision(bench: Bench, values: Sequence[bytes]) -> dict[str, float]:
    """Return how long a batch of one takes, raw bytes in hand to minimal bytes in hand, in ms."""
    keys = token_keys(bench.home / REGION / "keys", REGION)
    book = load_book(REGION, keys, datetime.now(UTC).date())
    batches = [RawBatch([ORDERS], [0], [n], [value], [b""]) for n, value in enumerate(values)]
    for batch in batches[:200]:  # the kernels compiled, the caches of the processor warm
        book.minimise_batch(batch, lambda _: 1)
    took = []
    for batch in batches:
        started = time.perf_counter()
        book.minimise_batch(batch, lambda _: 1)
        took.append(time.perf_counter() - started)
    return percentiles(took, 1e3)


def published_to_committed(
    bench: Bench, values: Sequence[bytes], per_s: int, group: str
) -> dict[str, float]:
    """Return how long records take from `produce` to being read as committed, in ms.

    They are published one at a time at a steady rate, through the production border.
    """
    for domain in topics.DOMAINS:
        start_at_the_end(bench, group, topics.raw(REGION, domain))
    reader = Consumer(
        {**bench.client, "group.id": f"{group}.reader", "isolation.level": "read_committed"}
    )
    target = topics.minimal(REGION)
    ends = [TopicPartition(target, n) for n in range(PARTITIONS)]
    for place in ends:
        place.offset = reader.get_watermark_offsets(place, WAIT_S)[1]
    reader.assign(ends)
    spawn = multiprocessing.get_context("spawn")
    ready, stop = spawn.Event(), spawn.Event()
    worker = spawn.Process(target=_work, args=(bench, group, ready, stop))
    worker.start()  # a process of its own, as it is in use: here it would wait for our threads
    ready.wait(WAIT_S)
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(_arrivals, reader, len(values))
        sent = _publish(bench.client, values, per_s)
        arrived = seen.result(2 * WAIT_S)
    stop.set()
    worker.join(WAIT_S)
    reader.close()
    settled = list(sent.items())[WARM_UP:]
    waits = [arrived[record] - at for record, at in settled if record in arrived]
    return {"events": len(waits), **percentiles(waits, 1e3)}


def _work(bench: Bench, group: str, ready: Any, stop: Any) -> None:
    """Run a border until *stop*."""
    meter = Meter(0, threading.Event())
    worker = MeteredBorder(bench.settings(), bench.signals(), group, meter)

    def watch() -> None:
        while not worker.health()["partitions"]:
            time.sleep(0.05)
        ready.set()
        stop.wait()
        meter.halt.set()

    threading.Thread(target=watch, daemon=True).start()
    worker.run(meter.halt)


def start_at_the_end(bench: Bench, group: str, topic: str) -> None:
    start_at_the_beginning(bench.client, group, topic)
    consumer = Consumer({**bench.client, "group.id": group, "enable.auto.commit": False})
    places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, WAIT_S)[1]
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def _publish(client: dict[str, Any], values: Sequence[bytes], per_s: int) -> dict[str, float]:
    """Return when each record was handed to the producer, by its coordinates."""
    producer, sent = Producer({**client, "linger.ms": 0}), dict[str, float]()

    def note(message: Any, at: float) -> None:
        sent[f"{message.topic()}[{message.partition()}]@{message.offset()}#0"] = at

    began = time.monotonic()
    for number, value in enumerate(values):
        due = began + number / per_s
        while (left := due - time.monotonic()) > 0:
            producer.poll(min(left, 0.001))
        at = time.monotonic()
        producer.produce(
            ORDERS, value, number.to_bytes(8, "big"),
            on_delivery=lambda _error, message, at=at: note(message, at),
        )  # fmt: skip
        producer.poll(0)
    producer.flush(WAIT_S)
    return sent


def _arrivals(reader: Consumer, wanted: int) -> dict[str, float]:
    """Return when each record was read as committed, by the record id in its headers."""
    found: dict[str, float] = {}
    deadline = time.monotonic() + WAIT_S
    while len(found) < wanted and time.monotonic() < deadline:
        message = reader.poll(0.1)
        if message is not None:
            told = headers.texts(headers_of(message))
            found[told[headers.RECORD]] = time.monotonic()
    return found
