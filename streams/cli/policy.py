"""``homeport policy``: lint, compare and show what privacy officers write."""

import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import orjson

from residency.policy.diff import Direction, changes, id_faults, moves, words
from residency.policy.files import (
    PACKS,
    ROOT,
    Finding,
    PolicyFile,
    PolicyFiles,
    Severity,
    files_at,
    files_from,
    shipped_files,
    shown,
    text_of,
)
from residency.policy.lint import lint as lint_policy
from residency.policy.lint import lint_yaml
from residency.policy.rulebook import Rulebook, load_rulebook
from residency.policy.rules import Decision
from schemas.fieldcheck import categories
from schemas.registry import load_registry
from streams.cli.options import json_option

YAML = {".yaml", ".yml"}
on_option = click.option(
    "--on",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day that counts.  [default: today, UTC]",
)


@click.group()
def policy() -> None:
    """Lint, compare and show the policy: which action each category gets, by which law.

    A policy is residency/policy/packs/*.toml, one pack per jurisdiction, with the regions,
    destinations, transfer sets, special categories and overrides beside it. docs/policy.md
    says how to change a row.
    """


@policy.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@on_option
@click.option("--all", "is_all", is_flag=True, help="Print each note on a line of its own.")
@json_option
def lint(paths: tuple[Path, ...], on: datetime | None, is_all: bool, as_json: bool) -> None:
    """Report everything that is wrong, at once, each with file and line.

    PATHS are policies to check instead of the one shipped here: a folder like `residency`, a
    folder of packs, one pack file; or a YAML file, in which it looks for a bare NO. What a
    folder lacks is taken as shipped.

    A row that matches no field of any schema is a problem if it permits something. If it
    drops, it is a note and fails nothing: complete packs guard categories before a schema
    uses them. Notes are told by line numbers alone, unless --all asks for each.

    \b
    Examples: homeport policy lint
              homeport policy lint ../proposal/packs countries.yaml

    Exit code 1 if there is a problem.
    """
    day = _day(on)
    used = frozenset(leaf.category for schema in load_registry().raw() for leaf in schema.leaves)
    findings: list[Finding] = []
    for path in paths:
        if path.suffix in YAML:
            findings += lint_yaml(PolicyFile(shown(path), text_of(path)))
        else:
            findings += lint_policy(files_at(path), day, categories(), used)
    if not paths:
        findings += lint_policy(shipped_files(), day, categories(), used)
    problems = [f for f in findings if f.severity is Severity.PROBLEM]
    notes = [f for f in findings if f.severity is Severity.NOTE]
    if as_json:
        _print_json({"on": day, "problems": _plain(problems), "notes": _plain(notes)})
    else:
        for line in (*map(str, problems), *(map(str, notes) if is_all else _grouped(notes))):
            click.echo(line)
        click.echo(f"{len(problems)} problem(s), {len(notes)} note(s)", err=True)
    raise SystemExit(1 if problems else 0)


def _grouped(notes: list[Finding]) -> Iterator[str]:
    """Yield a line per file and kind of note, with the lines it is about."""
    ordered = sorted(notes, key=lambda note: (note.file, note.kind, note.line))
    for (file, kind), group in groupby(ordered, key=lambda note: (note.file, note.kind)):
        lines = ", ".join(str(note.line) for note in group)
        yield f"{file}: note: {kind}, lines {lines}; --all says more"


def _plain(findings: list[Finding]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in asdict(finding).items() if key != "severity"}
        for finding in findings
    ]


@policy.command()
@click.argument("before")
@click.argument("after", default=".")
@on_option
@json_option
def diff(before: str, after: str, on: datetime | None, as_json: bool) -> None:
    """Say what leaves under AFTER that did not under BEFORE, and the other way round.

    Each is a git revision of this repository, a folder like `residency`, a folder of packs,
    or one pack file; `.`, the default, is the policy of this checkout. Decisions are
    compared per region, category and destination, on the day and on every later one on
    which something begins or ends. Loosened ones come first.

    \b
    Examples: homeport policy diff HEAD
              homeport policy diff main ../proposal/packs

    Exit code 1 if anything is loosened, or an id is gone without being retired or means
    something else than before.
    """
    day = _day(on)
    old, new = (load_rulebook(_files(name)) for name in (before, after))
    reused, moved = id_faults(old, new), moves(old, new)
    changed = changes(old, new, day, categories())
    directions = [*(m.direction for m in moved), *(c.direction for c in changed)]
    is_loosened = Direction.LOOSENED in directions
    if as_json:
        jurisdictions = [asdict(move) for move in moved]
        decisions = [asdict(change) for change in changed]
        told = {"on": day, "loosened": is_loosened, "ids": reused}
        _print_json({**told, "jurisdictions": jurisdictions, "decisions": decisions})
        raise SystemExit(1 if is_loosened or reused else 0)
    for fault in reused:
        click.echo(f"ID         {fault}")
    for move in moved:
        homes = f"{move.before or 'refused'} -> {move.after or 'refused'}"
        click.echo(f"{move.direction.upper():<9}  jurisdiction {move.jurisdiction}: {homes}")
    for change in changed:
        since = "" if change.since == day else f", from {change.since}"
        click.echo(
            f"{change.direction.upper():<9}  {change.region} {change.category} "
            f"to {change.destination}: {change.before} -> {change.after}{since}"
        )
        rows = (", ".join(ids) or "no row" for ids in (change.rules_before, change.rules_after))
        click.echo(f"           {' -> '.join(rows)}")
    loosened = directions.count(Direction.LOOSENED)
    click.echo(f"{len(directions)} change(s), {loosened} of them loosened", err=True)
    raise SystemExit(1 if is_loosened or reused else 0)


def _files(name: str) -> PolicyFiles:
    """Return the policy that a word on the command line means."""
    if name == ".":
        return shipped_files()
    path = Path(name)
    if path.exists():
        return files_at(path)
    is_option = name.startswith("-")  # git would take it for one
    tree = ("ls-tree", "--full-tree", "--name-only", f"{name}:./{PACKS}")
    listed = None if is_option else _git(*tree)
    if listed is None:
        msg = f"{name!r} is no folder, no file and no git revision with {ROOT.name}/{PACKS}"
        raise click.UsageError(msg)
    packs = [line.removesuffix(".toml") for line in listed.splitlines() if line.endswith(".toml")]
    return files_from(lambda at: _git("show", f"{name}:./{at}"), packs, name)


def _git(*words: str) -> str | None:
    """Return what git answers about this checkout, or None if it cannot."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


@policy.command()
@click.option("--region", help="Only this region.")
@click.option("--category", help="Only this category and what lies below it.")
@on_option
@json_option
def show(region: str | None, category: str | None, on: datetime | None, as_json: bool) -> None:
    """Show the decision for each category, with the rows, laws and bases it rests on.

    \b
    Example: homeport policy show --region eu --category user.contact
    """
    day, book = _day(on), load_rulebook(shipped_files())
    if region is not None and region not in book.regions:
        msg = f"no region {region!r}; have {', '.join(book.regions)}"
        raise click.UsageError(msg)
    wanted = [
        c for c in sorted(categories()) if category is None or f"{c}.".startswith(f"{category}.")
    ]
    if not wanted:
        msg = f"no category {category!r}; schemas/categories.toml lists them"
        raise click.UsageError(msg)
    rows = [
        (name, to, one, book.decide(name, one, to, day))
        for name in ([region] if region else book.regions)
        for to in book.destinations
        for one in wanted
    ]
    if as_json:
        _print_json([_told(book, *row) for row in rows])
        return
    for name, to, one, decision in rows:
        click.echo(f"{name}  {one}: {words(decision)}, to {to}")
        for rule in decision.rules:
            basis = f", basis {rule.basis}" if rule.basis else ""
            until = f", until {rule.valid_to}" if rule.valid_to else ""
            click.echo(f"      {rule.id}: {rule.source}{basis}{until}")
        if decision.silent:
            click.echo(f"      no row in {', '.join(decision.silent)}: silence is refusal")


def _told(
    book: Rulebook, region: str, destination: str, category: str, decision: Decision
) -> dict[str, Any]:
    laws = {
        pack: law
        for pack in book.regions[region].value.packs
        if (law := book.limits.special_law(pack, category)) is not None
    }
    return {
        "region": region,
        "category": category,
        "destination": destination,
        "action": decision.action,
        "how": decision.how,
        "silent_packs": decision.silent,
        "special_by": laws,
        "rules": [
            {
                "id": rule.id,
                "pack": rule.pack,
                "category": rule.category,
                "action": rule.action,
                "source": rule.source,
                "basis": rule.basis,
                "valid_to": rule.valid_to,
            }
            for rule in decision.rules
        ],
    }


def _day(on: datetime | None) -> date:
    return datetime.now(UTC).date() if on is None else on.date()


def _print_json(document: object) -> None:
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
