"""Terms of an event: what people look a customer up by, and what the org holds of it."""

import random
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from residency.keys import TokenKeys
from residency.plan.stored import load_stored
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault import terms as terms_module
from residency.vault.index import Kind
from residency.vault.terms import Terms, TokenOf, places_of
from schemas.codec import encode
from schemas.plainjson import from_plain
from schemas.registry import EventSchema, Registry, load_registry
from schemas.resolve import TAGS
from streams.demo.generate import Shop

REGISTRY = load_registry()
REGISTERED = "commerce.customers.CustomerRegistered"
ERASURE = "commerce.customers.CustomerErasureRequested"
PLACED = "commerce.orders.OrderPlaced"
MESSAGE = "commerce.messages.SupportMessageReceived"
TEMPLATES: dict[str, dict[str, Any]] = {
    one.type: one.data
    for one in Shop(random.Random(11), ["eu"]).publications(500)
    if one.trap is None
}
TOKENS = Tokeniser(TokenKeys("eu", bytes(range(32)), bytes(range(1, 33))), CENTRAL)
ADDRESS = {TAGS: ["user.contact.email"]}
PLANS = list(load_stored("eu").values())


@pytest.fixture(params=[True, False], ids=["walked", "decoded"])
def is_walked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Choose each of the two ways to find terms; without Numba the walk is interpreted."""
    chosen: bool = request.param
    monkeypatch.setattr(terms_module, "IS_ACCELERATED", chosen)
    return chosen


@pytest.fixture
def terms(is_walked: bool) -> Terms:
    """Return both ways to find the terms, which must agree."""
    del is_walked
    return Terms(REGISTRY, PLANS, {CENTRAL: TOKENS})


def event(kind: str, **more: Any) -> tuple[int, bytes]:
    data = deepcopy(TEMPLATES[kind])
    data["customer"]["customer_id"] = "cus-1"
    if "email" in data["customer"]:
        data["customer"] |= {"email": "Ada@Mail.example", "phone": None}
    schema = REGISTRY.latest(kind)
    return schema.id, encode(schema, from_plain(schema, data | more))


def test_an_order_has_customer_address_order_and_their_tokens(terms: Terms) -> None:
    found = terms.of(*event(PLACED, order_id=" ord-1", device=None, payment=None))

    assert found == {
        (Kind.CUSTOMER, "cus-1"),
        (Kind.EMAIL, "ada@mail.example"),
        (Kind.ORDER, "ord-1"),
        (Kind.TOKEN, TOKENS.identity("customer", "cus-1")),
        (Kind.TOKEN, TOKENS.identity("order", "ord-1")),
        (Kind.TOKEN, TOKENS.attribute("user.contact.email", "ada@mail.example")),
    }


def test_a_registration_has_the_number_and_its_token(terms: Terms) -> None:
    schema_id, _ = event(REGISTERED)
    data = deepcopy(TEMPLATES[REGISTERED]) | {"device": None}
    data["customer"] |= {"phone": "0049 171 234", "email": "a@b.example", "customer_id": "c"}
    schema = REGISTRY.by_id(schema_id)

    found = terms.of(schema_id, encode(schema, from_plain(schema, data)))

    assert (Kind.PHONE, "+49171234") in found
    token = TOKENS.attribute("user.contact.phone_number", "+49171234")
    assert (Kind.TOKEN, token) in found


def test_a_message_has_who_wrote_and_what_about(terms: Terms) -> None:
    more = {"sender_email": "b@c.example", "order_id": "o", "message_id": "m"}
    found = terms.of(*event(MESSAGE, **more))

    assert {(Kind.EMAIL, "b@c.example"), (Kind.ORDER, "o")} < found
    assert (Kind.TOKEN, TOKENS.identity("message", "m")) in found


def test_what_an_optional_field_lacks_is_no_term(terms: Terms) -> None:
    found = terms.of(*event(ERASURE, contact_email=None))

    assert {kind for kind, _ in found} == {Kind.CUSTOMER, Kind.TOKEN}


def test_texts_of_a_batch_are_told_apart_by_their_event(terms: Terms) -> None:
    schema_id, one = event(ERASURE, contact_email="a@b.example")
    _, two = event(ERASURE, contact_email=None)

    found = terms.find(schema_id, [two, b"\0\0\0\x03\xf0broken", one])

    texts = sorted((number, text) for number, (_, text) in found)
    assert texts == [(0, b"cus-1"), (2, b"a@b.example"), (2, b"cus-1")]
    assert terms.find(schema_id, []) == []


def test_terms_say_which_text_they_are_of(terms: Terms) -> None:
    schema_id, value = event(ERASURE, contact_email="a@b.example")
    found = [text for _, text in terms.find(schema_id, [value])]

    made = list(terms.make(found))

    for one in made:
        for number, term in zip(one.numbers, one.terms, strict=True):
            if one.kind is not Kind.TOKEN:
                assert term == found[number][1]
    assert {one.kind for one in made} == {Kind.CUSTOMER, Kind.EMAIL, Kind.TOKEN}


def test_equal_places_of_two_schemas_are_one_so_that_a_text_is_indexed_once(terms: Terms) -> None:
    placed = terms.find(*_one(event(PLACED, device=None, payment=None)))
    erased = terms.find(*_one(event(MESSAGE, sender_email=None, order_id=None)))

    assert {text for _, text in placed} & {text for _, text in erased}


def _one(made: tuple[int, bytes]) -> tuple[int, list[bytes]]:
    return made[0], [made[1]]


def test_what_is_walked_is_not_decoded_and_what_is_decoded_not_walked(
    is_walked: bool, terms: Terms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("the other way was taken")

    monkeypatch.setattr(terms_module, "decode_physical" if is_walked else "walk_all", refuse)

    assert terms.of(*event(ERASURE, contact_email=None)) >= {(Kind.CUSTOMER, "cus-1")}


def own_terms(*more: dict[str, Any]) -> tuple[Terms, EventSchema]:
    """Return the terms of a schema with an e-mail address and *more* fields."""
    fields = [{"name": "email", "type": "string", **ADDRESS}, *more]
    avro = {"type": "record", "name": "Event", "namespace": "t", "fields": fields}
    schema = EventSchema(1, "t.Event", 1, "", avro, "t")
    return Terms(Registry((schema,)), [], {}), schema


@pytest.mark.usefixtures("is_walked")
def test_an_event_that_the_walk_leaves_alone_is_decoded_and_no_other_one_is() -> None:
    amount = {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 0}
    terms, schema = own_terms({"name": "amount", "type": amount})
    plain, odd = (
        encode(schema, {"email": f"{n}@b.example", "amount": Decimal(n)}) for n in (1, 2**64)
    )

    found = terms.find(1, [plain, odd, odd[:-1], plain])

    texts = [(0, b"1@b.example"), (1, b"18446744073709551616@b.example"), (3, b"1@b.example")]
    assert sorted((number, text) for number, (_, text) in found) == texts


@pytest.mark.usefixtures("is_walked")
def test_each_of_several_addresses_is_a_term_beside_one_that_stands_alone() -> None:
    addresses = {"type": "array", "items": "string"}
    terms, schema = own_terms({"name": "copies", "type": addresses, **ADDRESS})
    value = encode(schema, {"email": "a", "copies": ["b", "c"]})

    assert terms.of(1, value) == {(Kind.EMAIL, "a"), (Kind.EMAIL, "b"), (Kind.EMAIL, "c")}


@pytest.mark.usefixtures("is_walked")
def test_each_address_in_a_map_is_a_term_however_it_lies_there() -> None:
    plain = {"type": "map", "values": ["null", "string"]}
    contact = {"type": "record", "name": "Contact", "fields": [{"name": "at", "type": "string"}]}
    contact["fields"][0] |= ADDRESS
    deep = {"type": "map", "values": {"type": "array", "items": ["null", contact]}}
    terms, schema = own_terms(
        {"name": "copies", "type": plain, **ADDRESS},
        {"name": "teams", "type": ["null", deep]},
    )
    copies = {"first": "b", "second": None, "third": "c"}
    teams = {"one": [{"at": "d"}, None], "two": [], "three": [{"at": "e"}, {"at": "f"}]}
    value = encode(schema, {"email": "a", "copies": copies, "teams": teams})
    none = encode(schema, {"email": "a", "copies": {}, "teams": None})

    assert terms.of(1, value) == {(Kind.EMAIL, text) for text in "abcdef"}
    assert terms.of(1, none) == {(Kind.EMAIL, "a")}


@pytest.mark.usefixtures("is_walked")
def test_a_schema_that_cannot_be_walked_is_decoded() -> None:
    terms, schema = own_terms({"name": "nothing", "type": {"type": "array", "items": "null"}})

    assert terms.of(1, encode(schema, {"email": "a", "nothing": []})) == {(Kind.EMAIL, "a")}


def test_places_come_from_tags_paths_and_plans() -> None:
    schema = REGISTRY.latest(REGISTERED)

    tagged = {place.path: place for place in places_of(schema, [])}
    planned = {place.path: place for place in places_of(schema, PLANS)}

    assert tagged["customer.email"].kinds == (Kind.EMAIL,)
    assert all(place.tokens == () for place in tagged.values())
    assert planned["customer.email"].tokens == (
        TokenOf("attribute", "user.contact.email", CENTRAL),
    )
    assert planned["customer.customer_id"].tokens == (TokenOf("identity", "customer", CENTRAL),)
    assert [place.path for place in places_of(schema, PLANS)] == sorted(planned)


def test_plans_of_other_schemas_give_none() -> None:
    others = [plan for plan in PLANS if plan.schema_id != REGISTRY.latest(ERASURE).id]

    assert all(place.tokens == () for place in places_of(REGISTRY.latest(ERASURE), others))
