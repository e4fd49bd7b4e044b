"""``homeport keys``: people rotate keys and find rows, and no key and no value is shown."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from residency.keys import token_keys
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from schemas.errors import SetupError
from streams.cli.keys import keys

EMAIL = ("--category", "user.contact.email")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home in which the region eu has keys."""
    token_keys(tmp_path / "eu" / "keys", "eu")
    return tmp_path


def run(home: Path, *arguments: str, stdin: bytes | str = "") -> Result:
    return CliRunner().invoke(keys, [*arguments, "--region", "eu", "--home", str(home)], stdin)


def document(home: Path, *arguments: str) -> dict[str, object]:
    done = run(home, *arguments, "--json")
    assert done.exit_code == 0
    found: dict[str, object] = orjson.loads(done.stdout)
    return found


def test_a_rotation_says_the_versions_and_what_to_do_next(home: Path) -> None:
    done = run(home, "rotate", "--overlap-days", "7")

    assert done.exit_code == 0
    assert "tok_eu2_ from now on" in done.stdout
    assert "starts" in done.stderr


def test_show_tells_each_version_its_state_and_times(home: Path) -> None:
    run(home, "rotate", "--overlap-days", "0")
    run(home, "rotate")

    told = document(home, "show")

    assert told["identity"] == {"version": 1}
    rows = told["attribute"]
    assert isinstance(rows, list)
    assert [row["prefix"] for row in rows] == ["tok_eu1_", "tok_eu2_", "tok_eu3_"]
    assert [row["state"] for row in rows] == ["retired", "overlaps", "current"]
    assert rows[2]["overlap_until"] is None
    assert datetime.fromisoformat(rows[1]["overlap_until"]) > datetime.now(UTC)
    text = run(home, "show").stdout
    assert "tok_eu1_  retired  since the keyring was made, overlaps until " in text
    assert "identity key version 1" in text


def test_no_command_prints_a_key(home: Path) -> None:
    done = [
        run(home, "rotate"),
        run(home, "rotate", "--json"),
        run(home, "show"),
        run(home, "show", "--json"),
    ]

    found = token_keys(home / "eu" / "keys", "eu")
    for key in (found.identity, *(k.root for k in found.versions)):
        assert not any(key.hex() in one.output for one in done)


def test_a_value_gives_the_token_of_every_version_that_a_row_may_still_have(home: Path) -> None:
    first = Tokeniser(token_keys(home / "eu" / "keys", "eu"), CENTRAL)
    run(home, "rotate")
    second = Tokeniser(token_keys(home / "eu" / "keys", "eu"), CENTRAL)

    done = run(home, "token", *EMAIL, stdin="Ada@example.com\n\nbob@example.com\r\n")

    assert done.stdout.splitlines() == [
        " ".join(maker.attribute("user.contact.email", value) for maker in (second, first))
        for value in ("ada@example.com", "bob@example.com")
    ]


def test_after_the_overlap_only_the_current_token_is_given(home: Path) -> None:
    run(home, "rotate", "--overlap-days", "0")

    done = run(home, "token", *EMAIL, "--json", stdin="ada@example.com")

    (token,) = orjson.loads(done.stdout)["tokens"]
    assert token.startswith("tok_eu2_")


def test_an_external_id_has_one_token_whatever_was_rotated(home: Path) -> None:
    before = run(home, "token", "--identity", "customer", stdin="c-1").stdout
    run(home, "rotate")

    assert run(home, "token", "--identity", "customer", stdin="c-1").stdout == before
    assert before.startswith("tok_eu1_")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "one of --category and --identity"),
        ((*EMAIL, "--identity", "customer"), "one of --category and --identity"),
        (("--category", "user.contact.emial"), "no field has 'user.contact.emial'; have"),
        (("--identity", "client"), "have customer, message, order"),
    ],
)
def test_a_domain_that_no_row_has_is_refused(
    home: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = run(home, "token", *arguments, stdin="v")

    assert done.exit_code == 2
    assert told in done.stderr


def test_a_value_is_not_in_what_is_said_of_it(home: Path) -> None:
    done = run(home, "token", *EMAIL, stdin=b"ok\n\xffada@example.com")

    assert done.exit_code == 2
    assert "line 2 is not UTF-8" in done.stderr
    assert "ada" not in done.output


@pytest.mark.parametrize("command", [("show",), ("rotate",), ("token", *EMAIL)])
def test_where_nothing_made_keys_none_are_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(tmp_path, *command)

    assert isinstance(done.exception, SetupError)
    assert list(tmp_path.iterdir()) == []
