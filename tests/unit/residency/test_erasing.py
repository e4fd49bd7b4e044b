"""An erasure leaves of a row what its contract names, passes the gate, and decides nothing else."""

from dataclasses import replace
from datetime import date

import pytest

from residency.contracts.model import Erasure
from residency.contracts.read import load_contract
from residency.gate.check import Gate
from residency.gate.rules import load_grammar
from residency.gate.wire import load_schemas
from residency.plan.approved import APPROVED_FILE
from residency.plan.erasing import erasing_value, plan_erasure
from residency.plan.model import ErasurePlan, OutputPlan, Plan
from residency.regions import load_regions
from schemas.codec import decode_physical
from schemas.errors import HaltError
from schemas.events import Coordinates, MinimalRecord, RecordId, row_version
from schemas.registry import load_registry
from streams.plans import compiled

REGISTRY, CONTRACT = load_registry(), load_contract()
TODAY = date(2026, 11, 26)
VERSION = row_version(1, 7)
PLANS = {region: compiled(region, TODAY) for region in load_regions()}
BASE = [
    pytest.param(plan, output, id=f"{region}-{plan.schema_id}-{output.object}")
    for region, plans in PLANS.items()
    for plan in plans
    for output in plan.outputs
    if not output.labels
]


def domain(plan: Plan) -> str:
    return plan.subject.split(".")[1]


def erased(plan: Plan, output: OutputPlan, resend: int = 1) -> MinimalRecord:
    token = f"tok_{plan.region}1_{'a' * 26}"
    value = erasing_value(output, token, VERSION, REGISTRY)
    at = Coordinates(f"{plan.region}.commerce.{domain(plan)}.v1", 0, 7)
    name = RecordId(at, plan.outputs.index(output), resend, "id")
    return MinimalRecord(
        name, output.object, token, VERSION, output.schema_id, plan.digest, 1, value,
        output.erasure is not None and output.erasure.deletes,
    )  # fmt: skip


@pytest.mark.parametrize(("plan", "output"), BASE)
def test_what_every_plan_does_at_an_erasure_passes_the_gate(plan: Plan, output: OutputPlan) -> None:
    gate = Gate.load(plan.region, APPROVED_FILE)

    sent = gate.check(erased(plan, output))

    wanted = CONTRACT.erasures[output.object]
    left = {"External_Id__c", "Base_Version__c", *wanted.fields}
    assert {name for name, value in sent.items() if value not in {None, False}} == left
    fields = load_grammar(plan.region, load_schemas())[output.object].keys() - {"deleted"}
    told = fields if not wanted.deletes else left
    assert sent.keys() == {n for n in told if n not in wanted.keep and "Label" not in n}


@pytest.mark.parametrize("plan", [p for plans in PLANS.values() for p in plans])
def test_a_plan_says_the_same_of_an_object_whatever_the_event(plan: Plan) -> None:
    said = {(o.object, o.erasure) for p in PLANS["eu"] for o in p.outputs if not o.labels}

    for output in plan.outputs:
        assert output.labels or (output.object, output.erasure) in said
        assert not output.labels or output.erasure is None
    assert len(said) == len(CONTRACT.erasures)


def test_it_is_the_same_bytes_each_time_and_says_which_fields_are_emptied() -> None:
    plan = next(p for p in PLANS["eu"] if p.subject.endswith("CustomerRegistered"))
    (output,) = plan.outputs

    one, other = (erased(plan, output, n).value for n in (1, 2))

    _, row = decode_physical(REGISTRY, one)
    assert one == other
    assert row["Status__c"] == "erasure_requested"
    assert row["cleared"] == sorted(row["cleared"])
    assert {"Email_Token__c", "Phone_Token__c", "Birth_Year__c"} < set(row["cleared"])
    assert not {"Region__c", "Country__c", "Status__c"} & set(row["cleared"])
    assert row["deleted"] is False


def test_a_checkbox_is_switched_off_for_the_org_has_no_empty_one() -> None:
    plan = next(p for p in PLANS["eu"] if p.subject.endswith("CustomerRegistered"))

    _, row = decode_physical(REGISTRY, erased(plan, plan.outputs[0]).value)

    assert row["Marketing_Consent__c"] is False
    assert "Marketing_Consent__c" not in row["cleared"]


def test_a_row_that_goes_says_so_and_nothing_else() -> None:
    plan = next(p for p in PLANS["eu"] if p.subject.endswith("SupportMessageReceived"))

    record = erased(plan, plan.outputs[0])

    _, row = decode_physical(REGISTRY, record.value)
    named = {"External_Id__c": record.external_id, "Base_Version__c": VERSION, "deleted": True}
    assert {k: v for k, v in row.items() if v not in (None, [])} == named


def test_rows_of_which_the_plan_says_nothing_are_not_touched() -> None:
    assert plan_erasure(None, {}) is None
    plan = PLANS["eu"][0]
    output = OutputPlan("Commerce_Order__c", 2001, plan.outputs[0].external_id, (), ())

    with pytest.raises(HaltError, match="says nothing of an erasure"):
        erasing_value(output, "t", 1, REGISTRY)


@pytest.mark.parametrize("hard", [True, False])
def test_a_row_that_goes_at_an_erasure_goes_as_its_contract_says(hard: bool) -> None:
    made = plan_erasure(Erasure("Row__c", "delete", hard=hard), {})

    assert made == ErasurePlan(deletes=True, hard=hard or None)
    output = replace(BASE[0].values[1], object="Row__c", erasure=made)
    plan = replace(BASE[0].values[0], outputs=(output,))
    assert plan.hard_deletes == (("Row__c",) if hard else ())
