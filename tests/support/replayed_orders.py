"""Orders of one partition, as they lie raw in Kafka and as their leaves say they left."""

from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

from residency.keys import AttributeKey, TokenKeys
from residency.ledger.leaves import TransferLeaf, commitment, month_key
from residency.ledger.outcomes import OutcomeLeaf
from residency.plan.processors import NO_PROCESSORS
from residency.plan.stored import load_stored
from residency.replay.books import Books, Place
from schemas.codec import encode
from schemas.events import Coordinates, RawBatch, RawEvent, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

ROOT, RELEASE, OTHER = b"r" * 32, "a" * 64, "b" * 64
PLACE = Place("eu.commerce.orders.v1", 0, "dG9waWM", 1)
OLD = AttributeKey(1, b"o" * 32)
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32, attribute_version=2, older=(OLD,))
BOOKS = Books("eu", load_stored("eu"), KEYS, NO_PROCESSORS)
SCHEMA = load_registry().latest("commerce.orders.OrderPlaced")
ORDER = next(
    event
    for event in Shop(Random(7), ["eu"]).publications(100)
    if event.type == SCHEMA.subject and not event.trap and event.schema_version is None
)
TIME = "2026-11-23T16:40Z"
Leaf = TransferLeaf | OutcomeLeaf


def raw(offset: int, sku: str = "MUG-1") -> bytes:
    data = deepcopy(dict(ORDER.data))
    data["order_id"] = f"O-{offset}"
    data["items"][0]["sku"] = sku
    return encode(SCHEMA, from_plain(SCHEMA, data))


def leaf(offset: int, version: int = 2, resend: int = 0, **changes: Any) -> TransferLeaf:
    """Return the leaf that the line writes of a record."""
    at = Coordinates(PLACE.topic, PLACE.partition, offset)
    crossing = BOOKS.of(version).minimise(RawEvent(at, PLACE.topic_id, 1, raw(offset)))
    record, output = crossing.records[0], crossing.plan.outputs[0]
    name = RecordId(at, 0, resend, PLACE.topic_id)
    key = month_key(ROOT, TIME[:7])
    made = TransferLeaf(
        TIME,
        name,
        output.object,
        output.schema_id,
        crossing.plan.digest,
        version,
        RELEASE,
        output.basis,
        commitment(key, name, record.value),
    )
    return replace(made, **changes)


def refusal(offset: int) -> OutcomeLeaf:
    name = RecordId(Coordinates(PLACE.topic, 0, offset), 0, 0, PLACE.topic_id)
    return OutcomeLeaf(TIME, name, None, "gate-refused", "scanner")


def batch(*records: tuple[int, bytes]) -> RawBatch:
    count = len(records)
    values = [value for _, value in records]
    offsets = [offset for offset, _ in records]
    return RawBatch([PLACE.topic] * count, [0] * count, offsets, values, [b""] * count)
