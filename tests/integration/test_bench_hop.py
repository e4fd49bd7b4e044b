"""The bench's hop as others start it: a process per worker, a broker, a job, and nothing else."""

import hmac
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import fastavro
import pytest
from common import free_slot, text_of
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from hops import PARTITIONS, Bench
from orders import JOB, KEY, SCHEMA_IN, SCHEMA_OUT, peers_events

from connectors.embedded.stack import Stack
from schemas.errors import SetupError

SCRIPT = Path(__file__).parents[1] / "bench" / "hop.py"
SOURCE, TARGET, GROUP = "bench.outside.in", "bench.outside.out", "bench.outside"
EVENTS = 2_000
WAIT_S = 90.0


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    """Return the options that a job needs, without broker and topics."""
    files = {"schema-in": SCHEMA_IN, "schema-out": SCHEMA_OUT, "job": JOB}
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    paths = {name: str(tmp_path / f"{name}.json") for name in files}
    return {"bootstrap": "127.0.0.1:1", "in": SOURCE, "out": TARGET, "group": GROUP} | {
        **paths,
        "key": KEY,
    }


def command(options: dict[str, str]) -> list[str]:
    return [sys.executable, str(SCRIPT), *(f"--{name}={it}" for name, it in options.items())]


@contextmanager
def started(options: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    worker = subprocess.Popen(
        command(options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def shares(admin: AdminClient) -> list[int]:
    """Return how many partitions each member of the group has."""
    members = admin.describe_consumer_groups([GROUP])[GROUP].result(WAIT_S).members
    return sorted(len(m.assignment.topic_partitions) for m in members if m.assignment)


def committed(client: dict[str, Any], topic: str) -> list[Any]:
    """Return every record that a reader of what is committed sees."""
    config = {"group.id": "look", "isolation.level": "read_committed", "enable.partition.eof": True}
    found, ends = [], 0
    with closing(Consumer({**client, **config, "enable.auto.commit": False})) as consumer:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        while ends < PARTITIONS:
            for message in consumer.consume(1_000, 1.0):
                ends += message.error() is not None
                found += [] if message.error() else [message]
    return found


def by_hand(event: bytes) -> dict[str, Any]:
    """Return what the job makes of an event, without any of our code."""
    value = fastavro.schemaless_reader(io.BytesIO(event[5:]), fastavro.parse_schema(SCHEMA_IN))
    for path in JOB["drop"]:
        *above, name = path.split(".")
        del (value[above[0]] if above else value)[name]
    customer = value["customer"]
    for name in ("customer_id", "email"):
        customer[name] = hmac.digest(KEY.encode(), customer[name].encode(), "sha256").hex()
    customer["birth_date"] = customer["birth_date"][:4]
    value["shipping"]["postcode"] = value["shipping"]["postcode"][:3]
    return dict(value)


def test_two_workers_started_alike_share_the_records_and_write_what_the_job_says(
    stack: Stack, options: dict[str, str], tmp_path: Path
) -> None:
    bench = Bench(stack.home)
    for topic in (SOURCE, TARGET, f"{TARGET}.quarantine"):
        bench.make_topic(topic)
    client = tmp_path / "client.json"
    client.write_text(json.dumps(bench.client), encoding="utf-8")
    options |= {"bootstrap": bench.client["bootstrap.servers"], "client": str(client)}
    events, admin = peers_events(EVENTS), AdminClient(bench.client)

    with started(options) as first, started(options) as second:
        until(lambda: shares(admin) == [2, 2])
        bench.publish(SOURCE, [*events, b"\0\0\0\0\1 no order"], [])
        until(lambda: len(committed(bench.client, TARGET)) >= EVENTS)
        until(lambda: len(committed(bench.client, f"{TARGET}.quarantine")) == 1)
        reports = []
        for worker in (first, second):
            worker.send_signal(signal.SIGTERM)
            told, _ = worker.communicate(timeout=WAIT_S)
            assert worker.returncode == 0
            reports.append(json.loads(told))

    made = committed(bench.client, TARGET)
    parsed = fastavro.parse_schema(SCHEMA_OUT)
    found = {m.key(): fastavro.schemaless_reader(io.BytesIO(m.value()[5:]), parsed) for m in made}
    assert found == {n.to_bytes(16, "big"): by_hand(event) for n, event in enumerate(events)}
    assert {m.value()[:5] for m in made} == {b"\0\0\0\0\2"}
    assert len(made) == EVENTS
    assert sum(report["records"] for report in reports) == EVENTS + 1
    assert all(report["records"] > 0 for report in reports)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("job", '{"drop": [}', "job.json:1: not JSON"),
        ("job", "[1]", "job: an object of lists of paths"),
        ("job", '{"drop": "gift_note"}', "job: an object of lists of paths"),
        ("schema-in", "\x00", "schema-in.json:1: not JSON"),
    ],
)
def test_what_cannot_be_a_job_is_told_in_a_line(
    name: str, text: str, told: str, options: dict[str, str]
) -> None:
    Path(options[name]).write_text(text, encoding="utf-8")

    done = subprocess.run(command(options), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_a_topic_that_is_not_there_is_named(
    stack: Stack, options: dict[str, str], tmp_path: Path
) -> None:
    bench = Bench(stack.home)
    client = tmp_path / "client.json"
    client.write_text(json.dumps(bench.client), encoding="utf-8")
    options |= {"bootstrap": bench.client["bootstrap.servers"], "client": str(client)}
    options["out"] = "bench.nowhere"
    options["in"] = bench.make_topic("bench.outside.lonely")

    done = subprocess.run(command(options), capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (3, "")
    assert "topic 'bench.nowhere': UNKNOWN_TOPIC_OR_PART; make it first" in done.stderr


def test_a_slot_is_free_again_when_its_holder_lets_go() -> None:
    with free_slot("a group of the tests") as first:
        with free_slot("a group of the tests") as second, free_slot("another one") as other:
            assert (first, second, other) == (0, 1, 0)
        with free_slot("a group of the tests") as again:
            assert again == 1


def test_a_text_that_is_no_text_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff")

    with pytest.raises(SetupError, match=r"x\.json: not JSON"):
        text_of(tmp_path / "x.json")
