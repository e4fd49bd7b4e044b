"""How long a base record waits, without enrichment, beside it, and while it is killed.

    .venv/bin/python tests/bench/enrich.py                 # a model on hardware of its own
    .venv/bin/python tests/bench/enrich.py --real-model    # vLLM on the same cores

A killed worker leaves a transaction open, and whoever reads only what is committed waits for its
end: on the topic of labels, not on that of base records.
"""

import base64
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import click
import requests
from common import machine, percentiles, run, running, say
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.embedded.files import read_json, write_json
from connectors.embedded.ports import HOST
from connectors.embedded.services import service_file
from connectors.embedded.supervisor import backoff_s
from connectors.kafka import headers
from connectors.kafka.record import headers_of
from inference import environment
from residency import topics
from schemas.codec import encode
from schemas.errors import HomeportError, RetriableError
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams import models
from streams.demo.generate import Shop
from streams.launch import launch
from streams.settings import load_settings

REGION = "eu"
SEED = 7
WAIT_S = 120.0
DYING = Path(__file__).with_name("dying_enrich.py")
SETTLE_S = 3.0  # records of a phase's beginning that are not told of
NEARLY = 20  # texts under way where nothing waits
ANSWER_S = 0.03  # the model that stands in takes so long for a request
WIDTH = 384
VECTOR = base64.b64encode(struct.pack("<f", WIDTH**-0.5) * WIDTH).decode()


@dataclass
class Watch:
    """What was published when, and when it could be read as committed.

    Two threads write it, each its own part; the tables are read when both have ended.
    """

    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    labelled: int = 0
    labelled_twice: int = 0
    halt: threading.Event = field(default_factory=threading.Event)

    def read(self, client: dict[str, Any]) -> None:
        """Note when each minimal and label record arrives, until told to stop."""
        config = {"group.id": "bench.reader", "isolation.level": "read_committed"}
        reader, both = Consumer({**client, **config}), topics.outgoing(REGION)
        reader.assign([TopicPartition(t, n, 0) for t in both for n in range(topics.PARTITIONS)])
        while not self.halt.is_set():
            message = reader.poll(0.1)
            if message is not None:
                name = headers.texts(headers_of(message))[headers.RECORD]
                is_label, is_again = name.endswith("#1"), name in self.seen
                self.labelled += is_label and not is_again
                self.labelled_twice += is_label and is_again
                self.seen.setdefault(name, time.monotonic())
        reader.close()

    def base(self, start: float, end: float) -> list[tuple[float, float]]:
        """Return when the base records of that time were published, and how long each took."""
        found = [(at, f"{raw}#0") for raw, at in self.sent.items() if start <= at < end]
        return sorted((at, self.seen[name] - at) for at, name in found if name in self.seen)


class Publisher:
    """Publishes orders, and a message now and then, at a steady rate."""

    def __init__(self, client: dict[str, Any], per_s: int, every: int) -> None:
        """Take how many events a second, and how manieth is a message."""
        self._client = {**client, "linger.ms": 0}
        self._per_s = per_s
        events = (
            _events(("commerce.orders.OrderPlaced", "orders"), 2_000),
            _events(("commerce.messages.SupportMessageReceived", "messages"), 500),
        )
        self._orders, self._messages = (itertools.cycle(some) for some in events)
        self._every = every
        self._number = 0
        self.messages = 0

    def publish(self, watch: Watch, until: Callable[[], bool]) -> None:
        """Publish until *until*."""
        began, first, producer = time.monotonic(), self._number, Producer(self._client)
        while not until():
            due = began + (self._number - first) / self._per_s
            while (left := due - time.monotonic()) > 0:
                producer.poll(min(left, 0.001))
            is_message = self._number % self._every == 0
            topic, value = next(self._messages if is_message else self._orders)
            self.messages += is_message
            self._number += 1
            at, key = time.monotonic(), self._number.to_bytes(8, "big")
            producer.produce(topic, value, key, on_delivery=_noted(watch, at))
            producer.poll(0)
        if producer.flush(WAIT_S):
            msg = "Kafka did not take the events"
            raise RetriableError(msg)


def _noted(watch: Watch, at: float) -> Callable[[Any, Any], None]:
    def note(_error: Any, message: Any) -> None:
        watch.sent[f"{message.topic()}[{message.partition()}]@{message.offset()}"] = at

    return note


def _events(kind: tuple[str, str], count: int) -> list[tuple[str, bytes]]:
    """Return events of one kind, as on their raw topic, without the shop's traps."""
    name, domain = kind
    schema, found = load_registry().latest(name), list[tuple[str, bytes]]()
    shop = Shop(random.Random(SEED), [REGION])
    while len(found) < count:
        found += [
            (topics.raw(REGION, domain), encode(schema, from_plain(schema, event.data)))
            for event in shop.publications(4 * count)
            if event.trap is None and event.type == name
        ]
    return found[:count]


class Enrichment:
    """The region's worker, started again as a supervisor does when one that ran well dies."""

    def __init__(self, home: Path) -> None:
        """Take the home of a running stack; start nothing yet."""
        self._flag = home / "die"
        self._command = [sys.executable, str(DYING), str(home), REGION, str(self._flag)]
        self._log = (home / "enrich-bench.log").open("ab")
        self._port = load_settings(home, REGION, "enrich").health_port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it has its partitions."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen(self._command, stderr=self._log, env=env)
        _until("enrichment works", lambda: self.health().get("partitions", 0) > 0)

    def health(self) -> dict[str, Any]:
        """Return its health page; empty while there is none."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                return dict(session.get(f"http://{HOST}:{self._port}/health", timeout=2).json())
        except (requests.RequestException, ValueError):
            return {}

    def die(self, *, in_transaction: bool) -> float:
        """Kill it in its next transaction, or now; start it again; return when it died."""
        assert self._process is not None
        if in_transaction:
            self._flag.touch()
        else:
            self._process.kill()
        self._process.wait(WAIT_S)
        at = time.monotonic()
        time.sleep(backoff_s(0))
        self.start()
        return at

    def stop(self) -> None:
        """End it cleanly, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(WAIT_S)
        self._log.close()


def _until(what: str, is_so: Callable[[], bool], within_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            msg = f"{what}: not within {within_s:.0f} s"
            raise HomeportError(msg)
        time.sleep(0.2)


class _Answer(BaseHTTPRequestHandler):
    """Stands in for a model that has hardware of its own: one vector, after a while."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a request for embeddings."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(ANSWER_S)
        rows = [{"index": n, "embedding": VECTOR} for n in range(len(asked["input"]))]
        body = json.dumps({"data": rows}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return whom to name: a Unix socket's client has no address."""
        return "client"

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def stand_in(home: Path) -> Iterator[None]:
    """Run a model server that uses next to no CPU, and tell enrichment of it."""
    with tempfile.TemporaryDirectory(prefix="homeport-bench-model-") as folder:
        path = Path(folder) / "engine.sock"
        _use(home, {**models.client(home, REGION), "uds": str(path)})
        with _Server(str(path), _Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()


@contextmanager
def real_model(home: Path) -> Iterator[None]:
    """Run the region's vLLM as an embedded stack does, and tell enrichment of it."""
    environment.ensure(lambda state: say(f"vllm: {state}"))
    port = load_settings(home, REGION, "enrich").health_port
    settings = models.server(home, REGION, None if port is None else port + 1)
    write_json(service_file(home, REGION, models.NAME), settings)
    _use(home, models.client(home, REGION))
    command = [sys.executable, "-P", "-m", "streams.cli", "infer", "up", "--region", REGION]
    server = subprocess.Popen(
        [*command, "--home", str(home)], stdout=sys.stderr, env={**os.environ}
    )
    try:
        say("the model server starts ...")
        _until("the model answers", lambda: bool(models.health(home, REGION).get("ready")), 300)
        yield
    finally:
        server.terminate()
        server.wait(WAIT_S)


def _use(home: Path, inference: dict[str, Any]) -> None:
    path = service_file(home, REGION, "enrich")
    write_json(path, {**(read_json(path) or {}), "inference": inference})


def measure(home: Path, seconds: float, kills: int, every_s: float, rate: tuple[int, int]) -> Any:
    """Return the document of ``--json``, the machine excepted."""
    client = load_settings(home, REGION, "admin").kafka.librdkafka()
    watch, publisher, worker = Watch(), Publisher(client, *rate), Enrichment(home)
    reading = threading.Thread(target=watch.read, args=(client,))
    reading.start()
    over = threading.Event()
    sending = threading.Thread(target=publisher.publish, args=(watch, over.is_set))
    sending.start()
    try:
        phases, died = _phases(
            worker, seconds, kills, every_s,
            lambda: watch.labelled >= publisher.messages - NEARLY,
        )  # fmt: skip
        over.set()
        sending.join()
        asked = publisher.messages
        _until("all texts have labels", lambda: watch.labelled >= asked)
    finally:
        over.set()
        sending.join()
        worker.stop()
        watch.halt.set()
        reading.join()
    return {
        "texts": asked,
        "labelled": watch.labelled,
        "labelled_twice": watch.labelled_twice,
        "phases": {name: _waits(watch.base(*span)) for name, span in phases.items()},
        "longest_wait_after_a_kill_s": _longest(watch, died),
        "kills": len(died),
    }


def _phases(
    worker: Enrichment, seconds: float, kills: int, every_s: float, is_labelled: Callable[[], bool]
) -> tuple[dict[str, tuple[float, float]], list[float]]:
    """Go through all phases; return from when to when each was, and when the worker died."""
    phases, died = dict[str, tuple[float, float]](), list[float]()

    def phase(name: str, act: Callable[[], None]) -> None:
        say(f"{name} ...")
        time.sleep(SETTLE_S)
        start = time.monotonic()
        act()
        phases[name] = (start, time.monotonic())

    phase("warm-up", lambda: time.sleep(10))
    phases.clear()
    phase("without", lambda: time.sleep(seconds))
    worker.start()
    _until("the backlog is gone", is_labelled)

    def kill(*, in_transaction: bool) -> None:
        for number in range(kills):
            again = time.monotonic() + every_s
            at = worker.die(in_transaction=in_transaction)
            died.extend([at] * in_transaction)
            say(f"killed {number + 1} of {kills}")
            time.sleep(max(0.0, again - time.monotonic()))

    phase("beside it", lambda: time.sleep(seconds))
    # what starting it again costs, on cores that all share
    phase("killed whenever", lambda: kill(in_transaction=False))
    phase("killed in an open transaction", lambda: kill(in_transaction=True))
    phase("beside it, again", lambda: time.sleep(seconds))
    return phases, died


def _waits(base: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {"records": len(base), **percentiles([wait for _, wait in base], 1e3)}


def _longest(watch: Watch, died: Sequence[float]) -> dict[str, float]:
    """Return how long a record waited at most around each kill: median and most."""
    most = [max(wait for _, wait in watch.base(at - 2, at + 8)) for at in died]
    return percentiles(most, 1)


def show(found: dict[str, Any]) -> None:
    """Print the report as a table."""
    where, calm = found["machine"], found["phases"]["without"]
    click.echo(
        f"{found['events_per_s']} events/s, of them {found['texts_per_s']} texts/s, model:"
        f" {found['model']}; {where['cores']} x {where['cpu']}, load {where['load_1m']}\n"
    )
    click.echo("publish to base record committed, ms\n")
    click.echo("| enrichment | records | p50 | p99 | max | p50 to without | p99 to without |")
    click.echo("|---|---|---|---|---|---|---|")
    for name, row in found["phases"].items():
        ratios = " | ".join(f"{row[at] / calm[at]:.2f}" for at in ("p50", "p99"))
        cells = " | ".join(f"{row[at]:.0f}" for at in ("p50", "p99", "max"))
        click.echo(f"| {name} | {row['records']} | {cells} | {ratios} |")
    longest = found["longest_wait_after_a_kill_s"]
    click.echo(
        f"\n{found['kills']} kills in open transactions, every {found['every_s']:g} s; around each"
        f" a record waited for at most {longest['p50']} s (median), {longest['max']} s (all)"
    )
    click.echo(
        f"{found['texts']} texts: {found['labelled']} labelled, {found['labelled_twice']} twice"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(5))
@click.option("--kills", default=20, show_default=True, type=click.IntRange(1))
@click.option("--every", "every_s", default=8.0, show_default=True, help="Seconds between kills.")
@click.option("--rate", default=100, show_default=True, type=click.IntRange(10), help="Events/s.")
@click.option("--real-model", is_flag=True, help="vLLM on these cores, not a stand-in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(  # noqa: PLR0913, click passes each option as one
    *, seconds: float, kills: int, every_s: float, rate: int, real_model: bool, as_json: bool
) -> None:
    """Measure how long base records take to be committed, and what enrichment changes about it.

    A whole stack of one region runs: orders and, every tenth event, a support message are
    published at a steady rate. Base records are clocked without enrichment, beside it, while it
    is killed in open transactions again and again, and beside it once more. At the end each
    text must have been labelled once.

    Example: .venv/bin/python tests/bench/enrich.py --kills 20 --every 8

    Exit codes: 0 measured, 1 a text was lost or labelled twice, 2 usage, 3 environment,
    130 interrupted.
    """
    every = 10
    with ExitStack() as stack:
        home = stack.enter_context(running(REGION, launch))
        stack.enter_context(_real(home) if real_model else stand_in(home))
        found = {
            "machine": machine(),
            "model": "vLLM on the same cores" if real_model else "stands in, 30 ms a request",
            "events_per_s": rate,
            "texts_per_s": rate / every,
            "every_s": every_s,
            **measure(home, seconds, kills, every_s, (rate, every)),
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)
    if found["labelled"] != found["texts"] or found["labelled_twice"]:
        msg = "texts were lost, or labelled twice"
        raise HomeportError(msg)


_real = real_model

if __name__ == "__main__":
    run(bench)
