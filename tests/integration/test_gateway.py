"""The gateway on a real broker: every event is answered for, and nothing of it is repeated.

Promises 3, 6 and 7 where an event comes in.
"""

import hashlib
import hmac
import json
import logging
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from confluent_kafka import Consumer, TopicPartition

from connectors.embedded.stack import Stack
from connectors.kafka.record import Record, read
from residency import topics
from residency.keys import secret
from residency.telemetry.setup import telemetry
from schemas.codec import decode_physical, encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.gateway import BATCH_TYPE, MAX_BATCH, STOP_TIMEOUT_S, Gateway
from streams.settings import load_settings

WAIT_S = 60.0
UK_GATEWAY = "http://gateway.uk.example"
ONE_TYPE = "application/cloudevents+json"
CANARY = "zucanary-lovelace"
AT = re.compile(r"(.+)\[(\d+)\]@(\d+)")
Event = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A gateway at work in a thread."""

    gateway: Gateway
    port: int
    folder: Path  # of its telemetry
    halt: threading.Event
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def post(
        self, body: object, kind: str = ONE_TYPE, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": kind, **(headers or {})}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(self.url, data=data, headers=given, timeout=WAIT_S)
        return answer.status_code, answer.json()

    def stop(self) -> None:
        self.halt.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@contextmanager
def started(stack: Stack, folder: Path) -> Iterator[Running]:
    """Start the eu gateway on a port of its own; stop it if the block did not."""
    settings = load_settings(stack.home, "eu", "gateway")
    urls = {**(settings.gateways or {}), "uk": UK_GATEWAY}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    settings = replace(settings, http_port=port, gateways=urls)
    gateway = Gateway(settings, telemetry("gateway", "eu", folder, {}))
    halt = threading.Event()
    thread = threading.Thread(target=gateway.run, args=(halt,), daemon=True)
    thread.start()
    running = Running(gateway, port, folder, halt, thread)
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(stack, tmp_path_factory.mktemp("telemetry")) as running:
        yield running


def order(region: str = "eu") -> Event:
    """Return a new OrderPlaced of a new customer of *region*."""
    events = Shop(random.Random(), [region]).publications(10)
    return next(e.cloudevent() for e in events if e.type == "commerce.orders.OrderPlaced")


def changed(path: str, value: object) -> Event:
    """Return an order with *value* at *path* of the CloudEvent."""
    event = order()
    *way, last = path.split(".")
    target = event
    for step in way:
        target = target[step]
    target[last] = value
    return event


def raw_record(stack: Stack, at: str) -> Record:
    """Return the raw record at *at*, read with the vault's rights."""
    match = AT.fullmatch(at)
    assert match is not None, at
    topic, partition, offset = match.groups()
    config = load_settings(stack.home, "eu", "vault").kafka.librdkafka(
        group_id=topics.group("vault"), enable_auto_commit=False
    )
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(topic, int(partition), int(offset))])
        message = consumer.poll(WAIT_S)
        assert message is not None
        return read(message)
    finally:
        consumer.close()


def raw_records(stack: Stack) -> int:
    """Return how many raw order records there are."""
    config = load_settings(stack.home, "eu", "vault").kafka.librdkafka(
        group_id=topics.group("vault")
    )
    consumer = Consumer(config)
    try:
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topics.raw("eu", "orders"), n), WAIT_S)
            for n in range(topics.PARTITIONS)
        ]
    finally:
        consumer.close()
    return sum(end[1] for end in ends if end is not None)


class TestTaken:
    """What becomes of a good event."""

    def test_it_lies_where_the_answer_says_as_the_schema_writes_it(
        self, stack: Stack, gateway: Running
    ) -> None:
        event = order()

        status, answer = gateway.post(event)

        schema = load_registry().latest(event["type"])
        assert (status, answer["duplicate"]) == (202, False)
        found = raw_record(stack, answer["record"])
        assert found.at.topic == "eu.commerce.orders.v1"
        assert found.value == encode(schema, from_plain(schema, event["data"]))

    def test_its_key_is_an_hmac_of_the_customer_id(self, stack: Stack, gateway: Running) -> None:
        event = order()
        customer = event["data"]["customer"]["customer_id"].encode()

        found = raw_record(stack, gateway.post(event)[1]["record"])
        again = raw_record(stack, gateway.post({**event, "id": str(uuid4())})[1]["record"])

        key = secret(stack.home / "eu" / "keys", "partition")
        assert found.key == hmac.digest(key, customer, "sha256")[:16]
        assert found.key != hashlib.sha256(customer).digest()[:16]
        assert (again.key, again.at.partition) == (found.key, found.at.partition)

    def test_an_older_schema_is_written_as_that_schema(
        self, stack: Stack, gateway: Running
    ) -> None:
        events = Shop(random.Random(), ["eu"]).publications(50)
        event = next(e.cloudevent() for e in events if e.schema_version == 1)

        status, answer = gateway.post(event)

        assert status == 202
        schema, _ = decode_physical(load_registry(), raw_record(stack, answer["record"]).value)
        assert (schema.subject, schema.version) == ("commerce.orders.OrderPlaced", 1)

    def test_of_its_trace_headers_nothing_goes_on(self, stack: Stack, gateway: Running) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        headers = {
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            "tracestate": f"vendor={CANARY}",
            "baggage": f"name={CANARY}",
        }

        found = raw_record(stack, gateway.post(order(), headers=headers)[1]["record"])

        assert [name for name, _ in found.headers] == ["traceparent"]
        assert trace not in found.headers[0][1].decode()
        assert len(found.headers[0][1]) == 55


class TestRepeats:
    """One delivery, one record."""

    def test_a_repeat_is_acknowledged_and_dropped(self, stack: Stack, gateway: Running) -> None:
        event = order()
        before = raw_records(stack)

        first = gateway.post(event)
        second = gateway.post(event)

        assert (first[0], second[0]) == (202, 202)
        assert second[1] == {"record": first[1]["record"], "duplicate": True}
        assert raw_records(stack) - before == 1

    def test_so_is_one_that_comes_at_the_same_time(self, stack: Stack, gateway: Running) -> None:
        event = order()
        before = raw_records(stack)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(gateway.post, [event] * 8))

        assert {status for status, _ in answers} == {202}
        assert sorted(answer["duplicate"] for _, answer in answers) == [False] + [True] * 7
        assert len({answer["record"] for _, answer in answers}) == 1
        assert raw_records(stack) - before == 1

    @pytest.mark.parametrize("attribute", ["id", "source"])
    def test_another_id_or_source_is_another_event(
        self, stack: Stack, gateway: Running, attribute: str
    ) -> None:
        event = order()
        before = raw_records(stack)

        gateway.post(event)
        status, answer = gateway.post({**event, attribute: str(uuid4())})

        assert (status, answer["duplicate"]) == (202, False)
        assert raw_records(stack) - before == 2

    def test_what_was_refused_can_be_sent_again_once_it_is_mended(self, gateway: Running) -> None:
        event = order()
        broken = deepcopy(event)
        broken["data"]["channel"] = "carrier_pigeon"

        refused, _ = gateway.post(broken)
        status, answer = gateway.post(event)

        assert refused == 400
        assert (status, answer["duplicate"]) == (202, False)


class TestRefused:
    """An event that is not taken: why, and what the sender can do; never a value of it."""

    @pytest.mark.parametrize("region", ["uk", "us"])
    def test_another_regions_customer_is_sent_to_that_regions_gateway(
        self, stack: Stack, gateway: Running, region: str
    ) -> None:
        known = load_settings(stack.home, "eu", "gateway").gateways or {}
        before = raw_records(stack)

        status, answer = gateway.post(order(region))

        assert status == 421
        assert answer == {
            "error": "wrong-region",
            "region": region,
            "gateway": {**known, "uk": UK_GATEWAY}[region],
        }
        assert raw_records(stack) == before

    def test_a_country_nobody_serves_is_unprocessable(self, gateway: Running) -> None:
        status, answer = gateway.post(changed("data.customer.residence.country", "ZZ"))

        assert status == 422
        assert answer == {"error": "unserved-country", "path": "data.customer.residence.country"}

    @pytest.mark.parametrize(
        ("path", "value", "error", "named"),
        [
            ("data.channel", CANARY, "malformed", "data.channel"),
            ("data.customer.email", 7, "malformed", "data.customer.email"),
            ("data.customer.email", "\ud800", "malformed", "data.customer.email"),
            ("data.items", [{"line": 1, "sku": 7}], "malformed", "data.items[].sku"),
            ("data.zucanary", CANARY, "malformed", "data"),
            ("data.customer.zucanary", CANARY, "malformed", "data.customer"),
            ("data.customer.birth_date", CANARY, "malformed", "data.customer.birth_date"),
            ("data", None, "malformed", "data"),
            ("data", [CANARY], "malformed", "data"),
            ("type", CANARY, "unknown-type", "type"),
            ("type", "homeport.crm.CommerceOrder", "unknown-type", "type"),
            ("type", [CANARY], "missing-attribute", "type"),
            ("source", "", "missing-attribute", "source"),
            ("source", "\ud800", "missing-attribute", "source"),
            ("id", 7, "missing-attribute", "id"),
            ("id", "\udfff", "missing-attribute", "id"),
            ("schemaversion", 99, "unknown-schema-version", "schemaversion"),
            ("schemaversion", CANARY, "unknown-schema-version", "schemaversion"),
            ("schemaversion", True, "unknown-schema-version", "schemaversion"),
            ("schemaversion", [CANARY], "unknown-schema-version", "schemaversion"),
        ],
    )
    def test_a_malformed_event_is_told_where_but_not_what(
        self, gateway: Running, path: str, value: object, error: str, named: str
    ) -> None:
        status, answer = gateway.post(changed(path, value))

        assert (status, answer["error"], answer["path"]) == (400, error, named)
        assert "zucanary" not in json.dumps(answer)

    def test_an_event_without_data_is_malformed(self, gateway: Running) -> None:
        event = order()
        del event["data"]

        assert gateway.post(event)[0] == 400

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff", b'{"a":' + b"[" * 100_000, b"[]", b'"zucanary"', b"null", b"7"],
    )
    def test_what_is_no_cloudevent_is_refused(self, gateway: Running, body: bytes) -> None:
        status, answer = gateway.post(body)

        assert status == 400
        assert answer["error"] in {"not-json", "not-a-cloudevent"}
        assert "zucanary" not in json.dumps(answer)

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("text/plain", 415),
            ("application/avro", 415),
            ("application/json; charset=zucanary", 400),
            ("application/json", 202),
            ("application/cloudevents+json; charset=utf-8", 202),
        ],
    )
    def test_only_json_is_read(self, gateway: Running, kind: str, status: int) -> None:
        assert gateway.post(order(), kind)[0] == status

    def test_an_event_too_large_for_kafka_is_refused_each_time(
        self, stack: Stack, gateway: Running
    ) -> None:
        event = changed("data.gift_note", "x" * 1_000_000)
        before = raw_records(stack)

        answers = [gateway.post(event) for _ in range(2)]  # the second must not wait for the first

        assert [status for status, _ in answers] == [413, 413]
        assert answers[0][1]["error"] == "too-large"
        assert raw_records(stack) == before


class TestBatch:
    """Many events in one request, each with its own answer, in order."""

    def test_each_event_has_its_own_answer(self, stack: Stack, gateway: Running) -> None:
        good, bad = order(), changed("data.channel", CANARY)
        before = raw_records(stack)

        status, answers = gateway.post([good, bad, order("us"), good, CANARY], BATCH_TYPE)

        assert status == 200
        assert [answer["status"] for answer in answers] == [202, 400, 421, 202, 400]
        assert [answers[n]["duplicate"] for n in (0, 3)] == [False, True]
        assert answers[1]["path"] == "data.channel"
        assert raw_records(stack) - before == 1

    def test_none_is_none(self, gateway: Running) -> None:
        assert gateway.post([], BATCH_TYPE) == (200, [])

    def test_a_list_without_the_batch_type_is_no_event(self, gateway: Running) -> None:
        assert gateway.post([order()])[0] == 400

    @pytest.mark.parametrize("body", [{}, [{}] * (MAX_BATCH + 1)])
    def test_what_is_no_list_or_too_long_is_refused_whole(
        self, gateway: Running, body: object
    ) -> None:
        status, answer = gateway.post(body, BATCH_TYPE)

        assert (status, answer["error"]) == (400, "bad-batch")


class TestEnds:
    """What a gateway leaves behind."""

    def test_what_is_in_flight_is_answered_before_it_stops(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        broker = next(p.pid for p in stack.status() if p.name == "eu-kafka")
        assert broker is not None
        with started(stack, tmp_path) as running, ThreadPoolExecutor(1) as pool:
            running.post(order())  # connected
            os.kill(broker, signal.SIGSTOP)
            try:
                asked = pool.submit(running.post, order())
                time.sleep(0.5)
                running.halt.set()
                time.sleep(0.5)
                was_answered = asked.done()
            finally:
                os.kill(broker, signal.SIGCONT)
            status, answer = asked.result(WAIT_S)

        assert not was_answered
        assert (status, answer["duplicate"]) == (202, False)
        assert raw_record(stack, answer["record"]).at.topic == topics.raw("eu", "orders")

    def test_a_sender_that_never_finishes_does_not_hold_it_up(
        self, stack: Stack, tmp_path: Path
    ) -> None:
        head = f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: {ONE_TYPE}\r\n"
        with started(stack, tmp_path) as running, socket.socket() as client:
            client.connect(("127.0.0.1", running.port))
            client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            time.sleep(0.3)

            began = time.monotonic()
            running.stop()

        assert time.monotonic() - began < 2 * STOP_TIMEOUT_S + 2

    def test_neither_log_nor_telemetry_holds_a_value_of_what_came_in(
        self, stack: Stack, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        event = next(iter(Shop(random.Random(), ["eu"]).publications(1)))
        trace = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01", "tracestate": f"a={CANARY}"}
        canaries = [*event.canaries, CANARY, event.id, event.source, "c" * 32]
        with started(stack, tmp_path) as running:
            caplog.clear()  # urllib3, which is ours, logs URLs while the gateway starts
            running.post(event.cloudevent(), headers=trace)
            running.post(changed("data.channel", CANARY))
            running.post(changed("source", f"\ud800{CANARY}"))
            running.post(f'{{"{CANARY}'.encode())
            running.post(order(), f"application/json; charset={CANARY}")
            running.post([event.cloudevent(), CANARY], BATCH_TYPE)
            with socket.create_connection(("127.0.0.1", running.port)) as client:  # no HTTP
                client.sendall(f"POST /events HTTP/1.1\r\nX: {CANARY}\x01\r\n\r\n".encode())
                assert client.recv(4096).startswith(b"HTTP/1.0 400")

        written = caplog.text + "".join(
            path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()
        )
        assert '"gateway.publish"' in written
        assert "homeport.events" in written
        assert [canary for canary in canaries if canary in written] == []

    def test_its_health_page_counts(self, stack: Stack, tmp_path: Path) -> None:
        event = order()
        with started(stack, tmp_path) as running:
            for body in (event, event, changed("data.channel", "x")):
                running.post(body)

            counts = dict(running.gateway.health())

        assert counts == {
            "ready": True, "sealing": False, "published": 1, "repeated": 1, "refused": 1,
        }  # fmt: skip
