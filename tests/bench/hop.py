"""The production hop with another plan, against any broker: to set beside other tools.

The same `streams.hop.Hop` and the same walker that the border runs, under a job instead of a
region's plan; see `job.py`. No headers, no quarantine limit, records keep their keys.
"""

import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click
from common import free_slot, run, say, text_of
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from job import Job

from connectors.kafka.clients import API_TIMEOUT_S
from connectors.kafka.headers import Headers
from residency.plan.book import Crossed
from residency.plan.model import Plan
from residency.telemetry.setup import telemetry
from schemas.errors import QuarantineError, Reason, SetupError
from schemas.events import RawBatch
from streams.duties import Route
from streams.hop import Hop
from streams.place import Verdict

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MAKING_S = 10.0  # in which a broker that makes topics itself has made one
NO_PLAN = Plan("", "", "job", 2, "", 0, (), (), None)  # nothing of it is read: no headers


@dataclass(slots=True)
class Meter:
    """Clocks a worker from the assignment of its partitions to its last commit.

    Attributes:
        wanted: Records after which *halt* is set; 0: none.
        records: Committed so far.

    """

    wanted: int
    halt: threading.Event
    records: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    _cpu: float = field(default_factory=time.process_time)
    _wall: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Start the clocks: nothing has been fetched yet."""
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def note(self, records: int) -> None:
        """Take note of a commit."""
        self.records += records
        self.cpu_s = time.process_time() - self._cpu
        self.wall_s = time.monotonic() - self._wall
        if self.wanted and self.records >= self.wanted:
            self.halt.set()

    def report(self) -> dict[str, Any]:
        """Return what was measured; CPU is that of the whole process, all its threads."""
        count = max(self.records, 1)
        return {
            "records": self.records,
            "cpu_us_per_record": round(self.cpu_s / count * 1e6, 2),
            "records_per_s": round(self.records / max(self.wall_s, 1e-9)),
            "max_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }


class JobDuties:
    """What the bench's hop is for: a job."""

    def __init__(self, job: Job, meter: Meter) -> None:
        """Take the job and who counts."""
        self._job = job
        self._meter = meter

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        """See `Duties.decide`."""
        made = self._job.projection.project(batch.values)
        if None not in made:
            pairs = cast("Iterable[tuple[bytes, bytes]]", zip(batch.keys, made, strict=True))
            return Crossed.many(NO_PLAN, zip(pairs, strict=True))
        return [
            Crossed(NO_PLAN, ((key, value),)) if value is not None else self._slowly(key, raw)
            for key, value, raw in zip(batch.keys, made, batch.values, strict=True)
        ]

    def _slowly(self, key: bytes, raw: bytes) -> Verdict:
        """Decide what the walker left: an odd encoding, or no Avro."""
        try:
            return Crossed(NO_PLAN, ((key, self._job.reference(raw)),))
        except (ValueError, LookupError):
            return QuarantineError(Reason.MALFORMED)

    def stamp(self, topic: str, plan: Plan) -> Sequence[tuple[str, Headers]] | None:
        """See `Duties.stamp`: other tools send no headers either."""
        del topic, plan
        return None

    def refuse(
        self, record: str, topic: str, error: QuarantineError, value: bytes
    ) -> tuple[bytes | None, Headers]:
        """See `Duties.refuse`."""
        del topic
        return value, [("record", record), ("reason", error.reason.value)]

    def confirm(self, batch: RawBatch) -> None:
        """See `Duties.confirm`."""

    def assigned(self, partitions: int) -> None:
        """See `Duties.assigned`."""
        if partitions and not self._meter.records:
            self._meter.start()

    def committed(self, batch: RawBatch, verdicts: Sequence[Verdict], seconds: float) -> None:
        """See `Duties.committed`."""
        del verdicts, seconds
        self._meter.note(len(batch))

    def aborted(self) -> None:
        """See `Duties.aborted`."""

    def observed(self) -> None:
        """See `Duties.observed`."""


def start_at_the_beginning(client: dict[str, Any], group: str, topic: str) -> None:
    """Commit the first offset of each partition of which the group has none.

    The hop refuses to guess where to start; a bench starts at the beginning.

    Raises:
        SetupError: There is no such topic, or nobody answers.

    """
    consumer = Consumer({**client, "group.id": group, "enable.auto.commit": False})
    try:
        places = [TopicPartition(topic, n) for n in see(consumer, topic, 0).partitions]
        new = [place for place in consumer.committed(places, API_TIMEOUT_S) if place.offset < 0]
        for place in new:
            place.offset = consumer.get_watermark_offsets(place, API_TIMEOUT_S)[0]
        if new:
            consumer.commit(offsets=new, asynchronous=False)
    finally:
        consumer.close()


def see(client: Consumer | Producer, topic: str, patience_s: float) -> Any:
    """Return what there is of a topic. Asked by a producer, a broker that makes topics makes it.

    Raises:
        SetupError: There is none after that many seconds, or nobody answers.

    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            found = client.list_topics(topic, API_TIMEOUT_S).topics[topic]
        except KafkaException as exc:
            msg = f"Kafka {exc.args[0].name()}; is --bootstrap right, and the broker up?"
            raise SetupError(msg) from None
        if found.error is None:
            return found
        if time.monotonic() > deadline:
            msg = f"topic {topic!r}: {found.error.name()}; make it first"
            raise SetupError(msg)
        time.sleep(0.1)


def carry(client: dict[str, Any], route: Route, job: Job, meter: Meter) -> None:
    """Carry out *job* from topic to topic until the meter's halt."""
    (topic,) = route.generations
    start_at_the_beginning(client, route.group, topic)
    see(Producer(client), route.target, MAKING_S)
    job.projection.project([b""])  # compiles the kernels, or loads them
    signals = telemetry("border", "eu", None, {})
    try:
        Hop(client, route, JobDuties(job, meter), signals).run(meter.halt)
    finally:
        signals.shutdown()


def route(source: str, target: str, group: str, slot: int) -> Route:
    """Return the way of a bench's hop."""
    return Route({source: 1}, target, f"{target}.quarantine", group, f"{group}.{slot}",
                 f"{group}.{slot}")  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bootstrap", required=True, help="host:port, several by comma.")
@click.option(
    "--client",
    "more",
    type=FILE,
    help="JSON file of more librdkafka settings, such as security.protocol and sasl.password.",
)
@click.option("--in", "source", required=True, help="Topic to read; its partitions are shared.")
@click.option("--out", "target", required=True, help="Topic to write.")
@click.option("--group", required=True, help="Consumer group; starts at the beginning once.")
@click.option(
    "--slot",
    type=click.IntRange(min=0),
    help="Which of several workers of the group; each has its own. [default: the first that no"
    " other of this machine has; on several machines say it]",
)
@click.option("--schema-in", required=True, type=FILE, help="Avro, JSON.")
@click.option("--schema-out", required=True, type=FILE, help="The same less what is dropped.")
@click.option("--job", "file", required=True, type=FILE, help="JSON: see above.")
@click.option("--key", required=True, help="Text of the HMAC key, as UTF-8.")
@click.option("--events", default=0, help="Stop after so many; 0: on SIGTERM or Ctrl-C.")
def hop(  # noqa: PLR0913, PLR0917, click passes an argument per option
    bootstrap: str,
    more: Path | None,
    source: str,
    target: str,
    group: str,
    slot: int | None,
    schema_in: Path,
    schema_out: Path,
    file: Path,
    key: str,
    events: int,
) -> None:
    """Carry out a job from topic to topic, exactly once, with the production hop.

    \b
    The job is JSON, each part optional:
      {"drop": ["gift_note", "items.note"], "hmac_sha256_hex": ["customer.email"],
       "year": ["customer.birth_date"], "prefix3": ["customer.postcode"]}
    Values have a Confluent header, id 1 in and id 2 out. `year` and `prefix3` cut strings;
    `year` also takes dates and timestamps. What is not Avro goes to OUT.quarantine,
    which has to be there then.

    At the end, one JSON line on stdout: records, CPU us per record, records/s, memory.
    Started several times with the same options, they share the partitions.

    Exit codes: 0 stopped, 1 the hop broke, 2 usage, 3 environment.
    """  # noqa: D301, click wants a real backspace before what must not be wrapped
    job = Job.load(text_of(schema_in), text_of(schema_out), text_of(file), key=key)
    halt = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: halt.set())
    meter = Meter(events, halt)
    say(f"{source} -> {target} as {group} ...")
    client = {"bootstrap.servers": bootstrap, **(json.loads(text_of(more)) if more else {})}
    held = free_slot(f"{bootstrap} {group}") if slot is None else nullcontext(slot)
    with held as own:
        carry(client, route(source, target, group, own), job, meter)
    sys.stdout.write(json.dumps(meter.report()) + "\n")


if __name__ == "__main__":
    run(hop)
