"""The approved plans can be reviewed: laid out in lines, true to their digest, compared."""

import copy
import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.tasks import load_tasks
from residency.gate.approvals import load_approved, load_hard_deletes
from residency.plan.approved import (
    APPROVED_FOLDER,
    approved_digests,
    digest_of,
    file_of,
    laid_out,
    render,
    stored_plans,
)
from residency.plan.book import compile_all
from residency.plan.diff import Change, Direction, changes
from residency.plan.model import ErasurePlan
from residency.regions import load_regions

ON = date(2026, 11, 23)
EU = compile_all("eu", ON, tasks=load_tasks())
ORDER = next(plan for plan in EU if plan.schema_id == 1002)
PLAN: dict[str, Any] = json.loads(ORDER.to_json())
REGIONS = list(load_regions())


@pytest.mark.parametrize("region", REGIONS)
def test_the_stored_plans_are_those_that_are_approved(region: str) -> None:
    stored = [plan for plan in stored_plans() if plan["region"] == region]

    assert {digest_of(plan) for plan in stored} == approved_digests(region)


@pytest.mark.parametrize("plan", EU, ids=lambda plan: str(plan.schema_id))
def test_a_plan_reads_back_from_its_file_with_its_digest(plan: Any, tmp_path: Path) -> None:
    file = tmp_path / file_of(plan)
    file.parent.mkdir()
    file.write_text(laid_out(json.loads(plan.to_json())), encoding="utf-8")

    (again,) = stored_plans(tmp_path)

    assert digest_of(again) == plan.digest


def test_the_stored_files_are_laid_out_as_we_do() -> None:
    files = sorted(APPROVED_FOLDER.glob("*/*.json"))

    assert len(files) >= len(EU)
    for file in files:
        assert laid_out(json.loads(file.read_text("utf-8"))) == file.read_text("utf-8")


def test_a_line_is_in_the_order_of_its_names_and_shows_every_letter() -> None:
    plan = {"rows": [{"b": 1, "a": "Zürich"}]}

    assert laid_out(plan) == '{\n "rows": [\n  {"a": "Zürich", "b": 1}\n ]\n}\n'


def test_the_list_says_who_writes_it_and_which_plans_end() -> None:
    lasting, ending = replace(ORDER, not_after=None), replace(ORDER, not_after=date(2027, 1, 2))

    text = render([lasting, ending])

    rows = tomllib.loads(text)["plan"]
    assert text.startswith("# The plans that may decide what leaves, by digest.")
    assert [row.get("not_after") for row in rows] == [None, date(2027, 1, 2)]
    assert text.count("\n") == 3 + 6 + 7


def test_every_leaf_and_every_field_has_a_line_of_its_own() -> None:
    lines = [line.strip().rstrip(",") for line in laid_out(PLAN).splitlines()]

    for row in (*PLAN["decisions"], *PLAN["outputs"][0]["fields"]):
        assert json.dumps(row, ensure_ascii=False, sort_keys=True) in lines


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=3), JSON))
def test_laying_out_changes_nothing(value: dict[str, Any]) -> None:
    assert json.loads(laid_out(value)) == value


def test_equal_plans_have_no_changes() -> None:
    assert changes([PLAN], [copy.deepcopy(PLAN)]) == []


def field(plan: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in plan["outputs"][0]["fields"] if f["name"] == name)
    return found


def leaf(plan: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in plan["decisions"] if row["path"] == path)
    return found


def drop_field(plan: dict[str, Any]) -> None:
    plan["outputs"][0]["fields"].remove(field(plan, "Total__c"))


LOOSER, OTHER, TIGHTER = Direction.LOOSENED, Direction.CHANGED, Direction.TIGHTENED
EDITS: list[tuple[Callable[[dict[str, Any]], Any], str, Direction]] = [
    (lambda p: leaf(p, "customer.email").update(action="keep"), "leaf customer.email", LOOSER),
    (lambda p: leaf(p, "customer.email").update(action="drop"), "leaf customer.email", TIGHTER),
    (lambda p: leaf(p, "customer.email").update(rules=["r"]), "leaf customer.email", OTHER),
    (
        lambda p: field(p, "Email_Token__c").update(action="keep"),
        "field Commerce_Order__c.Email_Token__c",
        LOOSER,
    ),
    (
        lambda p: field(p, "First_Sku__c").update(pattern="^.*$"),
        "field Commerce_Order__c.First_Sku__c",
        OTHER,
    ),
    (drop_field, "field Commerce_Order__c.Total__c", TIGHTER),
    (
        lambda p: p["outputs"][0]["external_id"].update(domain="o"),
        "field Commerce_Order__c.External_Id__c",
        OTHER,
    ),
    (lambda p: p["outputs"][0].update(deletes=True), "row Commerce_Order__c", OTHER),
    (
        lambda p: p["outputs"][0].update(deletes=True, hard=True),
        "row Commerce_Order__c",
        OTHER,
    ),
    (lambda p: p["outputs"][0].update(basis=["b"]), "row Commerce_Order__c", OTHER),
    (lambda p: p.update(not_after="2099-01-01"), "plan not_after", LOOSER),
    (lambda p: p.update(not_after="2020-01-01"), "plan not_after", TIGHTER),
    (lambda p: p.pop("not_after"), "plan not_after", LOOSER),
    (lambda p: p.update(schema_digest="x"), "plan schema_digest", OTHER),
]


@pytest.mark.parametrize(("edit", "what", "direction"), EDITS)
def test_one_edit_is_one_change_with_its_direction(
    edit: Callable[[dict[str, Any]], Any], what: str, direction: Direction
) -> None:
    after = copy.deepcopy(PLAN)
    edit(after)

    (change,) = changes([PLAN], [after])

    assert (change.what, change.direction) == (what, direction)
    assert (change.region, change.subject, change.schema_id) == ("eu", ORDER.subject, 1002)
    assert change.before != change.after


OPPOSITE = {LOOSER: TIGHTER, TIGHTER: LOOSER, OTHER: OTHER}


@pytest.mark.parametrize(("edit", "what", "direction"), EDITS)
def test_the_way_back_goes_the_other_way(
    edit: Callable[[dict[str, Any]], Any], what: str, direction: Direction
) -> None:
    after = copy.deepcopy(PLAN)
    edit(after)

    (change,) = changes([after], [PLAN])

    assert (change.what, change.direction) == (what, OPPOSITE[direction])


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ("age-band:10", "age-band:5", LOOSER),
        ("age-band:5", "age-band:10", TIGHTER),
        ("a-way-of-old", "age-band:5", LOOSER),
    ],
)
def test_a_finer_generalisation_is_looser(before: str, after: str, direction: Direction) -> None:
    old, new = copy.deepcopy(PLAN), copy.deepcopy(PLAN)
    leaf(old, "customer.birth_date").update(action="generalise", how=before)
    leaf(new, "customer.birth_date").update(action="generalise", how=after)

    (change,) = changes([old], [new])

    assert change.direction is direction
    assert change.before is not None
    assert f"generalise {before}" in change.before


@pytest.mark.parametrize("more", [{"source": "max"}, {"path": "totals.tax"}])
def test_a_field_made_of_something_else_is_looser_both_ways(more: dict[str, str]) -> None:
    after = copy.deepcopy(PLAN)
    field(after, "Total__c").update(more)

    there, back = changes([PLAN], [after]), changes([after], [PLAN])

    assert [change.direction for change in there + back] == [LOOSER, LOOSER]


def test_a_new_plan_is_looser_and_so_is_each_leaf_it_does_not_drop() -> None:
    found = changes([], [PLAN])

    given_up = {row["path"] for row in PLAN["decisions"] if row["action"] == "drop"}
    told = {change.what.removeprefix("leaf ") for change in found if change.direction is OTHER}
    assert told == given_up
    assert {change.before for change in found} == {None}
    assert "plan" in {change.what for change in found}


def test_what_is_loosened_is_told_first() -> None:
    after = copy.deepcopy(PLAN)
    for edit, _, _ in (EDITS[1], EDITS[5]):
        edit(after)
    other = copy.deepcopy(PLAN) | {"region": "us"}
    changed = copy.deepcopy(other)
    leaf(changed, "customer.email").update(action="keep")

    found = changes([PLAN, other], [after, changed])

    order = [list(Direction).index(change.direction) for change in found]
    assert order == sorted(order)
    assert (found[0].direction, found[0].region) == (LOOSER, "us")


def test_a_change_tells_no_more_than_plans_hold() -> None:
    before, after = copy.deepcopy(PLAN), copy.deepcopy(PLAN)
    leaf(before, "customer.email").update(rules=["a", "b"])
    leaf(after, "customer.email").update(rules=[], action="keep")

    (change,) = changes([before], [after])

    assert change == Change(
        LOOSER,
        "eu",
        ORDER.subject,
        1002,
        "leaf customer.email",
        "tokenise (user.contact.email; a, b)",
        "keep (user.contact.email; no rule)",
    )


def test_the_directions_are_named_for_people_the_one_to_look_at_first() -> None:
    assert [str(one) for one in Direction] == ["loosened", "changed", "tightened"]


@pytest.mark.parametrize(
    ("before", "after", "direction"), [([], [PLAN], LOOSER), ([PLAN], [], TIGHTER)]
)
def test_a_plan_more_is_looser_and_one_less_is_tighter(
    before: list[Any], after: list[Any], direction: Direction
) -> None:
    (plan,) = [change for change in changes(before, after) if change.what == "plan"]

    assert plan.direction is direction
    assert {plan.before, plan.after} == {None, f"plan {ORDER.digest[:12]}"}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"source": "path", "path": "a.b", "action": "tokenise", "identity": False},
            "a.b tokenise to=string",
        ),
        (
            {"source": "path", "path": "a", "action": "tokenise", "identity": True, "domain": "d"},
            "a tokenise identity=yes domain=d to=string",
        ),
        (
            {"source": "path", "path": "a", "action": "generalise", "how": "year", "at": "t"},
            "a generalise year at=t to=string",
        ),
        (
            {"source": "path", "path": "a", "action": "keep", "country": "c", "pattern": "^x$"},
            "a keep country=c pattern=^x$ to=string",
        ),
        (
            {"source": "sum", "path": "a[].b", "action": "keep", "range": [0, 9], "scale": 2},
            "sum a[].b range=0, 9 scale=2 to=string",
        ),
        ({"source": "constant", "value": "placed"}, "constant placed to=string"),
        ({"source": "clear"}, "clear to=string"),
    ],
)
def test_a_field_is_told_with_all_that_makes_it(row: dict[str, Any], told: str) -> None:
    after = copy.deepcopy(PLAN)
    after["outputs"][0]["fields"].append({"name": "New__c", "to": "string", **row})

    (change,) = changes([PLAN], [after])

    assert (change.what, change.before) == ("field Commerce_Order__c.New__c", None)
    assert change.after == told


def test_a_row_is_told_with_all_that_decides_about_it() -> None:
    before, after = copy.deepcopy(PLAN), copy.deepcopy(PLAN)
    cut = {"name": "cut", "sha256": "ab"}
    before["outputs"][0].update(basis=["a", "b"], schema_id=7, processors=[cut])
    after["outputs"][0].update(basis=[], schema_id=7, deletes=True)

    (change,) = changes([before], [after])

    assert change.before == (
        "basis: a, b; deletes: no; object: Commerce_Order__c;"
        " processors: name: cut; sha256: ab; schema_id: 7"
    )
    assert change.after == (
        "basis: none; deletes: yes; object: Commerce_Order__c; processors: none; schema_id: 7"
    )


CUT = {"deletes": False, "cleared": ["A__c", "B__c"], "fields": []}


@pytest.mark.parametrize(
    ("after", "direction"),
    [
        ({**CUT, "cleared": ["A__c"]}, Direction.LOOSENED),
        ({**CUT, "cleared": ["A__c", "C__c"]}, Direction.LOOSENED),
        ({**CUT, "cleared": ["A__c", "B__c", "C__c"]}, Direction.TIGHTENED),
        ({**CUT, "fields": [{"name": "C__c", "value": "x"}]}, Direction.CHANGED),
        ({**CUT, "deletes": True, "cleared": []}, Direction.TIGHTENED),
        (None, Direction.LOOSENED),
    ],
)
def test_what_stays_of_a_row_after_an_erasure_is_told_and_more_of_it_is_looser(
    after: dict[str, Any] | None, direction: Direction
) -> None:
    old, new = copy.deepcopy(PLAN), copy.deepcopy(PLAN)
    old["outputs"][0]["erasure"] = CUT
    del new["outputs"][0]["erasure"]
    new["outputs"][0] |= {} if after is None else {"erasure": after}

    (change,) = changes([old], [new])
    back = changes([new], [old])[0].direction

    assert (change.what, change.direction) == ("erasure Commerce_Order__c", direction)
    assert (change.before or "").startswith("cleared: A__c, B__c; deletes: no; fields: none")
    assert (back is Direction.TIGHTENED) is (after is None or after["cleared"] == ["A__c"])


def test_a_row_more_was_nothing_before() -> None:
    before = copy.deepcopy(PLAN) | {"outputs": []}

    (row,) = [change for change in changes([before], [PLAN]) if change.what.startswith("row")]

    assert row.before is None
    assert (row.after or "").startswith("basis: ")


MESSAGE: dict[str, Any] = json.loads(next(plan for plan in EU if plan.schema_id == 1010).to_json())


def relabelled(**more: Any) -> dict[str, Any]:
    """Return the plan of messages with its first label changed."""
    plan = copy.deepcopy(MESSAGE)
    plan["outputs"][1]["labels"][0].update(more)
    return plan


@pytest.mark.parametrize(
    ("more", "direction"),
    [
        ({"values": ["other", "return", "unknown", "withheld"] * 4}, Direction.LOOSENED),
        ({"values": ["unknown", "withheld"]}, Direction.TIGHTENED),
        ({"version": 9}, Direction.CHANGED),
        ({"sha256": "cd" * 32}, Direction.CHANGED),
    ],
)
def test_a_label_with_more_answers_tells_more(more: dict[str, Any], direction: Direction) -> None:
    (change,) = changes([MESSAGE], [relabelled(**more)])

    assert (change.direction, change.what) == (direction, "field Commerce_Case__c.Intent__c")
    assert (change.before or "").startswith("body label task=intent version=1 sha256=")


def test_a_label_of_another_text_is_looser_and_so_is_reading_it() -> None:
    other = copy.deepcopy(MESSAGE)
    for field in other["outputs"][1]["fields"]:
        field["path"] = {"body": "subject"}.get(field["path"], field["path"])

    found = changes([MESSAGE], [other])

    assert {change.direction for change in found} == {Direction.LOOSENED}
    labels = {label["field"] for label in MESSAGE["outputs"][1]["labels"]}
    names = {f"Commerce_Case__c.{name}" for name in labels} | {"Commerce_Case__c labels.text_body"}
    assert {change.what for change in found} == {f"field {name}" for name in names}


def test_labels_are_a_row_of_their_own() -> None:
    before = copy.deepcopy(MESSAGE)
    del before["outputs"][1]

    found = changes([before], [MESSAGE])

    rows = [change for change in found if change.what.startswith("row")]
    assert [(row.what, row.before) for row in rows] == [("row Commerce_Case__c labels", None)]
    assert "label_schema_id: 2004" in (rows[0].after or "")


def test_a_label_that_can_say_another_word_says_so() -> None:
    after = copy.deepcopy(MESSAGE)
    after["outputs"][1]["labels"][0]["values"].append("praise")

    (change,) = changes([MESSAGE], [after])

    assert "praise" in (change.after or "")
    assert "values=" in (change.after or "")


@pytest.mark.parametrize("part", ["row", "erasure"])
def test_a_deletion_that_is_for_good_no_more_is_looser(part: str) -> None:
    soft, hard = copy.deepcopy(PLAN), copy.deepcopy(PLAN)
    gone = {"deletes": True, "cleared": [], "fields": []}
    for plan, more in ((soft, {}), (hard, {"hard": True})):
        if part == "row":
            plan["outputs"][0] |= {"deletes": True, **more}
        else:
            plan["outputs"][0]["erasure"] = {**gone, **more}

    (tighter,), (looser,) = changes([soft], [hard]), changes([hard], [soft])

    assert {one.what for one in (tighter, looser)} == {f"{part} Commerce_Order__c"}
    assert (tighter.direction, looser.direction) == (Direction.TIGHTENED, Direction.LOOSENED)
    assert "hard: yes" in (looser.before or "")
    assert "hard" not in (looser.after or "")


@pytest.mark.parametrize(
    "change",
    [
        {"fields": (), "deletes": True, "hard": True},
        {"erasure": ErasurePlan(deletes=True, hard=True)},
    ],
    ids=["by the event", "at an erasure"],
)
def test_the_list_says_which_plans_delete_for_good_as_egress_reads_it(
    change: dict[str, Any], tmp_path: Path
) -> None:
    hard = replace(ORDER, outputs=(replace(ORDER.outputs[0], **change),))
    file = tmp_path / "approved.toml"

    file.write_text(render([ORDER, hard]), encoding="utf-8")

    assert load_hard_deletes(file, "eu") == {(hard.digest, "Commerce_Order__c")}
    assert load_approved(file, "eu").keys() == {ORDER.digest, hard.digest}
