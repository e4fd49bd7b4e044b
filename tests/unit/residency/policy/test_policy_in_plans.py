"""What bounds a row bounds the plan, which says so and ends when the first of them does."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from residency.contracts.model import Contract, FieldSource, Output
from residency.gate.approvals import load_approved
from residency.plan.approved import render
from residency.plan.book import load_policy
from residency.plan.compile import PlanError, Policy, compile_plan
from residency.plan.model import Plan
from residency.policy.destinations import Destination
from residency.policy.limits import Limits, Override, Special
from residency.policy.packs import load_limits
from residency.policy.rules import Action
from schemas.registry import load_registry

ON = date(2026, 11, 23)
REGISTRY = load_registry()
PLACED = REGISTRY.latest("commerce.orders.OrderPlaced")
ID = FieldSource(path="order_id", identity="order")
EMAIL = {"Email_Token__c": FieldSource(path="customer.email")}


def compiled(policy: Policy) -> Plan:
    contract = Contract({PLACED.subject: (Output("Commerce_Order__c", ID, EMAIL),)})
    return compile_plan(PLACED, contract, policy, REGISTRY)


def moved_to(country: str) -> Policy:
    """Return region eu's policy as if the central org were hosted elsewhere."""
    policy = load_policy("eu", ON)
    to = policy.destination
    return replace(policy, destination=Destination(to.id, country, to.entity, to.certifications))


def test_a_plan_ends_with_the_transfer_set_it_rests_on(tmp_path: Path) -> None:
    """And the gate, which knows no policy, reads that day from the approved file."""
    plan = compiled(moved_to("GB"))
    file = tmp_path / "approved.toml"
    file.write_text(render([plan]))

    assert plan.not_after == date(2031, 12, 27)
    assert load_approved(file, "eu") == {plan.digest: date(2031, 12, 27)}


@pytest.mark.parametrize("country", ["IN", "AU"])
def test_a_country_no_set_names_gets_nothing_whatever_the_contract_asks(country: str) -> None:
    with pytest.raises(PlanError, match="the policy gives drop for order_id"):
        compiled(moved_to(country))


def test_a_country_that_one_of_two_laws_does_not_name_gets_nothing() -> None:
    """South Korea is adequate for neither without a certificate; Monaco for Switzerland alone."""
    with pytest.raises(PlanError, match="the policy gives drop for order_id"):
        compiled(moved_to("MC"))


SPECIAL = Special("user.contact.email", {"eu": "Art. 9", "ch": "Art. 5(c)"})
OVERRIDE = Override(
    "ov-1",
    rule="eu-contact-email",
    category="user.contact.email",
    law="Art. 9(2)(a)",
    why="test",
    approved_by="DPO",
    valid_from=date(2026, 1, 1),
    valid_to=date(2026, 12, 31),
)


def with_overrides(*rows: Override) -> Policy:
    limits = load_limits()
    bounded = Limits((*limits.special, SPECIAL), rows, limits.sets)
    return replace(load_policy("eu", ON), limits=bounded)


def test_an_override_is_cited_in_the_plan_and_the_plan_ends_with_it() -> None:
    swiss = replace(OVERRIDE, id="ov-2", rule="ch-contact-email", valid_to=date(2027, 6, 30))

    plan = compiled(with_overrides(OVERRIDE, swiss))

    (told,) = [d for d in plan.decisions if d.path == "customer.email"]
    assert told.action is Action.TOKENISE
    assert [s for s in told.sources if "override" in s] == [
        "FADP Art.5(a),16-17; override ov-2: Art. 9(2)(a)",
        "GDPR Art.4(1),44; override ov-1: Art. 9(2)(a)",
    ]
    assert plan.not_after == date(2026, 12, 31)


def test_an_override_for_one_law_does_not_open_what_another_closes() -> None:
    with pytest.raises(PlanError, match=r"gives drop for customer\.email \(ch-contact-email\)"):
        compiled(with_overrides(OVERRIDE))


def test_a_policy_without_limits_of_its_own_has_those_we_ship() -> None:
    policy = load_policy("eu", ON)

    assert policy.limits == load_limits()
    assert policy.limits.special != ()
