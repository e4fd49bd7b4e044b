"""Roles see what their rows name, and the lint says what is wrong with a row."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from residency.ledger.accesses import Purpose
from residency.policy.files import ROOT, SINGLE, Finding, files_at
from residency.policy.lint import lint
from residency.vault import access
from residency.vault.access import OPERATOR_ROLE, load_roles
from schemas.errors import SetupError
from schemas.fieldcheck import categories

FILE = SINGLE["access"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with a copy of everything that the lint reads."""
    return shutil.copytree(ROOT, tmp_path / "residency", ignore=shutil.ignore_patterns("*.py"))


def found(folder: Path) -> list[Finding]:
    """Return what the lint says of the roles."""
    every = lint(files_at(folder), date(2026, 11, 23), categories(), frozenset())
    return [one for one in every if Path(one.file).name == "access.toml"]


def swap(folder: Path, old: str, new: str) -> int:
    """Change the file once; return the line."""
    file = folder / FILE
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_the_shipped_roles_are_fine_and_the_auditor_sees_nobody() -> None:
    roles = load_roles()

    assert list(roles) == ["agent", "privacy", "auditor"]
    assert [role.exports for role in roles.values()] == [False, True, False]
    assert all(role.sees("system.operations") for role in roles.values())
    assert not any(roles["auditor"].sees(c) for c in categories() if c.startswith("user"))
    assert all(roles["privacy"].sees(category) for category in categories())


def test_an_agent_sees_no_payment_no_birth_date_and_no_health() -> None:
    agent = load_roles()["agent"]

    assert agent.purposes == (Purpose.SUPPORT,)
    assert agent.sees("user.contact.email")
    for closed in (
        "user.payment",
        "user.financial.bank_account",
        "user.demographic.date_of_birth",
        "user.government_id.tax_id",
        "user.device.ip_address",
        "user.health_and_medical",
        "user.contacts",
        "user",
    ):
        assert not agent.sees(closed)


def test_the_lint_finds_no_fault_in_what_is_shipped(copy: Path) -> None:
    assert found(copy) == []


@pytest.mark.parametrize(
    ("old", "new", "kind", "told"),
    [
        ('"support"]', '"curiosity"]', "bad-row", "purposes.0"),
        ('purposes = ["support"]', "purposes = []", "bad-role", "agent: no purposes"),
        ('"user.name",', '"user.nmae",', "unknown-category", "no category 'user.nmae'"),
        ('"user.name",', '"user.name", "user.name.first",', "bad-role", "below another one"),
        ('"commerce.orders.OrderPlaced"', '"commerce.Placed"', "unknown-event", "no event"),
        ("per_minute = 30", "per_minute = 0", "bad-role", "0 < per_minute <= per_hour"),
        ("per_minute = 30", "per_minute = 301", "bad-role", "0 < per_minute <= per_hour"),
        ("per_hour = 1000", "per_hour = 100001", "bad-role", "<= 100000"),
        ('id = "auditor"', 'id = "agent"', "id-reused", "agent: id used twice"),
        ('id = "privacy"', 'id = "dpo"', "bad-role", "no role 'privacy'"),
        ("per_minute = 30", "per_second = 1", "unknown-key", "per_second"),
    ],
)
def test_a_row_that_means_nothing_is_told(
    copy: Path, old: str, new: str, kind: str, told: str
) -> None:
    swap(copy, old, new)

    every = found(copy)

    assert {one.kind for one in every} >= {kind}
    assert any(told in one.text for one in every if one.kind == kind)


def test_the_line_of_a_fault_is_the_row_s(copy: Path) -> None:
    line = swap(copy, "per_minute = 10", "per_minute = 100")

    assert [(one.line, one.kind) for one in found(copy)] == [(line, "bad-role")]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ('"user.demographic.language"', '"user.language"', "unknown-category"),
        ('"user.demographic.language"', '"user.name.first"', "bad-role"),
        ('"commerce.messages.SupportMessageReceived"', '"commerce.Asked"', "unknown-event"),
    ],
)
def test_a_fault_of_one_name_is_told_where_that_name_stands(
    copy: Path, old: str, new: str, kind: str
) -> None:
    line = swap(copy, old, new)

    assert [(one.line, one.kind) for one in found(copy)] == [(line, kind)]


def test_an_id_that_is_used_twice_is_told_where_it_stands(copy: Path) -> None:
    line = swap(copy, 'id = "auditor"', 'id = "agent"')

    assert line in [one.line for one in found(copy) if one.kind == "id-reused"]


def test_a_single_role_that_is_not_the_operator_s_is_told(copy: Path) -> None:
    file = copy / FILE
    first, second = file.read_text().split("[[role]]")[:2]
    file.write_text(f"{first}[[role]]{second}")

    assert [one.kind for one in found(copy)] == ["bad-role"]


def test_limits_at_their_bounds_are_fine(copy: Path) -> None:
    swap(copy, "per_minute = 30\nper_hour = 300", "per_minute = 100000\nper_hour = 100000")
    swap(copy, "per_minute = 10\nper_hour = 60", "per_minute = 1\nper_hour = 1")

    assert found(copy) == []


def test_a_file_with_a_fault_opens_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swap(copy, "per_minute = 30", "per_minute = 0")
    monkeypatch.setattr(access, "ROOT", copy)
    load_roles.cache_clear()

    with pytest.raises(SetupError, match="agent: 0 < per_minute"):
        load_roles()
    load_roles.cache_clear()


def test_the_operator_has_a_role_that_exports() -> None:
    assert load_roles()[OPERATOR_ROLE].exports
