"""``homeport reconcile``: whether the org holds what the ledger accepted, and nothing else."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from residency.ledger.errors import LedgerError
from residency.reconcile.findings import MEANINGS, SEVERITIES, Finding, Report
from schemas.errors import BreachError, Cause, RetriableError
from streams.cli import EXIT_WRONG
from streams.cli.halting import halt_egress
from streams.cli.options import home_option, json_option, region_option
from streams.cli.quarantined import AGO, UNITS, parse_since
from streams.cli.salesforce import asked

if TYPE_CHECKING:
    from residency.telemetry.setup import Telemetry
    from streams.reconcile import Reconciler
    from streams.settings import ReconcileSettings

SHOWN = 50  # findings that the table shows; --json and --out have all


def parse_span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Return the length of time that ``15m`` means.

    Raises:
        click.BadParameter: It means none.

    """
    del ctx
    if value is None:
        return None
    match = AGO.fullmatch(value)
    if match is None or not int(match[1]):
        msg = "say 15m, 2h or 1d"
        raise click.BadParameter(msg, param=param)
    return timedelta(**{UNITS[match[2]]: int(match[1])})


@click.command()
@region_option
@home_option
@click.option("--object", "objects", multiple=True, metavar="O", help="Only this object; repeat.")
@click.option(
    "--since", callback=parse_since, help="Only what changed since: 30m, 2h, 7d or a time."
)
@click.option(
    "--every", callback=parse_span, help="Go on until Ctrl-C, once in so long; first everything."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each report as JSON into DIR; made if missing.",
)
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file, 0600, instead of HOME/REGION/services/reconcile.json.",
)
@json_option
def reconcile(  # noqa: PLR0913 -- one argument per option
    *,
    region: str,
    home: Path,
    objects: tuple[str, ...],
    since: datetime | None,
    every: timedelta | None,
    out: Path | None,
    settings: Path | None,
    as_json: bool,
) -> None:
    """Compare the org, the region's expected rows and its ledger, in both directions.

    Each row of our objects, those in the recycle bin too, field by field, by HMACs: no value and
    no token is shown. What is just on its way is looked at again and is no finding.

    \b
    Example:
      homeport reconcile --region eu
      homeport reconcile --region eu --since 6h --json
      homeport reconcile --region eu --every 15m --out reports

    A critical finding, or a ledger that does not hold, halts the region's egress: docs/halt.md.

    Exit codes: 0 all agrees, 1 there are findings, 3 org, database or ledger could not be read,
    130 interrupted. docs/reconcile.md says what each finding means and what to do.
    """
    from streams.settings import load_reconcile  # noqa: PLC0415 -- late, for --help

    if since is not None and every is not None:
        msg = "give --since or --every: the latter knows where it was"
        raise click.UsageError(msg)
    found = load_reconcile(home, region, settings)
    with _telemetry(found) as signals, asked(), _ledger_watched(found):
        with _reconciler(found, objects, signals) as reconciler:
            if every is not None:
                _go_on(reconciler, every, signals, found, out, as_json=as_json)
            report = reconciler.run(since)
        _measure(signals, report, len(report.findings))
    _halt_on(found, report.findings)
    _write(out, report)
    _show(report, report.findings, as_json=as_json)
    raise SystemExit(EXIT_WRONG if report.findings else 0)


def _go_on(  # noqa: PLR0913 -- what `reconcile` was told
    reconciler: "Reconciler",
    every: timedelta,
    signals: "Telemetry",
    settings: "ReconcileSettings",
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Compare again and again until Ctrl-C; tell each finding once while it lasts."""
    told: set[Finding] = set()
    since: datetime | None = None
    while True:
        started = time.monotonic()
        try:
            report = reconciler.run(since)
        except RetriableError as exc:  # the next round looks at the same span
            click.echo(f"homeport: {exc}; trying again in {every}", err=True)
        else:
            fresh = [one for one in report.findings if one not in told]
            told = set(report.findings)
            since = datetime.fromisoformat(report.horizon)
            _measure(signals, report, len(fresh))
            _halt_on(settings, fresh)
            _write(out, report)
            _show(report, fresh, as_json=as_json, is_line=True)
        time.sleep(max(0.0, every.total_seconds() - (time.monotonic() - started)))


def _halt_on(settings: "ReconcileSettings", findings: Sequence[Finding]) -> None:
    """Halt the region's egress where one of *findings* is critical."""
    critical = [one for one in findings if SEVERITIES[one.kind] == "critical"]
    if not critical:
        return
    counts = Counter(one.kind for one in critical)
    text = "`homeport reconcile`: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())
    names = tuple(dict.fromkeys(name for one in critical for name in one.records))
    error = BreachError(text, Cause.RECONCILE, names)
    halt_egress(settings.home, settings.region, error, "reconcile")


@contextmanager
def _ledger_watched(settings: "ReconcileSettings") -> Iterator[None]:
    """Halt the region's egress where its ledger does not hold."""
    try:
        yield
    except LedgerError as error:
        halt_egress(settings.home, settings.region, error, "reconcile")
        raise


@contextmanager
def _telemetry(settings: "ReconcileSettings") -> "Iterator[Telemetry]":
    from residency.telemetry.setup import telemetry  # noqa: PLC0415 -- late, for --help

    signals = telemetry("reconcile", settings.region, settings.folder / "telemetry", os.environ)
    try:
        yield signals
    finally:
        signals.shutdown()


@contextmanager
def _reconciler(
    settings: "ReconcileSettings", objects: tuple[str, ...], signals: "Telemetry"
) -> "Iterator[Reconciler]":
    from streams.readback import connected  # noqa: PLC0415 -- late, for --help
    from streams.reconcile import Reconciler  # noqa: PLC0415 -- late, for --help

    def progress(sobject: str, rows: int) -> None:
        click.echo(f"\r{sobject}: {rows} rows read", err=True, nl=False)

    is_seen = click.get_text_stream("stderr").isatty()
    told = progress if is_seen else lambda _object, _rows: None
    with connected(settings, objects, signals.recorder, told) as parts:
        yield Reconciler(parts)
    if is_seen:
        click.echo(err=True)


def _measure(signals: "Telemetry", report: Report, fresh: int) -> None:
    for kind, n in report.counts.items():
        signals.recorder.set("homeport.reconcile.findings", n, finding=kind)
    flying = sum(looked.in_flight for looked in report.looked.values())
    signals.recorder.set("homeport.reconcile.in_flight", flying)
    if fresh:
        signals.recorder.add("homeport.alerts", fresh, kind="unreconciled")


def _write(out: Path | None, report: Report) -> None:
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    stamp = report.horizon.replace(":", "").replace("+0000", "Z")
    file = out / f"reconcile-{report.region}-{stamp}.json"
    file.write_bytes(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))


def _show(
    report: Report, findings: Sequence[Finding], *, as_json: bool, is_line: bool = False
) -> None:
    """Print a report: what is new of it, where it is one of many."""
    if as_json:
        document = report.to_json() | {"findings": [one.to_json() for one in findings]}
        click.echo(orjson.dumps(document, option=0 if is_line else orjson.OPT_INDENT_2))
        return
    for name, looked in report.looked.items():
        flying = f", {looked.in_flight} on their way" if looked.in_flight else ""
        click.echo(f"{name}: {looked.org} rows read, {looked.expected} expected{flying}")
    for one in findings[:SHOWN]:
        where = ".".join(filter(None, (one.object, one.field)))
        about = " ".join(filter(None, (one.row[:16], *one.org_ids[:1], *one.records)))
        click.echo(f"  {SEVERITIES[one.kind]:<8}  {one.kind:<16}  {where}  {about}")
    if len(findings) > SHOWN:
        click.echo(f"  and {len(findings) - SHOWN} more; --json or --out has all")
    for kind, n in report.counts.items():
        if n:
            click.echo(f"{n} {kind}: {MEANINGS[kind]}")
    verdict = "all agrees" if not report.findings else f"{len(report.findings)} finding(s)"
    click.echo(f"{report.region}, up to {report.horizon}, ledger size {report.size}: {verdict}")
