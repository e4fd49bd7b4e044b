"""The demo's events: valid, coherent, traps among them, and a canary in every private value."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import re2

from residency.gate.identifiers import is_iban
from residency.gate.scan import scan
from residency.regions import load_regions, region_of
from schemas.codec import decode, encode
from schemas.errors import SetupError
from schemas.plainjson import PlainJsonError, from_plain, to_plain
from schemas.registry import EventSchema, load_registry
from streams.demo.generate import ALL_TRAPS_FROM, Publication, Shop
from streams.demo.marks import Marks, canaries_in
from streams.demo.places import COUNTRIES, iban

REGIONS = ("eu", "uk", "us")
TRAPS = {
    "pii-in-gift-note",
    "email-as-sku",
    "iban-as-sku",
    "wrong-region",
    "unserved-country",
    "bad-enum",
    "old-schema",
    "duplicate",
}
# kept by policy, or too short to be unique
NO_CANARY = {
    "event_id",
    "customer.residence.subdivision",
    "items[].title",
    "*.city",
    "*.state",
    "*.postal_code",
    "payment.last_four",
    "payment.expires_on",
    "device.ip",  # IPv4; an IPv6 address is one
}


def made(count: int = 400, seed: int = 7) -> list[Publication]:
    return list(Shop(random.Random(seed), REGIONS).publications(count))


EVENTS = made()


def schema_of(event: Publication) -> EventSchema:
    registry = load_registry()
    if event.schema_version:
        return registry.versions(event.type)[event.schema_version - 1]
    return registry.latest(event.type)


def strings(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, string) of everything that plain JSON holds."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        is_map = path.rpartition(".")[2] in {"cookies", "options", "attributes"}
        for key, value in data.items():
            below = f"{path}{{}}" if is_map else f"{path}.{key}".removeprefix(".")
            yield from strings(value, below)
    elif isinstance(data, list):
        for value in data:
            yield from strings(value, f"{path}[]")


def text_leaves(event: Publication) -> Iterator[tuple[str, str, str | None]]:
    """Yield (path, text, declared pattern) of every Avro string of an event."""
    leaves = {leaf.path: leaf for leaf in schema_of(event).leaves}
    for path, text in strings(event.data):
        if leaves[path].avro == "string":
            yield path, text, leaves[path].pattern


def has_canary(path: str) -> bool:
    return path not in NO_CANARY and f"*.{path.rpartition('.')[2]}" not in NO_CANARY


def test_the_same_seed_makes_the_same_events() -> None:
    assert made(120, seed=3) == made(120, seed=3) != made(120, seed=4)


@pytest.mark.parametrize("seed", range(8))
def test_fifty_events_hold_every_trap(seed: int) -> None:
    events = made(ALL_TRAPS_FROM, seed)

    assert len(events) == ALL_TRAPS_FROM
    assert {event.trap for event in events} == TRAPS | {None}


@pytest.mark.parametrize("count", [0, 1, 10, 49, 51, 333])
def test_as_many_events_come_as_were_asked_for(count: int) -> None:
    events = made(count)

    assert len(events) == count
    assert sum(event.trap is not None for event in events) <= max(count // 20, len(TRAPS))


def test_every_event_the_gateway_takes_can_be_written_and_read() -> None:
    for event in EVENTS:
        if event.trap == "bad-enum":
            continue
        schema = schema_of(event)

        value = from_plain(schema, event.data)

        assert decode(load_registry(), encode(schema, value)) == (schema, value)
        assert to_plain(schema, value).items() >= {"event_id": event.id}.items()


def test_every_kind_of_event_occurs() -> None:
    kinds = {event.type for event in EVENTS}

    assert kinds == {schema.subject for schema in load_registry().raw()}


def test_customers_come_from_many_countries_of_every_region() -> None:
    countries = {event.data["customer"]["residence"]["country"] for event in EVENTS}

    assert {event.region for event in EVENTS} == set(REGIONS)
    assert len(countries) > 15


def test_each_event_goes_to_the_region_that_serves_its_customer_but_for_two_traps() -> None:
    for event in EVENTS:
        residence = event.data["customer"]["residence"]

        served = region_of(residence["country"], residence["subdivision"], load_regions().values())

        if event.trap == "unserved-country":
            assert served is None
        else:
            assert served is not None
            assert (served[1] != event.region) == (event.trap == "wrong-region")


def test_what_is_expected_of_the_gateway_is_told_by_the_trap() -> None:
    refused = {"wrong-region", "unserved-country", "bad-enum"}

    for event in EVENTS:
        expected = "refused" if event.trap in refused else "accepted"

        assert event.expect == ("duplicate" if event.trap == "duplicate" else expected)


def test_a_story_is_told_in_order_and_its_order_stays_the_same() -> None:
    told: dict[str, list[Publication]] = defaultdict(list)
    for event in EVENTS:
        told[event.data["customer"]["customer_id"]].append(event)

    for story in told.values():
        times = [event.data["occurred_at"] for event in story]
        orders = {event.data.get("order_id") for event in story} - {None}

        assert times == sorted(times)
        assert len(orders) <= 1


def test_only_the_email_as_sku_breaks_a_declared_pattern() -> None:
    for event in EVENTS:
        broken = [
            path
            for path, text, pattern in text_leaves(event)
            if pattern and not re2.fullmatch(pattern, text)
        ]

        assert broken == (["items[].sku"] if event.trap == "email-as-sku" else [])


def test_only_the_iban_as_sku_alarms_the_gates_scanner() -> None:
    for event in EVENTS:
        found = {
            path: scan(text, formatted=True)
            for path, text, pattern in text_leaves(event)
            if pattern and scan(text, formatted=True)
        }

        if event.trap == "iban-as-sku":
            assert found == {"items[].sku": {"iban"}}
        elif event.trap != "email-as-sku":
            assert found == {}


def test_the_bad_enum_is_the_channel() -> None:
    trap = next(event for event in EVENTS if event.trap == "bad-enum")

    with pytest.raises(PlainJsonError, match="channel: is not one of the enum's symbols"):
        from_plain(schema_of(trap), trap.data)


def test_the_old_schema_is_asked_for_by_number() -> None:
    trap = next(event for event in EVENTS if event.trap == "old-schema")

    assert trap.cloudevent()["schemaversion"] == 1
    assert "attributes" not in trap.data
    assert all("schemaversion" not in e.cloudevent() for e in EVENTS if e.trap != "old-schema")


def test_a_duplicate_repeats_a_delivery_and_nothing_else_does() -> None:
    deliveries = Counter((event.source, event.id) for event in EVENTS)
    duplicates = {(e.source, e.id) for e in EVENTS if e.trap == "duplicate"}

    assert {key for key, times in deliveries.items() if times > 1} == duplicates


def test_every_private_string_holds_a_canary() -> None:
    for event in EVENTS:
        for path, text, pattern in text_leaves(event):
            if pattern is None and has_canary(path):
                held = [canary for canary in event.canaries if canary in text]

                assert held, path


def test_no_kept_string_holds_a_canary_but_the_skus_of_two_traps() -> None:
    for event in EVENTS:
        holding = {
            path
            for path, text in strings(event.data)
            if any(canary in text for canary in event.canaries)
        }

        kept = {leaf.path for leaf in schema_of(event).leaves if leaf.pattern}
        allowed = {"items[].sku"} if event.trap in {"email-as-sku", "iban-as-sku"} else set()
        assert holding & kept == allowed


def test_a_canary_is_one_customers_alone_and_long_enough() -> None:
    owner: dict[str, str] = {}
    for event in EVENTS:
        customer = event.data["customer"]["customer_id"]
        for canary in event.canaries:
            assert len(canary) >= 8
            assert owner.setdefault(canary, customer) == customer


def test_an_event_shows_none_of_its_values() -> None:
    event = EVENTS[0]

    assert not any(canary in repr(event) for canary in event.canaries)


def test_marks_never_repeat_and_are_found_by_their_shape() -> None:
    marks = Marks(random.Random(1))
    made_marks = [marks.word() for _ in range(3000)] + [marks.ipv6() for _ in range(1000)]
    made_marks += [marks.phone("49") for _ in range(1000)] + [marks.name() for _ in range(1000)]
    made_marks += [marks.tax_number("DE") for _ in range(1000)]

    assert len({mark.lower() for mark in made_marks}) == len(made_marks)
    assert list(canaries_in([f"x {mark}, y" for mark in made_marks])) == made_marks


@pytest.mark.parametrize("country", COUNTRIES.values(), ids=lambda country: country.code)
def test_every_countrys_iban_is_valid(country: Any) -> None:
    number = iban(country, 12345678901, random.Random(1))

    assert is_iban(number)
    assert canaries_in(number) == (number,)


def test_every_served_country_is_one_the_demo_knows() -> None:
    served = {code for region in load_regions().values() for code in region.jurisdictions}

    assert {code for code in served if "-" not in code} <= COUNTRIES.keys()


def test_a_region_without_a_known_country_is_refused() -> None:
    with pytest.raises(SetupError, match="'mars' serves no country"):
        Shop(random.Random(1), ["mars"])
