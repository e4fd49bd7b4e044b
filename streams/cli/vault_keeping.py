"""``homeport vault status|migrate|rotate|prune``: the upkeep of a region's vault."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option

if TYPE_CHECKING:
    from connectors.postgres.vault.upkeep import Upkeep
    from streams.settings import Settings


def settings_of(home: Path, region: str) -> "Settings":
    """Return the settings of the vault's writer, whose role these commands have."""
    from streams.settings import load_settings  # noqa: PLC0415 - heavy; --help must not pay

    return load_settings(home, region, "vault")


def dsn_of(settings: "Settings") -> str:
    """Return where the vault is; raises as `streams.settings.database`."""
    from streams.settings import database  # noqa: PLC0415 - as above

    return database(settings.postgres, "vault")


@contextmanager
def opened(home: Path, region: str) -> "Iterator[Upkeep]":
    """Yield the upkeep of a region's vault."""
    from connectors.postgres.vault.upkeep import Upkeep  # noqa: PLC0415 - as above

    with closing(Upkeep(dsn_of(settings_of(home, region)))) as upkeep:
        yield upkeep


@contextmanager
def key_bar() -> Iterator[Callable[[int, int], None]]:
    """Yield what shows on stderr how many keys are done, and of how many."""
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import Progress  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("keys", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield progress


def tell(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Write the one document, or the text for people."""
    click.echo(orjson.dumps(document).decode() if as_json else text)


@click.command()
@region_option
@home_option
@json_option
@click.pass_context
def status(ctx: click.Context, region: str, home: Path, *, as_json: bool) -> None:
    """Show what a region's vault holds, in numbers: no name, no value.

    Keys by version of the key that they lie under, events by type with the months they lie in,
    how far each partition is read, erasures by step. Rows are PostgreSQL's estimate.

    Example: homeport vault status --region eu --json

    Exit codes: 0 shown, 1 migrations are missing, 3 no stack in this home.
    """
    with opened(home, region) as upkeep:
        found = {"region": region, **upkeep.summary()}
    lines = [f"{region}: migration {found['migration']} of {found['migrations']}"]
    lines += [f"  key {r['version']:<3} of {r['subjects']} subjects" for r in found.get("keys", ())]
    for row in found.get("events", ()):
        size = f"{row['bytes'] / 2**20:.1f} MiB"
        lines.append(
            f"  {row['event']:<45} {row['months']} months, about {row['rows']} rows, {size}"
        )
    lines += [
        f"  {row['topic']}[{row['partition']}] up to {row['next']}"
        for row in found.get("progress", ())
    ]
    lines += [f"  erasures, {step}: {n}" for step, n in found.get("erasures", {}).items()]
    tell(found, "\n".join(lines), as_json=as_json)
    if found["migration"] < found["migrations"]:
        ctx.exit(EXIT_WRONG)


@click.command()
@region_option
@home_option
@json_option
def migrate(region: str, home: Path, *, as_json: bool) -> None:
    """Bring a region's vault to this release's tables; may be repeated.

    `homeport up` does so by itself. In production run it before the new release's workers: they
    do not start on a vault that is older than they are. The roles must be there: docs/vault.md.

    Example: homeport vault migrate --region eu
    """
    with opened(home, region) as upkeep:
        made = upkeep.migrate()
    names = [f"{one.number:04}_{one.name}" for one in made]
    document = {"region": region, "applied": names}
    tell(document, f"{region}: applied {', '.join(names) or 'nothing'}", as_json=as_json)


@click.command()
@region_option
@home_option
@click.option(
    "--retire",
    "is_retired",
    is_flag=True,
    help="Then forget the older versions: what was sealed under them in backups opens no more.",
)
@json_option
def rotate(region: str, home: Path, *, is_retired: bool, as_json: bool) -> None:
    """Give a region's vault a new key-encryption key and wrap every customer's key under it.

    Sealed events are not touched, writers go on meanwhile. Interrupted, it goes on where it was
    when it is run again. An older version stays in the key store until --retire: restoring a
    backup from before needs it.

    \b
    Examples:
      homeport vault rotate --region eu
      homeport vault rotate --region eu --retire
    """
    from streams.vault import rotating  # noqa: PLC0415 - heavy; --help must not pay
    from streams.vault.keystores import open_keystore  # noqa: PLC0415 - as above

    keystore = open_keystore(settings_of(home, region))
    with opened(home, region) as upkeep:
        upkeep.check()
        with key_bar() as progress:
            done = rotating.rotate(upkeep, keystore, datetime.now(UTC), progress)
        retired = rotating.retire(upkeep, keystore) if is_retired else ()
    document = {
        "region": region,
        "version": done.version,
        "wrapped": done.wrapped,
        "retired": list(retired),
    }
    text = f"{region}: {done.wrapped} keys wrapped anew, all lie under version {done.version}"
    if retired:
        text += f"; forgot {', '.join(map(str, retired))}"
    tell(document, text, as_json=as_json)


@click.command()
@region_option
@home_option
@json_option
def prune(region: str, home: Path, *, as_json: bool) -> None:
    """Delete the events that have had their time, now; the vault's writer does so once a day.

    How long each event type is kept stands in residency/vault/events.toml. A customer of whom
    no event is left loses their key and their rows of the index, too. Names of erased customers'
    records go once nothing of their time can be kept anywhere.

    Example: homeport vault prune --region eu
    """
    from residency.vault.kinds import load_kinds  # noqa: PLC0415 - as above

    with opened(home, region) as upkeep:
        upkeep.check()
        gone = upkeep.prune(load_kinds(), datetime.now(UTC))
    document = {
        "region": region,
        "events": dict(gone.events),
        "subjects": gone.subjects,
        "names": gone.names,
    }
    events = sum(gone.events.values())
    lines = [f"{region}: {events} events, {gone.subjects} subjects, {gone.names} names"]
    lines += [f"  {event:<45} {count}" for event, count in gone.events.items()]
    tell(document, "\n".join(lines), as_json=as_json)
