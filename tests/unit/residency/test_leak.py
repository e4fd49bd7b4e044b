"""A label costs the log2 of what it could have been, whatever it is."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.leak import is_within, label_cost, record_cost
from residency.plan.stored import load_stored
from residency.policy.budgets import Budget, load_budget

words = st.sets(st.text(min_size=1, max_size=8), max_size=40)


def budget(cap: int) -> Budget:
    return Budget("eu-leak-budget", "eu", cap, 30, "test")


@pytest.mark.parametrize(
    ("vocabulary", "millibits"),
    [
        pytest.param((), 1_000, id="the two constants are two outcomes: one bit"),
        pytest.param(("unknown", "withheld"), 1_000, id="named or not"),
        pytest.param(("yes", "no"), 2_000, id="four outcomes are two bits"),
        pytest.param(("yes", "no", "unknown", "withheld"), 2_000, id="named or not"),
        pytest.param(("a", "b", "c"), 2_322, id="log2 5 is 2.3219..., rounded up"),
        pytest.param([str(n) for n in range(9)], 3_460, id="log2 11 is 3.4594..."),
    ],
)
def test_a_label_costs_log2_of_its_outcomes_rounded_up(
    vocabulary: tuple[str, ...], millibits: int
) -> None:
    assert label_cost(vocabulary) == millibits


@given(words)
def test_the_cost_is_never_less_than_what_is_told_and_no_millibit_more(found: set[str]) -> None:
    told = math.log2(len(found | {"unknown", "withheld"}))

    assert 0 <= label_cost(found) / 1_000 - told < 0.001


@given(st.lists(words, max_size=6))
def test_a_record_costs_the_sum_of_its_labels(vocabularies: list[set[str]]) -> None:
    assert record_cost(vocabularies) == sum(label_cost(one) for one in vocabularies)


@pytest.mark.parametrize(
    ("spent", "cost", "within"),
    [
        pytest.param(0, 10_000, True, id="just the cap"),
        pytest.param(1, 10_000, False, id="a millibit above it"),
        pytest.param(10_000, 0, True, id="what tells nothing is free"),
        pytest.param(10_001, 0, False, id="a cap that was lowered since holds at once"),
    ],
)
def test_the_cap_itself_may_be_spent_and_no_millibit_more(
    spent: int, cost: int, within: bool
) -> None:
    assert is_within(budget(10), spent, cost) is within


def test_a_cap_of_nothing_withholds_every_label() -> None:
    assert not is_within(budget(0), 0, label_cost(()))


def test_the_page_says_what_the_shipped_labels_cost() -> None:
    page = (Path(__file__).parents[3] / "docs" / "leak-budget.md").read_text("utf-8")
    outputs = [out for plan in load_stored("eu").values() for out in plan.outputs if out.labels]

    rows = {
        f"| `{label.field}` | {len(label.values)} | {label_cost(label.values) / 1_000:.3f} |"
        for output in outputs
        for label in output.labels
    }
    totals = {record_cost(label.values for label in output.labels) for output in outputs}

    assert [row for row in rows if row not in page] == []
    assert [total for total in totals if f"**{total / 1_000:.3f}**" not in page] == []
    assert f"here {load_budget('eu').cap_bits * 1_000 // max(totals)} messages" in page
