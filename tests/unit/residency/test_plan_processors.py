"""Processors in a plan: pinned by their file, shown what they read, held to what they write."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from inference.tasks import load_tasks
from residency.contracts.model import Contract, FieldSource, Output
from residency.contracts.read import BadContractError, load_contract
from residency.keys import TokenKeys
from residency.plan.book import PlanBook, compile_all, load_policy
from residency.plan.compile import compile_plan
from residency.plan.faults import PlanError
from residency.plan.model import Plan, ProcessorRef
from residency.plan.processors import (
    UNTOUCHABLE,
    Fields,
    Processors,
    apply_processors,
    check_refs,
    refer,
)
from schemas.errors import HaltError, SetupError
from schemas.registry import load_registry

ON = date(2026, 11, 23)
REGISTRY = load_registry()
PLACED = REGISTRY.latest("commerce.orders.OrderPlaced")
ORDER, AREA, CHANNEL = "Commerce_Order__c", "Ship_Postcode_Area__c", "Channel__c"
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32)


@dataclass(frozen=True)
class Made:
    """A processor made here; the shipped ones come from files."""

    apply: Callable[[Fields], Fields]
    name: str = "cut"
    object: str = ORDER
    reads: tuple[str, ...] = (AREA,)
    writes: tuple[str, ...] = (AREA,)
    sha256: str = "ab" * 32


def here(*made: Made) -> Processors:
    return {one.name: one for one in made}


CUT = Made(lambda fields: {AREA: str(fields[AREA])[:1]})
REF = ProcessorRef("cut", "ab" * 32)
VALUES = {"External_Id__c": "tok", AREA: "SW1A", CHANNEL: "web", "cleared": ["Total__c"]}


def applied(processor: Made, values: dict[str, Any] | None = None) -> dict[str, Any]:
    return dict(apply_processors(values or VALUES, [REF], here(processor)))


def test_without_processors_the_fields_stay_as_they_are() -> None:
    assert apply_processors(VALUES, [], {}) is VALUES


def test_a_processor_changes_the_field_it_writes_and_no_other() -> None:
    assert applied(CUT) == VALUES | {AREA: "S"}
    assert VALUES[AREA] == "SW1A"


def test_processors_run_one_after_another_in_the_plans_order() -> None:
    twice = replace(CUT, name="twice", apply=lambda fields: {AREA: f"{fields[AREA]}{fields[AREA]}"})
    refs = [REF, ProcessorRef("twice", CUT.sha256)]

    assert apply_processors(VALUES, refs, here(CUT, twice))[AREA] == "SS"
    assert apply_processors(VALUES, refs[::-1], here(CUT, twice))[AREA] == "S"


def test_a_processor_sees_only_what_it_says_it_reads_and_cannot_change_it() -> None:
    seen: list[Fields] = []
    look = replace(CUT, reads=(AREA, "Total__c"), apply=lambda fields: seen.append(fields) or {})

    assert applied(look) == VALUES
    (fields,) = seen
    assert dict(fields) == {AREA: "SW1A", "Total__c": None}
    with pytest.raises(TypeError):
        fields[AREA] = "x"  # type: ignore[index]


def test_a_field_that_becomes_null_is_cleared_and_one_that_gets_a_value_is_not() -> None:
    empties = replace(CUT, apply=lambda fields: {AREA: None})
    fills = replace(CUT, writes=("Total__c",), apply=lambda fields: {"Total__c": b"\x05"})

    emptied, filled = applied(empties), applied(fills)

    assert AREA not in emptied
    assert emptied["cleared"] == [AREA, "Total__c"]
    assert filled["Total__c"] == b"\x05"
    assert filled["cleared"] == []


def _raises(fields: Fields) -> Fields:
    msg = f"cannot read {fields[AREA]}"
    raise ValueError(msg)


@pytest.mark.parametrize(
    ("apply", "told"),
    [
        (_raises, "raised an error"),
        (lambda fields: None, "raised an error"),
        (lambda fields: {CHANNEL: "x"}, "changed more than"),
        (lambda fields: {"External_Id__c": "SW1A"}, "changed more than"),
        (lambda fields: {"cleared": ["SW1A"]}, "changed more than"),
    ],
)
def test_a_processor_that_does_not_keep_its_word_halts_and_no_value_is_told(
    apply: Any, told: str
) -> None:
    with pytest.raises(HaltError, match=f"processor cut: {told}") as caught:
        applied(replace(CUT, apply=apply))

    assert "homeport processors check cut" in str(caught.value)
    assert caught.value.__context__ is None
    assert "cannot read" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("processor", "told"),
    [
        (replace(CUT, name="other"), "there is no streams/processors/cut.py"),
        (replace(CUT, object="Commerce_Case__c"), "is for Commerce_Case__c, not Commerce_Order__c"),
        (replace(CUT, reads=(AREA, "Sku__c")), "needs Sku__c: map them too"),
        (replace(CUT, writes=("Sku__c", "Rating__c")), "needs Rating__c, Sku__c: map them too"),
    ],
)
def test_a_processor_that_does_not_fit_the_output_is_a_problem(processor: Made, told: str) -> None:
    refs, problems = refer(["cut"], ORDER, [AREA, CHANNEL], here(processor))

    assert refs == ()
    assert told in problems[0]


def test_what_names_a_row_and_says_what_to_do_with_it_is_no_processors() -> None:
    assert {"External_Id__c", "Base_Version__c", "cleared", "deleted"} == UNTOUCHABLE


def test_a_processor_that_fits_is_named_with_its_file() -> None:
    assert refer(["cut"], ORDER, [AREA, CHANNEL], here(CUT)) == ((REF,), ())


def plan(processors: Processors, names: tuple[str, ...] = ("cut",)) -> Plan:
    source = FieldSource(path="shipping_address.postal_code", country="shipping_address.country")
    external = FieldSource(path="order_id", identity="order")
    contract = Contract(
        {PLACED.subject: (Output(ORDER, external, {AREA: source}, processors=names),)}
    )
    return compile_plan(PLACED, contract, load_policy("eu", ON), REGISTRY, processors)


def test_another_file_is_another_plan() -> None:
    one, other = plan(here(CUT)), plan(here(replace(CUT, sha256="cd" * 32)))

    assert one.outputs[0].processors == (REF,)
    assert one.digest == plan(here(CUT)).digest
    assert len({one.digest, other.digest, plan(here(CUT), ()).digest}) == 3


def test_a_contract_that_names_no_processor_there_is_does_not_compile() -> None:
    with pytest.raises(
        PlanError, match=r"OrderPlaced v2 in eu: processors: there is no .*/cut\.py"
    ):
        plan({})


@pytest.mark.parametrize("processors", [{}, here(replace(CUT, sha256="cd" * 32))])
def test_a_book_refuses_another_processor_than_its_plans_name(processors: Processors) -> None:
    plans = {PLACED.id: plan(here(CUT))}

    with pytest.raises(SetupError, match="processor cut: its file is not the one"):
        PlanBook("eu", plans, KEYS, REGISTRY, processors)

    assert PlanBook("eu", plans, KEYS, REGISTRY, here(CUT)).plans == plans
    check_refs([], {})


CONTRACT = """
[[output]]
events = ["a.B"]
object = "X__c"
external_id = {{ path = "id", identity = "x" }}
fields = {{ {field}__c = {{ region = true }} }}
processors = {names}
"""


def test_blocks_add_their_processors_up_in_order_and_none_twice(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    one, two = CONTRACT.format(field="A", names='["p"]'), CONTRACT.format(field="B", names='["q"]')
    file.write_text(one + two, encoding="utf-8")

    assert load_contract(tmp_path).outputs["a.B"][0].processors == ("p", "q")

    file.write_text(one + two.replace('"q"', '"p"'), encoding="utf-8")
    with pytest.raises(BadContractError, match=r"a\.toml:[0-9]+: a\.B: p named twice on X__c"):
        load_contract(tmp_path)


def test_a_changed_file_leaves_its_events_without_an_approved_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, after = here(CUT), here(replace(CUT, sha256="cd" * 32))
    approved = {
        p.digest
        for p in compile_all("eu", ON, contract=_one(), processors=before, tasks=load_tasks())
    }
    monkeypatch.setattr("residency.plan.book.approved_digests", lambda region: approved)
    monkeypatch.setattr("residency.plan.book.load_contract", _one)

    assert PLACED.id in PlanBook.load("eu", KEYS, ON, before, load_tasks()).plans
    assert PLACED.id not in PlanBook.load("eu", KEYS, ON, after, load_tasks()).plans


def _one() -> Contract:
    """Return the shipped contract with a processor in it."""
    contract = load_contract()
    outputs = dict(contract.outputs)
    (order,) = outputs[PLACED.subject]
    outputs[PLACED.subject] = (replace(order, processors=("cut",)),)
    return Contract(outputs, contract.nothing)
