"""Approved plans as values again, from the files that hold their content."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from inference.tasks import load_tasks
from residency.plan.approved import approved_digests, file_of, laid_out
from residency.plan.book import compile_all
from residency.plan.model import (
    ErasurePlan,
    FieldPlan,
    LeafDecision,
    OutputPlan,
    Plan,
    ProcessorRef,
)
from residency.plan.stored import load_stored, plan_of
from residency.policy.rules import Action
from schemas.errors import SetupError

KEY = FieldPlan("External_Id__c", "string", "path", "id", action=Action.TOKENISE, identity=True)
PLAN = Plan(
    region="eu",
    destination="central",
    subject="shop.OrderPlaced",
    schema_id=1001,
    schema_digest="d" * 64,
    normaliser=3,
    decisions=(
        LeafDecision("id", "user.unique_id", Action.TOKENISE, None, ("r1",), ("s",), ("b",)),
        LeafDecision("born", "user.birth", Action.GENERALISE, "year", ("r2",), (), ("b", "c")),
    ),
    outputs=(
        OutputPlan(
            "Commerce_Order__c",
            2001,
            KEY,
            (
                FieldPlan("Region__c", "string", "region"),
                FieldPlan("Total__c", "decimal", "path", "total", range=(-5, 900), scale=2),
            ),
            ("b",),
            processors=(ProcessorRef("trim", "e" * 64),),
        ),
        OutputPlan("Commerce_Case__c", 2003, KEY, (), ("c",), deletes=True),
        OutputPlan(
            "Commerce_Customer__c",
            2005,
            KEY,
            (),
            ("c",),
            deletes=True,
            erasure=ErasurePlan(deletes=True, hard=True),
            hard=True,
        ),
    ),
    not_after=date(2027, 6, 27),
)


@pytest.mark.parametrize("region", ["eu", "uk", "us"])
def test_they_are_the_approved_ones_and_equal_to_what_is_compiled(region: str) -> None:
    stored = load_stored(region)

    assert stored.keys() == approved_digests(region)
    compiled = {
        plan.digest: plan
        for plan in compile_all(region, datetime.now(UTC).date(), tasks=load_tasks())
    }
    assert {d: stored[d] for d in compiled} == compiled


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, not_after=None)], ids=["ends", "does not"])
def test_a_plan_read_again_is_equal_in_every_part(plan: Plan) -> None:
    again = plan_of(json.loads(plan.to_json()))

    assert again == plan
    assert again.outputs[0].external_id.action is Action.TOKENISE  # not a text that equals it


def keep(folder: Path, plan: Plan, text: str | None = None) -> None:
    file = folder / file_of(plan)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text or laid_out(json.loads(plan.to_json())))


def test_a_folder_gives_the_plans_of_one_region(tmp_path: Path) -> None:
    keep(tmp_path, PLAN)
    keep(tmp_path, replace(PLAN, region="uk"))

    assert load_stored("eu", tmp_path) == {PLAN.digest: PLAN}


@pytest.mark.parametrize("text", ["{}", "[", '{"region": "eu", "decisions": 1}'])
def test_a_file_that_is_none_is_named_by_its_folder(tmp_path: Path, text: str) -> None:
    keep(tmp_path, PLAN, text)

    with pytest.raises(SetupError, match=str(tmp_path)):
        load_stored("eu", tmp_path)


def test_a_file_that_says_more_than_a_plan_holds_is_refused(tmp_path: Path) -> None:
    """Its digest would be another's: what a ledger cites could not be looked up by it."""
    row = json.loads(PLAN.to_json())
    row["decisions"][0]["more"] = 1
    keep(tmp_path, PLAN, json.dumps(row))
    keep(tmp_path, replace(PLAN, schema_id=1002))

    with pytest.raises(SetupError, match="homeport plan lint"):
        load_stored("eu", tmp_path)
