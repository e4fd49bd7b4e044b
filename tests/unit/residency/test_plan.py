"""The plan: what contract and policy do not both allow is not in it, and says so at lint time."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from inference.tasks import load_tasks
from residency.contracts.model import Contract, FieldSource, Output
from residency.contracts.read import BadContractError, load_contract
from residency.generalise import generaliser
from residency.plan.approved import approved_digests, render
from residency.plan.book import compile_all, load_policy
from residency.plan.compile import Policy, compile_plan
from residency.plan.faults import Fault, PlanError, merged
from residency.plan.fields import Decided, Target, make_field
from residency.plan.model import FieldPlan, OutputPlan, Plan, leaf_path, parse_path
from residency.policy.destinations import Certification, Destination
from residency.policy.rules import Action, Decision, Rule
from residency.regions import load_regions
from schemas.registry import Registry, load_registry

ON = date(2026, 11, 23)
REGISTRY = load_registry()
PLACED = REGISTRY.latest("commerce.orders.OrderPlaced")
ID = FieldSource(path="order_id", identity="order")
SHIP = "shipping_address"


def compiled(fields: dict[str, FieldSource], policy: Policy | None = None) -> Plan:
    contract = Contract({PLACED.subject: (Output("Commerce_Order__c", ID, fields),)})
    return compile_plan(PLACED, contract, policy or load_policy("eu", ON), REGISTRY)


def problems(fields: dict[str, FieldSource], policy: Policy | None = None) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        compiled(fields, policy)
    return caught.value.problems


@pytest.mark.parametrize("region", load_regions())
def test_every_schema_has_an_approved_plan_in_every_region(region: str) -> None:
    plans = compile_all(region, ON, tasks=load_tasks())

    assert {p.schema_id for p in plans} == {s.id for s in REGISTRY.raw()}
    assert {p.digest for p in plans} == approved_digests(region)


@pytest.mark.parametrize(
    ("name", "source", "told"),
    [
        ("Email_Token__c", FieldSource(path="gift_note"), "the policy gives label for gift_note"),
        ("Email_Token__c", FieldSource(path="payment.iban"), "the policy gives drop"),
        ("Email_Token__c", FieldSource(path="customer.nick"), "no leaf 'customer.nick'"),
        ("Nick__c", FieldSource(path="customer.email"), "minimal schema has no such field"),
        ("Total__c", FieldSource(path="customer.email"), "a token is made of text"),
        ("Total__c", FieldSource(path="placed_at"), "placed_at is timestamp-millis"),
        ("Total__c", FieldSource(path="customer.birth_date"), "year makes long of date"),
        ("Channel__c", FieldSource(path="items[0].title"), "without a homeport.pattern"),
        ("Currency__c", FieldSource(path="currency", identity="x"), "cannot be an identity"),
        ("Item_Count__c", FieldSource(count="item"), "no array 'item'"),
        ("Channel__c", FieldSource(count="items"), "minimal field is string"),
        ("Total__c", FieldSource(constant="x"), "minimal field is decimal"),
        ("Total__c", FieldSource(region=True), "minimal field is decimal"),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path="shipping_address.postal_code", country="nowhere"),
            "no leaf 'nowhere'",
        ),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path="shipping_address.postal_code"),
            "postcode-area needs country beside",
        ),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path="shipping_address.postal_code", country="occurred_at"),
            "a generaliser reads string there",
        ),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path="shipping_address.postal_code", country="items[].sku"),
            "items[].sku is many values; name a position",
        ),
        (
            "Ip_Network__c",
            FieldSource(path="device.ip", at="currency"),
            "a generaliser reads timestamp-millis there",
        ),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path="shipping_address.postal_code", country="shipping_address.street"),
            "tells something of shipping_address.street, and the policy does not keep it",
        ),
    ],
)
def test_a_mapping_that_cannot_be_met_is_named_with_event_region_and_field(
    name: str, source: FieldSource, told: str
) -> None:
    (problem,) = problems({name: source})

    assert problem.startswith(f"commerce.orders.OrderPlaced v2 in eu: {name}: ")
    assert told in problem


def test_every_problem_is_told_at_once() -> None:
    fields = {"A__c": FieldSource(clear=True), "B__c": FieldSource(clear=True)}

    assert len(problems(fields)) == 2


def generalised(path: str, how: str, name: str, **beside: str) -> FieldPlan | str:
    """Return what becomes of a leaf, or why nothing, where the policy generalises it so."""
    (leaf,) = [leaf for leaf in PLACED.leaves if leaf.path == path]
    ours = rule(leaf.category, Action.GENERALISE, how=how)
    kept = [rule(c, Action.KEEP) for c in ("system", "user.contact.address.country")]
    rules = (rule("user.unique_id", Action.TOKENISE), ours, *kept)
    fields = {name: FieldSource(path=path, **beside)}  # type: ignore[arg-type]
    try:
        (made,) = compiled(fields, Policy("eu", rules, ORG, ON)).outputs[0].fields
    except PlanError as exc:
        return exc.problems[0]
    return made


def test_a_generaliser_goes_with_the_paths_it_reads_beside_the_value() -> None:
    made = generalised("customer.birth_date", "age-band:10", "Channel__c", at="occurred_at")

    assert isinstance(made, FieldPlan)
    assert (made.how, made.at, made.country) == ("age-band:10", "occurred_at", None)


@pytest.mark.parametrize(
    ("path", "how", "name", "told"),
    [
        ("customer.birth_date", "age-band:10", "Channel__c", "age-band:10 needs at beside"),
        ("customer.birth_date", "number-band:10", "Channel__c", "of long/decimal/float/double"),
        ("totals.grand_total", "rounded:10", "Channel__c", "makes decimal of decimal"),
    ],
)
def test_a_generaliser_that_does_not_fit_leaf_or_field_is_named(
    path: str, how: str, name: str, told: str
) -> None:
    problem = generalised(path, how, name)

    assert isinstance(problem, str)
    assert told in problem


@pytest.mark.parametrize(
    ("path", "how", "target", "told"),
    [
        ("customer.birth_date", "year", Target("x", "long", (1900, 2029), 0, 0), "outside the"),
        ("customer.birth_date", "year", Target("x", "long", (1901, 2030), 0, 0), "outside the"),
        ("totals.grand_total", "rounded:10", Target("x", "decimal", (0, 99), 18, 2), "outside the"),
        ("totals.grand_total", "rounded:10", Target("x", "decimal", None, 18, 3), "of scale 2"),
        ("totals.grand_total", "rounded:10", Target("x", "decimal", None, 10, 2), "than the"),
    ],
)
def test_a_field_that_cannot_hold_every_result_is_named(
    path: str, how: str, target: Target, told: str
) -> None:
    (leaf,) = [leaf for leaf in PLACED.leaves if leaf.path == path]
    decided = Decided(leaf, Decision(Action.GENERALISE, how))

    problem = make_field(target, FieldSource(path=path), {path: decided})

    assert told in str(problem)
    assert isinstance(problem, str)


def test_a_field_may_end_where_the_results_do() -> None:
    (leaf,) = [leaf for leaf in PLACED.leaves if leaf.path == "customer.birth_date"]
    decided = {leaf.path: Decided(leaf, Decision(Action.GENERALISE, "year"))}

    made = make_field(Target("x", "long", (1900, 2030), 0, 0), FieldSource(path=leaf.path), decided)

    assert isinstance(made, FieldPlan)
    assert made.range == (1900, 2030)


@pytest.mark.parametrize(
    ("ends", "is_made"),
    [
        ((-999, 999), True),
        ((0, 1_000), False),
        ((-1_000, 0), False),
        ((0, 1_100), False),
    ],
)
def test_the_larger_end_of_what_comes_out_has_no_more_digits_than_the_field(
    ends: tuple[int, int], is_made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = replace(generaliser("rounded:1"), range=ends)
    monkeypatch.setattr("residency.plan.fields.generaliser", lambda _: way)
    (leaf,) = [leaf for leaf in PLACED.leaves if leaf.path == "totals.grand_total"]
    decided = {leaf.path: Decided(leaf, Decision(Action.GENERALISE, way.how))}

    made = make_field(Target("x", "decimal", None, 3, 2), FieldSource(path=leaf.path), decided)

    assert isinstance(made, FieldPlan) == is_made


def test_what_the_policy_does_not_give_is_told_with_every_rule_that_says_so() -> None:
    (leaf,) = [leaf for leaf in PLACED.leaves if leaf.path == "gift_note"]
    rules = (rule("user", Action.DROP, id="one"), rule("user", Action.DROP, id="two"))
    decided = {leaf.path: Decided(leaf, Decision(Action.DROP, None, rules))}

    told = make_field(Target("x", "string", None, 0, 0), FieldSource(path=leaf.path), decided)

    assert told == "the policy gives drop for gift_note (one, two)"


def test_an_amount_may_be_rounded_within_its_field() -> None:
    made = generalised("totals.grand_total", "rounded:10", "Total__c")

    assert isinstance(made, FieldPlan)
    assert made.how == "rounded:10"


def test_the_rule_of_a_path_beside_the_value_counts_for_the_end_of_the_plan() -> None:
    until = date(2027, 3, 1)
    rules = (
        rule("user.unique_id", Action.TOKENISE),
        rule("user.contact.address.postal_code", Action.GENERALISE, how="postcode-area"),
        rule("user.contact.address.country", Action.KEEP, valid_to=until, basis="other"),
    )
    source = FieldSource(path="shipping_address.postal_code", country="shipping_address.country")

    plan = compiled({"Ship_Postcode_Area__c": source}, Policy("eu", rules, ORG, ON))

    assert plan.not_after == until
    assert "other" in plan.outputs[0].basis


def test_otherwise_omit_leaves_the_field_out() -> None:
    plan = compiled({"Email_Token__c": FieldSource(path="gift_note", otherwise="omit")})

    assert plan.outputs[0].fields == ()


def test_an_event_nobody_decided_about_has_no_plan() -> None:
    with pytest.raises(PlanError, match="no contract"):
        compile_plan(PLACED, Contract({}), load_policy("eu", ON), REGISTRY)


def test_the_external_id_must_be_an_identity_token() -> None:
    contract = Contract(
        {PLACED.subject: (Output("Commerce_Order__c", FieldSource(path="order_id"), {}),)}
    )

    with pytest.raises(PlanError, match="External_Id__c: needs a path with an identity"):
        compile_plan(PLACED, contract, load_policy("eu", ON), REGISTRY)


def test_every_leaf_has_a_decision_and_an_unruled_one_is_dropped() -> None:
    plan = compiled({}, Policy("eu", (rule("user.unique_id", Action.TOKENISE),), ORG, ON))

    assert [d.path for d in plan.decisions] == [leaf.path for leaf in PLACED.leaves]
    assert {d.action for d in plan.decisions if d.rules == ()} == {Action.DROP}


ORG = Destination("org", "US", "x", (Certification("DPF", date(2026, 1, 1), date(2027, 1, 1)),))


def rule(category: str, action: Action, **more: object) -> Rule:
    values = {"id": f"r-{category}", "destination": "org", "source": "law", "basis": "b", **more}
    return Rule(category=category, action=action, valid_from=date(2020, 1, 1), **values)  # type: ignore[arg-type]


def test_a_plan_ends_with_the_first_rule_or_certificate_it_rests_on() -> None:
    ids = rule("user.unique_id", Action.TOKENISE, requires="DPF")
    until = rule("system.operations", Action.KEEP, valid_to=date(2026, 12, 31))
    unused = rule("user.name", Action.TOKENISE, valid_to=date(2026, 12, 1))
    policy = Policy("eu", (ids, until, unused), ORG, ON)

    assert compiled({}, policy).not_after == date(2027, 1, 1)
    mapped = {"Last_Event_At__c": FieldSource(path="occurred_at")}
    assert compiled(mapped, policy).not_after == date(2026, 12, 31)


def test_a_renewed_certificate_stands_beside_the_one_that_ended() -> None:
    ids = rule("user.unique_id", Action.TOKENISE, requires="DPF")
    old = Certification("DPF", date(2025, 1, 1), date(2026, 1, 1))
    renewed = Certification("DPF", date(2026, 6, 1), date(2027, 6, 1))
    org = Destination("org", "US", "x", (old, *ORG.certifications, renewed))

    assert compiled({}, Policy("eu", (ids,), org, ON)).not_after == date(2027, 6, 1)


def test_a_plan_ends_the_day_before_a_rule_about_its_fields_begins() -> None:
    ids = rule("user.unique_id", Action.TOKENISE)
    later = Rule("later", "user", "org", Action.DROP, "law", date(2026, 12, 24))
    elsewhere = Rule("other", "user", "elsewhere", Action.DROP, "law", date(2026, 12, 1))
    unrelated = Rule("name", "user.name", "org", Action.DROP, "law", date(2026, 12, 1))

    plan = compiled({}, Policy("eu", (ids, later, elsewhere, unrelated), ORG, ON))

    assert plan.not_after == date(2026, 12, 23)


def test_a_rule_that_begins_today_ends_no_plan() -> None:
    ids = Rule("ids", "user.unique_id", "org", Action.TOKENISE, "law", ON)

    assert compiled({}, Policy("eu", (ids,), ORG, ON)).not_after is None


def test_a_later_rule_about_one_of_the_fields_is_enough_to_end_a_plan() -> None:
    ids = rule("user.unique_id", Action.TOKENISE)
    times = rule("system.operations", Action.KEEP)
    later = Rule("later", "system", "org", Action.DROP, "law", date(2026, 12, 24))
    mapped = {"Last_Event_At__c": FieldSource(path="occurred_at")}

    plan = compiled(mapped, Policy("eu", (ids, times, later), ORG, ON))

    assert plan.not_after == date(2026, 12, 23)


def test_without_the_certificate_a_rule_requires_the_field_is_dropped() -> None:
    ids = rule("user.unique_id", Action.TOKENISE, requires="another scheme")

    with pytest.raises(PlanError, match="the policy gives drop for order_id"):
        compiled({}, Policy("eu", (ids,), ORG, ON))


@pytest.mark.parametrize("on", [date(2025, 12, 31), date(2027, 1, 2)])
def test_a_certificate_counts_only_within_its_dates(on: date) -> None:
    ids = rule("user.unique_id", Action.TOKENISE, requires="DPF")

    with pytest.raises(PlanError, match="the policy gives drop for order_id"):
        compiled({}, Policy("eu", (ids,), ORG, on))


def test_the_bases_of_an_output_are_those_of_its_fields() -> None:
    ids = rule("user.unique_id", Action.TOKENISE, basis="id-basis")
    name = rule("user.contact.email", Action.TOKENISE, basis="mail-basis")
    fields = {"Email_Token__c": FieldSource(path="customer.email")}

    output = compiled(fields, Policy("eu", (ids, name), ORG, ON)).outputs[0]

    assert output.basis == ("id-basis", "mail-basis")


def test_the_same_inputs_give_the_same_digest_and_any_change_another() -> None:
    mapped = {"Last_Event_At__c": FieldSource(path="occurred_at")}

    assert compiled(mapped).digest == compiled(dict(mapped)).digest
    assert compiled(mapped).digest != compiled({}).digest
    assert compiled({}, load_policy("uk", ON)).digest != compiled({}).digest


def test_the_approved_file_reads_back_per_region(tmp_path: Path) -> None:
    file = tmp_path / "approved.toml"
    eu, uk = compiled({}), compiled({}, load_policy("uk", ON))
    file.write_text(render([eu, uk]))

    assert approved_digests("eu", file) == {eu.digest}
    assert approved_digests("us", file) == frozenset()
    assert approved_digests("eu", tmp_path / "absent") == frozenset()


@pytest.mark.parametrize(
    ("path", "steps"), [("a.b", ("a", "b")), ("items[0].sku", ("items", 0, "sku"))]
)
def test_paths_read_as_steps(path: str, steps: tuple[str | int, ...]) -> None:
    assert parse_path(path) == steps
    assert leaf_path("items[0].sku") == "items[].sku"


@pytest.mark.parametrize("path", ["", "a..b", "a[x]", "a[0]b", "a["])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(path)


BLOCK = """
[[output]]
events = ["e"]
object = "O"
external_id = {{ path = "{path}", identity = "i" }}
fields = {{ {fields} }}
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BLOCK.format(path="a", fields="F = {clear = true}") * 2, "F mapped twice on O"),
        (BLOCK.format(path="a", fields="") + BLOCK.format(path="b", fields=""), "two external ids"),
        (BLOCK.format(path="a", fields="F = {}"), "give exactly one of"),
        (BLOCK.format(path="a", fields='F = {path = "a", count = "b"}'), "give exactly one of"),
        (BLOCK.format(path="a", fields='F = {count = "b", identity = "i"}'), "go with path"),
        (BLOCK.format(path="a", fields='F = {paht = "a"}'), "paht"),
        (
            BLOCK.format(path="a", fields="") + '[[nothing]]\nevent = "e"\nbecause = "x"\n',
            "listed under [[output]] and [[nothing]]",
        ),
        ("[[output", "c.toml"),
    ],
)
def test_a_contract_that_cannot_be_carried_out_is_refused(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "c.toml").write_text(text)

    with pytest.raises(BadContractError) as caught:
        load_contract(tmp_path)

    assert told in str(caught.value)


def test_blocks_of_one_event_and_object_add_up(tmp_path: Path) -> None:
    blocks = (BLOCK.format(path="a", fields=f"{name} = {{clear = true}}") for name in ("F", "G"))
    (tmp_path / "c.toml").write_text("".join(blocks))

    (output,) = load_contract(tmp_path).outputs["e"]

    assert list(output.fields) == ["F", "G"]


UNTIL = date(2026, 12, 31)


@pytest.mark.parametrize(
    ("name", "source", "category"),
    [
        ("Item_Count__c", FieldSource(count="items"), "user.behavior.purchase_history"),
        (
            "Ship_Postcode_Area__c",
            FieldSource(path=f"{SHIP}.postal_code", country=f"{SHIP}.country"),
            "user.contact.address.country",
        ),
    ],
)
def test_a_plan_rests_on_all_that_a_field_tells_something_of(
    name: str, source: FieldSource, category: str
) -> None:
    ids = rule("user.unique_id", Action.TOKENISE)
    area = rule("user.contact.address.postal_code", Action.GENERALISE, how="postcode-area")
    told = rule(category, Action.KEEP, valid_to=UNTIL, basis="told-basis")

    plan = compiled({name: source}, Policy("eu", (ids, area, told), ORG, ON))

    assert plan.not_after == UNTIL
    assert "told-basis" in plan.outputs[0].basis


def test_an_object_without_a_minimal_schema_is_a_problem_like_any_other() -> None:
    contract = Contract({PLACED.subject: (Output("Contact", ID, {}),)})

    with pytest.raises(PlanError, match="there is no minimal schema of Contact; add it"):
        compile_plan(PLACED, contract, load_policy("eu", ON), REGISTRY)


@pytest.mark.parametrize("name", ["cleared", "deleted"])
def test_what_says_what_to_do_with_a_row_is_no_field_to_map(name: str) -> None:
    (problem,) = problems({name: FieldSource(clear=True)})

    assert "the minimal schema has no such field" in problem


@pytest.mark.parametrize("name", ["cleared", "deleted"])
def test_a_minimal_schema_says_what_to_do_with_a_row(name: str) -> None:
    minimal = REGISTRY.minimal("Commerce_Order__c")
    fields = [field for field in minimal.avro["fields"] if field["name"] != name]
    short = replace(minimal, avro={**minimal.avro, "fields": fields})
    contract = Contract({PLACED.subject: (Output("Commerce_Order__c", ID, {}),)})

    with pytest.raises(PlanError, match="has no cleared or no deleted"):
        compile_plan(PLACED, contract, load_policy("eu", ON), Registry((PLACED, short)))


@pytest.mark.parametrize(
    ("object_", "name", "place"),
    [
        ("Commerce_Order__c", "Nick__c", "c.toml:3"),
        ("Commerce_Order__c", "Other__c", "c.toml:1"),
        ("Contact", "Nick__c", "c.toml:1"),
    ],
)
def test_a_fault_stands_where_its_field_is_mapped_or_else_where_its_output_is(
    object_: str, name: str, place: str
) -> None:
    places = {"": "c.toml:1", "Nick__c": "c.toml:3"}
    output = Output(object_, ID, {name: FieldSource(clear=True)}, places=places)

    with pytest.raises(PlanError) as caught:
        compile_plan(PLACED, Contract({PLACED.subject: (output,)}), load_policy("eu", ON), REGISTRY)

    assert [fault.place for fault in caught.value.faults] == [place]


def test_all_faults_of_a_plan_are_in_its_error_and_one_of_two_versions_is_one() -> None:
    first = Fault("c.toml:1", "a.B", 1, "eu", "F__c", "is wrong")
    second = replace(first, version=2)

    assert str(PlanError([first, second])) == (
        "c.toml:1: a.B v1 in eu: F__c: is wrong; c.toml:1: a.B v2 in eu: F__c: is wrong"
    )
    assert merged([second, first]) == ["c.toml:1: a.B v1, v2 in eu: F__c: is wrong"]


def test_an_output_deletes_nothing_unless_it_says_so() -> None:
    external = FieldPlan("External_Id__c", "string", "path")

    assert not OutputPlan("Commerce_Order__c", 1, external, (), ()).deletes
