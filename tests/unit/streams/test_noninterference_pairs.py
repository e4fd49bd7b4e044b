"""How pairs are made where a plan sums up elements or picks one entry of a map."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from residency.keys import TokenKeys
from residency.plan.book import PlanBook
from residency.plan.model import FieldPlan, Plan
from residency.policy.rules import Action
from schemas.codec import decode_physical
from schemas.registry import load_registry
from streams.noninterference.pairs import Source, sources
from streams.noninterference.roles import roles_of
from streams.plans import load_book

KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
ORDER = 1002
PAIRS = 300


def plan() -> Plan:
    book = load_book("eu", KEYS, datetime.now(UTC).date())
    return book.plans[ORDER]


def with_fields(*fields: FieldPlan) -> Plan:
    """Return a plan of orders that maps these fields and the external id alone."""
    made = plan()
    return replace(made, outputs=(replace(made.outputs[0], fields=fields),))


def source(made: Plan) -> Source:
    book = PlanBook("eu", {ORDER: made}, KEYS, load_registry())
    (found,) = sources(book, load_registry(), KEYS, "1")
    return found


def events(made: Plan) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    found, registry = source(made), load_registry()
    pairs = [found.pair(number) for number in range(PAIRS)]
    return [(decode_physical(registry, p.a)[1], decode_physical(registry, p.b)[1]) for p in pairs]


def kept(path: str) -> FieldPlan:
    return FieldPlan("Some__c", "long", "path", path, action=Action.KEEP)


def test_summed_elements_are_the_same_in_another_order() -> None:
    pairs = events(with_fields(replace(kept("items[].quantity"), source="sum")))

    of = [[[i["quantity"] for i in side["items"]] for side in pair] for pair in pairs]
    assert all(Counter(a) == Counter(b) for a, b in of)
    assert any(a != b for a, b in of)
    assert any(a["items"] != b["items"] for a, b in pairs)


def test_a_mapped_entry_of_a_map_is_the_same_and_the_others_are_free() -> None:
    pairs = events(with_fields(replace(kept("attributes{gift}"), to="string")))

    assert all(a["attributes"].get("gift") == b["attributes"].get("gift") for a, b in pairs)
    assert sum("gift" in a["attributes"] for a, _ in pairs) > PAIRS / 2
    assert any(a["attributes"] != b["attributes"] for a, b in pairs)


def test_a_counted_array_has_the_same_length_on_both_sides() -> None:
    counted = FieldPlan("Some__c", "long", "count", "items")

    pairs = events(with_fields(counted))

    assert all(len(a["items"]) == len(b["items"]) for a, b in pairs)
    assert any(len(a["discounts"]) != len(b["discounts"]) for a, b in pairs)


def test_what_no_field_is_made_of_is_free_even_if_policy_keeps_it() -> None:
    pairs = events(with_fields())

    assert sum(a["currency"] != b["currency"] for a, b in pairs) > PAIRS / 2
    assert sum((a["device"] is None) != (b["device"] is None) for a, b in pairs) > PAIRS / 10


@pytest.mark.parametrize(
    ("path", "is_mapped"),
    [("shipping_address", True), ("shipping_address.country", True), ("billing_address", False),
     ("items", True), ("items[0]", True), ("items[1]", False), ("ship", False)],
)  # fmt: skip
def test_what_lies_above_a_mapped_place_is_held(path: str, *, is_mapped: bool) -> None:
    assert roles_of(plan()).is_mapped_below(path) == is_mapped
