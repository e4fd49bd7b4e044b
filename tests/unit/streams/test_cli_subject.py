"""`subject erase` takes one person and a reason; what it needs and does not find, it says."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.errors import SetupError
from streams.cli import cli

WHY = ["--ticket", "T-1", "--reason", "asked by letter"]


def subject(home: Path, command: str, *options: str) -> Result:
    words = ["subject", command, "--region", "eu", "--home", str(home), *options]
    return CliRunner().invoke(cli, words)


@pytest.mark.parametrize(
    "options",
    [
        WHY,
        ["--customer", "c", "--email", "e@x.example", *WHY],
        ["--customer", "c", "--ticket", "T-1"],
        ["--customer", "c", "--reason", "why"],
        ["--customer", "c", "--ticket", " ", "--reason", "why"],
        ["--customer", "c", "--ticket", "T-1", "--reason", "x" * 2_001],
    ],
)
def test_nobody_is_erased_by_a_command_that_says_too_little(
    options: list[str], tmp_path: Path
) -> None:
    done = subject(tmp_path, "erase", *options)

    assert done.exit_code == 2
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("command", "options"), [("erase", ["--customer", "c", *WHY]), ("status", ["--json"])]
)
def test_a_region_that_is_not_here_is_said(
    command: str, options: list[str], tmp_path: Path
) -> None:
    done = subject(tmp_path, command, *options)

    assert isinstance(done.exception, SetupError)
    assert "run `homeport up` first" in str(done.exception)
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["erase", "status"])
def test_each_command_teaches_by_an_example(command: str) -> None:
    text = CliRunner().invoke(cli, ["subject", command, "--help"]).stdout

    assert f"homeport subject {command} --region eu" in text
    assert "Exit codes:" in text
