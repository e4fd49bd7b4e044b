"""The reviewed grammars cover what the schemas write, and no sloppy rule is accepted."""

import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inference.tasks import load_tasks
from residency.gate.approvals import load_approved, load_hard_deletes
from residency.gate.check import Gate
from residency.gate.rules import Rule, load_grammar
from residency.gate.scan import scan
from residency.gate.wire import Violation, load_schemas
from residency.generalise import Context, generaliser
from residency.generalise.times import LAST_YEAR
from residency.plan.book import compile_all
from residency.regions import load_regions
from schemas.errors import SetupError

ROOT = Path(__file__).parents[4]
WIRE = load_schemas()
REGIONS = sorted(load_regions())
GRAMMAR = {region: load_grammar(region, WIRE) for region in REGIONS}


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_a_rule_for_every_field_of_every_schema(region: str) -> None:
    written: dict[str, set[str]] = {}
    for schema in WIRE.values():
        written.setdefault(schema.object, set()).update(schema.types.keys() - {"deleted"})

    found = {target: set(rules) for target, rules in GRAMMAR[region].items()}
    assert found.pop("Commerce_Case__c") - {"deleted"} == written.pop("Commerce_Case__c")
    assert found == written


@pytest.mark.parametrize("region", REGIONS)
def test_rows_of_cases_alone_may_be_deleted(region: str) -> None:
    deletable = {target for target, rules in GRAMMAR[region].items() if "deleted" in rules}

    assert deletable == {"Commerce_Case__c"}


@pytest.mark.parametrize("region", REGIONS)
def test_external_id_and_version_are_always_required_and_nothing_else_is(region: str) -> None:
    for schema in WIRE.values():
        rules = GRAMMAR[region][schema.object]
        required = {name for name, rule in rules.items() if rule.required and name in schema.types}
        assert required == {"External_Id__c", schema.version}
        assert not any(rules[name].clearable for name in required)


@pytest.mark.parametrize("region", REGIONS)
def test_a_token_or_a_region_of_another_region_is_never_allowed(region: str) -> None:
    for rules in GRAMMAR[region].values():
        for other in REGIONS:
            allowed = other == region
            assert _accepts(rules["External_Id__c"], f"tok_{other}1_{'a' * 26}") is allowed
            assert _accepts(rules["Region__c"], other) is allowed
        assert all(
            rules[n].is_token for n in rules if n.endswith(("_Id__c", "_Key__c", "_Token__c"))
        )


def _accepts(rule: Rule, value: object) -> bool:
    try:
        rule.check(value)
    except Violation:
        return False
    return True


def test_no_number_that_the_border_passes_can_stop_the_line() -> None:
    """The border quarantines outside the schema's range; the gate's must not be narrower."""
    compared = 0
    for file in (ROOT / "schemas" / "avro" / "minimal").glob("*.avsc"):
        schema = json.loads(file.read_text(encoding="utf-8"))
        for row in schema["fields"]:
            for bound in row.get("homeport.range", ()):
                rule = GRAMMAR["eu"][schema["homeport.object"]][row["name"]]
                # The schema's range for years is wider than what `year` can make.
                value: Any = min(bound, LAST_YEAR) if "Year" in row["name"] else bound
                if rule.type == "timestamp":
                    value = datetime.fromtimestamp(bound / 1000, UTC)
                elif rule.type == "decimal":
                    value = Decimal(bound)
                assert _accepts(rule, value), row["name"]
                compared += 1
    assert compared > 10


@given(
    postcode=st.one_of(
        st.text(max_size=12),
        st.from_regex(r"[A-Z]{0,2}-?[0-9]{1,5}[0-9A-Z -]{0,5}", fullmatch=True),
        st.from_regex(r"[A-Z]{1,2}[0-9][A-Z0-9]{0,2} ?[0-9][A-Z0-9]{1,3}", fullmatch=True),
    ),
    country=st.sampled_from(["GB", "DE", "NL", "IE", "US", "CA", None]),
    address=st.one_of(st.ip_addresses().map(str), st.text(max_size=12)),
)
def test_whatever_a_generaliser_makes_is_allowed(
    postcode: str, country: str | None, address: str
) -> None:
    rules = GRAMMAR["eu"]["Commerce_Order__c"]

    area = generaliser("postcode-area").apply(postcode, Context(country))
    network = generaliser("ip-network").apply(address, Context())

    assert _accepts(rules["Ship_Postcode_Area__c"], area)
    assert _accepts(rules["Ip_Network__c"], network)


@pytest.mark.parametrize("region", REGIONS)
def test_every_label_that_a_plan_lists_is_allowed_and_no_other(region: str) -> None:
    planned = [
        (output.object, label)
        for plan in compile_all(region, date(2026, 11, 23), tasks=load_tasks())
        for output in plan.outputs
        for label in output.labels
    ]

    assert planned
    for target, label in planned:
        assert GRAMMAR[region][target][label.field].values == frozenset(label.values)


@pytest.mark.parametrize("region", REGIONS)
@given(st.data())
def test_every_result_that_a_planned_generaliser_declares_is_allowed(
    region: str, data: st.DataObject
) -> None:
    """A result that its grammar lacks would stop the line, and be nobody's data's fault."""
    planned = [
        (output.object, field)
        for plan in compile_all(region, date(2026, 11, 23), tasks=load_tasks())
        for output in plan.outputs
        for field in output.fields
        if field.how is not None
    ]
    target, field = data.draw(st.sampled_from(planned))
    way, rule = generaliser(field.how or ""), GRAMMAR[region][target][field.name]

    if way.values is not None:
        result: object = data.draw(st.sampled_from(way.values))
    elif way.pattern is not None:
        result = data.draw(st.from_regex(re.compile(way.pattern, re.ASCII), fullmatch=True))
    else:
        result = data.draw(st.sampled_from(way.range or ()))

    assert _accepts(rule, result)
    assert rule.clearable or way.unknown is not None


@pytest.mark.parametrize(
    "postcode",
    ["10115", "SW1A 1AA", "SW1A1AA", "1012 AB", "1012AB", "90210", "1010", "101", "D02 AF30"],
)
def test_a_full_postcode_is_never_an_area(postcode: str) -> None:
    assert not _accepts(GRAMMAR["us"]["Commerce_Order__c"]["Ship_Postcode_Area__c"], postcode)


@pytest.mark.parametrize(
    "text", ["203.0.113.7", "203.0.113.7/24", "203.0.113.0/25", "2001:db8::1", "2001:db8:1:2::/64"]
)
def test_an_address_is_never_a_network(text: str) -> None:
    assert not _accepts(GRAMMAR["eu"]["Commerce_Order__c"]["Ip_Network__c"], text)


@given(st.data())
def test_what_the_grammar_describes_it_accepts(data: st.DataObject) -> None:
    region = data.draw(st.sampled_from(REGIONS))
    document = tomllib.loads((ROOT / f"residency/gate/grammar/{region}.toml").read_text())
    target = data.draw(st.sampled_from(sorted(document)))
    name = data.draw(st.sampled_from(sorted(document[target])))
    row, rule = document[target][name], GRAMMAR[region][target][name]

    value = data.draw(_values(row))
    assume(not isinstance(value, str) or not scan(value, formatted=True))

    assert _accepts(rule, value)


def _values(row: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "values" in row:
        return st.sampled_from(row["values"])
    if "pattern" in row:
        return st.from_regex(row["pattern"].removeprefix("^").removesuffix("$"), fullmatch=True)
    if row["type"] == "boolean":
        return st.booleans()
    if row["type"] == "long":
        return st.integers(row["min"], row["max"])
    if row["type"] == "decimal":
        return st.decimals(row["min"], row["max"], places=2)
    naive = [row[key].replace(tzinfo=None) for key in ("min", "max")]
    return st.datetimes(*naive, timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('Sku__c = { type = "string" }', "a pattern or a closed list"),
        (
            'Sku__c = { type = "string", pattern = "^a$", values = ["a"], max_length = 1 }',
            "not both",
        ),
        ('Sku__c = { type = "string", pattern = "a", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "^a|b$", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "^(?:a)|b$", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "^((a))|b$", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "^a", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "a$", max_length = 9 }', "anchored"),
        ('Sku__c = { type = "string", pattern = "^a$" }', "max_length"),
        ('Sku__c = { type = "string", pattern = "^[a$", max_length = 9 }', "not a rule"),
        ('Sku__c = { type = "long", min = 1, max = 2 }', "its schema says type string"),
        ('deleted = { type = "boolean", clearable = true }', "is no field of the row"),
        ('deleted = { type = "boolean", required = true }', "is no field of the row"),
        ('Rating__c = { type = "long", min = 1 }', "both min and max"),
        ('Rating__c = { type = "long", min = 5, max = 1 }', "not a rule"),
        ('Rating__c = { type = "long", min = "1", max = "5" }', "not a rule"),
        ('Rating__c = { type = "long", min = 1, max = 5, pattern = "^a$" }', "unknown keys"),
        ('Sku__c = { type = "string", values = ["a"], clearible = true }', "unknown keys"),
        ('Rating__c = { type = "long", min = 1, max = 5, grain = "day" }', "unknown keys"),
        (
            (
                "Received_At__c = { type = 'timestamp', grain = 'week', "
                "min = 2000-01-01T00:00:00Z, max = 2100-01-01T00:00:00Z }"
            ),
            "not a rule",
        ),
        ('Contact__c = { type = "string", values = ["a"] }', "no such field"),
    ],
)
def test_a_rule_that_could_let_anything_through_is_refused(
    line: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "eu.toml").write_text(f"[Commerce_Case__c]\n{line}\n", encoding="utf-8")

    with pytest.raises(SetupError, match=problem):
        load_grammar("eu", WIRE, tmp_path)


def test_a_rule_may_let_rows_be_deleted(tmp_path: Path) -> None:
    text = '[Commerce_Case__c]\ndeleted = { type = "boolean" }\n'
    (tmp_path / "eu.toml").write_text(text, encoding="utf-8")

    rules = load_grammar("eu", WIRE, tmp_path)["Commerce_Case__c"]

    assert rules["deleted"].type == "boolean"


def test_rules_for_an_object_that_nothing_writes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "eu.toml").write_text("[Contact]\n", encoding="utf-8")

    with pytest.raises(SetupError, match="no minimal schema writes Contact"):
        load_grammar("eu", WIRE, tmp_path)


def test_a_region_without_a_grammar_sends_nothing() -> None:
    with pytest.raises(SetupError, match="nothing may leave it"):
        load_grammar("mars", WIRE)


PLAN = '[[plan]]\nregion = "{}"\ndigest = "{}"\nsubject = "commerce.orders"\nschema_id = 1001\n'


def test_only_plans_approved_for_the_region_count(tmp_path: Path) -> None:
    file = tmp_path / "approved.toml"
    rows = PLAN.format("eu", "ab" * 32) + "not_after = 2030-01-31\n" + PLAN.format("uk", "cd" * 32)
    file.write_text(rows, encoding="utf-8")

    assert load_approved(file, "eu") == {"ab" * 32: date(2030, 1, 31)}
    assert load_approved(file, "uk") == {"cd" * 32: None}
    assert load_approved(file, "us") == {}


def test_egress_reads_what_plans_delete_for_good(tmp_path: Path) -> None:
    file = tmp_path / "approved.toml"
    long = "A" * 80
    hard = f'hard_deletes = ["A", "{long}"]\n'
    rows = PLAN.format("eu", "ab" * 32) + hard + PLAN.format("eu", "cd" * 32)
    rows += PLAN.format("uk", "ef" * 32) + 'hard_deletes = ["Commerce_Case__c"]\n'
    file.write_text(rows, encoding="utf-8")

    assert load_hard_deletes(file, "eu") == {
        ("ab" * 32, "A"),
        ("ab" * 32, long),
    }
    assert load_hard_deletes(file, "us") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        '[eu]\ndigests = ["ab"]\n',
        PLAN.format("eu", "AB" * 32),
        PLAN.format("eu", "ab"),
        PLAN.format("eu", "ab" * 33),
        PLAN.format("eu", "ab" * 32) + 'not_afterwards = "never"\n',
        PLAN.format("eu", "ab" * 32) + 'not_after = "2030-01-31"\n',
        PLAN.format("eu", "ab" * 32) + 'hard_deletes = "Case"\n',
        PLAN.format("eu", "ab" * 32) + "hard_deletes = 7\n",
        PLAN.format("eu", "ab" * 32) + 'hard_deletes = ["no name"]\n',
        PLAN.format("eu", "ab" * 32) + "hard_deletes = [7]\n",
        PLAN.format("eu", "ab" * 32) + f'hard_deletes = ["{"A" * 81}"]\n',
        '[[plan]]\nregion = "eu"\n',
    ],
)
def test_a_list_of_approved_plans_in_another_shape_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "approved.toml"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(SetupError, match=r"approved\.toml: (?:plan 1:|has more|cannot be read)"):
        load_approved(file, "eu")


def test_without_the_list_of_approved_plans_there_is_no_gate(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no plan is approved"):
        Gate.load("eu", tmp_path / "missing.toml")


def test_a_text_may_match_its_pattern_and_still_be_too_long() -> None:
    rule = Rule("Sku__c", "string", pattern=re.compile("^a*$"), max_length=3)

    assert _accepts(rule, "aaa")
    assert not _accepts(rule, "aaaa")


TIMES = "{{ type = 'timestamp', min = 2000-01-01T00:00:00Z, max = 2100-01-01T00:00:00Z{} }}"


@pytest.mark.parametrize(
    ("grain", "coarse", "fine"),
    [
        ("day", datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 25, 12, tzinfo=UTC)),
        ("day", datetime(2000, 2, 29, tzinfo=UTC), datetime(2000, 2, 29, 0, 0, 1, tzinfo=UTC)),
        ("hour", datetime(2026, 11, 25, 7, tzinfo=UTC), datetime(2026, 11, 25, 7, 30, tzinfo=UTC)),
        (
            "minute",
            datetime(2026, 11, 25, 7, 5, tzinfo=UTC),
            datetime(2026, 11, 25, 7, 5, 30, tzinfo=UTC),
        ),
    ],
)
def test_a_time_may_be_no_finer_than_its_grain(
    grain: str, coarse: datetime, fine: datetime, tmp_path: Path
) -> None:
    rules = TIMES.format(f", grain = '{grain}'")
    text = f"[Commerce_Case__c]\nReceived_At__c = {rules}\nLast_Event_At__c = {TIMES.format('')}\n"
    (tmp_path / "eu.toml").write_text(text, encoding="utf-8")
    grammar = load_grammar("eu", WIRE, tmp_path)["Commerce_Case__c"]
    odd = coarse + (timedelta(days=1) if grain == "day" else timedelta(hours=1))

    assert _accepts(grammar["Received_At__c"], coarse)
    assert _accepts(grammar["Received_At__c"], odd)
    assert not _accepts(grammar["Received_At__c"], fine)
    assert not _accepts(grammar["Received_At__c"], fine - timedelta(days=700))
    assert not _accepts(grammar["Received_At__c"], coarse + timedelta(milliseconds=1))
    assert _accepts(grammar["Last_Event_At__c"], fine)
