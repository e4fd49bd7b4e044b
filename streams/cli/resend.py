"""``homeport replay --resend``: send again what is missing, or what somebody names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from streams.cli import EXIT_WRONG

if TYPE_CHECKING:
    from streams.replay.stock import Asked
    from streams.replay.wanted import Wanted

F = TypeVar("F", bound=Callable[..., Any])
MAX_REASON = 500  # characters
SHOWN = 20  # records on the screen; the report has more


@dataclass(frozen=True, slots=True)
class Choice:
    """What was said beside ``--resend``."""

    records: tuple[str, ...]
    accepted: bool
    reason: str | None
    is_dry_run: bool


def resend_options(command: F) -> F:
    """Add the options of a resend."""
    options = (
        click.option("--resend", "is_resend", is_flag=True, help="Send again what is missing."),
        click.option(
            "--record",
            "records",
            multiple=True,
            metavar="ID",
            help="Send again this one, accepted or not: a record id, or a raw record's "
            "topic[partition]@offset; may be given several times.",
        ),
        click.option("--accepted", is_flag=True, help="Send again also what the org accepted."),
        click.option("--reason", help="Why records are sent again; it stands in the report."),
        click.option("--dry-run", "is_dry_run", is_flag=True, help="Show what would be sent."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen(given: Mapping[str, Any], *, is_resumed: bool) -> Choice | None:
    """Return what was said beside ``--resend``; None without it.

    Raises:
        click.UsageError: Something is said that does not go together.

    """
    choice = Choice(given["records"], given["accepted"], given["reason"], given["is_dry_run"])
    asks = bool(choice.records or choice.accepted or choice.reason)
    if not given["is_resend"]:
        if asks or choice.is_dry_run:
            msg = "--record, --accepted, --reason and --dry-run go with --resend"
            raise click.UsageError(msg)
        return None
    if is_resumed and (asks or choice.is_dry_run):
        msg = "--resume goes on with what was asked for first"
        raise click.UsageError(msg)
    if not is_resumed and not choice.is_dry_run:
        _check_reason(choice.reason)
    return choice


def _check_reason(reason: str | None) -> None:
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        msg = f"--resend needs --reason: one line of at most {MAX_REASON} characters, no personal "
        raise click.UsageError(msg + "data; or --dry-run, to see what would be sent")


def send_again(  # noqa: PLR0913, what the command was given
    home: Path,
    region: str,
    asked: "Asked | None",
    choice: Choice,
    out: Path | None,
    *,
    as_json: bool,
) -> int:
    """Send again what is wanted, print what was, and return the exit code.

    Without *asked*, go on with the resend that was left.
    """
    from connectors.embedded.files import exclusive  # noqa: PLC0415 - heavy, as those below
    from residency.ledger.leaves import quantise  # noqa: PLC0415
    from residency.release import release_digest  # noqa: PLC0415
    from residency.replay.report import resend_report  # noqa: PLC0415
    from streams.replay import resend as resends  # noqa: PLC0415
    from streams.replay import wanted as wishes  # noqa: PLC0415
    from streams.replay.written import write_resend  # noqa: PLC0415
    from streams.settings import load_replay  # noqa: PLC0415

    def say(text: str) -> None:
        click.echo(text, err=True)

    settings = load_replay(home, region, "resend")
    folder = home / region / "replay"
    folder.mkdir(mode=0o700, exist_ok=True)
    with exclusive(folder / "lock", wait=False, busy=f"another replay of {region} runs here"):
        state = folder / "resend"
        wanted = wishes.begun(state) if asked is None else _wanted(region, asked, choice)
        done = resends.resend(settings, wanted, state, say, is_dry_run=choice.is_dry_run)
        document = resend_report(
            region=region,
            time=quantise(datetime.now(UTC)),
            release=release_digest(),
            head=done.head,
            wanted={name: row for name, row in wanted.to_json().items() if name != "size"},
            raw=done.raw,
            sent=done.sent,
            already=done.already,
            stays=done.stays,
        )
        document["dry_run"] = choice.is_dry_run
        leaf = None
        if not choice.is_dry_run:
            place = out or folder / "report"
            leaf = write_resend(settings, place, wanted, document)
            wishes.forget(state)
    _print({**document, "leaf": leaf}, as_json=as_json)
    return EXIT_WRONG if done.stays else 0


def _wanted(region: str, asked: "Asked", choice: Choice) -> "Wanted":
    """Return what is wanted.

    Raises:
        click.UsageError: A record's name is none, or of another region.

    """
    from dataclasses import replace  # noqa: PLC0415

    from residency import topics  # noqa: PLC0415
    from streams.replay.wanted import Wanted, places  # noqa: PLC0415

    try:
        named = places(choice.records)
    except ValueError as exc:
        msg = f"--record: {exc}"
        raise click.UsageError(msg) from None
    unknown = sorted({topic for topic, _ in named} - set(topics.raw_topics(region)))
    if unknown:
        msg = f"--record: {unknown[0]!r} is no raw topic of {region}"
        raise click.UsageError(msg)
    if named:
        asked = replace(asked, names=tuple(sorted({topic for topic, _ in named})))
    return Wanted(asked, tuple(sorted(set(choice.records))), choice.accepted, choice.reason or "")


def _print(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    would = "would be sent" if document["dry_run"] else "sent"
    click.echo(
        f"{document['sent_total']:,} records {would} again, {document['already']:,} were already, "
        f"{document['stays_total']:,} are not; {document['raw']:,} raw records read"
    )
    for name in document["sent"][:SHOWN]:
        click.echo(f"  {name}")
    if document["sent_total"] > SHOWN:
        click.echo(f"  and {document['sent_total'] - SHOWN:,} more")
    for one in document["stays"][:SHOWN]:
        click.echo(f"  {one['record']} is not: {one['why']}")
    if document["leaf"] is not None:
        click.echo(f"leaf {document['leaf']} of the ledger says so")
    elif not document["dry_run"]:
        click.echo("egress will append the ledger's leaf for it")
