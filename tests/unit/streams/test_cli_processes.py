"""What `homeport status` and `up` tell a person of the processes of a stack."""

import pytest

from connectors.embedded.state import ProcessStatus, State
from streams.cli.processes import halted_lines, show_table


def row(name: str, state: State, pid: int | None) -> ProcessStatus:
    return ProcessStatus(name, "eu", pid, state, 1, None, None, 0)


ROWS = [
    row("eu-gateway", "ready", 1),
    row("eu-vault", "dead", None),
    row("eu-border", "halted", None),
    row("eu-egress", "halted", 2),
]


def test_a_halted_process_is_told_with_the_command_that_says_why() -> None:
    """A border halts and ends; an egress waits. Each is looked into in its own way."""
    ended, waiting = halted_lines(ROWS)

    step = "`homeport logs eu-border` says why; mend that, then run `homeport up`"
    assert ended == f"eu-border is halted: {step}"
    assert waiting == (
        "eu-egress is halted and sends nothing: see `homeport egress status --region eu`"
    )


def test_the_table_of_processes_tells_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(ROWS, {}, {})

    shown = capsys.readouterr().out
    assert all(line in shown for line in halted_lines(ROWS))
