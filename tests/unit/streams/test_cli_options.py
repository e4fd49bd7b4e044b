"""Options that many commands share take what they say they take, and quote nothing of it."""

import click
import pytest
from click.testing import CliRunner, Result

from streams.cli.options import Said

MOST = 40


@click.command()
@click.option("--reason", required=True, type=Said(MOST))
def said(reason: str) -> None:
    click.echo(repr(reason))


def run(reason: str) -> Result:
    return CliRunner().invoke(said, ["--reason", reason])


def test_a_persons_own_words_come_trimmed_up_to_their_most() -> None:
    assert run("  asked by letter\n").output == "'asked by letter'\n"
    assert run("x" * MOST).exit_code == 0


@pytest.mark.parametrize("reason", ["", " \n", "ada@example.com " * MOST, "x" * (MOST + 1)])
def test_no_words_or_too_many_are_refused_and_not_repeated(reason: str) -> None:
    done = run(reason)

    assert done.exit_code == 2
    assert f"say it in up to {MOST} characters" in done.output
    assert "ada" not in done.output
