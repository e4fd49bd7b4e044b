"""``homeport egress``: whether a region's egress is halted, and letting it run again."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from residency.ledger.errors import LockedError
from schemas.errors import SetupError
from schemas.events import RecordId
from streams.cli import EXIT_WRONG
from streams.cli.options import Said, home_option, json_option, region_option
from streams.cli.salesforce import asked

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.switch import Resuming

MAX_REASON = 2_000  # characters
STOPPING_S = 60.0  # egress may be waiting for an org that does not answer
AGAIN_S = 0.5


@click.group()
def egress() -> None:
    """Show why a region's egress is halted, and let it run again.

    A broken promise halts the region's egress until a person resumes it, over restarts and
    `homeport up` too. docs/halt.md says what halts it and what to look at.
    """


@egress.command("status")
@region_option
@home_option
@json_option
def status_command(region: str, home: Path, *, as_json: bool) -> None:
    """Show whether the region's egress is halted: why, since when, and who was told.

    \b
    Example:
      homeport egress status --region eu

    Whether its process runs is a question for `homeport status`.

    Exit codes: 0 it may run, 1 it is halted, 3 no such region in this home.
    """
    document = _status(home, region)
    halt = document["halt"]
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    elif halt is None:
        leaf = document["resumed"]
        click.echo(f"{region}: egress may run" + (f", by leaf {leaf}" if leaf is not None else ""))
    else:
        told = document["alert"]
        where = [name for name in ("logged", "delivered") if told[name]]
        click.echo(f"{region}: egress is HALTED since {halt['since']} by {halt['by']}")
        click.echo(f"  cause: {halt['cause']}: {document['meaning']}")
        click.echo(f"  {halt['text']}")
        for name in halt["records"]:
            click.echo(f"  record {name}")
        if halt["more"]:
            click.echo(f"  and {halt['more']} more records")
        if halt["leaf"] is not None:
            click.echo(f"  first bad leaf: {halt['leaf']}")
        click.echo(f"  alert: {', '.join(where) or 'not told yet: egress tells when it runs'}")
        click.echo(f"  when it is mended: homeport egress resume --region {region} --reason TEXT")
    raise SystemExit(0 if halt is None else EXIT_WRONG)


def _status(home: Path, region: str) -> dict[str, Any]:
    from streams.alarm import MEANINGS, told_of  # noqa: PLC0415 -- late, for --help
    from streams.switch import Switch  # noqa: PLC0415 -- late, for --help

    folder = home / region
    if not folder.is_dir():
        msg = f"{folder}: no such region in this home; run `homeport up` first"
        raise SetupError(msg)
    switch = Switch(folder)
    halt = switch.standing(is_new=not (folder / "ledger").exists())
    told = told_of(switch)
    is_told = halt is not None and told.halt == halt.id
    return {
        "region": region,
        "halted": halt is not None,
        "halt": None if halt is None else halt.to_json(),
        "meaning": None if halt is None else MEANINGS[halt.cause],
        "alert": {"logged": is_told and told.logged, "delivered": is_told and told.delivered},
        "resumed": None if halt is not None else switch.resumed_by(),
    }


def parse_records(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of records.

    Raises:
        click.BadParameter: One is none.

    """
    del ctx
    for name in value:
        try:
            RecordId.parse(name)
        except ValueError as exc:
            raise click.BadParameter(str(exc), param=param) from None
    return value


@egress.command("resume")
@region_option
@home_option
@click.option(
    "--reason", required=True, type=Said(MAX_REASON), help="Why it may go on; kept in the region."
)
@click.option(
    "--refuse",
    "stays",
    multiple=True,
    metavar="RECORD",
    callback=parse_records,
    help="A record that is to stay if the gate halts at it again; repeat.",
)
@json_option
def resume_command(
    region: str, home: Path, reason: str, stays: tuple[str, ...], *, as_json: bool
) -> None:
    """Let a halted egress run again, and say so in the ledger.

    \b
    Example:
      homeport egress resume --region eu --reason 'row edited by hand, put back: case 4711'
      homeport egress resume --region eu --reason 'made by a test' \\
          --refuse 'eu.commerce.orders.v1[0]@7#0'

    Look first: docs/halt.md says at what, cause by cause. What is announced and has no outcome
    is sent again, what waits in Kafka follows; nothing is lost and nothing doubled. The leaf holds
    the cause and a commitment to the reason, not its text. A record of --refuse ends as
    gate-refused and goes to quarantine, if the gate still halts at it.

    Exit codes: 0 it may run, 1 it was not halted, or the ledger does not hold, 3 the database
    does not answer, or no such region in this home.
    """
    from streams.settings import load_settings  # noqa: PLC0415 -- late, for --help

    with asked():
        done = _resume(load_settings(home, region, "egress"), reason, stays)
    if as_json:
        told = {"region": region, "halt": done.halt.to_json(), "leaf": done.leaf}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    click.echo(f"{region}: egress may run again, by leaf {done.leaf} ({done.halt.cause})")


def _resume(settings: "Settings", reason: str, stays: tuple[str, ...]) -> "Resuming":
    """Resume, once egress has let go of the ledger."""
    from streams.resuming import resume  # noqa: PLC0415 -- late, for --help

    deadline = time.monotonic() + STOPPING_S
    while True:
        try:
            return resume(settings, reason, datetime.now(UTC), stays)
        except LockedError:
            if time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_S)
