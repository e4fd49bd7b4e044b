"""Options that many commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from residency.regions import load_regions

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_HOME = Path(".homeport")


def home_option(command: F) -> F:
    """Add ``--home DIR``: where the embedded stack keeps its state."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_HOME,
        envvar="HOMEPORT_HOME",
        show_default=True,
        help="Where the embedded stack keeps its state.",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``: stdout is one document, nothing else."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else."
    )(command)


def inference_option(command: F) -> F:
    """Add ``--without-inference``: no model servers, so no labels."""
    return click.option(
        "--without-inference",
        is_flag=True,
        help="Start no model servers: texts wait in their region, no labels are made.",
    )(command)


class Said(click.ParamType):
    """A person's own words, trimmed: not none, and not too many."""

    name = "text"

    def __init__(self, most: int) -> None:
        """Take how many characters are too many, less one."""
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401, click's
        """Return the text; without quoting it, fail where it says nothing or too much."""
        text = str(value).strip()
        if not text or len(text) > self._most:
            self.fail(f"say it in up to {self._most:,} characters", param, ctx)
        return text


def region_option(command: F) -> F:
    """Add the required ``--region``, one of ``regions.toml``."""
    return click.option(
        "--region", type=click.Choice(list(load_regions())), required=True, help="Home region."
    )(command)
