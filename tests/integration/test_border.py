"""The border on a real broker: every raw record ends once, and what leaves is an allow-list.

Promises 1, 3 and 7 at the hop from the raw topics to the minimal topic.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from border_line import (
    CUSTOMERS,
    ORDERS,
    SEEDS,
    WAIT_S,
    Headers,
    Line,
    Sent,
    Working,
    crossed,
    in_country,
    one,
    publications,
    stripped,
    wait_until,
    wire,
    working,
)
from click.testing import CliRunner
from confluent_kafka import Producer
from vault_line import VaultLine

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.clients import send
from connectors.kafka.inbound import own_headers
from connectors.kafka.record import Place, Record
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import COMMITMENTS, TokenKeys, secret
from residency.ledger.accesses import OPERATOR, AccessLeaf, Act, Purpose
from residency.ledger.errors import LedgerError
from residency.ledger.leaves import commit, month_key, month_of
from residency.ledger.requests import FOLDER, Requests
from residency.plan.approved import approved_digests
from residency.plan.book import MAX_VALUE_BYTES, PlanBook
from residency.plan.labels import request_value
from residency.seal import BORDER, EGRESS, Seal, SealError
from residency.telemetry.setup import telemetry
from residency.vault.rawseal import RawSeal
from residency.vault.subjects import NOBODY
from schemas.errors import HaltError, Reason, RetriableError
from schemas.events import Coordinates, RawBatch, RecordId
from schemas.registry import load_registry
from streams.border import Border
from streams.cli import cli as homeport
from streams.cli.vault_find import TOKEN_VARIABLE
from streams.crossing import Refused
from streams.demo.generate import Publication
from streams.duties import Route
from streams.limit import LimitPolicy
from streams.looking import witness
from streams.looking.callers import Callers
from streams.place import Verdict
from streams.quarantine import entries
from streams.quarantining import Quarantine
from streams.retry import Retry
from streams.settings import load_settings
from streams.tally import Tally

TOP = Path(__file__).parents[2]
QUARANTINE_HEADERS = [
    headers.RECORD, headers.TOPIC_ID, headers.REASON, headers.PATH, headers.PLAN,
]  # fmt: skip
MINIMAL_HEADERS = [
    headers.RECORD, headers.VERSION, headers.TOPIC_ID, headers.OBJECT, headers.PLAN, headers.KEYS,
    headers.BASIS, headers.RELEASE, headers.TRACEPARENT,
]  # fmt: skip
# a plan is missing only when nobody approved one; the other two are egress's
UNREACHABLE = {  # by what a record's bytes say
    Reason.NO_APPROVED_PLAN, Reason.SCANNER, Reason.REJECTED, Reason.GATE, Reason.ERASED_SUBJECT,
}  # fmt: skip
REVEAL = ("--reveal", "--purpose", "legal", "--ticket", "CASE-17")


@pytest.fixture
def line(stack: Stack) -> Line:
    """Return the line, with nothing left over from other tests."""
    line = Line(stack)
    if not line.is_settled():
        with working(stack):
            line.settle()
    return Line(stack)


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
        ("unopened", Sent(ORDERS, RawSeal(bytes(16), bytes(32)).close(ORDERS, wire(order)))),
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


def opened(stack: Stack, record: Record) -> bytes:
    """Return what a record in quarantine holds, with the region's key."""
    seal = Seal(secret(stack.home / "eu" / "keys", BORDER))
    return seal.open(record.key.decode(), text(record, headers.REASON), record.value)


def test_a_quarantined_record_is_kept_whole_sealed_and_named(stack: Stack, line: Line) -> None:
    email_as_sku = next(e for e in publications() if e.trap == "email-as-sku")
    sent = Sent(ORDERS, wire(email_as_sku), headers=[("x-customer", b"zucanary")])

    (at,) = line.send([sent])
    with working(stack):
        line.settle()

    (record,) = line.made()
    assert record.at.topic == topics.quarantine("eu")
    assert sent.value is not None
    assert sent.value[5:] not in record.value
    assert opened(stack, record) == sent.value
    assert record.key == str(at).encode()
    assert names_of(record) == QUARANTINE_HEADERS
    assert text(record, headers.PLAN) in approved_digests("eu")
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


def test_a_text_goes_to_the_regions_model_alone_and_the_row_does_not_wait_for_it(
    stack: Stack, line: Line
) -> None:
    event, words = one("SupportMessageReceived"), "zucanary: my parcel is late"
    value = wire(replace(event, data={**event.data, "body": words}))

    (at,) = line.send([Sent(topics.raw("eu", "messages"), value)])
    with working(stack):
        line.settle()

    made = {record.at.topic: record for record in line.made()}
    assert made.keys() == {topics.minimal("eu"), topics.enrich("eu")}
    request, record = made[topics.enrich("eu")], made[topics.minimal("eu")]
    crossing = crossed(stack, value, at)
    (wanted,) = crossing.requests
    assert wanted.texts == {"text_body": words}
    assert request.value == request_value(wanted, load_registry())
    assert request.key == record.key == wanted.external_id.encode()
    assert names_of(request) == names_of(record) == MINIMAL_HEADERS
    assert [text(one, headers.RECORD) for one in (record, request)] == [f"{at}#0", f"{at}#1"]
    assert text(request, headers.PLAN) == wanted.plan == crossing.plan.digest
    assert text(request, headers.TOPIC_ID) == wanted.id.topic_id
    assert b"zucanary" not in record.value
    assert line.tally == Tally(sent=1, minimal=1, requests=1)


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
    found = Counter((raw_of(record), record.at.topic) for record in line.made())
    for at in places:
        made, asked, quarantined = (
            found[str(at), topic]
            for topic in (topics.minimal("eu"), topics.enrich("eu"), topics.quarantine("eu"))
        )
        share = Tally(bool(made), not made and not quarantined, quarantined, made, asked)
        wanted[at.topic, at.partition] = wanted[at.topic, at.partition].plus(share)
    assert sum(tally.requests for tally in wanted.values())
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
            wait_until("the first to find out", crashed.done)
        halt.set()
        error = crashed.exception(WAIT_S)

    assert isinstance(error, RetriableError), error
    assert "FENCED" in str(error)
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


def test_workers_that_come_and_go_under_load_lose_and_double_nothing(
    stack: Stack, line: Line, *, long_run: bool
) -> None:
    """One worker stays; two others join and leave, at once and one by one."""
    places: list[Coordinates] = []
    is_over = threading.Event()
    partitions = len(topics.DOMAINS) * topics.PARTITIONS
    good = [e for e in publications(n=200) if not e.trap]
    values = [(topics.raw("eu", e.type.split(".")[1]), wire(e)) for e in good]
    values += [(ORDERS, b"junk")] * 10

    def load() -> None:
        for number in count():
            if is_over.is_set():
                return
            burst = [
                Sent(topic, value, f"{number}.{n}".encode())
                for n, (topic, value) in enumerate(values)
            ]
            places.extend(line.send(burst))
            time.sleep(0.1)

    join = partial(working, stack, is_kept=True)  # a rebalance may overtake a transaction
    with ThreadPoolExecutor(1) as pool, join(slot=0) as stays:
        wait_until("slot 0", lambda: stays.border.health()["ready"])
        sending = pool.submit(load)

        def all_decide(team: Sequence[Working]) -> bool:
            said = [worker.border.health() for worker in team]
            shared = sum(one["partitions"] for one in said) == partitions
            return shared and all(one["partitions"] and one["decided"] for one in said)

        try:
            for _ in range(5 if long_run else 1):
                with join(slot=1) as second, join(slot=2) as third:
                    team = stays, second, third
                    wait_until("three workers", partial(all_decide, team))
                    second.stop()
                    with join(slot=1) as again:
                        wait_until("slot 1 again", lambda w=again: w.border.health()["decided"])
        finally:
            is_over.set()
            sending.result(WAIT_S)
        line.settle()

    made = line.made()
    assert max(Counter(text(record, headers.RECORD) for record in made).values()) == 1
    ended = {raw_of(record): record.at.topic for record in made}
    on = Counter(record.at.topic for record in made)
    quarantined = on[topics.quarantine("eu")]
    assert ended.keys() <= {str(at) for at in places}
    assert line.tally == Tally(
        sent=len(ended) - quarantined,
        nothing=len(places) - len(ended),
        quarantined=quarantined,
        minimal=on[topics.minimal("eu")],
        requests=on[topics.enrich("eu")],
    )


def test_a_stop_finishes_the_batch_commits_it_and_leaves_nothing_open(
    stack: Stack, line: Line
) -> None:
    value = wire(one("OrderPlaced"))
    places = line.send([Sent(ORDERS, value, str(n).encode()) for n in range(8_000)])
    before = line.committed()

    with working(stack) as worker:
        wait_until("its first batch", lambda: worker.border.health()["decided"])
        asked = time.monotonic()
        worker.stop()
        stopped_s = time.monotonic() - asked
    made = Counter(raw_of(record) for record in line.made())
    after = line.committed()

    assert stopped_s < 10
    committed = {
        str(at) for at in places if before[at.topic, at.partition][0] <= at.offset
        < after[at.topic, at.partition][0]
    }  # fmt: skip
    assert made == Counter(committed)
    assert line.tally == Tally(sent=len(committed), minimal=len(committed))
    assert line.open_transactions() == []
    with working(stack):
        line.settle()
    assert line.tally == Tally(sent=len(places), minimal=len(places))


class Slow(Border):
    """Takes longer over its first batch than a member may."""

    def _route(self) -> Route:
        return replace(super()._route(), max_poll_ms=6_000)

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        time.sleep(9)
        return super().decide(batch)


def test_a_worker_that_takes_too_long_commits_nothing_and_says_so(stack: Stack, line: Line) -> None:
    """Its partitions are another's by then: `max.poll.interval.ms` is Kafka's to enforce."""
    (at,) = line.send([Sent(ORDERS, wire(one("OrderPlaced")))])
    slow = Slow(load_settings(stack.home, "eu", "border"), telemetry("border", "eu", None, {}))

    with pytest.raises(RetriableError, match="starts afresh"):
        slow.run(threading.Event())

    assert line.made() == []
    assert line.open_transactions() == []
    with working(stack):
        line.settle()
    assert [raw_of(record) for record in line.made()] == [str(at)]


def test_a_full_send_queue_makes_the_worker_wait_and_loses_nothing(
    stack: Stack, line: Line
) -> None:
    config = load_settings(stack.home, "eu", "gateway").kafka.librdkafka(
        queue_buffering_max_messages=10, linger_ms=5
    )
    producer, longest = Producer(config), 0

    for number in range(300):
        send(producer, [(ORDERS, b"junk", str(number).encode(), None)])
        longest = max(longest, len(producer))
    assert producer.flush(WAIT_S) == 0
    with working(stack):
        line.settle()

    assert longest <= 20  # some are sent and wait to be told so
    assert line.tally == Tally(quarantined=300)


def test_a_worker_halts_when_too_much_goes_to_quarantine(stack: Stack, line: Line) -> None:
    limit = LimitPolicy(window=50, share=0.5, at_least=20)
    settings = replace(load_settings(stack.home, "eu", "border"), quarantine_limit=limit)
    good = [Sent(ORDERS, wire(one("OrderPlaced"))) for _ in range(9)]
    junk = [Sent(ORDERS, b"junk") for _ in range(21)]

    line.send(good + junk)
    with pytest.raises(HaltError, match=r"^21 of the last 30 records .*`homeport quarantine list"):
        Border(settings, telemetry("border", "eu", None, {})).run(threading.Event())

    # what it had seen is there to be looked at, and counted
    assert line.tally == Tally(sent=9, quarantined=21, minimal=9)
    line.send(good)
    with working(stack):
        line.settle()
    assert line.tally.sent == 18


def exported(folder: Path) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the last value of every metric by its labels, as exported."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for row in (folder / "border-metrics.jsonl").read_text(encoding="utf-8").splitlines():
        for resource in json.loads(row)["resource_metrics"]:
            for scope in resource["scope_metrics"]:
                for metric in scope["metrics"]:
                    points = found.setdefault(metric["name"], {})
                    for point in metric["data"]["data_points"]:
                        labels = tuple(sorted(point["attributes"].items()))
                        points[labels] = point.get("value", point.get("sum"))
    return found


def test_a_record_of_another_region_raises_an_alert_that_names_it(
    stack: Stack, line: Line, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (at,) = line.send([Sent(ORDERS, wire(one("OrderPlaced", "us")))])

    with working(stack, tmp_path):
        line.settle()

    assert exported(tmp_path)["homeport.alerts"] == {(("kind", "wrong-region"),): 1}
    said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said == [f"{at}: of another region; see who published it here"]


def test_lag_and_throughput_are_measured_by_partition_and_name_no_address(
    stack: Stack, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, observed = list[dict[Place, int]](), Border.observed

    def watched(border: Border) -> None:
        observed(border)
        told.append(border._hop.lag())  # noqa: SLF001, as it was recorded just now

    monkeypatch.setattr(Border, "observed", watched)
    line.send([Sent(ORDERS, wire(one("OrderPlaced")), str(n).encode()) for n in range(40)])

    with working(stack, tmp_path) as worker:
        line.settle()
        wait_until("statistics", lambda: worker.border.health()["round_trip_ms"] > 0)
        health = worker.border.health()
        wait_until("lag", lambda: any((ORDERS, 0) in lag and not any(lag.values()) for lag in told))

    assert health["decided"] == 40
    assert health["fetched"] == health["unsent"] == 0
    found = exported(tmp_path)
    lag = {dict(labels)["domain"]: value for labels, value in found["homeport.kafka.lag"].items()}
    assert lag["orders"] == 0
    crossed = found["homeport.kafka.records"]
    assert crossed[("direction", "received"), ("stage", "border")] >= 40
    assert crossed[("direction", "sent"), ("stage", "border")] >= 40
    text_of_all = (tmp_path / "border-metrics.jsonl").read_text(encoding="utf-8")
    assert "127.0.0.1" not in text_of_all
    assert "localhost" not in text_of_all


class Unapproved(Border):
    """A border for which nobody has approved a plan."""

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        del self  # the book alone differs
        keys = TokenKeys("eu", b"i" * 32, b"a" * 32)
        return PlanBook("eu", {}, keys, load_registry()).minimise_batch(batch, lambda _: 1)


@pytest.fixture
def unapproved(stack: Stack, line: Line) -> Callable[[Sequence[Sent]], list[str]]:
    """Return what sends raw records, has them quarantined for want of a plan, and names them."""

    def go(sent: Sequence[Sent]) -> list[str]:
        places = line.send(sent)
        settings = load_settings(stack.home, "eu", "border")
        border, halt = Unapproved(settings, telemetry("border", "eu", None, {})), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(border.run, halt)
            line.settle()
            halt.set()
            done.result(WAIT_S)
        return [str(at) for at in places]

    return go


def cli(stack: Stack, *arguments: str, group: str = "quarantine") -> tuple[int, Any]:
    """Run ``homeport quarantine`` on the stack; return its exit code and document."""
    words = [group, *arguments, "--region", "eu", "--home", str(stack.home), "--json"]
    done = CliRunner().invoke(homeport, words)
    said = done.stderr or f"homeport: {done.exception}\n"  # as `main` says it
    return done.exit_code, json.loads(done.stdout) if done.stdout else said


def listed(stack: Stack, *arguments: str) -> dict[str, dict[str, Any]]:
    code, document = cli(stack, "list", "--limit", "10000", *arguments)
    assert code == 0
    return {row["record"]: row for row in document["records"]}


def test_a_retry_asks_the_regions_model_too(
    stack: Stack, line: Line, unapproved: Callable[[Sequence[Sent]], list[str]]
) -> None:
    value = wire(one("SupportMessageReceived"))
    (message,) = unapproved([Sent(topics.raw("eu", "messages"), value)])

    done = cli(stack, "retry", message)

    assert done == (
        0,
        {"region": "eu", "tried": 1, "sent": 1, "minimal": 2, "nothing": 0, "stays": []},
    )
    (request,) = [r for r in line.made() if r.at.topic == topics.enrich("eu")]
    (wanted,) = crossed(stack, value, RecordId.parse(f"{message}#0").at).requests
    assert request.value == request_value(wanted, load_registry())
    assert text(request, headers.RECORD) == f"{message}#1+1"


def test_a_retry_sends_what_can_be_decided_now_once_and_under_its_old_name(
    stack: Stack, line: Line, unapproved: Callable[[Sequence[Sent]], list[str]]
) -> None:
    value = wire(one("OrderPlaced"))
    order, visit = unapproved([Sent(ORDERS, value), Sent(CUSTOMERS, wire(one("CustomerSignedIn")))])
    assert listed(stack, "--reason", "no-approved-plan").keys() >= {order, visit}

    first = cli(stack, "retry", order, visit)
    again = cli(stack, "retry", order)

    assert first == (
        0,
        {"region": "eu", "tried": 2, "sent": 1, "minimal": 1, "nothing": 1, "stays": []},
    )
    assert again[0] == 2  # it is in quarantine no more
    (record,) = [r for r in line.made() if r.at.topic == topics.minimal("eu")]
    at = RecordId.parse(f"{order}#0").at
    wanted = stripped(stack, value, at)
    sent = headers.minimal_record(
        headers.texts(record.headers), record.key, record.value, str(record.at)
    )
    assert sent == replace(wanted, id=RecordId(at, 0, 1, wanted.id.topic_id))
    assert not {order, visit} & listed(stack).keys()
    settled = listed(stack, "--all")
    assert (settled[order]["settled"], settled[visit]["settled"]) == ("sent", "nothing")
    # the border's own count says what it did, for ever
    assert line.tally == Tally(quarantined=2)


def test_what_still_cannot_be_decided_stays_and_is_named(stack: Stack, line: Line) -> None:
    places = line.send([Sent(ORDERS, b"junk"), Sent(ORDERS, b"x" * (2 * MAX_VALUE_BYTES))])
    with working(stack):
        line.settle()
    junk, large = map(str, places)

    code, document = cli(stack, "retry", junk, large)

    assert code == 1
    assert document["stays"] == [
        {"record": junk, "why": "malformed"},
        {"record": large, "why": "oversize"},
    ]
    assert listed(stack).keys() >= {junk, large}


def test_of_two_retries_at_once_the_older_is_fenced_and_sends_nothing(
    stack: Stack, line: Line, unapproved: Callable[[Sequence[Sent]], list[str]]
) -> None:
    (order,) = unapproved([Sent(ORDERS, wire(one("OrderPlaced")))])
    settings = load_settings(stack.home, "eu", "admin")
    older, newer = Retry(settings), Retry(settings)

    outcomes = list(newer.run([newer.open[order]]))
    with pytest.raises(RetriableError):
        list(older.run([older.open[order]]))

    assert [outcome.sent for outcome in outcomes] == [(f"{order}#0+1",)]
    assert len([r for r in line.made() if r.at.topic == topics.minimal("eu")]) == 1


def test_a_retry_of_what_egress_refused_sends_that_output_with_the_next_number(
    stack: Stack, line: Line
) -> None:
    value = wire(one("OrderPlaced"))
    (at,) = line.send([Sent(ORDERS, value)])
    with working(stack):
        line.settle()
    (made,) = line.made()
    refused = f"{text(made, headers.RECORD)}+1"
    seal = Seal(secret(stack.home / "eu" / "keys", EGRESS))
    producer = Producer(load_settings(stack.home, "eu", "egress").kafka.librdkafka())
    producer.produce(
        topics.quarantine("eu"),
        seal.close(refused, Reason.REJECTED, made.value),
        refused.encode(),
        headers=headers.for_quarantine(
            refused, text(made, headers.TOPIC_ID), Reason.REJECTED, None, text(made, headers.PLAN)
        ),
    )
    assert producer.flush(WAIT_S) == 0

    code, document = cli(stack, "retry", refused)

    assert (code, document["minimal"]) == (0, 1)
    again = [r for r in line.made() if r.at.topic == topics.minimal("eu")][-1]
    assert (again.key, again.value) == (made.key, made.value)
    assert text(again, headers.RECORD) == f"{at}#0+2"


def refused_by_the_org(
    stack: Stack, line: Line, code: str, event: Publication | None = None
) -> str:
    """Have a minimal record made, and put into quarantine as egress does; return its name."""
    event = event or one("OrderPlaced")
    value = wire(event)
    (at,) = line.send([Sent(ORDERS, value, line.subject(event))])
    minimal = stripped(stack, value, at)
    seal = Seal(secret(stack.home / "eu" / "keys", EGRESS))
    producer = Producer(load_settings(stack.home, "eu", "egress").kafka.librdkafka())
    refusal = Refused(minimal, Reason.REJECTED, None, code, ("City__c", "Status__c"))
    Quarantine(producer, seal, "eu").put([refusal])
    return str(minimal.id)


def rejects(stack: Stack, *arguments: str) -> tuple[int, Any]:
    return cli(stack, *arguments, group="rejects")


def test_rejects_are_listed_by_code_with_object_and_fields_and_without_a_text(
    stack: Stack, line: Line
) -> None:
    long, twice = (
        refused_by_the_org(stack, line, c) for c in ("STRING_TOO_LONG", "DUPLICATE_VALUE")
    )

    _, everything = rejects(stack, "list", "--limit", "1000")
    code, found = rejects(stack, "list", "--code", "STRING_TOO_LONG", "--since", "1h")
    _, other = rejects(stack, "list", "--object", "Commerce_Case__c")

    assert code == 0
    (row,) = [row for row in found["records"] if row["record"] == long]
    assert (row["reason"], row["object"], row["code"]) == (
        "rejected", "Commerce_Order__c", "STRING_TOO_LONG",
    )  # fmt: skip
    assert row["fields"] == ["City__c", "Status__c"]
    assert set(found["codes"]) == {"STRING_TOO_LONG"}
    assert {row["record"] for row in everything["records"]} >= {long, twice}
    assert {row["reason"] for row in everything["records"]} == {"rejected"}
    assert not {long, twice} & {row["record"] for row in other["records"]}


def test_rejects_are_sent_again_once_and_a_dry_run_sends_nothing(stack: Stack, line: Line) -> None:
    code = f"CODE_{next(SEEDS)}"
    name = refused_by_the_org(stack, line, code)
    with working(stack):
        line.settle()

    dry = rejects(stack, "retry", "--code", code, "--dry-run")
    sent_dry = [r for r in line.made() if text(r, headers.RECORD) == f"{name}+1"]
    wet = rejects(stack, "retry", "--code", code)
    again = rejects(stack, "retry", name)

    document = {"region": "eu", "tried": 1, "sent": 1, "minimal": 1, "nothing": 0, "stays": []}
    assert dry == (0, {**document, "dry_run": True})
    assert sent_dry == []
    assert wet == (0, document)
    assert again[0] == 2  # it is there no more
    (sent,) = [r for r in line.made() if text(r, headers.RECORD) == f"{name}+1"]
    assert sent.at.topic == topics.minimal("eu")


@pytest.mark.parametrize("which", [[], ["--all", "--code", "X"], ["some[0]@1#0"]])
def test_a_retry_of_rejects_wants_to_be_told_exactly_which(stack: Stack, which: list[str]) -> None:
    assert rejects(stack, "retry", *which)[0] == 2


def test_rejects_leaves_alone_what_the_org_did_not_refuse(stack: Stack, line: Line) -> None:
    (junk,) = line.send([Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()

    assert rejects(stack, "retry", str(junk))[0] == 2
    assert str(junk) not in {row["record"] for row in rejects(stack, "list")[1]["records"]}


def test_egress_seals_with_a_key_of_its_own_too(stack: Stack, line: Line) -> None:
    value = wire(one("OrderPlaced"))
    (at,) = line.send([Sent(ORDERS, value)])
    minimal = stripped(stack, value, at)
    settings = load_settings(stack.home, "eu", "egress")
    keys = stack.home / "eu" / "keys"
    producer = Producer(settings.kafka.librdkafka())
    there = Quarantine(producer, Seal(secret(keys, EGRESS)), "eu")

    there.put([Refused(minimal, Reason.SCANNER, "Note__c")])

    (record,) = line.made()
    assert minimal.value[5:] not in record.value
    name = str(minimal.id)
    assert Seal(secret(keys, EGRESS)).open(name, "scanner", record.value) == minimal.value
    with pytest.raises(SealError):
        Seal(secret(keys, BORDER)).open(name, "scanner", record.value)
    assert names_of(record) == QUARANTINE_HEADERS
    assert text(record, headers.PATH) == "Note__c"
    assert text(record, headers.PLAN) == minimal.plan


def test_show_reveals_a_payload_only_when_asked_and_a_file_is_its_owners_alone(
    stack: Stack, line: Line, tmp_path: Path
) -> None:
    event = next(e for e in publications() if e.trap == "email-as-sku")
    places = line.send([Sent(ORDERS, wire(event)), Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()
    trapped, junk = map(str, places)
    target = tmp_path / "revealed.json"

    code, closed = cli(stack, "show", trapped)
    _, opened = cli(stack, "show", trapped, *REVEAL)
    _, as_bytes = cli(stack, "show", junk, *REVEAL)
    _, filed = cli(stack, "show", trapped, *REVEAL, "--out", str(target))
    twice, _ = cli(stack, "show", trapped, *REVEAL, "--out", str(target))
    VaultLine(stack.home).suppress(line.subject(event))
    erased = cli(stack, "show", trapped, *REVEAL)

    assert code == 0
    assert (closed["reason"], closed["path"], closed["raw"]) == ("format", "items[0].sku", trapped)
    assert closed["plan"] in approved_digests("eu")
    assert "payload" not in closed
    assert opened["payload"]["data"]["customer"]["email"] == event.data["customer"]["email"]
    assert as_bytes["payload"] == {"base64": b64encode(b"junk").decode()}
    assert json.loads(target.read_text(encoding="utf-8")) == opened["payload"]
    assert filed["payload_file"] == str(target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert twice == 2
    assert erased == (1, f"homeport: {trapped}: its subject is erased; nobody is to read it\n")


def asked_for(stack: Stack) -> dict[str, AccessLeaf]:
    """Return the `access` leaves that are asked for, by request; no egress appends them here."""
    waiting = Requests(stack.home / "eu" / FOLDER).waiting()
    return {leaf.request: leaf for leaf in waiting if isinstance(leaf, AccessLeaf)}


def refusing(*_: object, **_more: object) -> int:
    msg = "refused"
    raise LedgerError(msg)


def test_the_ledger_is_asked_to_say_who_reveals_a_payload_and_of_whom_before_it_is_shown(
    stack: Stack, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = next(e for e in publications() if e.trap == "email-as-sku")
    places = line.send([Sent(ORDERS, wire(event)), Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()
    before = asked_for(stack).keys()

    shown = [cli(stack, "show", str(at), *REVEAL)[1] for at in places]
    leaves = asked_for(stack)
    with monkeypatch.context() as broken:
        broken.setattr(witness, "append_leaf", refusing)
        refused = cli(stack, "show", str(places[0]), *REVEAL)

    told = [document["access"] for document in shown]
    assert {access["request"] for access in told} == leaves.keys() - before
    assert [access["leaf"] for access in told] == [None, None]
    for access, subject in zip(told, (line.subject(event), NOBODY), strict=True):
        leaf = leaves[access["request"]]
        key = month_key(secret(stack.home / "eu/keys", COMMITMENTS), month_of(leaf.time))
        name = f"access/{leaf.request}"
        assert (leaf.caller, leaf.act, leaf.purpose) == (OPERATOR, Act.REVEAL, Purpose.LEGAL)
        assert (leaf.subjects, leaf.subject) == (1, commit(key, name.encode(), subject).hex())
        assert leaf.ticket == commit(key, f"{name}/ticket".encode(), b"CASE-17").hex()
    assert refused == (1, "homeport: refused\n")


def test_whose_a_payload_of_egress_is_its_raw_record_says_and_of_the_erased_none_is_shown(
    stack: Stack, line: Line
) -> None:
    event = one("OrderPlaced")
    subject = line.subject(event)
    name = refused_by_the_org(stack, line, "FIELD_CUSTOM_VALIDATION_EXCEPTION", event)

    _, shown = cli(stack, "show", name, *REVEAL)
    VaultLine(stack.home).suppress(subject)
    erased = cli(stack, "show", name, *REVEAL)

    leaf = asked_for(stack)[shown["access"]["request"]]
    key = month_key(secret(stack.home / "eu/keys", COMMITMENTS), month_of(leaf.time))
    assert leaf.subject == commit(key, f"access/{leaf.request}".encode(), subject).hex()
    assert erased == (1, f"homeport: {name}: its subject is erased; nobody is to read it\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--reveal"],
        ["--reveal", "--purpose", "legal"],
        ["--reveal", "--purpose", "legal", "--ticket", "in plain words"],
        ["--purpose", "legal", "--ticket", "CASE-17"],
        ["--out", "nobody-writes-this.json"],
    ],
)
def test_nothing_is_revealed_without_a_purpose_and_a_ticket(
    stack: Stack, line: Line, options: list[str]
) -> None:
    (junk,) = line.send([Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()

    assert cli(stack, "show", str(junk), *options)[0] == 2


def test_a_caller_reveals_only_with_a_role_that_exports(
    stack: Stack, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    (junk,) = line.send([Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()
    callers, found = Callers(stack.home / "eu"), {}

    for role in ("auditor", "privacy"):
        name = f"desk-{role}-reveals"
        monkeypatch.setenv(TOKEN_VARIABLE, callers.add(name, role, datetime.now(UTC)))
        why = ("--purpose", "audit", "--ticket", "CASE-17")
        found[role] = cli(stack, "show", str(junk), "--reveal", *why)

    assert found["auditor"][0] == 1
    assert "not at whole payloads" in found["auditor"][1]
    request = found["privacy"][1]["access"]["request"]
    assert asked_for(stack)[request].caller == "desk-privacy-reveals"


def test_list_counts_by_reason_and_looks_back_no_further_than_asked(
    stack: Stack, line: Line
) -> None:
    (before,) = line.send([Sent(ORDERS, b"junk")])
    with working(stack):
        line.settle()
        time.sleep(1)
        since = datetime.now(UTC).isoformat()
        places = line.send([Sent(ORDERS, b"junk"), Sent(ORDERS, wire(one("OrderPlaced", "us")))])
        line.settle()

    code, document = cli(stack, "list", "--since", since)

    assert code == 0
    assert (document["total"], document["reasons"]) == (2, {"malformed": 1, "wrong-region": 1})
    assert {row["record"] for row in document["records"]} == {str(at) for at in places}
    assert str(before) in listed(stack, "--since", "1h")
    assert cli(stack, "list", "--since", "yesterday")[0] == 2


@pytest.mark.parametrize("which", [[], ["--all", "--reason", "format"], ["some[0]@1"]])
def test_a_retry_wants_to_be_told_exactly_which(stack: Stack, which: list[str]) -> None:
    code, _ = cli(stack, "retry", *which)

    assert code == 2


def test_what_nobody_of_ours_put_into_quarantine_is_left_out_and_told(
    stack: Stack, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(load_settings(stack.home, "eu", "admin").kafka.librdkafka())
    producer.produce(topics.quarantine("eu"), b"zucanary", b"zucanary")
    assert producer.flush(WAIT_S) == 0
    (record,) = line.made()

    found = entries(load_settings(stack.home, "eu", "admin"))

    assert "zucanary" not in str(found)
    assert [r.getMessage() for r in caplog.records if r.name == "homeport.quarantine"][-1:] == [
        f"{record.at}: not written by a worker of ours; who else writes here?"
    ]


def test_without_a_stack_the_tools_say_so_and_exit_with_3(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "streams.cli", "quarantine", "list"]
    command += ["--region", "eu", "--home", str(tmp_path)]

    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 3
    assert b"homeport up" in done.stderr
    assert done.stdout == b""


class Stuck(Border):
    """Has read its batch and decides it only when it is told to."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.has_read, self.go_on = threading.Event(), threading.Event()

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        self.has_read.set()
        self.go_on.wait(WAIT_S)
        return super().decide(batch)


def test_a_zombie_that_wakes_with_a_batch_in_hand_commits_none_of_it(
    stack: Stack, line: Line
) -> None:
    """The worst case: its successor has carried the same records already."""
    places = line.send([Sent(ORDERS, wire(one("OrderPlaced"))) for _ in range(5)])
    zombie = Stuck(load_settings(stack.home, "eu", "border"), telemetry("border", "eu", None, {}))
    with ThreadPoolExecutor(1) as pool:
        crashed = pool.submit(zombie.run, threading.Event())
        assert zombie.has_read.wait(WAIT_S)
        with working(stack):
            line.settle()
            zombie.go_on.set()
            error = crashed.exception(WAIT_S)

    assert isinstance(error, RetriableError), error
    assert zombie.health()["decided"] == 0
    assert Counter(raw_of(r) for r in line.made()) == Counter(str(at) for at in places)
    assert line.tally == Tally(sent=5, minimal=5)
    assert line.open_transactions() == []
