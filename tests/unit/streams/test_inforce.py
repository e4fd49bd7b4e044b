"""The ledger says which rules are in force before they are used: once, and again at a change."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from residency.ledger.files import Ledger
from residency.ledger.leaves import parse_leaf
from residency.ledger.policies import PolicyLeaf
from residency.plan.approved import APPROVED_FILE
from streams.inforce import MARK, POLICY, InForce, rules_of

NOW = datetime(2026, 11, 26, 9, 30, 12, tzinfo=UTC)
PLAN, OTHER = "ab" * 32, "cd" * 32
PLANS: Mapping[str, date | None] = {PLAN: date(2027, 6, 27), OTHER: None}
FILES = {"packs/eu.toml": "01" * 32}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger", "ledger.eu.example/transfers", bytes(32)) as opened:
        yield opened


def leaves(ledger: Ledger) -> list[object]:
    return [parse_leaf(entry) for entry in ledger.read(0, ledger.size)]


def test_it_is_said_once_over_all_starts(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(2):
        rules = InForce(tmp_path, PLANS, FILES)
        rules.state(ledger, NOW)
        rules.state(ledger, NOW)

    (leaf,) = leaves(ledger)
    assert isinstance(leaf, PolicyLeaf)
    assert (leaf.time, leaf.plans) == ("2026-11-26T09:30Z", {PLAN: "2027-06-27", OTHER: None})
    assert leaf.files == FILES


@pytest.mark.parametrize(
    ("plans", "files"),
    [
        ({PLAN: PLANS[PLAN]}, FILES),
        ({**PLANS, OTHER: date(2028, 1, 1)}, FILES),
        (PLANS, {"packs/eu.toml": "02" * 32}),
        (PLANS, {**FILES, "packs/ch.toml": "03" * 32}),
    ],
)
def test_other_rules_are_said_before_they_are_used(
    ledger: Ledger, tmp_path: Path, plans: Mapping[str, date | None], files: Mapping[str, str]
) -> None:
    InForce(tmp_path, PLANS, FILES).state(ledger, NOW)

    InForce(tmp_path, plans, files).state(ledger, NOW)
    InForce(tmp_path, PLANS, FILES).state(ledger, NOW)

    found = leaves(ledger)
    assert [isinstance(leaf, PolicyLeaf) for leaf in found] == [True] * 3
    assert getattr(found[1], "files", None) == files
    assert getattr(found[2], "files", None) == FILES


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "{}", '{"leaf":1}', '{"leaf":9}', '{"leaf":-1}', '{"leaf":true}']
)
def test_a_mark_that_names_no_such_leaf_costs_a_leaf(
    ledger: Ledger, tmp_path: Path, text: str | None
) -> None:
    InForce(tmp_path, PLANS, FILES).state(ledger, NOW)
    InForce(tmp_path, {}, FILES).state(ledger, NOW)  # leaf 1 says something else
    if text is None:
        (tmp_path / MARK).unlink()
    else:
        (tmp_path / MARK).write_text(text)

    InForce(tmp_path, PLANS, FILES).state(ledger, NOW)

    assert len(leaves(ledger)) == 3


def test_a_mark_that_cannot_be_written_is_told_and_this_run_says_it_once(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = InForce(tmp_path / "gone", PLANS, FILES)

    rules.state(ledger, NOW)
    rules.state(ledger, NOW)

    assert len(leaves(ledger)) == 1
    assert "policy.json is not written, so the next start says it again" in caplog.text


def test_of_the_packs_those_of_the_region_count() -> None:
    plans, files = rules_of("eu", APPROVED_FILE)

    assert {name for name in files if name.startswith("packs/")} == {
        "packs/eu.toml",
        "packs/ch.toml",
    }
    assert files["bases.toml"] == sha256((POLICY / "bases.toml").read_bytes()).hexdigest()
    assert plans
    assert all(day is None or isinstance(day, date) for day in plans.values())
    assert plans.keys().isdisjoint(rules_of("us", APPROVED_FILE)[0])
