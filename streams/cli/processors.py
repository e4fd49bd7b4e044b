"""``homeport processors``: the data engineers' functions, where they are used, what is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from residency.contracts.read import load_contract
from schemas.errors import SetupError
from streams.cli.options import json_option
from streams.processor import FOLDER, Loaded, discover

EXIT_WRONG = 1


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def processors(context: click.Context, *, as_json: bool) -> None:
    """List the processors: pure functions on a minimal record, one file each.

    They lie in streams/processors. A contract names them per output, a plan pins each by
    the SHA-256 of its file, and so a changed file needs `homeport plan approve` before its
    events leave again; until then they go to quarantine as no-approved-plan.

    \b
    Examples:
      homeport processors
      homeport processors --json
      homeport processors check coarsen_london
    """
    if context.invoked_subcommand is not None:
        if as_json:
            msg = "give --json behind the command: homeport processors check --json"
            raise click.UsageError(msg)
        return
    used = _uses()
    rows = [_row(one, used.get(one.name, [])) for one in discover().values()]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for row in rows:
        click.echo(f"{row['name']}: {row['doc']}")
        click.echo(f"  object  {row['object']}")
        click.echo(f"  reads   {', '.join(row['reads']) or '-'}")
        click.echo(f"  writes  {', '.join(row['writes'])}")
        click.echo(f"  sha256  {row['sha256']}")
        click.echo(f"  used    {', '.join(row['used_by']) or 'by no contract'}")
    click.echo(f"{len(rows)} processor(s)", err=True)


@processors.command()
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
@json_option
def check(names: tuple[str, ...], *, as_json: bool) -> None:
    """Run the standard suite's rules over processors; all of them by default.

    The file may import and call only what a pure function needs. Then it is run over many
    minimal records, those with gaps and extremes among them: it must take every one, give
    the same for the same, change only what it says it writes, and what comes out must pass
    the gate of every region.

    \b
    Examples:
      homeport processors check
      homeport processors check coarsen_london
      homeport processors check ~/drafts/round_totals.py --json

    Exit codes: 0 nothing found, 1 each problem is named with its file and line, 2 there is
    no such file.
    """
    from streams.processor_rules import problems_of  # noqa: PLC0415, the demo is slow to import
    from streams.processor_samples import samples  # noqa: PLC0415

    files = [_file(name) for name in names] or _all()
    records = samples()
    found = {file: problems_of(file, records) for file in files}
    problems = [text for texts in found.values() for text in texts]
    if as_json:
        told = {"ok": not problems, "files": [file.name for file in files], "problems": problems}
        click.echo(orjson.dumps(told).decode())
    else:
        for text in problems:
            click.echo(text)
        click.echo(f"{len(files)} processor(s), {len(problems)} problem(s)", err=True)
    if problems:
        raise click.exceptions.Exit(EXIT_WRONG)


def _all() -> list[Path]:
    return sorted(file for file in FOLDER.glob("*.py") if not file.name.startswith("_"))


def _file(name: str) -> Path:
    """Return the file that *name* means: a processor's name or a path."""
    file = Path(name) if name.endswith(".py") else FOLDER / f"{name}.py"
    if not file.is_file():
        have = ", ".join(one.stem for one in _all())
        msg = f"no processor {name!r}; have {have}, or give a .py file"
        raise click.UsageError(msg)
    return file


def _row(one: Loaded, used_by: list[str]) -> dict[str, Any]:
    return {
        "name": one.name,
        "doc": one.doc,
        "object": one.object,
        "reads": list(one.reads),
        "writes": list(one.writes),
        "sha256": one.sha256,
        "used_by": used_by,
    }


def _uses() -> Mapping[str, list[str]]:
    """Return the events whose contracts name each processor."""
    used: dict[str, list[str]] = {}
    try:
        contract = load_contract()
    except SetupError as error:
        click.echo(f"contracts: {error}", err=True)
        return used
    for event, outputs in contract.outputs.items():
        for output in outputs:
            for name in output.processors:
                used.setdefault(name, []).append(f"{event} -> {output.object}")
    return used
