"""Every region has one leak budget that means something, or the lint and the loader say so."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from residency.policy import budgets
from residency.policy.budgets import Budget, load_budget
from residency.policy.files import ROOT, SINGLE, BadPolicyError, files_at
from residency.policy.lint import lint
from residency.regions import load_regions
from schemas.fieldcheck import categories

FILE = SINGLE["budgets"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT, tmp_path / "residency", ignore=shutil.ignore_patterns("*.py"))


def found(folder: Path) -> list[tuple[str, int, str]]:
    """Return file, line and text of what the lint says of budgets."""
    every = lint(files_at(folder), date(2026, 11, 23), categories(), frozenset())
    kinds = {"bad-budget", "id-reused"}
    return [
        (str(Path(f.file).relative_to(folder)), f.line, f.text) for f in every if f.kind in kinds
    ]


def swap(folder: Path, old: str, new: str) -> int:
    file = folder / FILE
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_every_region_has_a_budget_with_a_source_and_the_lint_finds_no_fault(copy: Path) -> None:
    shipped = [load_budget(region) for region in load_regions()]

    assert [one.region for one in shipped] == list(load_regions())
    assert all(one.cap_bits > 0 and one.source for one in shipped)
    assert found(copy) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("cap_bits = 320", "cap_bits = -1", "eu-leak-budget: a cap is 0 bits or more"),
        ("window_days = 30", "window_days = 0", "eu-leak-budget: a window is 1 to 3660 days"),
        ("window_days = 30", "window_days = 3661", "eu-leak-budget: a window is 1 to 3660 days"),
    ],
)
def test_a_budget_without_a_meaning_is_told_on_its_line(
    copy: Path, old: str, new: str, told: str
) -> None:
    at = swap(copy, old, new)

    assert found(copy) == [(FILE, at, told)]


@pytest.mark.parametrize("edge", ["window_days = 1", "window_days = 3660"])
def test_the_longest_and_the_shortest_window_mean_something(copy: Path, edge: str) -> None:
    swap(copy, "window_days = 30", edge)

    assert found(copy) == []


def test_a_cap_of_nothing_is_a_decision_and_no_fault(copy: Path) -> None:
    swap(copy, "cap_bits = 320", "cap_bits = 0")

    assert found(copy) == []


def test_a_region_without_a_budget_and_a_budget_without_a_region_are_told(copy: Path) -> None:
    at = swap(copy, 'region = "us"', 'region = "mars"')

    assert found(copy) == [
        (FILE, at, "us-leak-budget: no region 'mars' in regions.toml"),
        ("regions.toml", 21, f"us: no leak budget; write a [[budget]] in {FILE}"),
    ]


def test_two_budgets_of_one_region_and_one_id_are_told_at_both(copy: Path) -> None:
    swap(copy, '"us-leak-budget"\nregion = "us"', '"uk-leak-budget"\nregion = "uk"')

    lines = (copy / FILE).read_text().splitlines()

    def on(text: str) -> list[int]:
        return [n for n, line in enumerate(lines, 1) if line == text]

    def told(text: str) -> list[int]:
        return [line for _, line, said in found(copy) if said == text]

    assert told("uk-leak-budget: uk has more than one budget; which holds?") == on('region = "uk"')
    assert told("uk-leak-budget: id used twice") == on('id = "uk-leak-budget"')
    assert len(told(f"us: no leak budget; write a [[budget]] in {FILE}")) == 1
    assert len(found(copy)) == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "eu has 0 rows"),
        ('[[budget]]\nid = "a"\n', "bad-row"),
        (
            '[[budget]]\nid = "a"\nregion = "eu"\ncap_bits = -5\nwindow_days = 1\nsource = "s"\n',
            "a cap is 0 bits or more",
        ),
    ],
)
def test_a_worker_does_not_start_on_a_budget_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / FILE).write_text(text)
    monkeypatch.setattr(budgets, "ROOT", tmp_path)
    load_budget.cache_clear()

    with pytest.raises(BadPolicyError, match=told):
        load_budget("eu")
    load_budget.cache_clear()


def test_of_two_budgets_of_a_region_none_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '[[budget]]\nid = "a"\nregion = "eu"\ncap_bits = 5\nwindow_days = 1\nsource = "s"\n'
    (tmp_path / "policy").mkdir()
    (tmp_path / FILE).write_text(row + row.replace('"eu"', '"uk"'))
    monkeypatch.setattr(budgets, "ROOT", tmp_path)
    load_budget.cache_clear()

    alone = load_budget("eu")
    (tmp_path / FILE).write_text(row + row)
    load_budget.cache_clear()

    assert alone == Budget("a", "eu", 5, 1, "s")
    with pytest.raises(BadPolicyError, match="eu has 2 rows"):
        load_budget("eu")
    load_budget.cache_clear()
