"""Change the core in small wrong ways, one at a time, and see whether a test notices.

One command: ``.venv/bin/python tests/mutation/run.py``. See ``--help`` and docs/mutation.md.
"""

import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from tests.mutation import excuses, targets
from tests.mutation.pool import Pool
from tests.mutation.verdicts import COUNTS, Kept, Result, cases
from tests.mutation.worker import SURVIVED

ROOT: Final = Path(__file__).parents[2]
EXIT_WRONG, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 1, 3, 130


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, metavar="[FILES]...")
@click.option("--changed", is_flag=True, help="Only core files changed since BASE.")
@click.option("--base", default="origin/main", show_default=True, help="A git revision.")
@click.option("--minutes", type=float, default=0, help="Stop after so long; 0: when done.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--survivors", is_flag=True, help="Only what survived the last time, or is new.")
@click.option("--fresh", is_flag=True, help="Forget what earlier runs found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def main(  # noqa: PLR0913 - one per option
    files: tuple[str, ...],
    *,
    changed: bool,
    base: str,
    minutes: float,
    jobs: int,
    survivors: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Change the core in small wrong ways and see whether a test notices each.

    A change that no test notices is a survivor: write the test, or say in
    tests/mutation/excuses.toml why it changes nothing that matters. FILES are some of the
    files that tests/mutation/targets.toml names; all of them by default. Verdicts are kept
    in .mutation: a run that was stopped goes on where it was, until code or tests change.

    \b
    Examples:
      .venv/bin/python tests/mutation/run.py
      .venv/bin/python tests/mutation/run.py residency/gate/rules.py
      .venv/bin/python tests/mutation/run.py --changed --minutes 10
      .venv/bin/python tests/mutation/run.py residency/tokens.py --survivors

    Exit codes: 0 none survived without an excuse, 1 some did or an excuse is stale, 2 usage,
    3 the tests are red without any mutant, 130 interrupted.
    """  # noqa: D301 - click wants a real backspace before what must not be wrapped
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiling would take seconds per mutant of a kernel
    found = targets.load(ROOT)
    chosen = _chosen(found, files, base if changed else None)
    result = Result([case for file in chosen for case in cases(ROOT, file)], excuses=excuses.load())
    kept = Kept(ROOT, {file: found[file] for file in chosen})
    if fresh:
        kept.forget()
    result.verdicts.update(kept.known)
    if survivors:
        result.verdicts = {key: v for key, v in kept.last.items() if v != SURVIVED}
    try:
        Pool(ROOT, found, result, kept, jobs, time.time() + minutes * 60 if minutes else 0).run()
    except KeyboardInterrupt:
        click.echo("interrupted; run it again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    if as_json:
        click.echo(json.dumps(_document(result), indent=2))
    else:
        _tell(result)
    sys.exit(EXIT_ENVIRONMENT if result.red else 0 if result.is_fine else EXIT_WRONG)


def _chosen(found: dict[str, list[str]], files: Iterable[str], base: str | None) -> list[str]:
    """Return the files to look at; with a *base*, only those that changed since."""
    if unknown := sorted(set(files) - found.keys()):
        msg = f"{', '.join(unknown)}: not in tests/mutation/targets.toml; it has {', '.join(found)}"
        raise click.UsageError(msg)
    chosen = list(files) or list(found)
    if base is not None:
        touched, since = targets.changed(ROOT, base)
        chosen = [file for file in chosen if touched is None or file in touched]
        click.echo(f"{len(chosen)} core file(s) to look at, {since}", err=True)
    return chosen


def _tell(result: Result) -> None:
    for file in dict.fromkeys(result.red):
        click.echo(f"{file}: its tests fail, or do not start, without any mutant")
    for case in result.survivors:
        place = f"{case.file}:{case.mutant.line}: {case.mutant.function}"
        click.echo(f"{place}: survived: {case.mutant.change}")
    for problem in result.stale:
        click.echo(f"excuses.toml: {problem}")
    rows = result.scores()
    for row in rows:
        counts = ", ".join(f"{row[name]} {name}" for name in COUNTS)
        click.echo(f"{row['file']}: {counts}")
    total = {name: sum(row[name] for row in rows) for name in COUNTS}
    share = f"{total['killed'] / total['tried']:.1%}" if total["tried"] else "none tried"
    click.echo(f"score {share}: " + ", ".join(f"{total[name]} {name}" for name in COUNTS))


def _document(result: Result) -> dict[str, Any]:
    lived = [
        {
            "file": case.file,
            "line": case.mutant.line,
            "function": case.mutant.function,
            "change": case.mutant.change,
        }
        for case in result.survivors
    ]
    return {
        "ok": result.is_fine,
        "files": result.scores(),
        "survivors": lived,
        "stale_excuses": result.stale,
        "red": result.red,
    }


if __name__ == "__main__":
    main()
