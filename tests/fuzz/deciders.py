"""What is fuzzed: from raw bytes to an outcome, each way that this release has."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from residency import topics
from residency.keys import TokenKeys
from residency.plan.book import Crossed, Crossing, PlanBook
from residency.plan.labels import request_value
from schemas.codec import HEADER, decode_body
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawBatch, RawEvent
from schemas.registry import EventSchema, load_registry
from streams.plans import load_book

REGION, GENERATION = "eu", 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one input.

    Attributes:
        kind: ``crosses``, a quarantine reason, or ``fault``: an error that is no quarantine.
        detail: The quarantine's path, or the fault's class.
        digest: SHA-256 of all that crosses.

    """

    kind: str
    detail: str = ""
    digest: str = ""


Decide = Callable[[Sequence[bytes]], Sequence[Outcome]]


def deciders() -> Mapping[str, Decide]:
    """Return the ways from raw bytes to minimal records, by name; the reference first."""
    keys = TokenKeys(REGION, b"i" * 32, b"a" * 32)
    book = load_book(REGION, keys, datetime.now(UTC).date())
    found: dict[str, Decide] = {"minimise": lambda inputs: [_one(book, data) for data in inputs]}
    if book.is_fast:  # else it is the same, record by record
        found["minimise_batch"] = lambda inputs: _batch(book, inputs)
    return found


def _one(book: PlanBook, data: bytes) -> Outcome:
    try:
        return outcome(book.minimise(raw(data)))
    except Exception as error:  # noqa: BLE001 - any other than quarantine is what is looked for
        return outcome(error)


def _batch(book: PlanBook, inputs: Sequence[bytes]) -> list[Outcome]:
    events = [raw(data) for data in inputs]
    topics_of, offsets = [e.at.topic for e in events], [e.at.offset for e in events]
    batch = RawBatch(topics_of, [0] * len(events), offsets, inputs, [b""] * len(events))
    try:
        return [outcome(made) for made in book.minimise_batch(batch, lambda _topic: GENERATION)]
    except Exception as error:  # noqa: BLE001 - one input must not fail its neighbours
        return [outcome(error)] * len(inputs)


def raw(data: bytes) -> RawEvent:
    """Return *data* as a record on the topic where its schema belongs, if it names one."""
    domain = "orders"
    if len(data) >= HEADER.size:
        known = {schema.id: schema.domain for schema in load_registry().raw()}
        domain = known.get(HEADER.unpack_from(data)[1], domain)
    return RawEvent(Coordinates(topics.raw(REGION, domain), 0, 7), "fuzz", GENERATION, data)


def outcome(made: object) -> Outcome:
    """Return a decision as an outcome."""
    match made:
        case Crossing():
            rows = [(r.external_id.encode(), r.value) for r in made.records]
            asked = [(r, request_value(r, load_registry())) for r in made.requests]
            return _crossed([*rows, *((r.external_id.encode(), value) for r, value in asked)])
        case Crossed():
            return _crossed(made.rows)
        case QuarantineError():
            return Outcome(made.reason, made.path or "")
        case _:
            return Outcome("fault", type(made).__name__)


def _crossed(rows: Sequence[tuple[bytes, bytes]]) -> Outcome:
    digest = hashlib.sha256()
    for key, value in rows:
        digest.update(key + b" " + value)
    return Outcome("crosses", digest=digest.hexdigest())


def decode_odd(avro: dict[str, Any], data: bytes) -> Outcome:
    """Return what the codec makes of *data* under a schema that no event has."""
    try:
        decode_body(EventSchema(1, "odd.Odd", 1, "", avro, "odd"), data)
    except Exception as error:  # noqa: BLE001 - as above
        return outcome(error)
    return Outcome("crosses")
