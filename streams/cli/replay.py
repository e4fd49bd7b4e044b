"""``homeport replay``: hold the ledger against the raw records, as an auditor does."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.cli import EXIT_INTERRUPTED, EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option
from streams.cli.quarantined import check_span, parse_since
from streams.cli.resend import chosen, resend_options, send_again

if TYPE_CHECKING:
    from streams.replay.run import How
    from streams.replay.stock import Asked

SHOWN = 20  # findings on the screen; the report has the rest


@click.command()
@region_option
@home_option
@json_option
@click.option(
    "--topic", "names", multiple=True, help="Only this raw topic; may be given several times."
)
@click.option(
    "--from", "since", callback=parse_since, help="Published from then on: 30m, 2h, 7d or a time."
)
@click.option("--to", "until", callback=parse_since, help="Published before; as --from.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Raw records a second, at most."
)
@click.option("--resume", is_flag=True, help="Go on with the replay, or the resend, that was left.")
@resend_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the report goes; else <home>/<region>/replay/report.",
)
@click.pass_context
def replay(  # noqa: PLR0913, one argument per option
    ctx: click.Context,
    /,
    *,
    region: str,
    home: Path,
    as_json: bool,
    names: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    workers: int,
    rate: float | None,
    resume: bool,
    out: Path | None,
    **resend: Any,  # noqa: ANN401, what `resend_options` adds
) -> None:
    """Read the raw topics again and hold what comes out against the ledger.

    \b
    Examples:
      homeport replay --region eu
      homeport replay --region eu --from 1d --workers 2 --rate 5000 --out audit/
      homeport replay --region eu --topic eu.commerce.orders.v1 --json

    Each raw record is made into minimal records once more, under the plan and the key version
    that its leaf names, and their commitment compared with the leaf's. Runs beside production,
    writes to no topic and to no org. Ctrl-C leaves it where it is; --resume goes on with the
    same topics and times. The report is a signed note, JSON and a page, and the ledger gets a
    leaf that names it: docs/replay.md.

    With --resend it sends again what is not logged, or what --record and --accepted say, and why
    you want it: under the old name with the next resend number, through gate, ledger and sink
    like anything else. A row that has gone on is not set back. --dry-run shows it first:

    \b
      homeport replay --region eu --from 1d --resend --dry-run
      homeport replay --region eu --from 1d --resend --reason 'offsets were moved, CHG-17'
      homeport replay --region eu --resend --record 'eu.commerce.orders.v1[0]@7#1' --reason ...

    Exit codes: 0 all is as logged, or was sent again; 1 findings, or some is not sent; 3 no
    stack, ledger or keys here; 130 stopped.
    """
    from residency import topics  # noqa: PLC0415 - heavy, as those below
    from streams.replay.run import How  # noqa: PLC0415
    from streams.replay.stock import Asked  # noqa: PLC0415

    known = topics.raw_topics(region)
    unknown = sorted(set(names) - set(known))
    if unknown:
        msg = f"no raw topic {unknown[0]!r} in {region}; have {', '.join(known)}"
        raise click.UsageError(msg)
    if resume and (names or since or until):
        msg = "--resume goes on with the topics and times that were asked for first"
        raise click.UsageError(msg)
    check_span(since, until)
    asked = None if resume else Asked(tuple(sorted(set(names) or known)), since, until)
    choice = chosen(resend, is_resumed=resume)
    if choice is not None:
        ctx.exit(send_again(home, region, asked, choice, out, as_json=as_json))
    folder = out or home / region / "replay" / "report"
    document = _replay(home, region, asked, How(workers, rate), folder)
    if document is None:
        click.echo("stopped; --resume goes on", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    if as_json:
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        _print(document, folder)
    if not document["is_fine"]:
        ctx.exit(EXIT_WRONG)


def _replay(
    home: Path, region: str, asked: "Asked | None", how: "How", out: Path
) -> dict[str, Any] | None:
    """Return the report, written to *out*, with its leaf; None if somebody stopped the replay.

    Without *asked*, go on with the one that was left.
    """
    from connectors.embedded.files import exclusive  # noqa: PLC0415
    from residency.ledger.leaves import quantise  # noqa: PLC0415
    from streams.replay import run, written  # noqa: PLC0415
    from streams.replay.state import State  # noqa: PLC0415
    from streams.settings import load_replay  # noqa: PLC0415

    def say(text: str) -> None:
        click.echo(text, err=True)

    settings = load_replay(home, region)
    folder = home / region / "replay"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = State(folder / "state")
    with exclusive(folder / "lock", wait=False, busy=f"another replay of {region} runs here"):
        job = run.prepare(settings, asked, state, say) if asked else run.resume(state)
        if not run.work(settings, state, job, how, say):
            return None
        document = run.finish(state, job, region, quantise(datetime.now(UTC)))
        document["leaf"] = written.write(settings, out, job, document)
        state.clear()
    return document


def _print(document: dict[str, Any], folder: Path) -> None:
    """Print the counts, the first findings and where the report lies."""
    head = document["ledger"]
    click.echo(
        f"{document['raw']:,} raw records against {head['size']:,} leaves of {head['origin']}"
    )
    for verdict, n in document["counts"].items():
        click.echo(f"  {verdict:<40} {n:>10,}")
    for row in document["erased"]:
        where = "under way" if row["leaf"] is None else f"see leaf {row['leaf']}"
        click.echo(f"  {f'erased, {where}':<40} {row['records']:>10,}")
    for one in document["findings"][:SHOWN]:
        leaf = "" if one["leaf"] is None else f" (leaf {one['leaf']})"
        click.echo(f"{one['record']}: {one['verdict']}{leaf}")
    hidden = document["findings_total"] - min(SHOWN, len(document["findings"]))
    if hidden:
        click.echo(f"and {hidden:,} more")
    for verdict, step in document["next_steps"].items():
        click.echo(f"{verdict}: {step}")
    click.echo(f"report: {folder / 'replay.html'}, signed: {folder / 'replay.note'}")
    click.echo(
        "egress will append the ledger's leaf for it"
        if document["leaf"] is None
        else f"leaf {document['leaf']} of the ledger names it"
    )
