"""A batch is decided as its records would be one by one, walked or not."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from residency import topics
from residency.contracts.model import Contract
from residency.keys import TokenKeys
from residency.plan.book import MAX_VALUE_BYTES, Crossed, PlanBook, compile_all
from residency.plan.faults import PlanError
from residency.plan.labels import request_value
from residency.plan.model import Plan, ProcessorRef
from residency.plan.processors import Fields
from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.walker import Walker
from residency.vault.rawseal import RawSeal
from schemas.codec import HEADER, MAGIC, encode
from schemas.errors import QuarantineError, Reason
from schemas.events import Coordinates, RawBatch, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.plans import load_book

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
        return load_book("eu", KEYS, ON)


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
    yield topic, RawSeal(bytes(16), bytes(32)).close(topic, good)


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
            made = book.minimise(raw)
        except QuarantineError as error:
            told.append((error.reason, error.path, error.plan))
        else:
            rows = [(r.external_id.encode(), r.value) for r in made.records]
            asked = [(r.external_id.encode(), request_value(r, REGISTRY)) for r in made.requests]
            told.append((*rows, *asked))
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
        Reason.WRONG_REGION, Reason.FORMAT, Reason.UNOPENED,
    }  # fmt: skip


def test_what_does_not_decode_names_the_plan_of_the_schema_in_its_header(book: PlanBook) -> None:
    topic, good = next(published(1))
    plan = book.plans[int.from_bytes(good[1:5], "big")].digest
    cut, other, magic, short = good[:-1], b"\0\0\0\xff\xff" + good[5:], b"\1" + good[1:], good[:4]

    told = as_batch(book, batch_of([(topic, value) for value in (cut, other, magic, short)]))

    assert told == [
        (Reason.MALFORMED, None, plan),
        (Reason.UNKNOWN_SCHEMA, None, None),
        (Reason.MALFORMED, None, None),
        (Reason.MALFORMED, None, None),
    ]


def test_an_empty_batch_has_no_verdicts(book: PlanBook) -> None:
    assert as_batch(book, batch_of([])) == []


def test_every_approved_plan_is_walked(book: PlanBook) -> None:
    heads = {
        (topics.raw("eu", schema.domain), b"\0" + schema.id.to_bytes(4, "big"))
        for schema in REGISTRY.raw()
    }

    assert {where for where in heads if where in book._walkers} == heads  # noqa: SLF001
    assert book.is_fast


def test_where_there_is_no_walker_strip_decides_the_same(
    book: PlanBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residency.plan.book.IS_ACCELERATED", False)
    slow = PlanBook("eu", book.plans, KEYS, REGISTRY)
    batch = batch_of([*published(60), *spoilt()])

    told = as_batch(slow, batch)

    assert not slow.is_fast
    assert told == as_batch(book, batch)
    assert any(len(rows) > 1 for rows in told if rows and isinstance(rows[0], tuple))


def test_without_the_accelerator_strip_decides_the_same(book: PlanBook) -> None:
    batch = batch_of(list(published(40)))
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import test_book as t\n"
        "book = t.load_book('eu', t.KEYS, t.ON)\n"
        "assert not book.is_fast\n"
        "print(t.as_batch(book, t.batch_of(list(t.published(40)))))"
    )
    environ = {**os.environ, "NUMBA_DISABLE_JIT": "1"}

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(ROOT)],
        env=environ, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert done.stdout.strip() == str(as_batch(book, batch))


def test_whoever_compiles_all_plans_is_told_of_every_event_without_one() -> None:
    with pytest.raises(PlanError) as caught:
        compile_all("eu", ON, contract=Contract({}))

    assert [fault.event for fault in caught.value.faults] == [s.subject for s in REGISTRY.raw()]


def test_what_crossed_shows_how_many_rows_it_has_and_not_what_they_hold(book: PlanBook) -> None:
    crossed = Crossed(a_plan(book), ((b"tok", b"value"),))

    assert repr(crossed) == "Crossed(1 rows)"


def a_plan(book: PlanBook) -> Plan:
    """Return a plan with an output."""
    return next(plan for plan in book.plans.values() if plan.outputs)


class Cut:
    """A processor that changes nothing."""

    name, object, sha256 = "cut", "any", "ab" * 32
    reads = writes = ()

    def apply(self, _: Fields) -> Fields:
        return {}


def test_a_plan_with_a_processor_on_any_output_is_not_walked(
    book: PlanBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residency.plan.book.IS_ACCELERATED", True)
    plan = a_plan(book)
    cut = replace(plan.outputs[0], processors=(ProcessorRef("cut", Cut.sha256),))
    processed = replace(plan, outputs=(plan.outputs[0], cut))

    found = PlanBook("eu", {plan.schema_id: processed}, KEYS, REGISTRY, {"cut": Cut()})

    assert not found.is_fast


def test_a_plan_that_no_walker_knows_leaves_the_others_theirs(
    book: PlanBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("residency.plan.book.IS_ACCELERATED", True)
    known, other = (plan for plan in list(book.plans.values())[:2])
    plans = {known.schema_id: known, other.schema_id: replace(other, normaliser=1)}

    found = PlanBook("eu", plans, KEYS, REGISTRY)

    assert [head[1] for head in found._walkers] == [HEADER.pack(MAGIC, known.schema_id)]  # noqa: SLF001


@pytest.mark.skipif(not IS_ACCELERATED, reason="Numba is not installed, or told not to compile")
def test_after_warming_up_a_batch_has_nothing_left_to_compile() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import test_book as t\n"
        "from residency.plan.walk.assemble import assemble, write_tokens\n"
        "from residency.plan.walk.kernel import walk\n"
        "kernels = (walk, assemble, write_tokens)\n"
        "book = t.load_book('eu', t.KEYS, t.ON)\n"
        "book.warm_up()\n"
        "warm = [len(one.signatures) for one in kernels]\n"
        "t.as_batch(book, t.batch_of(list(t.published(40))))\n"
        "print(warm, [len(one.signatures) for one in kernels])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(ROOT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert done.stdout.strip() == "[1, 1, 1] [1, 1, 1]"


def test_warming_up_has_every_walker_walk_one_malformed_event(
    book: PlanBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: list[tuple[int, list[bytes], list[int]]] = []
    monkeypatch.setattr(
        Walker, "walk", lambda self, *given: walked.append((self.plan.schema_id, *given))
    )

    book.warm_up()

    assert walked == [(number, [b""], [0]) for number in book.plans]


def test_a_record_of_the_greatest_size_is_walked_and_a_larger_one_is_not(book: PlanBook) -> None:
    topic, good = next(published(1))
    full = good.ljust(MAX_VALUE_BYTES, b"\0")

    found = [numbers for _, numbers in book.walkers_of(batch_of([(topic, full), (topic, good)]))]
    larger = list(book.walkers_of(batch_of([(topic, full + b"\0")])))

    assert found == [[0, 1]]
    assert larger == []


def test_the_keys_version_of_a_plan_is_that_of_the_books_keys(book: PlanBook) -> None:
    assert book.keys_version(a_plan(book)) == KEYS.attribute_version == 1
