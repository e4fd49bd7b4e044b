"""What a field can hold at most is what its source, its generaliser or its pattern allow."""

from dataclasses import replace

import pytest

from residency.generalise import generaliser
from residency.plan.model import FieldPlan
from residency.plan.possible import Texts, texts
from residency.policy.rules import Action
from schemas.registry import load_registry

PLACED = load_registry().latest("commerce.orders.OrderPlaced")
LEAVES = {leaf.path: leaf for leaf in PLACED.leaves}
TEXT = FieldPlan("F__c", "string", "path", "customer.email", action=Action.KEEP)


def listed(*values: str) -> Texts:
    return Texts(max(map(len, values), default=0), frozenset(values))


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        (FieldPlan("F__c", "string", "constant", value="placed"), listed("placed")),
        (FieldPlan("F__c", "string", "constant", value=""), listed("")),
        (FieldPlan("F__c", "string", "region"), listed("eu")),
        (FieldPlan("F__c", "string", "clear"), listed()),
    ],
)
def test_what_is_made_of_no_leaf_is_listed(field: FieldPlan, wanted: Texts) -> None:
    assert texts(field, "eu", None) == wanted


def test_a_kept_enum_is_its_symbols_and_the_longest_is_the_widest() -> None:
    leaf = LEAVES["channel"]
    symbols = leaf.avro["symbols"]

    found = texts(replace(TEXT, path="channel"), "eu", leaf)

    assert len(set(map(len, symbols))) > 1
    assert found == listed(*symbols)


def test_the_results_of_a_generaliser_are_listed_with_the_unknown() -> None:
    field = replace(TEXT, action=Action.GENERALISE, how="gender-group")

    found = texts(field, "eu", LEAVES["customer.gender"])

    assert found == listed("female", "male", "unknown")


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("^[a-z]{2,5}$", 5),
        ("^$", 0),
        ("^[a-z]*$", None),
        ("^[a-z]+[0-9]$", None),
        ("^[a-z]{1,4294967294}$", 2**32 - 2),
        ("^[a-z]{1,4294967294}[0-9]$", None),  # where Python 3.11 stops counting
        (None, None),
    ],
)
def test_a_kept_text_is_as_long_as_its_pattern_lets_it_be(
    pattern: str | None, longest: int | None
) -> None:
    found = texts(replace(TEXT, pattern=pattern), "eu", LEAVES["customer.email"])

    assert found == Texts(longest)


@pytest.mark.parametrize(("pattern", "longest"), [("^x{7}$", 7), (None, None)])
def test_a_generalised_text_is_as_long_as_its_pattern_lets_it_be(
    pattern: str | None, longest: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = replace(generaliser("last-four"), pattern=pattern)
    monkeypatch.setattr("residency.plan.possible.generaliser", lambda _: way)
    field = replace(TEXT, action=Action.GENERALISE, how=way.how)

    assert texts(field, "eu", LEAVES["customer.email"]) == Texts(longest)
