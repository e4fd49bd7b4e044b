"""Every source of a field: it makes what a naive reckoning makes, and says what it cannot."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.contracts.model import Contract, FieldSource, Output
from residency.keys import TokenKeys
from residency.plan.compile import Policy, compile_plan
from residency.plan.faults import PlanError
from residency.plan.fields import Decided, Target, make_field
from residency.plan.model import Each, FieldPlan, MapKey, Plan, Step, leaf_path, parse_path
from residency.plan.strip import find_all, look_up, strip
from residency.policy.destinations import Destination
from residency.policy.rules import Action, Decision, Rule
from residency.tokens import Tokeniser
from schemas.codec import decode
from schemas.errors import QuarantineError, Reason
from schemas.events import ClassifiedEvent, Coordinates, MinimalRecord, RawEvent
from schemas.registry import EventSchema, Registry
from schemas.resolve import digest

ON = date(2026, 11, 23)
KEPT, SECRET, ID = "system.operations", "user.health", "user.unique_id"
MAX = 10**12


def money(scale: int = 2, precision: int = 18) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


TIME = {"type": "long", "logicalType": "timestamp-millis"}


def tagged(name: str, avro: Any, tag: str = KEPT, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, "confluent:tags": [tag], **more}


LINE = {
    "type": "record",
    "name": "Line",
    "fields": [
        tagged("quantity", ["null", "long"]),
        tagged("price", ["null", money()]),
        tagged("fine", money(3)),
        tagged("at", ["null", TIME]),
        tagged("sku", "string", **{"homeport.pattern": "^[A-Z]{1,3}$"}),
        tagged("on", "boolean"),
        tagged("dose", "long", SECRET),
        {"name": "parts", "type": {"type": "array", "items": "long"}, "confluent:tags": [KEPT]},
    ],
}
RAW = {
    "type": "record",
    "name": "Event",
    "namespace": "shop.orders",
    "fields": [
        tagged("id", "string", ID),
        {"name": "lines", "type": ["null", {"type": "array", "items": LINE}]},
        tagged("pills", {"type": "array", "items": "string"}, SECRET),
        tagged("notes", {"type": "map", "values": "string"}, **{"homeport.pattern": "^[a-z]*$"}),
        tagged("wide", money(2, 28)),
    ],
}


def optional(name: str, avro: Any, *limits: int) -> dict[str, Any]:
    field = {"name": name, "type": ["null", avro], "default": None}
    return field | {"homeport.range": list(limits)} if limits else field


CRM = {
    "type": "record",
    "name": "Row",
    "namespace": "crm",
    "homeport.object": "Row__c",
    "fields": [
        {"name": "External_Id__c", "type": "string"},
        {"name": "Base_Version__c", "type": "long"},
        optional("Long__c", "long", -MAX, MAX),
        optional("Money__c", money(), -MAX, MAX),
        optional("Fine__c", money(3), -MAX, MAX),
        optional("Bare__c", "long"),
        optional("Bare_Money__c", money()),
        optional("At__c", TIME),
        optional("Text__c", "string"),
        {"name": "cleared", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "deleted", "type": "boolean", "default": False},
    ],
}


def schema(number: int, avro: dict[str, Any], domain: str) -> EventSchema:
    subject = f"{avro['namespace']}.{avro['name']}"
    return EventSchema(number, subject, 1, digest(avro), avro, domain)


EVENT = schema(1, RAW, "orders")
REGISTRY = Registry((EVENT, schema(2, CRM, "minimal")))


def rule(category: str, action: Action) -> Rule:
    return Rule(f"r-{category}", category, "org", action, "law", date(2020, 1, 1), basis="b")


POLICY = Policy(
    "eu",
    (rule(KEPT, Action.KEEP), rule(ID, Action.TOKENISE)),
    Destination("org", "US", "x", ()),
    ON,
)


def compiled(
    fields: Mapping[str, FieldSource], *, deletes: bool = False, hard: bool = False
) -> Plan:
    key = FieldSource(path="id", identity="order")
    output = Output("Row__c", key, fields, deletes, hard=hard)
    return compile_plan(EVENT, Contract({EVENT.subject: (output,)}), POLICY, REGISTRY)


def recorded(plan: Plan, values: Mapping[str, Any]) -> MinimalRecord:
    raw = RawEvent(Coordinates("eu.shop.orders.v1", 0, 7), "topic", 1, b"")
    keys = Tokeniser(TokenKeys("eu", b"i" * 32, b"a" * 32), "org")
    (record,) = strip(ClassifiedEvent(raw, EVENT.id, values), plan, keys, REGISTRY)
    return record


def made(name: str, source: FieldSource, values: Mapping[str, Any]) -> Any:
    """Return the field of the decoded record, once it is unset exactly when it is cleared."""
    fields = decode(REGISTRY, recorded(compiled({name: source}), values).value)[1]
    assert fields["cleared"] == ([name] if fields[name] is None else [])
    return fields[name]


def raw_money(value: Decimal | None, scale: int = 2) -> bytes | None:
    return None if value is None else int(value.scaleb(scale)).to_bytes(16, "big", signed=True)


def event(lines: list[dict[str, Any]] | None, **more: Any) -> dict[str, Any]:
    return {"id": "O-1", "lines": lines, "pills": [], "notes": {}, "wide": b"\0", **more}


LONGS = st.none() | st.integers(-(10**9), 10**9)
MONEY = st.none() | st.decimals(-(10**9), 10**9, places=2)
TIMES = st.none() | st.integers(0, 4 * 10**12)


def naive(how: str, values: list[Any]) -> Any:
    found = [value for value in values if value is not None]
    match how:
        case "sum":
            return sum(found)
        case "min":
            return min(found, default=None)
        case _:
            return max(found, default=None)


HOW = st.sampled_from(["sum", "min", "max"])


@given(HOW, st.none() | st.lists(LONGS))
def test_longs_below_an_array_add_up_and_compare(how: str, values: list[int | None] | None) -> None:
    lines = None if values is None else [{"quantity": value} for value in values]

    found = made("Long__c", FieldSource(**{how: "lines[].quantity"}), event(lines))

    assert found == naive(how, values or [])


@given(HOW, st.lists(MONEY))
def test_amounts_below_an_array_are_reckoned_to_the_cent(
    how: str, values: list[Decimal | None]
) -> None:
    lines = [{"price": raw_money(value)} for value in values]

    found = made("Money__c", FieldSource(**{how: "lines[].price"}), event(lines))

    assert found == naive(how, values)


@given(st.sampled_from(["min", "max"]), st.lists(TIMES))
def test_the_first_and_the_last_of_times(how: str, values: list[int | None]) -> None:
    lines = [{"at": value} for value in values]

    found = made("At__c", FieldSource(**{how: "lines[].at"}), event(lines))

    assert (None if found is None else round(found.timestamp() * 1000)) == naive(how, values)


@given(st.lists(st.lists(st.integers(0, 99))))
def test_values_below_two_arrays_are_all_of_them(parts: list[list[int]]) -> None:
    lines = [{"parts": inner} for inner in parts]
    flat = [value for inner in parts for value in inner]

    assert made("Long__c", FieldSource(sum="lines[].parts[]"), event(lines)) == sum(flat)
    assert made("Long__c", FieldSource(count="lines[].parts"), event(lines)) == len(flat)
    assert made("Long__c", FieldSource(count="lines"), event(lines)) == len(parts)


def test_one_position_of_an_array_can_be_summed_below() -> None:
    lines = [{"parts": [1, 2]}, {"parts": [40]}]

    assert made("Long__c", FieldSource(sum="lines[0].parts[]"), event(lines)) == 3
    assert made("Long__c", FieldSource(count="lines[1].parts"), event(lines)) == 1
    assert made("Long__c", FieldSource(count="lines[2].parts"), event(lines)) == 0


@pytest.mark.parametrize(("how", "wanted"), [("sum", 0), ("min", None), ("max", None)])
@pytest.mark.parametrize("lines", [None, [], [{"quantity": None}]])
def test_of_nothing_the_sum_is_none_and_the_extremes_are_cleared(
    how: str, wanted: int | None, lines: list[dict[str, Any]] | None
) -> None:
    source = FieldSource(**{how: "lines[].quantity"})

    assert made("Long__c", source, event(lines)) == wanted


@given(st.dictionaries(st.sampled_from(["gift", "a.b", "x[0]", "\u00e9"]), st.text("az")))
def test_a_map_key_is_the_value_it_has_or_nothing(notes: dict[str, str]) -> None:
    for key in ("gift", "a.b", "x[0]", "\u00e9"):
        found = made("Text__c", FieldSource(path=f"notes{{{key}}}"), event(None, notes=notes))

        assert found == notes.get(key)


@pytest.mark.parametrize(
    ("name", "source", "lines"),
    [
        ("Long__c", FieldSource(sum="lines[].quantity"), [{"quantity": MAX}, {"quantity": 1}]),
        ("Long__c", FieldSource(min="lines[].quantity"), [{"quantity": -MAX - 1}]),
        ("Money__c", FieldSource(sum="lines[].price"), [{"price": raw_money(Decimal(MAX))}] * 2),
        (
            "Money__c",
            FieldSource(path="lines[0].price"),
            [{"price": raw_money(MAX + Decimal("0.01"))}],
        ),
    ],
)
def test_a_result_outside_the_fields_range_goes_to_quarantine_by_its_path(
    name: str, source: FieldSource, lines: list[dict[str, Any]]
) -> None:
    plan = compiled({name: source})

    with pytest.raises(QuarantineError) as caught:
        recorded(plan, event(lines))

    assert (caught.value.reason, caught.value.path) == (
        Reason.FORMAT,
        source.path or source.sum or source.min,
    )


def test_the_ends_of_a_range_are_inside_it() -> None:
    lines = [{"price": raw_money(Decimal(MAX))}]

    assert made("Money__c", FieldSource(sum="lines[].price"), event(lines)) == MAX


def test_a_decimal_keeps_its_own_scale() -> None:
    lines = [{"fine": raw_money(Decimal("0.001"), 3)}, {"fine": raw_money(Decimal("-1.5"), 3)}]

    assert made("Fine__c", FieldSource(sum="lines[].fine"), event(lines)) == Decimal("-1.499")


@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        (
            "Long__c",
            FieldSource(sum="lines[].dose"),
            "policy gives drop for lines[].dose (no rule); sum is for what it keeps",
        ),
        ("Long__c", FieldSource(count="pills"), "keeps nothing of pills"),
        ("Long__c", FieldSource(sum="lines.quantity"), "names no array"),
        ("Long__c", FieldSource(sum="lines[0].quantity"), "names no array"),
        ("Long__c", FieldSource(max="lines[].nothing"), "no leaf 'lines[].nothing'"),
        ("Long__c", FieldSource(path="lines[].quantity"), "is many values"),
        ("Long__c", FieldSource(sum="lines[].price"), "lines[].price is decimal"),
        ("Text__c", FieldSource(min="lines[].sku"), "is string, which has no min"),
        ("Long__c", FieldSource(max="lines[].on"), "is boolean, which has no max"),
        ("At__c", FieldSource(sum="lines[].at"), "is timestamp-millis, which has no sum"),
        ("Money__c", FieldSource(sum="lines[].quantity"), "lines[].quantity is long"),
        ("Money__c", FieldSource(path="lines[0].fine"), "3 digits after the point, the minimal"),
        ("Money__c", FieldSource(sum="lines[].fine"), "3 digits after the point, the minimal"),
        ("Bare__c", FieldSource(sum="lines[].quantity"), "give the minimal field a homeport.range"),
        ("Bare_Money__c", FieldSource(path="wide"), "has 28 digits"),
        ("Text__c", FieldSource(path="notes"), "no leaf 'notes'"),
    ],
)
def test_a_source_that_cannot_be_met_says_why(name: str, source: FieldSource, told: str) -> None:
    with pytest.raises(PlanError) as caught:
        compiled({name: source})

    (problem,) = caught.value.problems
    assert problem.startswith(f"shop.orders.Event v1 in eu: {name}: ")
    assert told in problem


@pytest.mark.parametrize(
    ("name", "source", "is_passed_over"),
    [
        ("Long__c", FieldSource(sum="lines[].dose", otherwise="omit"), True),
        ("Long__c", FieldSource(count="pills", otherwise="omit"), True),
        ("Long__c", FieldSource(path="nowhere", otherwise="omit"), True),
        ("Money__c", FieldSource(path="id", otherwise="omit"), True),
        ("Money__c", FieldSource(path="lines[0].quantity", otherwise="omit"), False),
        ("Long__c", FieldSource(path="lines[].quantity", otherwise="omit"), False),
        ("Text__c", FieldSource(count="lines", otherwise="omit"), False),
        ("Nowhere__c", FieldSource(clear=True, otherwise="omit"), False),
    ],
)
def test_omit_passes_over_what_policy_or_schema_lack_and_over_no_mistake(
    name: str, source: FieldSource, is_passed_over: bool
) -> None:
    try:
        fields = compiled({name: source}).outputs[0].fields
    except PlanError:
        fields = None

    assert fields == (() if is_passed_over else None)


def test_wider_digits_are_fine_where_a_range_bounds_them() -> None:
    assert made("Money__c", FieldSource(path="wide"), event(None, wide=b"\x7b")) == Decimal("1.23")


def test_an_amount_of_another_scale_than_a_generaliser_reads_is_named() -> None:
    (leaf,) = [leaf for leaf in EVENT.leaves if leaf.path == "lines[].fine"]
    decided = {leaf.path: Decided(leaf, Decision(Action.GENERALISE, "rounded:10"))}

    source = FieldSource(path="lines[0].fine")
    told = make_field(Target("Money__c", "decimal", None, 18, 2), source, decided)

    assert told == "rounded:10 reads amounts of scale 2; lines[].fine has 3"


def test_a_deletion_says_that_and_whose_row_and_nothing_else() -> None:
    record = recorded(compiled({}, deletes=True), event(None))

    fields = decode(REGISTRY, record.value)[1]
    assert record.deletes
    assert {k: v for k, v in fields.items() if v not in (None, [])} == {
        "External_Id__c": record.external_id,
        "Base_Version__c": 10**12 + 7,
        "deleted": True,
    }


def test_a_plan_says_of_a_deletion_that_it_is_for_good_and_only_then_anything() -> None:
    soft, hard = compiled({}, deletes=True), compiled({}, deletes=True, hard=True)

    assert (soft.hard_deletes, hard.hard_deletes) == ((), ("Row__c",))
    assert b'"hard"' not in soft.to_json()  # plans of before keep their digests
    assert hard.digest != soft.digest


def test_what_deletes_a_row_sets_no_field_of_it() -> None:
    with pytest.raises(PlanError, match="Text__c: a row that is deleted has no fields"):
        compiled({"Text__c": FieldSource(clear=True)}, deletes=True)


@pytest.mark.parametrize(
    ("path", "steps", "leaf"),
    [
        ("items[].sku", ("items", Each(), "sku"), "items[].sku"),
        ("attributes{gift}", ("attributes", MapKey("gift")), "attributes{}"),
        ("a{x.y}[2].b", ("a", MapKey("x.y"), 2, "b"), "a{}[].b"),
        ("a{[0]}", ("a", MapKey("[0]")), "a{}"),
    ],
)
def test_paths_read_as_steps(path: str, steps: tuple[Step, ...], leaf: str) -> None:
    assert parse_path(path) == steps
    assert leaf_path(path) == leaf


@pytest.mark.parametrize("path", ["a{}", "a{b", "a}b", "{b}", "a{b}c", "a.", ".a", "a[-1]", "a[٣]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(path)


def test_a_position_is_one_that_the_walkers_tables_can_hold() -> None:
    """Events have no million elements; a longer number once stopped every border at its start."""
    assert parse_path("a[999999]") == ("a", 999_999)
    with pytest.raises(ValueError, match="is not a path"):
        parse_path("a[1000000]")


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
)
PATHS = st.lists(st.sampled_from(["a", "b", "a[0]", "b[]", "a{a}", "b[1]{b}"]), min_size=1).map(
    ".".join
)


@given(JSON, PATHS)
def test_looking_up_never_fails_and_finds_the_first_of_all(value: Any, path: str) -> None:
    found = find_all(value, path)

    assert None not in found
    if Each() not in parse_path(path):
        assert found == [one for one in [look_up(value, path)] if one is not None]


NAMES = st.sampled_from(["Long__c", "Money__c", "Fine__c", "Bare__c", "At__c", "Text__c", "No__c"])
LEAVES = [leaf.path for leaf in EVENT.leaves]
REACHES = st.sampled_from(
    [*LEAVES, *(path.replace("[]", "[0]").replace("{}", "{a}") for path in LEAVES), "lines", "no"]
)
AGGREGATES = st.sampled_from(["path", "count", "sum", "min", "max"])
SOURCES = st.one_of(
    st.builds(
        lambda how, path, otherwise: FieldSource(
            **{how: path.replace("{}", "{b}"), "otherwise": otherwise}
        ),
        AGGREGATES,
        REACHES,
        st.sampled_from(["refuse", "omit"]),
    ),
    st.builds(FieldSource, constant=st.just("x")),
    st.just(FieldSource(region=True)),
    st.just(FieldSource(clear=True)),
)


def alone(name: str, source: FieldSource) -> tuple[tuple[FieldPlan, ...], tuple[str, ...]]:
    """Return what one mapping compiles to, or its problems."""
    try:
        return compiled({name: source}).outputs[0].fields, ()
    except PlanError as exc:
        return (), exc.problems


@given(st.dictionaries(NAMES, SOURCES))
def test_a_contract_compiles_or_tells_the_problems_of_every_mapping_in_it(
    fields: dict[str, FieldSource],
) -> None:
    each = [alone(name, source) for name, source in fields.items()]
    made = [field for plans, _ in each for field in plans]
    told = [problem for _, problems in each for problem in problems]

    try:
        found = compiled(fields).outputs[0].fields, ()
    except PlanError as exc:
        found = (), exc.problems

    wanted = ((), tuple(told)) if told else (tuple(sorted(made, key=lambda f: f.name)), ())
    assert found == wanted


@given(st.dictionaries(NAMES, SOURCES), st.data())
def test_what_compiles_is_carried_out_or_quarantined_by_its_format_alone(
    fields: dict[str, FieldSource], data: st.DataObject
) -> None:
    good = {name: source for name, source in fields.items() if not alone(name, source)[1]}
    lines = data.draw(st.lists(st.fixed_dictionaries(LINE_VALUES), max_size=2))
    values = event(lines, notes=data.draw(st.dictionaries(st.sampled_from("ab"), st.text("aB"))))

    sent: dict[str, Any] = {}
    reason = None
    try:
        sent = decode(REGISTRY, recorded(compiled(good), values).value)[1]
    except QuarantineError as exc:
        reason = exc.reason

    assert reason in {None, Reason.FORMAT}
    assert {name for name, value in sent.items() if value is not None} <= {
        "External_Id__c",
        "Base_Version__c",
        "cleared",
        "deleted",
        *good,
    }


LINE_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "quantity": st.none() | st.integers(-(2**63), 2**63 - 1),
    "price": st.none() | st.binary(min_size=1, max_size=9),
    "fine": st.binary(min_size=1, max_size=9),
    "at": st.none() | st.integers(0, 10**12),
    "sku": st.text(max_size=4),
    "on": st.booleans(),
    "dose": st.integers(0, 9),
    "parts": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
}
