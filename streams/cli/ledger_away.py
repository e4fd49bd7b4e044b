"""``homeport ledger fsck|export|serve``: look over the folder, take it away, show it to others."""

import asyncio
import signal
from datetime import datetime
from pathlib import Path

import click
import orjson

from residency.ledger.errors import LedgerError
from residency.ledger.find import Span
from residency.ledger.fsck import FsckReport, fsck
from streams.cli import EXIT_INTERRUPTED, EXIT_WRONG
from streams.cli.bars import leaf_bar
from streams.cli.halting import halt_egress
from streams.cli.ledger_choice import choose, selectors
from streams.cli.options import json_option
from streams.cli.quarantined import check_span, parse_since
from streams.export import export

DEFAULT_PORT = 7140


@click.command("fsck")
@selectors
@click.option("--repair", is_flag=True, help="Remove stale partial tiles and drafts.")
@json_option
def fsck_command(  # noqa: PLR0913, PLR0917 -- one argument per option
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    repair: bool,
    as_json: bool,
) -> None:
    """Look over a ledger's folder file by file, and foretell the writer's next start.

    Example: homeport ledger fsck --region eu --repair

    A repair needs the writer's lock, and removes only what a sound ledger shows to be of no
    use. A damaged ledger is evidence and is left as it is.

    With --region, what is not sound halts the region's egress: docs/halt.md.

    Exit codes: 0 sound, 1 damaged or the writer will not start, 3 no ledger there.
    """
    chosen = choose(home, region, folder, vkey)
    key = None if chosen.log is None else str(chosen.log)
    with leaf_bar() as progress:
        report = fsck(chosen.reader.folder, key, repair=repair, progress=progress)
    if as_json:
        click.echo(orjson.dumps(_fsck_json(report), option=orjson.OPT_INDENT_2))
    else:
        name = report.origin or chosen.reader.folder
        sound = "sound" if report.is_sound else "NOT SOUND"
        click.echo(f"{name}: {sound}, {report.size} leaves")
        for finding in report.findings:
            click.echo(f"  {finding.kind}: {finding.text}; to do: {finding.advice}")
        for path in report.removed:
            click.echo(f"  removed {path}")
        click.echo(
            f"  the writer's next start {report.next_start.action}: {report.next_start.text}"
        )
    if not report.is_sound:
        if region is not None:
            wrong = [finding.text for finding in report.findings if finding.is_wrong]
            text = f"`homeport ledger fsck`: {[*wrong, report.next_start.text][0]}"
            halt_egress(home, region, LedgerError(text), "fsck", leaf=report.first_bad_leaf)
        raise SystemExit(EXIT_WRONG)


def _fsck_json(report: FsckReport) -> dict[str, object]:
    findings = [
        {
            "kind": finding.kind,
            "path": finding.path,
            "text": finding.text,
            "leaf": finding.leaf,
            "wrong": finding.is_wrong,
            "advice": finding.advice,
        }
        for finding in report.findings
    ]
    start = report.next_start
    return {
        "origin": report.origin,
        "size": report.size,
        "root": report.root,
        "sound": report.is_sound,
        "findings": findings,
        "first_bad_leaf": report.first_bad_leaf,
        "next_start": {"action": start.action, "text": start.text},
        "removed": report.removed,
    }


@click.command("export")
@selectors
@click.option("--since", callback=parse_since, help="From this time on: 7d, or 2026-11-01.")
@click.option("--until", callback=parse_since, help="Up to this time, likewise.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A new folder, or an empty one.",
)
@json_option
def export_command(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    since: datetime | None,
    until: datetime | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write what an auditor takes away: a folder that can be checked without us.

    \b
    Examples:
      homeport ledger export --region eu --since 2026-11-01 --until 2026-12-01 --out november
      homeport ledger verify --ledger november --vkey november/vkey --part

    It holds the hashes of the whole tree, the checkpoint, the key, the entries of the span in
    whole bundles of 256, the plans and policy packs behind them, the leaves' schemas, a README,
    and a Go program that checks it with other people's code. The ledger is checked before.

    Exit codes: 0 written, 1 the ledger does not hold, 3 no ledger there or --out is not empty.
    """
    check_span(since, until)
    chosen = choose(home, region, folder, vkey)
    head, log = chosen.head()
    with leaf_bar() as progress:
        done = export(chosen.reader, log, Span.between(since, until), out, progress)
    if as_json:
        told = {
            "origin": head.origin,
            "size": done.size,
            "first": done.first,
            "last": done.last,
            "entries": done.entries,
            "plans": done.plans,
            "unknown_plans": done.unknown_plans,
            "folder": str(out),
        }
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    span = "no leaf is in that span"
    if done.entries:
        span = f"leaves {done.first} to {done.last}, {done.entries} entries in whole bundles"
    click.echo(f"{out}: {span}, of {done.size} in {head.origin}; {len(done.plans)} plans")
    for digest in done.unknown_plans:
        click.echo(f"  plan {digest} is not among this release's approved ones", err=True)


@click.command("serve")
@selectors
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--entries",
    "with_entries",
    is_flag=True,
    help="Also the entries: inside the region they are pseudonymous data.",
)
@json_option
@click.pass_context
def serve_command(  # noqa: PLR0913 -- one argument per option
    ctx: click.Context,
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    port: int,
    with_entries: bool,
    as_json: bool,
) -> None:
    """Serve checkpoint, vkey and tiles over HTTP on loopback, until Ctrl-C or SIGTERM.

    \b
    Example:
      homeport ledger serve --region eu --port 7140
      curl http://127.0.0.1:7140/checkpoint

    The paths are those of C2SP tlog-tiles, so monitors and witnesses can read it through a
    proxy of yours. Read-only, no listings. Without --entries only hashes leave the folder.
    With --json one line on stdout says that it is ready.

    Exit codes: 0 stopped by SIGTERM, 3 no ledger there or the port is taken, 130 Ctrl-C.
    """
    from streams.ledger_server import serve  # noqa: PLC0415 -- late: --help needs no server

    chosen = choose(home, region, folder, vkey)
    _, log = chosen.head()

    def on_ready(url: str) -> None:
        if as_json:
            click.echo(orjson.dumps({"ready": True, "url": url, "entries": with_entries}))
        click.echo(f"{log.name} at {url}", err=True)

    stopped_by = asyncio.run(
        serve(chosen.reader, log, port, with_entries=with_entries, on_ready=on_ready)
    )
    if stopped_by is signal.SIGINT:
        ctx.exit(EXIT_INTERRUPTED)
