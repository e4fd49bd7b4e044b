"""``homeport test``: the suites, on real Kafka and Postgres."""

import importlib.util
import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import click

from schemas.errors import SetupError
from streams.cli import EXIT_ENVIRONMENT, EXIT_INTERRUPTED, EXIT_USAGE, EXIT_WRONG

ROOT = Path(__file__).parents[2]
SUITES = ("unit", "standard", "integration", "fault")
LONG_TIMEOUT_S = 3_600  # for one test; the short form's limit stands in pyproject.toml
MOST_WORKERS = 4  # each takes 1 GB, and as much again for the brokers that it starts
NEEDED = ("pytest", "pytest_timeout", "xdist", "hypothesis")
LONG = "HOMEPORT_LONG"  # read by tests/conftest.py
# pytest's exit codes; 5 is "collected nothing", which here means a mistyped path or -k
EXIT_CODES = {
    0: 0,
    1: EXIT_WRONG,
    2: EXIT_INTERRUPTED,
    3: EXIT_ENVIRONMENT,
    4: EXIT_USAGE,
    5: EXIT_USAGE,
}


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--long", "is_long", is_flag=True, help="More examples, more kills, more minutes.")
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Choice(SUITES),
    help="Only this suite; may be repeated. All of them by default.",
)
@click.option("-k", "expression", metavar="EXPR", help="Only tests that match, as in pytest.")
@click.option(
    "-n",
    "workers",
    type=click.IntRange(0),
    metavar="N",
    help="Processes; 0: no other than this one. The number of cores, at most 4, by default.",
)
def test(
    paths: tuple[str, ...],
    *,
    is_long: bool,
    suites: tuple[str, ...],
    expression: str | None,
    workers: int | None,
) -> None:
    """Run the test suites; the integration suites start Kafka and Postgres themselves.

    \b
    Examples:
      homeport test
      homeport test --suite unit -k ledger
      homeport test tests/unit/test_architecture.py
      homeport test -n 0 --long

    PATHS are files, folders or pytest node ids, relative to where you are. Suites: unit
    (no processes), standard (conformance to published formats), integration (real Kafka,
    Postgres, test org), fault (kills at every step). Suites are spread over the processes,
    file by file, the quick ones first; PATHS need no other process unless you say so.

    Exit codes: 0 all passed, 1 some failed, 2 nothing matched, 3 the test tools are
    missing, 130 interrupted.
    """
    require_tools()
    if paths and suites:
        msg = "give PATHS or --suite, not both"
        raise click.UsageError(msg)
    set_environment(os.environ, is_long=is_long)

    import pytest  # noqa: PLC0415 - a development tool; the command must explain its absence

    targets = absolute(paths, Path.cwd()) if paths else folders(ROOT, suites or SUITES)
    if workers is None:
        workers = 0 if paths else min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    code = int(pytest.main(arguments(targets, expression, workers, is_long=is_long)))
    click.get_current_context().exit(EXIT_CODES.get(code, EXIT_WRONG))


def require_tools() -> None:
    """Check that the suites and what runs them are here.

    Raises:
        SetupError: This is an installed wheel, or an environment without the test tools.

    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not (ROOT / "tests").is_dir():
        missing.append("the tests folder")
    if missing:
        msg = f"no {', '.join(missing)} here; run ./homeport test from the checkout"
        raise SetupError(msg)


def set_environment(environ: MutableMapping[str, str], *, is_long: bool) -> None:
    """Tell the tests how long they may take; hide the user's own home from them."""
    if is_long:
        environ[LONG] = "1"
    environ.pop("HOMEPORT_HOME", None)  # tests start and stop stacks of their own


def absolute(paths: Sequence[str], here: Path) -> list[str]:
    """Return *paths* with their file part absolute, since pytest runs from the checkout."""
    split = [path.partition("::") for path in paths]
    return [f"{here / file}{mark}{test_id}" for file, mark, test_id in split]


def folders(root: Path, suites: Sequence[str]) -> list[str]:
    """Return the folders of *suites*, in the order of `SUITES`: the quick ones first.

    Raises:
        SetupError: A suite's folder is not in the checkout.

    """
    chosen = [root / "tests" / suite for suite in SUITES if suite in suites]
    absent = [folder.name for folder in chosen if not folder.is_dir()]
    if absent:
        msg = f"tests/{absent[0]} is missing; is the checkout complete?"
        raise SetupError(msg)
    return [str(folder) for folder in chosen]


def arguments(
    targets: Sequence[str], expression: str | None, workers: int, *, is_long: bool
) -> list[str]:
    """Return pytest's arguments; its settings come from this checkout, wherever we are.

    Args:
        targets: Files, folders or node ids.
        expression: What to choose of them, as in pytest.
        workers: Processes to spread them over, or 0 for this one.
        is_long: Whether a test may take an hour.

    """
    select = [] if expression is None else ["-k", expression]
    limit = [f"--timeout={LONG_TIMEOUT_S}"] if is_long else []
    # loadfile stands for what pytest_xdist_make_scheduler of tests/conftest.py makes of it
    spread = [f"-n{workers}", "--dist=loadfile", "--no-loadscope-reorder"] if workers else []
    ours = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    return [*ours, *limit, *spread, *select, *targets]
