"""``homeport schema``: look at the schemas, and find what is wrong with them."""

import json
from typing import Any

import click

from schemas.registry import EventSchema, Registry, load_registry
from streams.cli.options import json_option

EXIT_WRONG = 1


@click.group()
def schema() -> None:
    """Check the Avro schemas, their tags and ids, or show one.

    Schemas lie in schemas/avro: raw/ has one file per event and version, types/ what they
    share, minimal/ what may reach Salesforce. Every field of an event says in
    "confluent:tags" which category of data it is; a field that does not is never sent.
    """


@schema.command()
@json_option
def check(as_json: bool) -> None:
    """Find everything that is wrong with the schemas, at once.

    Checks that every field has exactly one known category, that patterns hold the whole
    string, that no schema changed under its pinned id, that no id is used twice, that
    each version can read what the older ones wrote, and that the vault is told how long to
    keep each event.

    \b
    Example:
      homeport schema check

    Exit code 0: nothing found. 1: each problem is named with its file and field.
    """
    from residency.vault.kinds import FILE, faults, load_kinds  # noqa: PLC0415, as the next
    from schemas.check import Problem, find_problems  # noqa: PLC0415, Apache Avro is slow to import

    problems = list(find_problems())
    if not problems:
        kept = faults(load_registry(), load_kinds())
        problems += [Problem(FILE.name, None, text) for text in kept]
    if as_json:
        rows = [{"file": p.file, "path": p.path, "problem": p.text} for p in problems]
        click.echo(json.dumps({"ok": not rows, "problems": rows}))
    else:
        for problem in problems:
            click.echo(str(problem))
        click.echo(f"{len(problems)} problems" if problems else "The schemas are fine.", err=True)
    if problems:
        raise click.exceptions.Exit(EXIT_WRONG)


@schema.command()
@click.argument("name", metavar="SUBJECT|ID")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a schema's fields, or with --json all of it.

    \b
    Examples:
      homeport schema show 1002
      homeport schema show commerce.orders.OrderPlaced
      homeport schema show OrderPlaced

    A name shows its newest version. Exit code 0: shown. 2: there is no such schema.
    """
    found = _find(load_registry(), name)
    if found is None:
        known = ", ".join(sorted({schema.subject for schema in load_registry()}))
        msg = f"there is no schema {name!r}; have {known}"
        raise click.UsageError(msg)
    if as_json:
        click.echo(json.dumps(_document(found)))
        return
    click.echo(f"{found.subject}  version {found.version}  id {found.id}  {found.domain}")
    click.echo(f"sha-256 {found.digest}\n")
    width = max(len(leaf.path) for leaf in found.leaves)
    for leaf in found.leaves:
        optional = "?" if leaf.nullable else " "
        words = (leaf.path.ljust(width), f"{_kind(leaf.avro)}{optional}".ljust(18), leaf.category)
        form = leaf.pattern or " ".join(_symbols(leaf.avro))
        click.echo("  ".join((*words, form)).rstrip())
    click.echo("\n? may be absent, or stands in a record that may; --json shows the whole schema")


def _find(registry: Registry, name: str) -> EventSchema | None:
    """Return the schema of an id, a subject, a short name or an object."""
    if name.isdigit():
        return next((found for found in registry if found.id == int(name)), None)
    named = [s for s in registry if name in {s.subject, s.subject.split(".")[-1], s.object}]
    return max(named, key=lambda s: s.version) if named else None


def _symbols(avro: Any) -> list[str]:  # noqa: ANN401
    """Return what an enum may say; nothing for other types."""
    return list(avro.get("symbols", [])) if isinstance(avro, dict) else []


def _kind(avro: Any) -> str:  # noqa: ANN401
    """Return a leaf's type in one word."""
    if isinstance(avro, dict):
        return str(avro.get("logicalType", avro["type"]))
    return "union" if isinstance(avro, list) else str(avro)


def _document(found: EventSchema) -> dict[str, Any]:
    return {
        "id": found.id,
        "subject": found.subject,
        "version": found.version,
        "domain": found.domain,
        "digest": found.digest,
        "leaves": [
            {
                "path": leaf.path,
                "category": leaf.category or None,
                "type": _kind(leaf.avro),
                "nullable": leaf.nullable,
                "pattern": leaf.pattern,
            }
            for leaf in found.leaves
        ],
        "schema": found.avro,
    }
