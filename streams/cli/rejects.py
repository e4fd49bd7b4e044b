"""``homeport rejects``: rows that the org refused, why, and sending them again."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.quarantine import Entry

code_option = click.option("--code", help="Only this Salesforce error code: STRING_TOO_LONG.")
object_option = click.option("--object", "sobject", help="Only rows of this object.")
since_option = click.option(
    "--since", callback=parse_since, help="Only newer ones: 30m, 2h, 7d or a time."
)


@click.group()
def rejects() -> None:
    """Show the rows that Salesforce refused, and send them again once that is mended.

    They lie in their region's quarantine, sealed, with Salesforce's error code and the names of
    the fields it complained of; its texts are not kept, because they repeat values. What the org
    could not take only for now is not here: it is parked, and `homeport status` counts it.
    docs/rejects.md tells the whole story.
    """


@rejects.command("list")
@region_option
@home_option
@json_option
@code_option
@object_option
@since_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(0), help="Rows shown.")
@click.option("--all", "with_settled", is_flag=True, help="Also what a retry has settled.")
def list_(  # noqa: PLR0913, PLR0917, click passes each option as one
    region: str,
    home: Path,
    as_json: bool,
    code: str | None,
    sobject: str | None,
    since: datetime | None,
    limit: int,
    with_settled: bool,
) -> None:
    """Count rejected rows by error code, and show the newest.

    \b
    Examples:
      homeport rejects list --region eu
      homeport rejects list --region eu --code STRING_TOO_LONG --since 2h --json

    Exit codes: 0 listed, also when there are none; 3 no stack in this home.
    """
    found = [
        entry
        for entry in chosen(load_entries(home, region).values(), code, sobject, since)
        if with_settled or entry.settled is None
    ]
    report_list(
        region, found, groups="codes", group_of=_code, line=_line, limit=limit, as_json=as_json
    )


@rejects.command()
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@region_option
@home_option
@json_option
@code_option
@object_option
@since_option
@click.option("--all", "everything", is_flag=True, help="All that the org refused.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@click.pass_context
def retry(  # noqa: PLR0913, PLR0917, click passes each option as one
    ctx: click.Context,
    records: tuple[str, ...],
    region: str,
    home: Path,
    as_json: bool,
    code: str | None,
    sobject: str | None,
    since: datetime | None,
    everything: bool,
    dry_run: bool,
) -> None:
    """Send rejected rows again, decided anew under today's plans, through gate and ledger.

    \b
    Examples:
      homeport rejects retry --region eu --code STRING_TOO_LONG --dry-run
      homeport rejects retry --region eu --object Commerce_Order__c --since 2h
      homeport rejects retry --region eu 'eu.commerce.orders.v1[0]@7#0'

    Each goes out under its old name and row version with the next resend number (#0+1), so a
    row that has gone on since is not set back: the record is superseded. Running it twice sends
    nothing twice. What the org refuses again comes back here under its new name.

    Exit codes: 0 nothing of it stays, 1 some stays, 2 no such record, 3 no stack here.
    """
    has_filter = any(value is not None for value in (code, sobject, since))
    if sum((bool(records), has_filter, everything)) != 1:
        msg = "say which: RECORDs, a filter (--code, --object, --since), or --all"
        raise click.UsageError(msg)
    from streams.retry import Retry, preview, still_open  # noqa: PLC0415 - heavy
    from streams.settings import load_settings  # noqa: PLC0415 - heavy

    click.echo("reading the quarantine ...", err=True)
    settings = load_settings(home, region, "admin")
    again = None if dry_run else Retry(settings)
    there = still_open(settings) if again is None else again.open
    found = chosen(there.values(), code, sobject, since)
    if records:
        rejected = {entry.record: entry for entry in found}
        found = [one_of(rejected, record) for record in dict.fromkeys(records)]
    results = preview(settings, found) if again is None else again.run(found)
    outcomes = collected(results, len(found))
    report_retry(region, outcomes, as_json=as_json, is_dry_run=dry_run)
    if any(outcome.stays for outcome in outcomes):
        ctx.exit(EXIT_WRONG)


def chosen(
    entries: "Iterable[Entry]", code: str | None, sobject: str | None, since: datetime | None
) -> "list[Entry]":
    """Return those of *entries* that the org refused and that fit; None fits all."""
    return [
        entry
        for entry in entries
        if entry.reason == Reason.REJECTED
        and code in {None, _code(entry)}
        and (sobject is None or (entry.rejection and entry.rejection.object == sobject))
        and (since is None or entry.since >= since)
    ]


def _code(entry: "Entry") -> str | None:
    return None if entry.rejection is None else entry.rejection.code


def _line(entry: "Entry") -> str:
    told = entry.rejection
    what = f"{told.object}  {told.code}" if told else "-"
    where = f" at {', '.join(told.fields)}" if told and told.fields else ""
    settled = f"  {entry.settled}" if entry.settled else ""
    return f"{entry.since:%Y-%m-%d %H:%M:%S}  {entry.record}  {what}{where}{settled}"
