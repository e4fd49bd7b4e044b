"""Strip: only what the plan lets through leaves, and no regulated value can make it fail."""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.tasks import load_tasks
from residency.contracts.read import load_contract
from residency.generalise import generaliser
from residency.keys import TokenKeys
from residency.plan.book import PlanBook, compile_all
from residency.plan.model import FieldPlan
from residency.plan.strip import look_up, strip
from residency.policy.rules import Action
from residency.tokens import Tokeniser
from schemas.codec import decode, decode_physical, encode
from schemas.errors import HaltError, QuarantineError, Reason
from schemas.events import ClassifiedEvent, Coordinates, MinimalRecord, RawEvent
from schemas.registry import load_registry
from streams.plans import load_book

ON = date(2026, 11, 23)
REGISTRY = load_registry()
PLANS = {plan.schema_id: plan for plan in compile_all("eu", ON, tasks=load_tasks())}
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)
PLACED = REGISTRY.latest("commerce.orders.OrderPlaced")
CHANGED = REGISTRY.latest("commerce.customers.CustomerChanged")
AT = Coordinates("eu.commerce.orders.v1", 0, 7)
RAW = RawEvent(AT, "topic-id", 1, b"")


def money(amount: int) -> bytes:
    return amount.to_bytes(8, "big", signed=True)


CUSTOMER: dict[str, Any] = {
    "customer_id": "C-1",
    "residence": {"country": "DE", "subdivision": None},
    "name": {"first": "Ada", "last": "Lovelace"},
    "email": "ada@example.com",
    "phone": "+4930123456",
    "birth_date": 5_000,
    "gender": "female",
    "language": "de",
    "loyalty_tier": "gold",
}
ADDRESS = {
    "recipient": "Ada Lovelace",
    "street": "Unter den Linden 1",
    "street2": None,
    "city": "Berlin",
    "postal_code": "10115",
    "state": None,
    "country": "DE",
}
ORDER: dict[str, Any] = {
    "occurred_at": 1_760_000_000_000,
    "customer": CUSTOMER,
    "order_id": "O-1",
    "placed_at": 1_760_000_000_000,
    "channel": "web",
    "currency": "EUR",
    "totals": dict.fromkeys(("items", "discount", "shipping", "tax", "grand_total"), money(1999)),
    "items": [{"sku": "MUG-BLUE", "title": "Mug", "gift_note": "for Bob"}, {"sku": "bad sku"}],
    "shipping_address": ADDRESS,
    "payment_method": "iban",
    "payment": {"iban": "DE89370400440532013000", "account_holder": "Ada"},
    "device": {"ip": "203.0.113.77", "device_id": "d-1", "user_agent": "x", "cookies": {"a": "b"}},
    "gift_note": "happy birthday",
    "attributes": {"engraving": "A + B"},
}


def stripped(values: Mapping[str, Any], schema_id: int = PLACED.id) -> dict[str, Any]:
    """Return the decoded minimal record, fields that are not set left out."""
    (record,) = records(values, schema_id)
    values = decode(REGISTRY, record.value)[1]
    assert values.pop("deleted") is False
    return {k: v for k, v in values.items() if v not in (None, [])}


def records(values: Mapping[str, Any], schema_id: int = PLACED.id) -> tuple[MinimalRecord, ...]:
    event = ClassifiedEvent(RAW, schema_id, values)
    return strip(event, PLANS[schema_id], Tokeniser(KEYS, "salesforce-central"), REGISTRY)


def changed(path: str, value: object) -> dict[str, Any]:
    values = copy.deepcopy(ORDER)
    *way, last = path.split(".")
    target = values
    for step in way:
        target = target[step]
    target[last] = value
    return values


def test_an_order_becomes_exactly_this() -> None:
    tokens = Tokeniser(KEYS, "salesforce-central")

    made = stripped(ORDER)

    assert {k: str(v) for k, v in made.items()} == {
        "External_Id__c": tokens.identity("order", "O-1"),
        "Base_Version__c": "1000000000007",
        "Region__c": "eu",
        "Status__c": "placed",
        "Customer_Key__c": tokens.identity("customer", "C-1"),
        "Placed_At__c": "2025-10-09 08:53:20+00:00",
        "Last_Event_At__c": "2025-10-09 08:53:20+00:00",
        "Channel__c": "web",
        "Currency__c": "EUR",
        "Total__c": "19.99",
        "Discount_Total__c": "19.99",
        "Item_Count__c": "2",
        "First_Sku__c": "MUG-BLUE",
        "Payment_Method__c": "iban",
        "Ship_Country__c": "DE",
        "Ship_Postcode_Area__c": "10",
        "Email_Token__c": tokens.attribute("user.contact.email", "ada@example.com"),
        "Device_Token__c": tokens.attribute("user.device.device_id", "d-1"),
        "Ip_Network__c": "203.0.113.0/24",
    }


def test_the_record_names_where_it_came_from_and_what_decided() -> None:
    (record,) = records(ORDER)

    assert str(record.id) == "eu.commerce.orders.v1[0]@7#0"
    assert record.id.topic_id == "topic-id"
    assert record.plan == PLANS[PLACED.id].digest
    assert (record.object, record.keys) == ("Commerce_Order__c", 1)
    assert record.external_id == stripped(ORDER)["External_Id__c"]
    assert record.version == 10**12 + 7
    assert "O-1" not in repr(record)


def test_a_row_of_nobody_has_the_token_of_the_empty_id() -> None:
    plan = PLANS[PLACED.id]
    (output,) = plan.outputs
    nameless = replace(output, external_id=replace(output.external_id, path="device.device_id"))
    event = ClassifiedEvent(RAW, PLACED.id, {**ORDER, "device": None})
    maker = Tokeniser(KEYS, plan.destination)

    (record,) = strip(event, replace(plan, outputs=(nameless,)), maker, REGISTRY)

    assert record.external_id == maker.identity("order", "")


REGULATED = [
    d.path
    for d in PLANS[PLACED.id].decisions
    if d.action in {Action.DROP, Action.LABEL} and "[]" not in d.path and "{}" not in d.path
]
hostile = st.one_of(
    st.text(), st.just("\u202e' OR 1=1 --"), st.just("a@b.example 4111111111111111")
)


@given(st.dictionaries(st.sampled_from(REGULATED), hostile))
def test_what_is_dropped_changes_nothing(changes: dict[str, str]) -> None:
    """Promise 1 for dropped and labelled leaves: equal bytes, key and name."""
    values = copy.deepcopy(ORDER)
    for path, value in changes.items():
        *way, last = path.split(".")
        target = look_up(values, ".".join(way)) if way else values
        if isinstance(target, dict):
            target[last] = value

    assert records(values) == records(ORDER)


@given(
    st.fixed_dictionaries(
        {
            "customer.email": st.text(),
            "customer.customer_id": st.text(),
            "order_id": st.text(),
            "customer.birth_date": st.none() | st.integers(-(2**31), 2**31 - 1),
            "shipping_address.postal_code": st.text(),
            "device.ip": st.text(),
            "device.device_id": st.none() | st.text(),
        }
    )
)
def test_no_content_of_a_regulated_value_fails_a_record(changes: dict[str, Any]) -> None:
    values = copy.deepcopy(ORDER)
    for path, value in changes.items():
        way, last = path.rsplit(".", 1) if "." in path else ("", path)
        (look_up(values, way) if way else values)[last] = value

    assert stripped(values)["Status__c"] == "placed"
    assert (
        stripped(
            {
                **values,
                "home_address": ADDRESS,
                "marketing_consent": True,
                "registered_at": 1_760_000_000_000,
            },
            CHANGED.id,
        )["Status__c"]
        == "changed"
    )


tokenised = st.fixed_dictionaries(
    {
        "customer.customer_id": st.text(),
        "customer.email": st.text() | st.just("e\u0301" * 700),
        "order_id": st.text(),
        "device.device_id": st.text(),
    }
)


@given(tokenised, st.integers(0, 255), st.sampled_from("ABEHPR"))
def test_events_that_differ_in_regulated_values_alone_leave_alike_but_for_tokens(
    changes: dict[str, str], host: int, place: str
) -> None:
    """Promise 1 for tokenised and generalised leaves: value, key and size, tokens renamed."""
    values = copy.deepcopy(ORDER)
    for path, value in changes.items():
        way, last = path.rsplit(".", 1) if "." in path else ("", path)
        (look_up(values, way) if way else values)[last] = value
    values["device"]["ip"] = f"203.0.113.{host}"  # the same /24
    values["shipping_address"]["postal_code"] = f"10{host:03}"  # the same area
    values["shipping_address"]["street"] = place

    (one,), (other,) = records(ORDER), records(values)

    assert renamed(one.value) == renamed(other.value)
    assert (one.id, one.object, one.version) == (other.id, other.object, other.version)
    assert len(one.external_id) == len(other.external_id)


def renamed(value: bytes) -> bytes:
    return re.sub(rb"tok_eu1_[a-z2-7]{26}", b"tok", value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("items", [{"sku": "ada@example.com"}]),
        ("currency", "eur"),
        ("currency", "EUR\n"),
        ("totals.grand_total", money(10**12)),
        ("placed_at", -1),
        ("items", [{"sku": "A-1"}] * 10_001),
    ],
)
def test_a_kept_value_out_of_its_format_quarantines_the_record(path: str, value: object) -> None:
    with pytest.raises(QuarantineError) as caught:
        records(changed(path, value))

    assert caught.value.reason is Reason.FORMAT
    assert (caught.value.path or "").startswith(path)


def test_only_what_leaves_is_checked_for_its_format() -> None:
    assert stripped(changed("items", [{"sku": "OK-1"}, {"sku": "not ok"}]))["Item_Count__c"] == 2


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("device", None, "Device_Token__c"),
        ("device", None, "Ip_Network__c"),
        ("items", [], "First_Sku__c"),
        ("payment_method", None, "Payment_Method__c"),
        ("shipping_address", None, "Ship_Country__c"),
    ],
)
def test_a_mapped_field_that_is_null_is_cleared(path: str, value: object, field: str) -> None:
    made = stripped(changed(path, value))

    assert field not in made
    assert field in made["cleared"]


def test_amounts_leave_in_avros_shortest_form() -> None:
    """Two encodings of one amount must not tell two events apart, nor stop the gate."""
    (wide,) = records(changed("totals.grand_total", money(5)))
    (short,) = records(changed("totals.grand_total", b"\x05"))

    assert wide.value == short.value
    assert decode_physical(REGISTRY, short.value)[1]["Total__c"] == b"\x05"


def test_a_postcode_is_read_by_the_rules_of_its_own_country() -> None:
    abroad = {**ADDRESS, "postal_code": "SW1A 1AA", "country": "GB"}

    assert stripped(changed("shipping_address", abroad))["Ship_Postcode_Area__c"] == "SW1A"


@pytest.mark.parametrize("amount", [0, 1, -1, 127, 128, -128, -129, 32_767, 32_768])
def test_amounts_keep_their_value(amount: int) -> None:
    made = stripped(changed("totals.grand_total", money(amount)))

    assert made["Total__c"] * 100 == amount


def test_erasure_clears_what_could_single_a_person_out() -> None:
    erased = REGISTRY.latest("commerce.customers.CustomerErasureRequested")
    values = {"customer": CUSTOMER, "occurred_at": 1_760_000_000_000}

    made = stripped(values, erased.id)

    assert set(made["cleared"]) == {
        "Birth_Year__c",
        "Email_Token__c",
        "Phone_Token__c",
        "Postcode_Area__c",
    }
    assert made["Status__c"] == "erasure_requested"


def test_an_event_the_crm_needs_nothing_of_makes_no_record() -> None:
    signed_in = REGISTRY.latest("commerce.customers.CustomerSignedIn")

    assert records({}, signed_in.id) == ()
    assert signed_in.subject in load_contract().nothing


def test_a_plan_of_another_schema_halts() -> None:
    event = ClassifiedEvent(RAW, CHANGED.id, ORDER)

    with pytest.raises(HaltError, match=r"eu\.commerce\.orders\.v1\[0\]@7"):
        strip(event, PLANS[PLACED.id], Tokeniser(KEYS, "x"), REGISTRY)


def test_a_plan_of_another_normaliser_halts() -> None:
    plan = replace(PLANS[PLACED.id], normaliser=2)
    event = ClassifiedEvent(RAW, PLACED.id, ORDER)

    with pytest.raises(HaltError, match=r"@7: plan of normaliser 2, not 3"):
        strip(event, plan, Tokeniser(KEYS, "x"), REGISTRY)


@pytest.mark.parametrize(
    ("at", "band"), [(1_795_608_000_000, "40-49"), (None, "unknown"), (-1, "unknown")]
)
def test_an_age_is_relative_to_the_time_that_the_plan_names(at: int | None, band: str) -> None:
    age = FieldPlan(
        "Status__c",
        "string",
        "path",
        "customer.birth_date",
        action=Action.GENERALISE,
        how="age-band:10",
        at="occurred_at",
    )
    plan = PLANS[PLACED.id]
    aged = replace(plan, outputs=(replace(plan.outputs[0], fields=(age,)),))
    values = changed("customer.birth_date", 5_296) | {"occurred_at": at}

    (made,) = strip(ClassifiedEvent(RAW, PLACED.id, values), aged, Tokeniser(KEYS, "x"), REGISTRY)

    assert decode(REGISTRY, made.value)[1]["Status__c"] == band


def test_the_plan_maps_no_field_whose_action_forbids_it() -> None:
    """A plan forged past the compiler still cannot send a dropped leaf."""
    for action in (Action.DROP, Action.LABEL):
        forged = FieldPlan("Email_Token__c", "string", "path", "gift_note", action=action)
        plan = copy.copy(PLANS[PLACED.id])
        output = copy.copy(plan.outputs[0])
        object.__setattr__(output, "fields", (forged,))
        object.__setattr__(plan, "outputs", (output,))

        with pytest.raises(HaltError, match="Email_Token__c"):
            strip(ClassifiedEvent(RAW, PLACED.id, ORDER), plan, Tokeniser(KEYS, "x"), REGISTRY)


class TestBook:
    """`PlanBook.minimise`: from bytes to records, or to a reason of the closed list."""

    book = PlanBook("eu", PLANS, KEYS, REGISTRY)

    def wire(self, country: str = "DE", customer_id: str = "C-1") -> bytes:
        erased = REGISTRY.latest("commerce.customers.CustomerErasureRequested")
        values = {
            "event_id": "0b0b8a3e-7a41-4a61-9f0f-000000000001",
            "occurred_at": 1_760_000_000_000,
            "customer": {
                "customer_id": customer_id,
                "residence": {"country": country, "subdivision": None},
            },
            "request_id": "r",
            "reason": "objection",
            "requested_at": 1_760_000_000_000,
            "contact_email": None,
            "note": None,
        }
        return encode(erased, values)

    def raw(self, value: bytes, domain: str = "customers") -> RawEvent:
        return RawEvent(Coordinates(f"eu.commerce.{domain}.v1", 0, 7), "topic-id", 1, value)

    def test_a_good_record_becomes_its_minimal_records(self) -> None:
        crossing = self.book.minimise(self.raw(self.wire()))

        assert [r.object for r in crossing.records] == ["Commerce_Customer__c"]
        assert crossing.plan.outputs[0].basis == ("dpv:DataTransferLegalBasis", "eu-gdpr:A45-3")

    @pytest.mark.parametrize(
        ("value", "domain", "reason"),
        [
            (lambda self: b"", "customers", Reason.MALFORMED),
            (lambda self: self.wire() + b"\0", "customers", Reason.MALFORMED),
            (lambda self: b"\0\0\0\xff\xff", "customers", Reason.UNKNOWN_SCHEMA),
            (lambda self: self.wire(), "orders", Reason.WRONG_TOPIC),
            (lambda self: self.wire("GB"), "customers", Reason.WRONG_REGION),
            (lambda self: self.wire("XX"), "customers", Reason.UNKNOWN_JURISDICTION),
            (lambda self: b"\0" * 1_000_001, "customers", Reason.OVERSIZE),
            (lambda self: b"\0" * 1_000_000, "customers", Reason.UNKNOWN_SCHEMA),
        ],
    )
    def test_what_cannot_be_decided_is_quarantined_with_its_reason(
        self, value: Any, domain: str, reason: Reason
    ) -> None:
        with pytest.raises(QuarantineError) as caught:
            self.book.minimise(self.raw(value(self), domain))

        assert caught.value.reason is reason

    def test_a_schema_without_an_approved_plan_is_never_guessed(self) -> None:
        with pytest.raises(QuarantineError) as caught:
            PlanBook("eu", {}, KEYS, REGISTRY).minimise(self.raw(self.wire()))

        assert caught.value.reason is Reason.NO_APPROVED_PLAN

    def test_only_approved_plans_are_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        everything = load_book("eu", KEYS, ON).plans
        one = PLANS[PLACED.id].digest
        monkeypatch.setattr("residency.plan.book.approved_digests", lambda region: {one})

        assert everything.keys() == PLANS.keys()
        assert load_book("eu", KEYS, ON).plans.keys() == {PLACED.id}


def test_every_generaliser_of_a_plan_exists() -> None:
    ways = {d.how for plan in PLANS.values() for d in plan.decisions if d.how}

    assert {generaliser(how).how for how in ways} == ways
