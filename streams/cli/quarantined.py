"""What the commands on a region's quarantine share: which entries, and how a retry ended."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from schemas.errors import RetriableError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from streams.again import Outcome
    from streams.quarantine import Entry

AGO = re.compile(r"(\d{1,6})([smhd])")
_DAY = timedelta(days=1)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
PROGRESS = 1_000  # records between two lines of progress


def parse_since(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment that ``2h`` or an ISO 8601 time means; without a zone it is UTC.

    Raises:
        click.BadParameter: It is neither.

    """
    del ctx
    if value is None:
        return None
    try:
        if match := AGO.fullmatch(value):
            return datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        _ = moment.astimezone(UTC) + _DAY  # whoever rounds it up must stay on the calendar
    except (ValueError, OverflowError):
        msg = "say 30m, 2h, 7d or a time like 2026-11-25T16:00"
        raise click.BadParameter(msg, param=param) from None
    return moment


def check_span(since: datetime | None, until: datetime | None) -> None:
    """Refuse a span that holds nothing: its answer would read as if nothing had been found.

    Raises:
        click.UsageError: *until* is not after *since*.

    """
    if since is not None and until is not None and since >= until:
        msg = "the span ends before it begins: nothing can lie in it"
        raise click.UsageError(msg)


def report_list(  # noqa: PLR0913, what two commands say differently
    region: str,
    found: "Sequence[Entry]",
    *,
    groups: str,
    group_of: "Callable[[Entry], str | None]",
    line: "Callable[[Entry], str]",
    limit: int,
    as_json: bool,
) -> None:
    """Print how many entries there are of each group, and the newest, newest first.

    Args:
        region: Whose.
        found: Oldest first.
        groups: What the groups are called in JSON.
        group_of: An entry's.
        line: An entry for people.
        limit: How many entries are shown.
        as_json: Print one JSON document instead.

    """
    counts = Counter(group_of(entry) for entry in found)
    shown = found[-limit:][::-1] if limit else []
    if as_json:
        document = {
            "region": region,
            "total": len(found),
            groups: dict(counts.most_common()),
            "records": [entry.to_json() for entry in shown],
        }
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    for name, n in counts.most_common():
        click.echo(f"{n:>8}  {name}")
    click.echo(f"{len(found):>8}  in all, {region}")
    if shown:
        click.echo()
    for entry in shown:
        click.echo(line(entry))
    if len(found) > len(shown) > 0:
        click.echo(f"and {len(found) - len(shown)} older; --limit shows more")


def collected(outcomes: "Iterable[Outcome]", total: int) -> "list[Outcome]":
    """Return *outcomes* as they come, and say now and then how many of *total* there are."""
    found: list[Outcome] = []
    for outcome in outcomes:
        found.append(outcome)
        if not len(found) % PROGRESS:
            click.echo(f"{len(found)} of {total} ...", err=True)
    return found


def report_retry(
    region: str, outcomes: "Sequence[Outcome]", *, as_json: bool, is_dry_run: bool = False
) -> None:
    """Print how a retry ended, or would: what was sent, what stays and why."""
    stays = [one for one in outcomes if one.stays is not None]
    sent = [one for one in outcomes if one.sent]
    document = {
        "region": region,
        **({"dry_run": True} if is_dry_run else {}),
        "tried": len(outcomes),
        "sent": len(sent),
        "minimal": sum(len(one.sent) for one in sent),
        "nothing": len(outcomes) - len(sent) - len(stays),
        "stays": [{"record": one.record, "why": one.stays} for one in stays],
    }
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    tried = "would try" if is_dry_run else "tried"
    click.echo(
        f"{tried} {document['tried']}: {document['sent']} sent as {document['minimal']} minimal "
        f"records, {document['nothing']} with nothing to send, {len(stays)} stay"
    )
    for one in stays:
        click.echo(f"  {one.record}: {one.stays}")


def load_entries(home: Path, region: str) -> "dict[str, Entry]":
    """Return the region's quarantine by record, oldest first.

    Raises:
        SetupError: Kafka does not answer.

    """
    from streams.quarantine import entries  # noqa: PLC0415 - heavy
    from streams.settings import load_settings  # noqa: PLC0415 - heavy

    settings = load_settings(home, region, "admin")
    try:
        return entries(settings)
    except RetriableError as exc:  # no more than that can go wrong with reading
        raise SetupError(str(exc)) from None


def one_of(found: "Mapping[str, Entry]", record: str) -> "Entry":
    """Return the entry of *record*.

    Raises:
        click.UsageError: There is none.

    """
    if record not in found:
        msg = f"no {record!r} in quarantine; see `homeport quarantine list --all`"
        raise click.UsageError(msg)
    return found[record]
