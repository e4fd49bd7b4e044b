"""What a caller sees: the fields asked for, and of those only what the role may see."""

import random
from dataclasses import replace
from typing import Any

import pytest

from residency.ledger.accesses import Purpose
from residency.policy.limits import within
from residency.vault.access import Role, load_roles
from residency.vault.index import Kind
from residency.vault.looking import (
    MAX_EVENTS,
    MAX_FIELDS,
    MAX_TERM,
    Ask,
    ByRecord,
    ByValue,
    Refused,
    RefusedError,
    check_purpose,
    term_of,
    view_of,
)
from schemas.codec import decode, encode
from schemas.events import Coordinates
from schemas.plainjson import from_plain
from schemas.registry import EventSchema, load_registry
from streams.demo.generate import Shop

REGISTRY = load_registry()
ORDER = "commerce.orders.OrderPlaced"
REGISTERED = "commerce.customers.CustomerRegistered"
AGENT = load_roles()["agent"]
ROLE = Role(
    id="desk",
    purposes=(Purpose.SUPPORT,),
    categories=("user.contact", "user.content.private"),
    events=(ORDER, REGISTERED),
    per_minute=1,
    per_hour=1,
    source="a test",
)
TOPICS = {"eu.commerce.orders.v1": "aWQ"}
ASK = Ask(Purpose.SUPPORT, "CASE-17", ("customer.email",))


def events() -> list[tuple[EventSchema, dict[str, Any], dict[str, Any]]]:
    """Return events of every kind: schema, decoded value, plain JSON."""
    found = []
    for one in Shop(random.Random(5), ["eu"]).publications(120):
        if one.expect == "accepted" and one.region == "eu":
            schema = REGISTRY.event(one.type, one.schema_version)
            _, decoded = decode(REGISTRY, encode(schema, from_plain(schema, one.data)))
            found.append((schema, decoded, one.data))
    return found


EVENTS = events()


def shown(ask: Ask, role: Role = ROLE) -> list[dict[str, Any]]:
    view = view_of(ask, role, REGISTRY)
    return [view.shown(schema, decoded) for schema, decoded, _ in EVENTS]


def refusal(ask: Ask, role: Role = ROLE) -> tuple[Refused, str]:
    with pytest.raises(RefusedError) as caught:
        view_of(ask, role, REGISTRY)
    return caught.value.why, str(caught.value)


def test_a_path_shows_that_field_and_nothing_beside_it() -> None:
    found = shown(ASK)

    mine = [
        (one, data) for one, (s, _, data) in zip(found, EVENTS, strict=True) if s.subject == ORDER
    ]
    assert len(mine) > 5
    assert all(one == {"customer.email": data["customer"]["email"]} for one, data in mine)


def test_events_that_the_role_may_not_see_show_nothing() -> None:
    found = shown(replace(ASK, fields=("user",)))

    assert {s.subject for (s, _, _), one in zip(EVENTS, found, strict=True) if one} == set(
        ROLE.events
    )
    assert {s.subject for s, _, _ in EVENTS} > set(ROLE.events)


@pytest.mark.parametrize("role", [ROLE, *load_roles().values()], ids=lambda role: role.id)
@pytest.mark.parametrize("wanted", ["user", "system", "user.contact", "user.contact.email"])
def test_whatever_is_asked_no_field_outside_the_role_s_categories_is_shown(
    role: Role, wanted: str
) -> None:
    ask = replace(ASK, purpose=role.purposes[0], fields=(wanted,))
    sees_any = any(within(c, wanted) or within(wanted, c) for c in role.categories)

    if not sees_any:
        assert refusal(ask, role)[0] is Refused.FIELD
        return
    found = shown(ask, role)

    assert any(found)
    for (schema, _, _), one in zip(EVENTS, found, strict=True):
        category = {leaf.path: leaf.category for leaf in schema.leaves}
        assert all(role.sees(category[path]) for path in one)
        assert all(within(category[path], wanted) for path in one)


def test_a_field_through_arrays_is_a_list_and_through_a_map_an_object() -> None:
    role = replace(ROLE, categories=("user",))
    ask = replace(ASK, fields=("items[].sku", "attributes{}", "addresses[].city"), limit=1)

    found = shown(ask, role)

    for one, (schema, _, data) in zip(found, EVENTS, strict=True):
        skus = [item["sku"] for item in data.get("items", [])]
        cities = [address["city"] for address in data.get("addresses", [])]
        is_mine = schema.subject in role.events
        assert one.get("items[].sku", []) == (skus if schema.subject == ORDER else [])
        assert one.get("attributes{}", {}) == (data.get("attributes", {}) if is_mine else {})
        assert one.get("addresses[].city", []) == cities[: len(cities) * is_mine]
    assert any("items[].sku" in one for one in found)
    assert any("attributes{}" in one for one in found)


def test_a_field_without_a_value_is_left_out() -> None:
    found = shown(replace(ASK, fields=("customer.phone", "gift_note")))

    for one, (schema, _, data) in zip(found, EVENTS, strict=True):
        if schema.subject == ORDER:
            told = {
                "customer.phone": data["customer"].get("phone"),
                "gift_note": data.get("gift_note"),
            }
            assert one == {path: value for path, value in told.items() if value is not None}


def test_one_event_can_be_asked_for() -> None:
    view = view_of(replace(ASK, event=REGISTERED), ROLE, REGISTRY)

    assert view.events == {REGISTERED}
    assert view_of(ASK, ROLE, REGISTRY).events == {ORDER, REGISTERED}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"purpose": Purpose.AUDIT}, Refused.PURPOSE),
        ({"ticket": ""}, Refused.TICKET),
        ({"ticket": "a" * 65}, Refused.TICKET),
        ({"ticket": "case 17"}, Refused.TICKET),
        ({"ticket": "CASE-17\n"}, Refused.TICKET),
        ({"fields": ()}, Refused.FIELD),
        ({"fields": ("customer.email",) * (MAX_FIELDS + 1)}, Refused.FIELD),
        ({"fields": ("customer.birth_date",)}, Refused.FIELD),  # there, not the role's
        ({"fields": ("customer.shoe_size",)}, Refused.FIELD),  # not there
        ({"fields": ("user.payment",)}, Refused.FIELD),
        ({"fields": ("customer",)}, Refused.FIELD),  # a record is no field
        ({"fields": ("customer.email", "customer.birth_date")}, Refused.FIELD),
        ({"event": "commerce.orders.OrderRefunded"}, Refused.EVENT),
        ({"event": "commerce.orders.Nothing"}, Refused.EVENT),
        ({"limit": 0}, Refused.EVENT),
        ({"limit": MAX_EVENTS + 1}, Refused.EVENT),
    ],
)
def test_what_a_role_may_not_ask_is_refused_with_a_word(change: Any, why: Refused) -> None:
    assert refusal(replace(ASK, **change))[0] is why


def test_the_bounds_stay_what_callers_rely_on() -> None:
    assert (MAX_FIELDS, MAX_EVENTS, MAX_TERM) == (100, 200, 1_024)


def test_the_bounds_themselves_are_allowed() -> None:
    for change in ({"limit": MAX_EVENTS}, {"limit": 1}, {"fields": ("user.contact",) * MAX_FIELDS}):
        assert view_of(replace(ASK, **change), ROLE, REGISTRY).schemas  # type: ignore[arg-type]
    for ticket in ("a1", "a" * 64, "ORG/17.2:x_y#3"):
        check_purpose(Purpose.SUPPORT, ticket, ROLE)


def test_a_refusal_names_a_field_and_never_what_looks_like_a_value() -> None:
    assert "'customer.birth_date'" in refusal(replace(ASK, fields=("customer.birth_date",)))[1]
    assert "ada@example.com" not in refusal(replace(ASK, fields=("ada@example.com",)))[1]
    assert "ada" not in refusal(replace(ASK, event="ada lovelace"))[1]
    assert "no event of that form" in refusal(replace(ASK, event="ada lovelace"))[1]
    assert "case 17" not in refusal(replace(ASK, ticket="case 17"))[1]


@pytest.mark.parametrize(("length", "is_named"), [(1, True), (128, True), (129, False)])
def test_a_refusal_names_what_has_up_to_128_characters(length: int, *, is_named: bool) -> None:
    wanted = "x" * length

    assert (f"'{wanted}'" in refusal(replace(ASK, fields=(wanted,)))[1]) is is_named


def test_a_ticket_and_an_ask_do_not_show_it() -> None:
    assert "CASE-17" not in repr(ASK)


@pytest.mark.parametrize("text", ["eu.commerce.orders.v1[0]@7", "eu.commerce.orders.v1[0]@7#1+2"])
def test_a_record_is_named_with_or_without_its_output(text: str) -> None:
    at = Coordinates("eu.commerce.orders.v1", 0, 7)

    assert term_of({"record": text}, TOPICS) == ByRecord(at, "aWQ")


def test_the_longest_value_is_taken() -> None:
    assert term_of({"token": "a" * MAX_TERM}, TOPICS) == ByValue(Kind.TOKEN, "a" * MAX_TERM)


@pytest.mark.parametrize("word", ["customer", "email", "phone", "order", "token"])
def test_a_value_is_looked_up_as_what_it_is(word: str) -> None:
    assert term_of({word: "x"}, TOPICS) == ByValue(Kind[word.upper()], "x")
    assert "secret" not in repr(term_of({word: "secret"}, TOPICS))


@pytest.mark.parametrize(
    "by",
    [
        {},
        {"email": "a", "phone": "b"},
        {"name": "ada"},
        {"email": 1},
        {"email": ""},
        {"token": "a" * (MAX_TERM + 1)},
        {"record": "orders"},
        {"record": "us.commerce.orders.v1[0]@7"},
        {"record": "eu.commerce.orders.v1[0]@7#x"},
    ],
)
def test_what_nobody_can_be_looked_up_by_is_refused_without_a_value(by: dict[str, object]) -> None:
    with pytest.raises(RefusedError) as caught:
        term_of(by, TOPICS)

    assert caught.value.why is Refused.TERM
    assert caught.value.retry_after_s is None
    assert "ada" not in str(caught.value)


def test_the_words_of_refusals_are_those_that_the_documentation_has() -> None:
    assert list(Refused) == [
        "caller", "purpose", "ticket", "field", "event", "term", "rate", "export",
    ]  # fmt: skip


def test_twenty_events_are_shown_unless_somebody_says_otherwise() -> None:
    assert ASK.limit == 20


def test_a_refusal_says_its_word_and_when_to_come_back() -> None:
    error = RefusedError(Refused.RATE, "too many", retry_after_s=17)

    assert str(error) == "refused (rate): too many"
    assert (error.why, error.retry_after_s) == (Refused.RATE, 17)
