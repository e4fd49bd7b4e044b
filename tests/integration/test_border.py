"""The border on a real broker: every raw record ends once, and what leaves is an allow-list.

Promises 1, 3 and 7 at the hop from the raw topics to the minimal topic.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.inbound import own_headers
from connectors.kafka.record import Record, read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import TokenKeys, token_keys
from residency.plan.approved import approved_digests
from residency.plan.book import MAX_VALUE_BYTES, PlanBook
from residency.telemetry.setup import telemetry
from schemas.codec import encode
from schemas.errors import HaltError, Reason, RetriableError
from schemas.events import Coordinates, MinimalRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.border import Border, decide
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Observer
from streams.settings import load_settings
from streams.tally import Tally

WAIT_S = 30.0
ORDERS, CUSTOMERS = topics.raw("eu", "orders"), topics.raw("eu", "customers")
QUARANTINE_HEADERS = [
    headers.RECORD, headers.TOPIC_ID, headers.REASON, headers.PATH, headers.PLAN,
]  # fmt: skip
MINIMAL_HEADERS = [
    headers.RECORD, headers.TOPIC_ID, headers.OBJECT, headers.VERSION, headers.PLAN,
    headers.KEYS, headers.BASIS, headers.RELEASE, headers.TRACEPARENT,
]  # fmt: skip
# a plan is missing only when nobody approved one; the other two are egress's
UNREACHABLE = {Reason.NO_APPROVED_PLAN, Reason.SCANNER, Reason.REJECTED}
Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class Sent:
    """One raw record to publish."""

    topic: str
    value: bytes | None = field(repr=False)
    key: bytes = b"k"
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True)
class Working:
    """A border at work in a thread."""

    border: Border
    halt: threading.Event
    done: "Future[None]"

    def stop(self) -> None:
        self.halt.set()
        self.done.result(WAIT_S)


@contextmanager
def working(
    stack: Stack, folder: Path | None = None, slot: int = 0, home: Path | None = None
) -> Iterator[Working]:
    settings = load_settings(stack.home, "eu", "border")
    settings = replace(settings, home=home or settings.home, slot=slot)
    border = Border(settings, telemetry("border", "eu", folder, {}))
    halt = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = Working(border, halt, pool.submit(border.run, halt))
        try:
            yield running
        finally:
            halt.set()
        running.done.result(WAIT_S)


def wait_until(what: str, is_so: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_S} s"
        time.sleep(0.2)


class Line:
    """The topics around the border, from a moment on."""

    def __init__(self, stack: Stack) -> None:
        self.home = stack.home
        self._observer = Observer(stack.home, "eu")
        self._start = self._ends()
        self._before = self._observer.counts().border

    @property
    def tally(self) -> Tally:
        """What the border has counted since."""
        return self._observer.counts().border.minus(self._before)

    def send(self, records: Sequence[Sent]) -> list[Coordinates]:
        """Return where each record lies."""
        config = load_settings(self.home, "eu", "gateway").kafka.librdkafka(
            compression_type="lz4", message_max_bytes=8 * 2**20
        )
        producer, found = Producer(config), dict[int, Coordinates]()

        def note(error: Any, message: Any, number: int) -> None:
            assert error is None, error
            found[number] = Coordinates(message.topic(), message.partition(), message.offset())

        for number, one in enumerate(records):
            producer.produce(
                one.topic,
                one.value,
                one.key,
                headers=one.headers,
                on_delivery=lambda error, message, n=number: note(error, message, n),
            )
        assert producer.flush(WAIT_S) == 0
        return [found[number] for number in range(len(records))]

    def settle(self) -> None:
        """Wait until the border has counted every raw record there is."""

        def is_settled() -> bool:
            counts = self._observer.counts()
            return counts.raw == counts.border.raw

        wait_until("the border", is_settled)

    def made(self) -> list[Record]:
        """Return what was committed to the minimal and the quarantine topic since."""
        consumer, found = Consumer(self._config(enable_partition_eof=True)), []
        consumer.assign(self._start)
        left = len(self._start)
        while left:
            message = consumer.poll(WAIT_S)
            assert message is not None
            error = message.error()
            if error is None:
                found.append(read(message))
            else:
                assert error.name() == "_PARTITION_EOF"
                left -= 1
        consumer.close()
        return found

    def committed(self) -> dict[tuple[str, int], tuple[int, Tally]]:
        """Return offset and count of every raw partition, as the broker has them."""
        consumer = Consumer(self._config(group_id=topics.group("border")))
        wanted = [
            TopicPartition(topic, n)
            for topic in topics.raw_topics("eu")
            for n in range(topics.PARTITIONS)
        ]
        found = consumer.committed(wanted, WAIT_S)
        consumer.close()
        return {(p.topic, p.partition): (p.offset, Tally.from_metadata(p.metadata)) for p in found}

    def _ends(self) -> list[TopicPartition]:
        consumer = Consumer(self._config())
        ends = [
            TopicPartition(topic, n, consumer.get_watermark_offsets(TopicPartition(topic, n))[1])
            for topic in (topics.minimal("eu"), topics.quarantine("eu"))
            for n in range(topics.PARTITIONS)
        ]
        consumer.close()
        return ends

    def _config(self, **more: Any) -> dict[str, Any]:
        given = {"group_id": "test", "isolation_level": "read_committed", **more}
        settings = load_settings(self.home, "eu", "admin")
        return settings.kafka.librdkafka(enable_auto_commit=False, **given)


@pytest.fixture
def line(stack: Stack) -> Line:
    """Return the line, with nothing left over from other tests."""
    line = Line(stack)
    with working(stack):
        line.settle()
    return Line(stack)


_SEEDS = count(random.SystemRandom().randrange(2**32))


def publications(region: str = "eu", n: int = 50) -> list[Publication]:
    return list(Shop(random.Random(next(_SEEDS)), [region]).publications(n))


def wire(event: Publication) -> bytes:
    registry = load_registry()
    versions = {s.version: s for s in registry.versions(event.type)}
    schema = versions[event.schema_version or max(versions)]
    return encode(schema, from_plain(schema, event.data))


def one(kind: str, region: str = "eu") -> Publication:
    wanted = (e for _ in range(20) for e in publications(region) if not e.trap)
    return next(e for e in wanted if e.type.endswith(f".{kind}"))


def in_country(event: Publication, country: str) -> Publication:
    data = deepcopy(event.data)
    data["customer"]["residence"]["country"] = country
    return replace(event, data=data)


def stripped(stack: Stack, value: bytes, at: Coordinates) -> MinimalRecord:
    """Return what the definition makes of an order, in this process and with the same keys."""
    known = load_topics(stack.home, "eu")[at.topic]
    keys = token_keys(stack.home / "eu" / "keys", "eu")
    book = PlanBook.load("eu", keys, datetime.now(UTC).date())
    (record,) = book.minimise(RawEvent(at, known.id, known.generation, value)).records
    return record


def names_of(record: Record) -> list[str]:
    return [name for name, _ in record.headers]


def text(record: Record, name: str) -> str:
    return dict(record.headers)[name].decode()


def raw_of(record: Record) -> str:
    """Return the coordinates of the raw record it was made from."""
    return text(record, headers.RECORD).partition("#")[0]


def test_every_record_ends_exactly_once(stack: Stack, line: Line) -> None:
    order, visit = one("OrderPlaced"), one("CustomerSignedIn")
    email_as_sku = next(e for e in publications() if e.trap == "email-as-sku")
    sent: list[tuple[str, Sent]] = [
        ("minimal", Sent(ORDERS, wire(order))),
        ("nothing", Sent(CUSTOMERS, wire(visit))),
        ("malformed", Sent(ORDERS, b"junk")),
        ("malformed", Sent(ORDERS, b"")),
        ("malformed", Sent(ORDERS, None)),
        ("malformed", Sent(ORDERS, wire(order) + b"\0")),
        ("malformed", Sent(ORDERS, wire(order)[:-1])),
        ("unknown-schema", Sent(ORDERS, b"\0\0\0\xff\xff" + wire(order)[5:])),
        ("unknown-jurisdiction", Sent(ORDERS, wire(in_country(order, "ZZ")))),
        ("wrong-region", Sent(ORDERS, wire(one("OrderPlaced", "us")))),
        ("wrong-topic", Sent(CUSTOMERS, wire(order))),
        (
            "wrong-topic",
            Sent(ORDERS, stripped(stack, wire(order), Coordinates(ORDERS, 0, 0)).value),
        ),
        ("format", Sent(ORDERS, wire(email_as_sku))),
        ("oversize", Sent(ORDERS, b"x" * (2 * MAX_VALUE_BYTES))),
        ("malformed", Sent(ORDERS, b"x" * MAX_VALUE_BYTES)),
    ]
    reasons = {kind for kind, _ in sent} - {"minimal", "nothing"}
    assert reasons == set(Reason) - UNREACHABLE or pytest.fail("a reason is not tried")

    places = line.send([record for _, record in sent])
    with working(stack):
        line.settle()

    found: dict[str, list[Record]] = {str(at): [] for at in places}
    for record in line.made():
        found[raw_of(record)].append(record)
    ends = {
        at: [dict(r.headers).get(headers.REASON, b"minimal").decode() for r in records]
        for at, records in found.items()
    }
    assert ends == {
        str(at): [] if kind == "nothing" else [kind]
        for at, (kind, _) in zip(places, sent, strict=True)
    }
    assert line.tally == Tally(sent=1, nothing=1, quarantined=len(sent) - 2, minimal=1)


def test_a_quarantined_record_is_kept_whole_and_named(stack: Stack, line: Line) -> None:
    email_as_sku = next(e for e in publications() if e.trap == "email-as-sku")
    sent = Sent(ORDERS, wire(email_as_sku), headers=[("x-customer", b"zucanary")])

    (at,) = line.send([sent])
    with working(stack):
        line.settle()

    (record,) = line.made()
    assert record.at.topic == topics.quarantine("eu")
    assert record.value == sent.value
    assert record.key == str(at).encode()
    assert names_of(record) == QUARANTINE_HEADERS
    assert text(record, headers.PATH) == "items[0].sku"
    assert text(record, headers.TOPIC_ID) == load_topics(stack.home, "eu")[ORDERS].id


def test_one_too_large_is_named_and_stays_where_it_is(stack: Stack, line: Line) -> None:
    """Kafka would not take it a second time, and the raw topic still has it."""
    (at,) = line.send([Sent(ORDERS, b"x" * (3 * MAX_VALUE_BYTES))])
    with working(stack):
        line.settle()

    (record,) = line.made()
    assert (record.key, record.value) == (str(at).encode(), b"")


def test_a_minimal_record_is_what_strip_defines_with_the_allowed_headers_only(
    stack: Stack, line: Line
) -> None:
    value = wire(one("OrderPlaced"))
    hostile: Headers = [("x-customer", b"zucanary"), ("tracestate", b"a=zucanary"), ("nul", None)]

    (at,) = line.send([Sent(ORDERS, value, b"zucanary", hostile)])
    with working(stack):
        line.settle()

    (record,) = line.made()
    wanted = stripped(stack, value, at)
    assert record.at.topic == topics.minimal("eu")
    assert record.value == wanted.value
    assert record.key == wanted.external_id.encode()
    assert record.key.startswith(b"tok_eu1_")
    assert names_of(record) == MINIMAL_HEADERS
    assert text(record, headers.PLAN) in approved_digests("eu")
    read_back = headers.minimal_record(
        own_headers(record.headers, str(record.at)), record.key, record.value, str(record.at)
    )
    assert read_back == wanted
    assert "zucanary" not in repr(record.headers)


def test_the_border_starts_a_new_trace_and_links_to_the_old_one(
    stack: Stack, line: Line, tmp_path: Path
) -> None:
    inbound = f"{random.getrandbits(128):032x}"
    parent = f"00-{inbound}-00f067aa0ba902b7-01".encode()

    line.send([Sent(ORDERS, wire(one("OrderPlaced")), headers=[("traceparent", parent)])])
    with working(stack, tmp_path):
        line.settle()

    (record,) = line.made()
    _, trace, span, _ = text(record, headers.TRACEPARENT).split("-")
    assert trace != inbound
    spans = [
        json.loads(row)
        for row in (tmp_path / "border-spans.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    (mine,) = [s for s in spans if s["context"]["trace_id"] == f"0x{trace}"]
    assert mine["name"] == "border.batch"
    assert mine["context"]["span_id"] == f"0x{span}"
    assert mine["parent_id"] is None
    assert [link["context"]["trace_id"] for link in mine["links"]] == [f"0x{inbound}"]


def test_the_committed_metadata_holds_the_exact_count(stack: Stack, line: Line) -> None:
    before = line.committed()
    events = [e for e in publications(n=80) if not e.trap] + [one("CustomerSignedIn")]
    values = [(topics.raw("eu", e.type.split(".")[1]), wire(e)) for e in events]
    sent = [Sent(topic, value, str(n).encode()) for n, (topic, value) in enumerate(values)]
    sent += [Sent(ORDERS, b"junk", str(n).encode()) for n in range(9)]

    places = line.send(sent)
    with working(stack):
        line.settle()

    wanted = {where: tally for where, (_, tally) in before.items()}
    minimal, quarantined = Counter[str](), set[str]()
    for record in line.made():
        if record.at.topic == topics.quarantine("eu"):
            quarantined.add(raw_of(record))
        else:
            minimal[raw_of(record)] += 1
    for at in places:
        made = minimal[str(at)]
        share = Tally(bool(made), not made and str(at) not in quarantined,
                      str(at) in quarantined, made)  # fmt: skip
        wanted[at.topic, at.partition] = wanted[at.topic, at.partition].plus(share)
    after = line.committed()
    assert {where: tally for where, (_, tally) in after.items()} == wanted
    ends = Counter((at.topic, at.partition) for at in places)
    assert {w: after[w][0] - before[w][0] for w in after} == {w: ends[w] for w in after}


def test_a_restarted_border_goes_on_counting(stack: Stack, line: Line) -> None:
    for _ in range(3):
        line.send([Sent(ORDERS, wire(one("OrderPlaced")))])
        with working(stack):
            line.settle()

    assert line.tally == Tally(sent=3, minimal=3)
    assert len(line.made()) == 3


def test_two_borders_share_the_partitions_and_the_count_still_adds_up(
    stack: Stack, line: Line
) -> None:
    def orders(n: int) -> list[Sent]:
        value = wire(one("OrderPlaced"))
        return [Sent(ORDERS, value, str(key).encode()) for key in range(n)]

    places = line.send(orders(50))
    with working(stack, slot=0) as first:
        wait_until("slot 0", lambda: first.border.health()["ready"])
        with working(stack, slot=1) as second:
            wait_until("slot 1", lambda: second.border.health()["partitions"] > 0)
            places += line.send(orders(300))
            line.settle()
            shares = [w.border.health()["partitions"] for w in (first, second)]
        # a static member that leaves is missed after its session only
        wait_until("the rest", lambda: first.border.health()["partitions"] == sum(shares))
        places += line.send(orders(50))
        line.settle()

    assert sum(shares) == len(topics.DOMAINS) * topics.PARTITIONS
    assert min(shares) > 0
    made = Counter(raw_of(record) for record in line.made())
    assert made == Counter(str(at) for at in places)
    assert line.tally == Tally(sent=400, minimal=400)


def test_a_second_border_of_one_slot_fences_the_first(stack: Stack, line: Line) -> None:
    places = line.send([Sent(ORDERS, wire(one("OrderPlaced")))])
    settings = load_settings(stack.home, "eu", "border")
    zombie = Border(settings, telemetry("border", "eu", None, {}))
    halt = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        crashed = pool.submit(zombie.run, halt)
        wait_until("the first", lambda: zombie.health()["ready"] or crashed.done())
        with working(stack):
            places += line.send([Sent(ORDERS, wire(one("OrderPlaced"))) for _ in range(20)])
            line.settle()
        halt.set()
        error = crashed.exception(WAIT_S)

    assert isinstance(error, RetriableError | HaltError), error
    assert Counter(raw_of(r) for r in line.made()) == Counter(str(at) for at in places)


def test_a_recreated_topic_halts_the_border_before_it_reads(
    stack: Stack, line: Line, tmp_path: Path
) -> None:
    known = json.loads((stack.home / "eu" / "topics.json").read_text(encoding="utf-8"))
    known[ORDERS]["id"] = "AAAAAAAAQAAAAAAAAAAAAA"
    (tmp_path / "eu").mkdir()
    (tmp_path / "eu" / "topics.json").write_text(json.dumps(known), encoding="utf-8")
    line.send([Sent(ORDERS, wire(one("OrderPlaced")))])

    with pytest.raises(HaltError, match=ORDERS), working(stack, home=tmp_path) as halted:
        wait_until("the halt", halted.done.done)

    assert line.made() == []
    assert line.tally == Tally()


def test_a_decision_is_one_of_three_and_counts_once() -> None:
    """In memory: with no approved plan there is only quarantine."""
    book = PlanBook("eu", {}, TokenKeys("eu", b"i" * 32, b"a" * 32), load_registry())
    raw = RawEvent(Coordinates(ORDERS, 0, 7), "id", 1, wire(one("OrderPlaced")))

    decided = decide(book, raw)

    assert decided.crossing is None
    assert decided.quarantine is not None
    assert decided.quarantine.reason is Reason.NO_APPROVED_PLAN
    assert decided.tally == Tally(quarantined=1)
