"""Minimal records to try processors on: the demo's, the same with gaps, and extremes."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from inference.tasks import load_tasks
from residency import topics
from residency.contracts.read import load_contract
from residency.gate.rules import Rule, load_grammar
from residency.gate.wire import load_schemas
from residency.keys import KEY_BYTES, TokenKeys
from residency.plan.book import PlanBook, compile_each
from residency.plan.processors import UNTOUCHABLE, Fields
from residency.regions import load_regions
from schemas.codec import decode_physical, encode
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

EVENTS: Final = 300  # per region
SEED: Final = 7


def samples() -> dict[str, list[tuple[str, Fields]]]:
    """Return for each object many pairs of region and fields; the same ones every time."""
    rng = random.Random(SEED)  # noqa: S311 - so that a finding can be seen again
    found: dict[str, list[tuple[str, Fields]]] = {}
    for region in load_regions():
        for target, fields in _demo(region, rng):
            gaps = {name: value for name, value in fields.items() if rng.random() < 0.5}  # noqa: PLR2004
            found.setdefault(target, []).extend([(region, fields), (region, gaps)])
        for target, rules in load_grammar(region, load_schemas()).items():
            extremes = [(region, fields) for fields in _extremes(rules)]
            found.setdefault(target, []).extend([(region, {}), *extremes])
    return found


def _demo(region: str, rng: random.Random) -> Iterator[tuple[str, Fields]]:
    """Yield object and fields of what the border makes of the demo's events."""
    registry, book = load_registry(), _book(region)
    for offset, event in enumerate(Shop(rng, [region]).publications(EVENTS)):
        try:
            schema = registry.event(event.type, event.schema_version)
            value = encode(schema, from_plain(schema, event.data))
            at = Coordinates(topics.raw(region, schema.domain), 0, offset)
            records = book.minimise(RawEvent(at, "samples", 1, value)).records
        except QuarantineError:
            continue  # one of the demo's traps
        for record in records:
            fields = decode_physical(registry, record.value)[1]
            yield record.object, {n: v for n, v in fields.items() if n not in UNTOUCHABLE}


def _book(region: str) -> PlanBook:
    """Return today's plans, approved or not, as they are without any processor.

    So what is tried is not what a processor made, and one that is broken hides no other.
    """
    asked = load_contract()
    bare = {e: tuple(replace(o, processors=()) for o in all_) for e, all_ in asked.outputs.items()}
    contract, registry = replace(asked, outputs=bare), load_registry()
    today = datetime.now(UTC).date()
    plans, _ = compile_each(region, today, registry, contract, tasks=load_tasks())
    keys = TokenKeys(region, bytes(KEY_BYTES), bytes(KEY_BYTES))  # for samples: no secret
    return PlanBook(region, {plan.schema_id: plan for plan in plans}, keys, registry)


def _extremes(rules: Mapping[str, Rule]) -> Iterator[Fields]:
    """Yield records whose fields lie at the ends of what the gate lets through."""
    ends = {name: _ends(rule) for name, rule in rules.items() if name not in UNTOUCHABLE}
    for place in range(max(map(len, ends.values()), default=0)):
        yield {name: values[place % len(values)] for name, values in ends.items() if values}


def _ends(rule: Rule) -> tuple[Any, ...]:
    match rule.type:
        case "boolean":
            return (True, False)
        case "long":
            return (rule.min, rule.max)
        case "timestamp":
            return tuple(int(end.timestamp() * 1000) for end in (rule.min, rule.max))
        case "decimal":
            return tuple(_bytes(end) for end in (rule.min, Decimal(0), rule.max))
        case _:
            return tuple(sorted(rule.values or ()))


def _bytes(amount: Decimal) -> bytes:
    """Return an amount of scale 2 in its fewest bytes."""
    unscaled = int(amount.scaleb(2))
    width = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return unscaled.to_bytes(width, "big", signed=True)
