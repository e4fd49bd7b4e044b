"""``homeport quarantine``: what could not go on, why, and trying it again."""

import os
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from residency.ledger.accesses import Purpose
from residency.vault.looking import RefusedError
from schemas.errors import Reason
from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option
from streams.cli.quarantined import (
    collected,
    load_entries,
    one_of,
    parse_since,
    report_list,
    report_retry,
)
from streams.cli.vault_find import caller_of, refused, why_options

if TYPE_CHECKING:
    from streams.quarantine import Entry

DIGEST = 12  # characters of a plan's digest that are shown
reason_option = click.option(
    "--reason", type=click.Choice([reason.value for reason in Reason]), help="Only this reason."
)


@click.group()
def quarantine() -> None:
    """Show what could not go on, say why, and try it again once that is mended.

    Records that cannot be decided, and minimal records that the gate or the org refused, lie
    in their region's quarantine topic for 7 days, their payloads sealed. They never leave.
    docs/quarantine.md tells the whole story.
    """


@quarantine.command("list")
@region_option
@home_option
@json_option
@reason_option
@click.option("--since", callback=parse_since, help="Only newer ones: 30m, 2h, 7d or a time.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Rows shown.")
@click.option("--all", "with_settled", is_flag=True, help="Also what a retry has settled.")
def list_(  # noqa: PLR0913, PLR0917, click passes each option as one
    region: str,
    home: Path,
    as_json: bool,
    reason: str | None,
    since: datetime | None,
    limit: int,
    with_settled: bool,
) -> None:
    """Count what is in quarantine by reason, and show the newest entries.

    \b
    Examples:
      homeport quarantine list --region eu
      homeport quarantine list --region eu --reason no-approved-plan --since 2h --json

    Exit codes: 0 listed, also when it is empty; 3 no stack in this home.
    """
    found = [
        entry
        for entry in load_entries(home, region).values()
        if (with_settled or entry.settled is None)
        and reason in {None, entry.reason}
        and (since is None or entry.since >= since)
    ]
    report_list(
        region,
        found,
        groups="reasons",
        group_of=lambda entry: entry.reason,
        line=_line,
        limit=limit,
        as_json=as_json,
    )


def _line(entry: "Entry") -> str:
    plan = (entry.plan or "-")[:DIGEST]
    where = f" at {entry.path}" if entry.path else ""
    settled = f", {entry.settled}" if entry.settled else ""
    return (
        f"{entry.since:%Y-%m-%d %H:%M:%S}  {entry.record}  {entry.reason}{where}"
        f"  plan {plan}{settled}"
    )


@quarantine.command()
@click.argument("record")
@region_option
@home_option
@json_option
@click.option("--reveal", is_flag=True, help="Open the payload: regulated data, for your eyes.")
@why_options(required=False)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the opened payload to this new file (0600), not to stdout.",
)
def show(  # noqa: PLR0913, PLR0917, click passes each option as one
    record: str,
    region: str,
    home: Path,
    as_json: bool,
    reveal: bool,
    purpose: str | None,
    ticket: str | None,
    out: Path | None,
) -> None:
    """Show one quarantined RECORD; with --reveal also what it holds.

    \b
    Examples:
      homeport quarantine show 'eu.commerce.orders.v1[0]@7' --region eu
      homeport quarantine show 'eu.commerce.orders.v1[0]@7' --region eu --reveal --out r.json \
        --purpose support --ticket CASE-17

    The payload is regulated data and must stay in its region: run this there, and delete the
    file when you are done. What is not Avro of a known schema is shown as base64.

    Whose token is in HOMEPORT_CALLER_TOKEN looks as that caller, whose role must export; without
    it the ledger says `operator`. Each payload that is shown is an `access` leaf in the region's
    ledger, asked for before. docs/vault-find.md has more.

    Exit codes: 0 shown; 1 the payload does not open, its subject is erased, or the caller may not
    see it, or not so often; 2 usage, or no such record; 3 no stack here.
    """
    if not reveal and (out or purpose or ticket):
        msg = "--out, --purpose and --ticket are about the opened payload; say --reveal too"
        raise click.UsageError(msg)
    if reveal and not (purpose and ticket):
        msg = "--reveal needs --purpose and --ticket: the ledger says why somebody looked"
        raise click.UsageError(msg)
    if out is not None and out.exists():
        raise _is_there(out)
    entry = one_of(load_entries(home, region), record)
    document = {**entry.to_json(), "raw": str(entry.raw)}
    if purpose and ticket:
        document["access"], found = _opened(home, region, entry, Purpose(purpose), ticket)
        opened = orjson.dumps(found, option=orjson.OPT_INDENT_2)
        if out is None:
            document["payload"] = orjson.loads(opened)
        else:
            _write_private(out, opened + b"\n")
            document["payload_file"] = str(out)
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    for name, value in document.items():
        text = orjson.dumps(value).decode() if isinstance(value, dict) else value
        click.echo(f"{name:<13} {'-' if text is None else text}")


@quarantine.command()
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@region_option
@home_option
@json_option
@reason_option
@click.option("--all", "everything", is_flag=True, help="All that is in quarantine.")
@click.pass_context
def retry(  # noqa: PLR0913, PLR0917, click passes each option as one
    ctx: click.Context,
    records: tuple[str, ...],
    region: str,
    home: Path,
    as_json: bool,
    reason: str | None,
    everything: bool,
) -> None:
    """Decide quarantined records again under today's plans, keys and release.

    \b
    Examples:
      homeport quarantine retry --region eu --reason no-approved-plan
      homeport quarantine retry --region eu 'eu.commerce.orders.v1[0]@7'

    What can be decided now goes to the gate under its old name and row version, so a newer
    state of its row is never overwritten, and is in quarantine no more; both in one Kafka
    transaction, so running it twice sends nothing twice. What cannot stays, and is named.

    Exit codes: 0 nothing of it stays, 1 some stays, 2 no such record, 3 no stack here.
    """
    if sum((bool(records), reason is not None, everything)) != 1:
        msg = "say which: RECORDs, --reason R, or --all"
        raise click.UsageError(msg)
    from streams.retry import Retry  # noqa: PLC0415 - heavy
    from streams.settings import load_settings  # noqa: PLC0415 - heavy

    click.echo("reading the quarantine ...", err=True)
    again = Retry(load_settings(home, region, "admin"))
    chosen = [one_of(again.open, record) for record in dict.fromkeys(records)] or [
        entry for entry in again.open.values() if reason in {None, entry.reason}
    ]
    outcomes = collected(again.run(chosen), len(chosen))
    report_retry(region, outcomes, as_json=as_json)
    if any(outcome.stays for outcome in outcomes):
        ctx.exit(EXIT_WRONG)


def _opened(
    home: Path, region: str, entry: "Entry", purpose: Purpose, ticket: str
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the `access` leaf, and the payload.

    The payload as plain JSON, or as base64 where it is not Avro that we know. No leaf where there
    is no payload.
    """
    from schemas.registry import load_registry  # noqa: PLC0415 - heavy
    from streams.quarantine import plain  # noqa: PLC0415 - heavy
    from streams.revealing import Look, reveal  # noqa: PLC0415 - heavy
    from streams.settings import load_settings  # noqa: PLC0415 - heavy

    settings = load_settings(home, region, "admin")
    try:
        look = Look(caller_of(home, region), purpose, ticket)
        found = reveal(settings, entry, look, datetime.now(UTC))
    except RefusedError as exc:
        raise refused(exc) from None
    if found.value is None:
        reason = f"{entry.reason}: it is named only, and lies in its raw topic"
        return None, {"not_carried": reason}
    value = plain(load_registry(), found.value) or {"base64": b64encode(found.value).decode()}
    return {"request": found.request, "leaf": found.leaf}, value


def _write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read; never over an old one."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _is_there(path) from None
    with os.fdopen(number, "wb") as file:
        file.write(data)


def _is_there(path: Path) -> click.UsageError:
    return click.UsageError(f"{path}: exists; choose a new file")
