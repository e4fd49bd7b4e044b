"""One region's real line whose egress runs in this process, so that faults can be planted in it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from click.testing import CliRunner, Result
from confluent_kafka import Consumer, Producer, TopicPartition
from oracle import comparable, expected_rows, org_rows

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.record import Record, read
from connectors.webhook import WebhookConfig
from residency import topics
from residency.ledger import disk
from residency.ledger.errors import LockedError
from residency.ledger.files import LOCK
from residency.telemetry.setup import telemetry
from schemas.codec import encode
from schemas.registry import load_registry
from streams.arrivals import arrival_of
from streams.cli import cli
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Observer
from streams.egress import Egress
from streams.halts import Halt
from streams.launch import launch
from streams.settings import Settings, load_settings
from streams.switch import Switch
from tests.fault.test_sink_chaos import publish

REGION = "eu"
WAIT_S = 60.0
Rows = dict[tuple[str, str], dict[str, str]]


def until(what: str, is_so: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait until *is_so*."""
    deadline = time.monotonic() + wait_s
    while not is_so():
        assert time.monotonic() < deadline, f"waited for: {what}"
        time.sleep(0.02)


class Bell:
    """A webhook on loopback: keeps what it is told, and refuses the first *refusals* calls."""

    def __init__(self, refusals: int = 0) -> None:
        self.told: list[dict[str, Any]] = []
        self.refused = 0
        bell = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                is_refused = bell.refused < refusals
                self.send_response(503 if is_refused else 204)
                self.end_headers()
                if is_refused:
                    bell.refused += 1
                else:
                    bell.told.append(json.loads(data))

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/T000/a-secret"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class HaltedLine:
    """A broker, a database, a test org and a border; egress runs where a test says."""

    home: Path
    observer: Observer
    shop: Shop
    taken: list[tuple[Publication, str]] = field(default_factory=list)

    @property
    def switch(self) -> Switch:
        return Switch(self.home / REGION)

    @property
    def settings(self) -> Settings:
        return load_settings(self.home, REGION, "egress")

    def publish(self, events: int = 20) -> None:
        """Publish raw events, and wait until the border has decided them all."""
        chosen = [e for e in self.shop.publications(events) if e.expect == "accepted"]
        self.taken += publish(self.home, chosen)
        until("the border", lambda: self.observer.counts().border.raw == len(self.taken))

    def rows(self) -> Rows:
        """Return what the org holds."""
        rows = org_rows(self.home, REGION)
        return {(r["attributes"]["type"], r["External_Id__c"]): comparable(r) for r in rows}

    def wanted(self) -> Rows:
        """Return what it is to hold once everything has flown."""
        found = expected_rows(self.home, REGION, self.taken)
        return {key: comparable(row) for key, row in found.items()}

    def settled(self) -> None:
        """Wait until everything has flown."""
        wanted = self.wanted()
        until("all rows", lambda: self.rows() == wanted)

    def halted(self, cause: str) -> Halt:
        """Wait until egress is halted, and return why."""
        until("the halt", lambda: self.switch.halted() is not None)
        halt = self.switch.halted()
        assert halt is not None
        assert halt.cause == cause, halt.text
        return halt

    def minimal(self, target: bytes | None = None) -> Record:
        """Return some record of the minimal topic, of the object *target* if given."""
        consumer = Consumer(
            self.settings.kafka.librdkafka(
                group_id=topics.group("egress"), enable_auto_commit=False
            )
        )
        topic = topics.minimal(REGION)
        consumer.assign([TopicPartition(topic, n, 0) for n in range(topics.PARTITIONS)])
        while True:
            (message,) = consumer.consume(1, WAIT_S)
            found = read(message)
            if target in {None, dict(found.headers)[headers.OBJECT]}:
                consumer.close()
                return found

    def is_unlocked(self) -> bool:
        """Return whether egress has let go of its ledger, as the last thing it does."""
        try:
            disk.unlock(disk.lock(self.home / REGION / "ledger" / LOCK))
        except LockedError:
            return False
        return True

    def forge(self, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> str:
        """Write a copy of a minimal record, changed, as nobody but the border may; name it."""
        return self._write(self.minimal(), change)

    def label(self, model: str) -> str:
        """Write labels of a case, as enrichment does that asked *model*; name the record."""
        case = self.minimal(b"Commerce_Case__c")
        found = arrival_of(case).record
        schema = load_registry().minimal(found.object, "labels")
        unset = dict.fromkeys(row["name"] for row in schema.avro["fields"])
        row = {"External_Id__c": found.external_id, "Label_Version__c": found.version}
        value = encode(schema, {**unset, **row, "Intent__c": "praise"})
        name = str(replace(found.id, output=1)).encode()
        own = {headers.RECORD: name, headers.MODEL: model.encode()}
        return self._write(replace(case, value=value), lambda given: given | own)

    def _write(self, record: Record, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> str:
        given = change(dict(record.headers))
        login = load_settings(self.home, REGION, "admin").kafka
        producer = Producer(login.librdkafka())
        producer.produce(
            topics.minimal(REGION), record.value, record.key, headers=list(given.items())
        )
        assert producer.flush(WAIT_S) == 0
        return str(arrival_of(replace(record, headers=tuple(given.items()))).record.id)

    def homeport(self, *args: str) -> Result:
        """Run a command in this process."""
        return CliRunner().invoke(cli, [*args, "--home", str(self.home)])

    def resume(self, *more: str) -> Result:
        done = self.homeport(
            "egress", "resume", "--region", REGION, "--reason", "mended, case 4711", *more, "--json"
        )
        assert done.exit_code == 0, done.output
        return done

    @contextmanager
    def egress(self, bell: Bell | None = None, **more: Any) -> Iterator[Future[None]]:
        """Run egress until the block ends."""
        webhook = None if bell is None else WebhookConfig(url=bell.url)
        settings = replace(self.settings, webhook=webhook, **more)
        egress, stop = Egress(settings, telemetry("egress", REGION, None, {})), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(egress.run, stop)
            try:
                until("egress", lambda: done.done() or bool(_state(egress)))
                yield done
            finally:
                stop.set()
                done.result(WAIT_S)


def _state(egress: Egress) -> bool:
    health = egress.health()
    return bool(health["ready"] or health.get("halted"))


@contextmanager
def running(home: Path) -> Iterator[HaltedLine]:
    """Run the line at *home*, without an egress."""
    stack, base = Stack(home, (REGION,)), launch(home)
    stack.up(Launch(base.org, base.worker, ("border",)))
    try:
        yield HaltedLine(home, Observer(home, REGION), Shop(Random(11), [REGION]))
    finally:
        stack.down()
