"""What the border costs per event, stage by stage, next to a loop that only copies.

Everything is measured on the same events in the same round, one after the other, so that
the ratios hold on a machine whose absolute figures swing with its load. The floor is the
border itself with the deciding taken out: same clients, same batches, same transactions.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from common import machine, run, running, say, spread
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from connectors.embedded.launch import Launch
from connectors.kafka.headers import Headers
from residency import topics
from residency.keys import token_keys
from residency.plan.book import PlanBook
from residency.telemetry.setup import telemetry
from schemas.codec import decode_physical, encode
from schemas.errors import RetriableError
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.border import API_TIMEOUT_S, BATCH, Border, decide
from streams.demo.generate import ORDERS, Shop
from streams.settings import load_settings

T = TypeVar("T")

REGION, DOMAIN = "eu", "orders"
TOPIC = topics.raw(REGION, DOMAIN)
SEED = 7
DISTINCT = 2_000  # events; the rest repeats them
STAGES = ("decode", "minimise", "floor", "hop")
TRACE: Headers = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took for all events of a round."""

    cpu_s: float
    wall_s: float


@dataclass(slots=True)
class Meter:
    """Clocks one hop from the assignment of its partitions to its last commit."""

    wanted: int
    halt: threading.Event = field(default_factory=threading.Event)
    cost: Cost | None = None
    _cpu: float = 0.0
    _wall: float = 0.0

    def start(self) -> None:
        """Start the clocks: nothing has been fetched yet."""
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def note(self, records: int) -> None:
        """Take *records* off; after the last stop the clocks and the worker."""
        self.wanted -= records
        if self.wanted <= 0:
            self.cost = Cost(time.process_time() - self._cpu, time.monotonic() - self._wall)
            self.halt.set()


class MeteredBorder(Border):
    """The real border, with a clock."""

    meter: Meter

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        super()._assigned(consumer, partitions)
        self.meter.start()

    def _carry(self, consumer: Consumer, producer: Producer, messages: Sequence[Message]) -> None:
        super()._carry(consumer, producer, messages)
        self.meter.note(len(messages))


class Floor(MeteredBorder):
    """A border that decides nothing: it copies each record to the minimal topic."""

    def _carry(self, consumer: Consumer, producer: Producer, messages: Sequence[Message]) -> None:
        target = topics.minimal(REGION)
        after: dict[int, int] = {}
        producer.begin_transaction()
        for message in messages:
            producer.produce(target, message.value(), message.key(), headers=message.headers())
            after[message.partition() or 0] = (message.offset() or 0) + 1
        producer.send_offsets_to_transaction(
            [TopicPartition(TOPIC, *place) for place in after.items()],
            consumer.consumer_group_metadata(),
            API_TIMEOUT_S,
        )
        producer.commit_transaction(API_TIMEOUT_S)
        self.meter.note(len(messages))


@dataclass(frozen=True, slots=True)
class Bench:
    """One running stack and the events that go through it, round after round."""

    home: Path
    values: Sequence[bytes] = field(repr=False)

    def round(self) -> dict[str, Cost]:
        """Return what each stage took for all events."""
        registry = load_registry()
        keys = token_keys(self.home / REGION / "keys", REGION)
        book = PlanBook.load(REGION, keys, datetime.now(UTC).date())
        raw = [
            RawEvent(Coordinates(TOPIC, 0, offset), "bench", 1, value)
            for offset, value in enumerate(self.values)
        ]
        return {
            "decode": clocked(lambda value: decode_physical(registry, value), self.values),
            "minimise": clocked(lambda event: decide(book, event), raw),
            "floor": self._hop(Floor),
            "hop": self._hop(MeteredBorder),
        }

    def _hop(self, kind: type[MeteredBorder]) -> Cost:
        """Publish all events, then carry them to the minimal topic with one worker."""
        self._publish()
        settings = load_settings(self.home, REGION, "border")
        worker = kind(settings, telemetry("border", REGION, settings.folder / "telemetry", {}))
        worker.meter = Meter(len(self.values))
        worker.run(worker.meter.halt)
        if worker.meter.cost is None:
            msg = "the worker ended before its last record"
            raise RetriableError(msg)
        return worker.meter.cost

    def _publish(self) -> None:
        kafka = load_settings(self.home, REGION, "gateway").kafka
        producer = Producer(kafka.librdkafka(enable_idempotence=True, compression_type="lz4"))
        for number, value in enumerate(self.values):
            producer.produce(TOPIC, value, number.to_bytes(16, "big"), headers=TRACE)
            producer.poll(0)
        if producer.flush(API_TIMEOUT_S):
            msg = "Kafka did not take the events"
            raise RetriableError(msg)


def clocked(act: Callable[[T], object], items: Iterable[T]) -> Cost:
    """Return what calling *act* on each item took."""
    cpu, wall = time.process_time(), time.monotonic()
    for item in items:
        act(item)
    return Cost(time.process_time() - cpu, time.monotonic() - wall)


def order_events(count: int) -> list[bytes]:
    """Return *count* order events as the gateway writes them; the same each time."""
    registry = load_registry()
    distinct: list[bytes] = []
    shop = Shop(random.Random(SEED), [REGION])
    for event in shop.publications(DISTINCT * 4):
        if event.trap is None and event.type.startswith(ORDERS) and len(distinct) < DISTINCT:
            schema = registry.latest(event.type)
            distinct.append(encode(schema, from_plain(schema, event.data)))
    return [distinct[number % len(distinct)] for number in range(count)]


def report(values: Sequence[bytes], rounds: Sequence[dict[str, Cost]]) -> dict[str, Any]:
    """Return the documented object: per stage the cost per event and the ratio to the floor."""
    count = len(values)
    return {
        "events": count,
        "rounds": len(rounds),
        "batch_records": BATCH,
        "value_bytes": round(sum(map(len, values)) / count),
        "machine": machine(),
        "stages": {
            stage: {
                "cpu_us_per_event": spread([r[stage].cpu_s / count * 1e6 for r in rounds]),
                "events_per_s": spread([count / r[stage].wall_s for r in rounds], 0),
                "times_the_floor": spread([r[stage].cpu_s / r["floor"].cpu_s for r in rounds]),
            }
            for stage in STAGES
        },
    }


def show(found: dict[str, Any]) -> None:
    """Print the report as a table."""
    where = found["machine"]
    click.echo(
        f"{found['events']} order events of {found['value_bytes']} bytes, {found['rounds']} rounds,"
        f" batches of {found['batch_records']}; {where['cores']} x {where['cpu']},"
        f" load {where['load_1m']}; medians (lowest to highest)\n"
    )
    click.echo(f"{'stage':<10}{'CPU us/event':>24}{'events/s':>26}{'x the floor':>22}")
    for stage, row in found["stages"].items():
        cells = [
            f"{c['median']:g} ({c['min']:g} to {c['max']:g})"
            for c in (row["cpu_us_per_event"], row["events_per_s"], row["times_the_floor"])
        ]
        click.echo(f"{stage:<10}{cells[0]:>24}{cells[1]:>26}{cells[2]:>22}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=10_000, show_default=True, type=click.IntRange(min=BATCH))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, rounds: int, *, as_json: bool) -> None:
    """Measure what one border worker costs per event, next to a loop that only copies.

    \b
    decode    Avro bytes to values, the strict check included
    minimise  decode, then strip: all the deciding, no Kafka
    floor     topic to topic, exactly-once, copying: what Kafka itself costs the worker
    hop       topic to topic, exactly-once, with the real Border

    CPU is the worker process's, all its threads. It swings with the machine, so compare by
    the last column: each ratio is taken within one round. The broker is embedded, runs in a
    temporary home and is stopped at the end, also by Ctrl-C.

    Example: .venv/bin/python tests/bench/border.py --events 20000 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """  # noqa: D301, click wants a real backspace before what must not be wrapped
    say("making events ...")
    values = order_events(events)
    measured = []
    with running(REGION, lambda _home: Launch()) as home:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds} ...")
            measured.append(Bench(home, values).round())
    found = report(values, measured)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
