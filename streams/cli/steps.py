"""How `up` and `down` show their steps on stderr."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import TaskID

COUNT = re.compile(r"\d+/\d+")

Report = Callable[[str, str], None]


@contextmanager
def progress_lines() -> Iterator[Report]:
    """Yield what shows a step and its state on stderr: live on a terminal, else line by line."""
    show = _live() if sys.stderr.isatty() else _plain()
    with show as report:
        yield report


@contextmanager
def _plain() -> Iterator[Report]:
    def report(step: str, state: str) -> None:
        if not COUNT.fullmatch(state):  # they move too fast for a log
            click.echo(f"{step}: {state}", err=True)

    yield report


@contextmanager
def _live() -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        TextColumn("[dim]{task.fields[state]}[/]"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as live:
        tasks: dict[str, TaskID] = {}

        def report(step: str, state: str) -> None:
            if step not in tasks:
                tasks[step] = live.add_task(step, total=1, state=state)
            live.update(tasks[step], state=state, completed=state == "ready")

        yield report
