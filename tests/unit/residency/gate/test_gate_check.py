"""Whatever our own code could get wrong, the gate stops it, and tells no value."""

import contextlib
import dataclasses
import io
import json
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.gate import Gate, GateHalt
from residency.gate.rules import Rule, load_grammar
from residency.gate.wire import MAX_BYTES, load_schemas
from schemas.errors import QuarantineError, Reason
from schemas.events import Coordinates, MinimalRecord, RecordId

PLAN = "ab" * 32
MINIMAL = Path(__file__).parents[4] / "schemas" / "avro" / "minimal"
SCHEMAS: Mapping[str, Any] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in MINIMAL.glob("*__c.avsc")
}
AT = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

OBJECTS = sorted(SCHEMAS)


def token(region: str = "eu", fill: str = "a") -> str:
    return f"tok_{region}1_{fill * 26}"


def clean(target: str, region: str = "eu") -> dict[str, Any]:
    """Return every field of *target* with a value that may leave."""
    own = {"External_Id__c": token(region), "Base_Version__c": 10**12 + 7, "Region__c": region}
    time = {"Last_Event_At__c": AT}
    fields: dict[str, dict[str, Any]] = {
        "Commerce_Order__c": {
            "Status__c": "placed",
            "Customer_Key__c": token(region, "b"),
            "Placed_At__c": AT,
            "Channel__c": "web",
            "Currency__c": "EUR",
            "Total__c": Decimal("-1.28"),
            "Discount_Total__c": Decimal("0.00"),
            "Refunded_Total__c": Decimal("12345.67"),
            "Item_Count__c": 3,
            "First_Sku__c": "TSHIRT-RED-XL",
            "Payment_Method__c": "card",
            "Ship_Country__c": "DE",
            "Ship_Postcode_Area__c": "10",
            "Email_Token__c": token(region, "c"),
            "Device_Token__c": token(region, "d"),
            "Ip_Network__c": "203.0.113.0/24",
        },
        "Commerce_Customer__c": {
            "Status__c": "registered",
            "Registered_At__c": AT,
            "Country__c": "DE",
            "Postcode_Area__c": "SW1A",
            "Email_Token__c": token(region, "c"),
            "Phone_Token__c": token(region, "e"),
            "Birth_Year__c": 1980,
            "Language__c": "de",
            "Loyalty_Tier__c": "gold",
            "Marketing_Consent__c": False,
        },
        "Commerce_Case__c": {
            "Kind__c": "review",
            "Customer_Key__c": token(region, "b"),
            "Order_Key__c": token(region, "f"),
            "Received_At__c": AT,
            "Channel__c": "email",
            "Language__c": "de",
            "Sku__c": "TSHIRT-RED-XL",
            "Rating__c": 5,
        },
    }
    return own | time | fields[target]


def shortest(amount: Decimal) -> bytes:
    """Return *amount* in the fewest bytes; fastavro would write -1.28 in two."""
    unscaled = int(amount.scaleb(2))
    for width in range(1, 16):
        with contextlib.suppress(OverflowError):
            return unscaled.to_bytes(width, "big", signed=True)
    raise AssertionError


def encode(target: str, fields: Mapping[str, Any]) -> bytes:
    """Return *fields* in the wire format of *target*'s schema."""
    out = io.BytesIO()
    plain = {n: shortest(v) if isinstance(v, Decimal) else v for n, v in fields.items()}
    fastavro.schemaless_writer(
        out,
        fastavro.parse_schema(SCHEMAS[target]),
        {"cleared": [], "deleted": False, **plain},
    )
    return b"\0" + SCHEMAS[target]["homeport.schema-id"].to_bytes(4, "big") + out.getvalue()


def record(target: str, fields: Mapping[str, Any], **changes: Any) -> MinimalRecord:
    """Return a record of *target* whose envelope agrees with *fields*, but for *changes*."""
    envelope: dict[str, Any] = {
        "id": RecordId(Coordinates("eu.commerce.orders.v1", 0, 7)),
        "object": target,
        "external_id": fields["External_Id__c"],
        "version": fields["Base_Version__c"],
        "schema_id": SCHEMAS[target]["homeport.schema-id"],
        "plan": PLAN,
        "keys": 1,
        "value": b"",
    } | changes
    if "value" not in changes:
        envelope["value"] = encode(target, fields)
    return MinimalRecord(**envelope)


WIRE = load_schemas()
GRAMMAR = {region: load_grammar(region, WIRE) for region in ("eu", "uk", "us")}
GATES = {region: Gate(region, {PLAN: None}, GRAMMAR[region], WIRE) for region in GRAMMAR}
EMAIL = "canary.Kestrel@example.org"


def refuse(gate: Gate, sent: MinimalRecord) -> GateHalt:
    """Return the halt that *sent* causes, once nothing of it is found to show a canary."""
    with pytest.raises(GateHalt) as caught:
        gate.check(sent)
    seen: BaseException | None = caught.value
    while seen is not None:
        shown = "".join(traceback.format_exception(seen)) + repr(vars(seen)) + repr(seen.args)
        assert "Kestrel" not in shown
        # What an error tracker would follow: a decoding error holds the record's bytes.
        assert not isinstance(seen, UnicodeError)
        seen = seen.__cause__ or seen.__context__
    assert str(caught.value).startswith(f"{sent.id}: ")
    return caught.value


@pytest.mark.parametrize("target", OBJECTS)
@pytest.mark.parametrize("region", ["eu", "uk", "us"])
def test_a_clean_record_passes_with_the_same_values(target: str, region: str) -> None:
    fields = clean(target, region)
    at = RecordId(Coordinates(f"{region}.commerce.orders.v1", 0, 7))

    assert GATES[region].check(record(target, fields, id=at)) == fields


@pytest.mark.parametrize("target", OBJECTS)
def test_what_a_record_leaves_unset_is_not_sent_and_what_it_clears_is_none(target: str) -> None:
    few = {name: clean(target)[name] for name in ("External_Id__c", "Base_Version__c")}
    clearable = sorted(name for name, rule in GRAMMAR["eu"][target].items() if rule.clearable)

    sent = GATES["eu"].check(record(target, {**few, "cleared": clearable}))

    assert sent == few | dict.fromkeys(clearable)


def _texts() -> Iterator[Any]:
    for target in OBJECTS:
        for name, value in clean(target).items():
            if isinstance(value, str):
                yield pytest.param(target, name, id=f"{target}.{name}")


def _numbers() -> Iterator[Any]:
    for target in OBJECTS:
        names = {field["name"] for field in SCHEMAS[target]["fields"]}
        for name, rule in GRAMMAR["eu"][target].items():
            if name in names and rule.type in {"long", "decimal"}:
                step = 1 if rule.type == "long" else Decimal("0.01")
                yield pytest.param(target, name, rule.min - step, id=f"{target}.{name}-low")
                yield pytest.param(target, name, rule.max + step, id=f"{target}.{name}-high")
            if rule.type == "timestamp":
                for at in (datetime(1999, 12, 31, tzinfo=UTC), datetime(2100, 1, 2, tzinfo=UTC)):
                    yield pytest.param(target, name, at, id=f"{target}.{name}-{at.year}")


@pytest.mark.parametrize(
    "attack",
    [
        EMAIL,
        "Kestrel",
        "Jane Kestrel",
        "",
        "tok_uk1_" + "a" * 26,  # another region's token
        "TOK_EU1_" + "A" * 26 + "Kestrel",
        "\N{GREEK SMALL LETTER ALPHA}Kestrel",
        "X" * 41 + "Kestrel",
    ],
)
@pytest.mark.parametrize(("target", "name"), list(_texts()))
def test_a_text_outside_the_grammar_stops_the_line(target: str, name: str, attack: str) -> None:
    fields = clean(target) | {name: attack}

    halt = refuse(GATES["eu"], record(target, fields))

    assert (halt.object, halt.field) == (target, name)


@pytest.mark.parametrize("suffix", ["a", "\n", " ", "\0", "\u00e9"])
@pytest.mark.parametrize(("target", "name"), list(_texts()))
def test_a_value_with_something_after_it_stops_the_line(
    target: str, name: str, suffix: str
) -> None:
    if "Sku" in name:
        suffix = "X" * 32
    fields = clean(target)
    fields[name] += suffix

    assert refuse(GATES["eu"], record(target, fields)).field == name


@pytest.mark.parametrize(("target", "name", "number"), list(_numbers()))
def test_a_number_or_time_out_of_range_stops_the_line(
    target: str, name: str, number: object
) -> None:
    halt = refuse(GATES["eu"], record(target, clean(target) | {name: number}))

    assert (halt.field, halt.rule) == (name, "range: outside min and max")


@pytest.mark.parametrize("target", OBJECTS)
def test_the_whole_record_of_another_region_stops_the_line(target: str) -> None:
    for region in ("uk", "us"):
        refuse(GATES["eu"], record(target, clean(target, region)))


@pytest.mark.parametrize(
    ("name", "other"), [("Email_Token__c", "First_Sku__c"), ("Channel__c", "Status__c")]
)
def test_swapped_fields_stop_the_line(name: str, other: str) -> None:
    fields = clean("Commerce_Order__c")
    fields[name], fields[other] = fields[other], fields[name]

    refuse(GATES["eu"], record("Commerce_Order__c", fields))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"plan": "cd" * 32}, "plan: "),
        ({"plan": "Kestrel"}, "plan: "),
        ({"object": "Commerce_Case__c"}, "object: "),
        ({"object": "Contact Kestrel"}, "object: "),
        ({"external_id": token(fill="z")}, "external id: "),
        ({"version": 1}, "version: differs"),
        ({"version": 2 * 10**12 + 7}, "version: differs"),
        ({"schema_id": 2002}, "schema: "),
    ],
)
def test_an_envelope_that_disagrees_with_the_bytes_stops_the_line(
    changes: dict[str, Any], rule: str
) -> None:
    sent = record("Commerce_Order__c", clean("Commerce_Order__c"), **changes)

    assert refuse(GATES["eu"], sent).rule.startswith(rule)


def _wire_attacks() -> Mapping[str, bytes]:
    good = encode("Commerce_Order__c", clean("Commerce_Order__c"))
    header, body = good[:5], good[5:]
    own = clean("Commerce_Order__c")["External_Id__c"].encode()
    text = EMAIL.encode()
    return {
        "empty": b"",
        "header only": header,
        "other magic": b"\1" + good[1:],
        "raw schema": b"\0" + (1001).to_bytes(4, "big") + body,
        "schema of another object": b"\0" + (2002).to_bytes(4, "big") + body,
        "trailing byte": good + b"\0",
        "trailing text": good + text,
        "two records": good + body,
        # The length 34 of the external id as 0xC4 0x00 instead of 0x44.
        "overlong varint": header + bytes([body[0] | 0x80, 0]) + body[1:],
        "negative length": header + b"\1" + body[1:],
        "endless varint": header + b"\xff" * 12 + body,
        "length of a terabyte": header + b"\x80\x80\x80\x80\x80\x80\x01" + text,
        "no such union branch": header + body[: len(own) + 1] + b"\x06" * 40 + text,
        "broken UTF-8": header + bytes([len(text) * 2 + 2]) + b"\xff" + text + body[35:],
        "array in a sized block": good[:-2] + b"\1\2\0\0" + good[-1:],
        "too long": good + b"Kestrel" * MAX_BYTES,
    }


@pytest.mark.parametrize("attack", list(_wire_attacks()))
def test_bytes_that_are_not_one_canonical_record_stop_the_line(attack: str) -> None:
    fields = clean("Commerce_Order__c")

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields, value=_wire_attacks()[attack]))

    assert halt.rule.startswith("wire: ")


def test_a_record_cut_anywhere_stops_the_line() -> None:
    good = encode("Commerce_Customer__c", clean("Commerce_Customer__c"))

    for size in range(len(good)):
        sent = record("Commerce_Customer__c", clean("Commerce_Customer__c"), value=good[:size])
        assert refuse(GATES["eu"], sent).rule.startswith("wire: ")


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_but_a_halt(body: bytes) -> None:
    fields = clean("Commerce_Order__c")
    for schema_id in WIRE:
        value = b"\0" + schema_id.to_bytes(4, "big") + body
        refuse(GATES["eu"], record("Commerce_Order__c", fields, value=value))


@given(st.data())
def test_one_changed_byte_is_refused_or_decodes_to_what_the_grammar_allows(
    data: st.DataObject,
) -> None:
    target = data.draw(st.sampled_from(OBJECTS))
    value = bytearray(encode(target, clean(target)))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    sent = record(target, clean(target), value=bytes(value))

    try:
        fields = GATES["eu"].check(sent)
    except (GateHalt, QuarantineError):
        return

    oracle: Any = fastavro.schemaless_reader(
        io.BytesIO(value[5:]), fastavro.parse_schema(SCHEMAS[target]), None
    )
    cleared = dict.fromkeys(oracle.pop("cleared"))
    assert oracle.pop("deleted") is False
    assert fields == {n: v for n, v in oracle.items() if v is not None} | cleared


@pytest.mark.parametrize(
    ("cleared", "rule"),
    [
        (["External_Id__c"], "clearable: names"),
        (["Region__c"], "clearable: names"),
        ([EMAIL], "clearable: names"),
        (["First_Sku__c"], "clearable: set and"),
        (["Contact_Name__c"], "clearable: names"),
    ],
)
def test_only_clearable_fields_that_are_not_set_may_be_cleared(
    cleared: list[str], rule: str
) -> None:
    fields = clean("Commerce_Order__c") | {"cleared": cleared}

    assert refuse(GATES["eu"], record("Commerce_Order__c", fields)).rule.startswith(rule)


def test_a_field_cleared_twice_stops_the_line() -> None:
    fields = clean("Commerce_Order__c") | {"First_Sku__c": None, "cleared": ["First_Sku__c"] * 2}

    assert refuse(GATES["eu"], record("Commerce_Order__c", fields)).field == "First_Sku__c"


def test_a_field_the_grammar_does_not_name_cannot_leave() -> None:
    rules = dict(GRAMMAR["eu"]["Commerce_Order__c"])
    del rules["Channel__c"]
    gate = Gate("eu", {PLAN: None}, {"Commerce_Order__c": rules}, WIRE)

    halt = refuse(gate, record("Commerce_Order__c", clean("Commerce_Order__c")))
    other = refuse(gate, record("Commerce_Case__c", clean("Commerce_Case__c")))

    assert (halt.field, other.field) == ("Channel__c", None)
    assert "does not name it" in halt.rule
    assert "does not name it" in other.rule


@pytest.mark.parametrize("encoded", [b"\xff\x80", b"\xff\xff\xff\x80", b"\xff" * 7 + b"\x80"])
def test_a_decimal_in_more_bytes_than_it_needs_stops_the_line(encoded: bytes) -> None:
    """A raw span that was copied: its length tells two equal amounts apart."""
    fields = clean("Commerce_Order__c")
    value = encode("Commerce_Order__c", fields)
    assert value.count(b"\x02\x02\x80") == 1
    value = value.replace(b"\x02\x02\x80", bytes([2, len(encoded) * 2]) + encoded)

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields, value=value))

    assert (halt.field, halt.rule) == ("Total__c", "type: a decimal is in its fewest bytes")


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        ("Commerce_Order__c", "First_Sku__c", "DE89370400440532013000"),
        ("Commerce_Order__c", "First_Sku__c", "A-4111-1111-1111-1111"),
        ("Commerce_Case__c", "Sku__c", "078-05-1120"),
        ("Commerce_Order__c", "Ip_Network__c", "2002:cb00:7107::/48"),  # 6to4 of an address
    ],
)
def test_personal_data_in_a_grammatical_value_goes_to_quarantine(
    target: str, name: str, value: str
) -> None:
    with pytest.raises(QuarantineError) as caught:
        GATES["eu"].check(record(target, clean(target) | {name: value}))

    assert (caught.value.reason, caught.value.path) == (Reason.SCANNER, name)
    assert value not in str(caught.value)


def test_an_order_number_of_digits_is_no_personal_data() -> None:
    fields = clean("Commerce_Order__c") | {"First_Sku__c": "4111111111111111"}

    assert GATES["eu"].check(record("Commerce_Order__c", fields)) == fields


@pytest.mark.parametrize(("day", "passes"), [(date(2030, 1, 31), True), (date(2030, 2, 1), False)])
def test_a_plan_sends_until_the_end_of_its_last_day(day: date, *, passes: bool) -> None:
    gate = Gate("eu", {PLAN: date(2030, 1, 31)}, GRAMMAR["eu"], WIRE, lambda: day)
    sent = record("Commerce_Case__c", clean("Commerce_Case__c"))

    if passes:
        assert gate.check(sent)
    else:
        assert refuse(gate, sent).rule.startswith("plan: ended")


def test_a_required_field_that_is_missing_stops_the_line() -> None:
    rules = dict(GRAMMAR["eu"]["Commerce_Order__c"])
    rules["Channel__c"] = dataclasses.replace(rules["Channel__c"], required=True)
    gate = Gate("eu", {PLAN: None}, {"Commerce_Order__c": rules}, WIRE)
    fields = clean("Commerce_Order__c") | {"Channel__c": None}

    assert refuse(gate, record("Commerce_Order__c", fields)).rule == "required: missing"


@pytest.mark.parametrize(
    ("attack", "rule"),
    [
        ("trailing byte", "wire: bytes after the end of the record"),
        ("too long", f"wire: more than {MAX_BYTES} bytes"),
        ("overlong varint", "wire: not the canonical encoding"),
        ("array in a sized block", "wire: not the canonical encoding"),
        ("raw schema", "wire: schema id is not that of a minimal schema"),
    ],
)
def test_the_halt_names_what_was_wrong_with_the_bytes(attack: str, rule: str) -> None:
    sent = record("Commerce_Order__c", clean("Commerce_Order__c"), value=_wire_attacks()[attack])

    assert refuse(GATES["eu"], sent).rule == rule


@pytest.mark.parametrize("encoded", [b"", b"\0" * 9])
def test_a_decimal_of_no_bytes_or_too_many_stops_the_line(encoded: bytes) -> None:
    fields = clean("Commerce_Order__c")
    old = b"\x02\x02\x80"
    value = encode("Commerce_Order__c", fields).replace(old, bytes([2, len(encoded) * 2]) + encoded)

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields, value=value))

    assert (halt.field, halt.rule) == ("Total__c", "type: a decimal has 1 to 8 bytes")


def deletion(target: str, region: str = "eu", **fields: Any) -> MinimalRecord:
    own = {name: clean(target)[name] for name in ("External_Id__c", "Base_Version__c")}
    empty = {name: None for name in clean(target) if name not in own}
    place = RecordId(Coordinates(f"{region}.commerce.orders.v1", 0, 7))
    return record(target, own | empty | {"deleted": True} | fields, deletes=True, id=place)


def deleting_gate(target: str) -> Gate:
    """Return a gate whose grammar lets the rows of *target* be deleted."""
    rules = GRAMMAR["eu"][target] | {"deleted": Rule("deleted", "boolean")}
    return Gate("eu", {PLAN: None}, {target: rules}, WIRE)


@pytest.mark.parametrize("target", OBJECTS)
def test_a_deletion_passes_with_external_id_and_version_alone(target: str) -> None:
    fields = deleting_gate(target).check(deletion(target))

    assert fields == {name: clean(target)[name] for name in ("External_Id__c", "Base_Version__c")}


@pytest.mark.parametrize("region", ["eu", "uk", "us"])
@pytest.mark.parametrize("target", sorted(set(OBJECTS) - {"Commerce_Case__c"}))
def test_no_row_may_be_deleted_unless_the_grammar_says_so(target: str, region: str) -> None:
    sent = deletion(target, region, External_Id__c=token(region))

    halt = refuse(GATES[region], sent)

    assert (halt.field, halt.rule.partition(":")[0]) == ("deleted", "deleted")


@pytest.mark.parametrize(
    "more", [{"Region__c": "eu"}, {"Total__c": Decimal("1.00")}, {"cleared": ["First_Sku__c"]}]
)
def test_a_deletion_that_says_anything_else_stops_the_line(more: dict[str, Any]) -> None:
    target = "Commerce_Order__c"

    halt = refuse(deleting_gate(target), deletion(target, **more))

    assert halt.rule == "deleted: holds more than external id and version"


@pytest.mark.parametrize("claimed", [True, False])
def test_a_record_that_claims_another_fate_than_its_bytes_stops_the_line(claimed: bool) -> None:
    target = "Commerce_Order__c"
    sent = record(target, clean(target)) if claimed else deletion(target)

    halt = refuse(deleting_gate(target), dataclasses.replace(sent, deletes=claimed))

    assert halt.rule == "deleted: differs from what the bytes say"


def test_the_mark_of_deletion_cannot_be_emptied_like_a_field() -> None:
    target = "Commerce_Order__c"

    halt = refuse(deleting_gate(target), record(target, clean(target) | {"cleared": ["deleted"]}))

    assert halt.rule == "clearable: names a field that may not be emptied"


def at(topic: str, offset: int = 7) -> RecordId:
    return RecordId(Coordinates(topic, 0, offset))


@pytest.mark.parametrize(
    "topic",
    [
        "uk.commerce.orders.v1",
        "eu.crm.minimal.v1",
        "eu.commerce.orders.v1x",
        "eu.commerce.orders.v0",
        "eu.commerce.orders.v100",
        "eu.commerce..v1",
        f"eu.commerce.{'a' * 41}.v1",
        "x.eu.commerce.orders.v1",
        "euxcommerce.orders.v1",
        EMAIL,
    ],
)
def test_a_record_that_came_from_no_raw_topic_of_the_region_stops_the_line(topic: str) -> None:
    """A record id goes into the ledger and into every error: it must be one."""
    fields = clean("Commerce_Order__c")

    with pytest.raises(GateHalt) as caught:
        GATES["eu"].check(record("Commerce_Order__c", fields, id=at(topic)))

    assert str(caught.value).startswith(
        "a record: Commerce_Order__c: record id: names no raw topic"
    )
    assert topic not in str(caught.value)
    assert caught.value.records == ()


@pytest.mark.parametrize(
    "topic", ["eu.commerce.a.v1", f"eu.commerce.{'a' * 40}.v1", "eu.commerce.orders.v99"]
)
def test_a_raw_topic_of_the_region_may_have_any_domain_and_version(topic: str) -> None:
    fields = clean("Commerce_Order__c")

    assert GATES["eu"].check(record("Commerce_Order__c", fields, id=at(topic)))


@pytest.mark.parametrize(
    ("keys", "passes"), [(0, False), (1, True), (9_999, True), (10_000, False)]
)
def test_a_key_version_has_the_digits_that_a_token_has_room_for(keys: int, *, passes: bool) -> None:
    sent = record("Commerce_Order__c", clean("Commerce_Order__c"), keys=keys)

    if passes:
        assert GATES["eu"].check(sent)
    else:
        assert refuse(GATES["eu"], sent).rule.startswith("keys: ")


def test_a_version_that_is_not_the_raw_records_offset_stops_the_line() -> None:
    fields = clean("Commerce_Order__c") | {"Base_Version__c": 4_930_901_820}

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields))

    assert (halt.field, halt.rule) == (
        "Base_Version__c",
        "version: is not that of the raw record's offset",
    )


def test_fields_are_cleared_in_order_or_the_line_stops() -> None:
    """An order that the border chose could tell something."""
    unset = dict.fromkeys(("First_Sku__c", "Device_Token__c"))
    fields = clean("Commerce_Order__c") | unset

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields | {"cleared": list(unset)}))
    sent = GATES["eu"].check(record("Commerce_Order__c", fields | {"cleared": sorted(unset)}))

    assert (halt.field, halt.rule.partition(";")[0]) == ("cleared", "clearable: not in order")
    assert unset.items() <= sent.items()


def test_a_halt_names_object_and_field_as_one() -> None:
    fields = clean("Commerce_Order__c") | {"Channel__c": "fax"}

    halt = refuse(GATES["eu"], record("Commerce_Order__c", fields))

    assert ": Commerce_Order__c.Channel__c: values: not on the closed list;" in str(halt)
