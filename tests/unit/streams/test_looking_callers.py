"""A caller's token is shown once and kept as a hash; its name can be no person's."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from residency.ledger.accesses import OPERATOR
from residency.vault.access import OPERATOR_ROLE, load_roles
from residency.vault.looking import Refused, RefusedError
from schemas.errors import SetupError
from streams.looking.callers import FILE, FOLDER, PREFIX, Caller, Callers

NOW = datetime(2026, 11, 26, 5, 30, tzinfo=UTC)


def text(folder: Path) -> str:
    return (folder / FOLDER / FILE).read_text()


def test_a_token_leads_to_its_caller_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    callers = Callers(tmp_path)

    token = callers.add("desk-returns", "agent", NOW)

    assert token.startswith(PREFIX)
    assert callers.by_token(token) == Caller("desk-returns", "agent", "2026-11-26T05:30:00+00:00")
    assert token not in text(tmp_path)
    assert token.removeprefix(PREFIX) not in text(tmp_path)
    assert (tmp_path / FOLDER / FILE).stat().st_mode & 0o777 == 0o600


def test_no_other_token_leads_to_anybody(tmp_path: Path) -> None:
    callers = Callers(tmp_path)
    token = callers.add("desk-returns", "agent", NOW)

    (digest,) = json.loads(text(tmp_path))["callers"]
    for wrong in ("", token[:-1], token + "a", token.upper(), digest, "\ud800"):
        with pytest.raises(RefusedError) as caught:
            callers.by_token(wrong)
        assert caught.value.why is Refused.CALLER
        assert wrong == "" or wrong not in str(caught.value)


def test_two_callers_have_two_tokens(tmp_path: Path) -> None:
    callers = Callers(tmp_path)

    tokens = [callers.add(name, "agent", NOW) for name in ("desk-b", "desk-a")]

    assert len(set(tokens)) == 2
    assert [one.name for one in callers.all()] == ["desk-a", "desk-b"]


def test_who_is_removed_looks_no_more_from_then_on(tmp_path: Path) -> None:
    callers, others = Callers(tmp_path), Callers(tmp_path)  # a service and a command
    kept, gone = (callers.add(name, "agent", NOW) for name in ("desk-a", "desk-b"))

    assert others.remove("desk-b")
    assert not others.remove("desk-b")

    assert callers.by_token(kept).name == "desk-a"
    with pytest.raises(RefusedError):
        callers.by_token(gone)


@pytest.mark.parametrize("name", ["", "ada", "Ada Lovelace", "desk", "desk-", "operator", "desk-A"])
def test_a_name_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SetupError, match="a desk, a team or a tool"):
        Callers(tmp_path).add(name, "agent", NOW)


def test_a_name_is_taken_once_and_a_role_must_be_there(tmp_path: Path) -> None:
    callers = Callers(tmp_path)
    callers.add("desk-a", "agent", NOW)

    with pytest.raises(SetupError, match="registered already"):
        callers.add("desk-a", "privacy", NOW)
    with pytest.raises(SetupError, match="no role 'boss'"):
        callers.add("desk-b", "boss", NOW)


def test_a_file_that_others_can_read_or_that_is_none_lets_nobody_look(tmp_path: Path) -> None:
    callers = Callers(tmp_path)
    token = callers.add("desk-a", "agent", NOW)
    path = tmp_path / FOLDER / FILE

    path.chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        callers.by_token(token)
    path.chmod(0o600)
    for broken in ("", "[]", "{}", '{"callers": {"a": {"name": "x"}}}', '{"callers": []}'):
        path.write_text(broken)
        with pytest.raises(SetupError, match="no list of callers"):
            callers.by_token(token)


def test_the_operator_has_the_role_that_is_written_down_for_it() -> None:
    assert Caller.operator().name == OPERATOR
    assert Caller.operator().may() is load_roles()[OPERATOR_ROLE]


def test_a_role_that_is_gone_may_nothing() -> None:
    with pytest.raises(RefusedError) as caught:
        Caller("desk-a", "chief").may()

    assert caught.value.why is Refused.CALLER
