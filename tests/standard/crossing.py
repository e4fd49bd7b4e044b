"""Clean minimal records for tests of the gate: made by the border's own code from demo events."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

from residency import topics
from residency.keys import TokenKeys
from residency.plan.book import Crossing, PlanBook
from residency.plan.labels import label_record
from schemas.codec import decode_physical, encode
from schemas.errors import QuarantineError
from schemas.events import LABEL_VERSION, Coordinates, MinimalRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Publication, Shop
from streams.plans import load_book

REGISTRY = load_registry()
ON = date(2026, 11, 23)
TOPIC_ID = "dG9waWMtaWQtb2YtMTZieQ"


@cache
def book(region: str) -> PlanBook:
    return load_book(region, TokenKeys(region, b"i" * 32, b"a" * 32), ON)


def crossings(region: str, events: int, seed: int) -> Iterator[MinimalRecord]:
    """Yield what the border sends of *events* demo events of a region, traps left out."""
    for crossing in _crossed(region, events, seed):
        yield from crossing.records


def _crossed(region: str, events: int, seed: int) -> Iterator[Crossing]:
    shop = Shop(random.Random(seed), [region])
    served = (e for e in shop.publications(events) if e.trap is None)
    for offset, event in enumerate(served):
        yield from _cross(region, event, offset)


def _cross(region: str, event: Publication, offset: int) -> tuple[Crossing, ...]:
    schema = REGISTRY.event(event.type, event.schema_version)
    at = Coordinates(topics.raw(region, schema.domain), offset % 4, offset)
    value = encode(schema, from_plain(schema, event.data))
    try:
        return (book(region).minimise(RawEvent(at, TOPIC_ID, 1, value)),)
    except QuarantineError:
        return ()


@dataclass(frozen=True)
class Clean:
    """A clean record of one object, every field of it set, ready to be broken."""

    record: MinimalRecord

    @property
    def values(self) -> dict[str, Any]:
        """Return its fields as Avro holds them: milliseconds, two's-complement bytes."""
        return dict(decode_physical(REGISTRY, self.record.value)[1])

    @property
    def version(self) -> str:
        """Return the name of its version field."""
        return LABEL_VERSION if LABEL_VERSION in self.values else "Base_Version__c"

    def with_values(self, changes: Mapping[str, Any]) -> MinimalRecord:
        """Return the record with other fields; its envelope goes along."""
        values = {**self.values, **changes}
        return replace(
            self.record,
            value=encode(REGISTRY.by_id(self.record.schema_id), values),
            external_id=values["External_Id__c"],
            version=values[self.version],
        )


# Set by other events of the object than the one that is broken here.
_FILLED: Mapping[str, Any] = {
    "Refunded_Total__c": b"\x05",
    "Rating__c": 4,
    "Sku__c": "MUG-STONE-RED",
}


LABELS = "labels of Commerce_Case__c"  # as a target, beside the objects


@cache
def clean(region: str, target: str) -> Clean:
    """Return the first record of *target* that empties nothing; of `LABELS`, the first."""
    if target == LABELS:
        made = next(one for one in _crossed(region, 600, seed=5) if one.requests)
        plan, (request, *_) = made.plan, made.requests
        output = plan.outputs[request.id.output]
        used = Counter(word for one in output.labels for word in one.values)
        # words of one list alone, so that an exchange of two labels shows
        labels = {
            one.field: min(word for word in one.values if used[word] == 1) for one in output.labels
        }
        return Clean(label_record(request, plan, labels, REGISTRY))
    for record in crossings(region, 600, seed=5):
        base = Clean(record)
        if record.object != target or base.values["cleared"]:
            continue
        absent = {name for name, value in base.values.items() if value is None}
        return Clean(base.with_values({n: v for n, v in _FILLED.items() if n in absent}))
    msg = f"the demo's events make no full {target} in {region}"
    raise LookupError(msg)
