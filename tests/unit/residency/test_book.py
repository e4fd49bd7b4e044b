"""A batch is decided record by record: the columns change nothing of what `minimise` says."""

import random
from datetime import date

import pytest

from residency import topics
from residency.keys import TokenKeys
from residency.plan.book import MAX_VALUE_BYTES, Crossed, Crossing, PlanBook
from schemas.codec import encode
from schemas.errors import QuarantineError, Reason
from schemas.events import Coordinates, RawBatch, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

GENERATION = 3


@pytest.fixture(scope="module")
def book() -> PlanBook:
    keys = TokenKeys("eu", b"i" * 32, b"a" * 32)
    return PlanBook.load("eu", keys, date(2026, 11, 25))


@pytest.fixture(scope="module")
def batch() -> RawBatch:
    """Return events of every kind for every region, and bytes that are no events."""
    registry, shop = load_registry(), Shop(random.Random(11), ["eu", "us"])
    rows: list[tuple[str, bytes]] = []
    events = list(shop.publications(600))
    trapped = [event for event in events if event.trap == "email-as-sku"]
    for event in [*trapped, *(event for event in events if not event.trap)][:120]:
        versions = {s.version: s for s in registry.versions(event.type)}
        schema = versions[event.schema_version or max(versions)]
        value = encode(schema, from_plain(schema, event.data))
        rows.append((topics.raw("eu", schema.domain or ""), value))
    orders = topics.raw("eu", "orders")
    rows += [(orders, b""), (orders, b"junk"), (orders, b"\0\0\0\xff\xff")]
    rows += [(topics.raw("eu", "messages"), rows[0][1]), (orders, bytes(MAX_VALUE_BYTES + 1))]
    return RawBatch(
        [topic for topic, _ in rows],
        [n % 4 for n in range(len(rows))],
        [1_000 + n for n in range(len(rows))],
        [value for _, value in rows],
    )


def one_by_one(book: PlanBook, raw: RawEvent) -> Crossing | QuarantineError:
    try:
        return book.minimise(raw)
    except QuarantineError as error:
        return error


def test_a_batch_becomes_what_each_of_its_records_becomes(book: PlanBook, batch: RawBatch) -> None:
    verdicts = book.minimise_batch(batch, dict.fromkeys(batch.topics, GENERATION).__getitem__)

    assert len(verdicts) == len(batch)
    kinds = set()
    columns = zip(batch.topics, batch.partitions, batch.offsets, batch.values, strict=True)
    for verdict, (topic, partition, offset, value) in zip(verdicts, columns, strict=True):
        raw = RawEvent(Coordinates(topic, partition, offset), "id", GENERATION, value)
        wanted = one_by_one(book, raw)
        if isinstance(wanted, QuarantineError):
            assert isinstance(verdict, QuarantineError)
            assert (verdict.reason, verdict.path) == (wanted.reason, wanted.path)
            assert verdict.plan == wanted.plan
            kinds.add(str(wanted.reason))
        else:
            assert isinstance(verdict, Crossed)
            assert verdict.plan is wanted.plan
            assert list(verdict.rows) == [
                (record.external_id.encode(), record.value) for record in wanted.records
            ]
            kinds.add("minimal" if verdict.rows else "nothing")
    assert kinds >= {
        "minimal", "nothing", "malformed", "unknown-schema", "wrong-topic", "wrong-region",
        "format", "oversize",
    }  # fmt: skip


@pytest.mark.parametrize("reason", [Reason.FORMAT, Reason.WRONG_REGION])
def test_a_refusal_under_a_plan_names_it(book: PlanBook, reason: Reason, batch: RawBatch) -> None:
    verdicts = book.minimise_batch(batch, lambda _: GENERATION)

    found = [v for v in verdicts if isinstance(v, QuarantineError) and v.reason is reason]
    assert found
    assert {error.plan for error in found} <= {plan.digest for plan in book.plans.values()}


def test_a_refusal_without_a_plan_names_none(book: PlanBook, batch: RawBatch) -> None:
    verdicts = book.minimise_batch(batch, lambda _: GENERATION)

    early = {Reason.MALFORMED, Reason.OVERSIZE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_TOPIC}
    found = [v for v in verdicts if isinstance(v, QuarantineError) and v.reason in early]
    assert found
    assert {error.plan for error in found} == {None}
