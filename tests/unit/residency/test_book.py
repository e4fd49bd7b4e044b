"""A batch is decided as its records would be one by one, walked or not."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from residency import topics
from residency.keys import TokenKeys
from residency.plan.book import MAX_VALUE_BYTES, Crossed, PlanBook
from schemas.codec import encode
from schemas.errors import QuarantineError, Reason
from schemas.events import Coordinates, RawBatch, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

ROOT = Path(__file__).parents[3]
ON = date(2026, 11, 25)
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
REGISTRY = load_registry()
GENERATION = 3


@pytest.fixture(scope="module")
def book() -> PlanBook:
    """Return the region's plans with their walkers, interpreted where nothing compiles them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("residency.plan.book.IS_ACCELERATED", True)
        return PlanBook.load("eu", KEYS, ON)


def published(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield topic and value of events of every region, with traps among them."""
    for event in Shop(random.Random(5), ["eu", "uk", "us"]).publications(number):
        try:
            schema = REGISTRY.event(event.type)
            value = encode(schema, from_plain(schema, event.data))
        except (KeyError, QuarantineError):
            continue  # the gateway would not take it
        yield topics.raw("eu", schema.domain), value


def odd_order() -> bytes:
    """Return an order whose currency, which is kept, is not written as its format says."""
    placed = "commerce.orders.OrderPlaced"
    shop = Shop(random.Random(5), ["eu"]).publications(600)
    event = next(e for e in shop if e.type == placed and e.trap is None)
    schema = REGISTRY.event(placed)
    return encode(schema, from_plain(schema, {**event.data, "currency": "euro"}))


def spoilt() -> Iterator[tuple[str, bytes]]:
    """Yield records that cannot be decided, each for another reason."""
    orders = topics.raw("eu", "orders")
    topic, good = next(published(1))
    yield orders, odd_order()
    yield orders, b""
    yield orders, b"\0\0\0\0"
    yield orders, b"\x01" + good[1:]
    yield orders, b"\0\0\0\xff\xff" + good[5:]
    yield topic, good + b"\0"
    yield topic, good[:-1]
    yield topics.raw("eu", "messages"), good
    yield topic, good + bytes(MAX_VALUE_BYTES)
    yield "eu.commerce.nothing.v1", good


def batch_of(rows: list[tuple[str, bytes]]) -> RawBatch:
    names, values = [topic for topic, _ in rows], [value for _, value in rows]
    numbers = list(range(len(rows)))
    return RawBatch(names, [n % 4 for n in numbers], numbers, values, [b""] * len(rows))


def one_by_one(book: PlanBook, batch: RawBatch) -> list[object]:
    """Return what the definition makes of each record: its rows, or reason, path and plan."""
    told: list[object] = []
    columns = zip(batch.topics, batch.partitions, batch.offsets, batch.values, strict=True)
    for topic, partition, offset, value in columns:
        raw = RawEvent(Coordinates(topic, partition, offset), "", GENERATION, value)
        try:
            records = book.minimise(raw).records
        except QuarantineError as error:
            told.append((error.reason, error.path, error.plan))
        else:
            told.append(tuple((r.external_id.encode(), r.value) for r in records))
    return told


def as_batch(book: PlanBook, batch: RawBatch) -> list[object]:
    verdicts = book.minimise_batch(batch, lambda _: GENERATION)
    return [v.rows if isinstance(v, Crossed) else (v.reason, v.path, v.plan) for v in verdicts]


def test_a_batch_is_decided_as_its_records_one_by_one(book: PlanBook) -> None:
    rows = [*published(600), *spoilt()]
    random.Random(1).shuffle(rows)
    batch = batch_of(rows)

    told = as_batch(book, batch)

    assert told == one_by_one(book, batch)
    reasons = {one[0] for one in told if one and isinstance(one[0], Reason)}
    assert reasons >= {
        Reason.MALFORMED, Reason.UNKNOWN_SCHEMA, Reason.WRONG_TOPIC, Reason.OVERSIZE,
        Reason.WRONG_REGION, Reason.FORMAT,
    }  # fmt: skip


def test_an_empty_batch_has_no_verdicts(book: PlanBook) -> None:
    assert as_batch(book, batch_of([])) == []


def test_every_approved_plan_is_walked(book: PlanBook) -> None:
    heads = {
        (topics.raw("eu", schema.domain), b"\0" + schema.id.to_bytes(4, "big"))
        for schema in REGISTRY.raw()
    }

    assert {where for where in heads if where in book._walkers} == heads  # noqa: SLF001
    assert book.is_fast


def test_without_the_accelerator_strip_decides_the_same(book: PlanBook) -> None:
    batch = batch_of(list(published(40)))
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import test_book as t\n"
        "book = t.PlanBook.load('eu', t.KEYS, t.ON)\n"
        "assert not book.is_fast\n"
        "print(t.as_batch(book, t.batch_of(list(t.published(40)))))"
    )
    environ = {**os.environ, "NUMBA_DISABLE_JIT": "1"}

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(ROOT)],
        env=environ, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert done.stdout.strip() == str(as_batch(book, batch))
