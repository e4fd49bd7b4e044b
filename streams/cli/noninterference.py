"""``homeport noninterference``: pairs of events that must look alike from outside, compared."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from residency.keys import TokenKeys
from schemas.errors import SetupError
from streams.cli import EXIT_INTERRUPTED, EXIT_WRONG
from streams.cli.options import json_option, region_option
from streams.noninterference.core import Job, compare

if TYPE_CHECKING:
    from streams.noninterference.report import Report

DEFAULT_PAIRS = 20_000  # every leaf of the shipped schemas varies a hundred times and more


@click.command()
@region_option
@click.option(
    "--pairs", type=click.IntRange(1), default=DEFAULT_PAIRS, show_default=True, help="How many."
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed makes the same pairs."
)
@click.option(
    "--through",
    type=click.Choice(["core", "service"]),
    default="core",
    show_default=True,
    help="The functions that decide, or a real border between real topics.",
)
@click.option("--schema", help="Only this event: OrderPlaced or a schema id.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes (core)."
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the stack of --through service goes: an empty folder, which is left for you to"
    " look at. A temporary one by default.",
)
@json_option
def noninterference(  # noqa: PLR0913, one per option
    *,
    region: str,
    pairs: int,
    seed: int,
    through: str,
    schema: str | None,
    jobs: int,
    home: Path | None,
    as_json: bool,
) -> None:
    """Try promise 1: two events that differ in regulated values only must look alike outside.

    Makes PAIRS pairs that are equal in every kept value and every declared summary of one, and
    differ in all else: hostile Unicode, injections, texts that look like somebody's, extremes,
    lengths up to 64 k, nulls. Compares all that leaves of the two, tokens renamed: values, keys,
    headers, counts, sizes, the gate's verdict, the ledger's leaf, errors; through the service
    also order per key, metrics, spans and log lines. A difference is told by record, place and
    kind, never by its value. See docs/noninterference.md.

    \b
    Examples:
      homeport noninterference --region eu
      homeport noninterference --region eu --pairs 1000000 --jobs 2
      homeport noninterference --region eu --schema OrderPlaced --seed 7 --json
      homeport noninterference --region eu --through service --pairs 10000

    Exit codes: 0 no difference and every regulated leaf varied, 1 otherwise, 2 usage,
    3 environment, 130 interrupted (what the core compared until then is still told).
    """
    job = Job(region, _keys(region, seed), pairs, seed, schema)
    with _counter(pairs) as progress:
        if through == "core":
            report = compare(job, jobs, progress)
        else:
            report = _through_service(job, home, progress)
    if not report.pairs and not report.is_interrupted:
        msg = f"no approved plan of {region} is for {schema!r}; see `homeport plan show`"
        raise click.UsageError(msg)
    if as_json:
        click.echo(orjson.dumps({"region": region, "seed": seed, **report.to_json()}).decode())
    else:
        _print(report)
    if report.is_interrupted:
        raise SystemExit(EXIT_INTERRUPTED)
    raise SystemExit(0 if report.is_fine else EXIT_WRONG)


def _keys(region: str, seed: int) -> TokenKeys:
    """Return keys for tokens that nobody will ever see: of the seed, so that runs agree."""
    identity, attribute = (
        hashlib.sha256(f"noninterference {seed} {kind}".encode()).digest() for kind in "ia"
    )
    return TokenKeys(region, identity, attribute)


class _Told:
    """Tells on stderr how far a run is."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._began = datetime.now(UTC)
        self._is_terminal = sys.stderr.isatty()
        self._last = -1

    def __call__(self, done: int, differences: int) -> None:
        """Write one line: over the last one on a terminal, else every tenth of the way."""
        tenth = done * 10 // self._pairs
        if not self._is_terminal and tenth == self._last:
            return
        self._last = tenth
        seconds = (datetime.now(UTC) - self._began).total_seconds()
        text = f"{done:,} of {self._pairs:,} pairs, {differences:,} differences, {seconds:.0f} s"
        click.echo(f"\r{text}" if self._is_terminal else text, err=True, nl=not self._is_terminal)

    def step(self, name: str, state: str) -> None:
        """Write what the stack does."""
        click.echo(f"{name}: {state}", err=True)

    def end(self) -> None:
        """Leave the line that was written over."""
        if self._is_terminal:
            click.echo(err=True)


@contextmanager
def _counter(pairs: int) -> Iterator[_Told]:
    told = _Told(pairs)
    try:
        yield told
    finally:
        told.end()


def _through_service(job: Job, home: Path | None, told: _Told) -> "Report":
    from streams.noninterference.service import compare_on  # noqa: PLC0415, loads Kafka

    if home is not None:
        if home.exists() and any(home.iterdir()):
            msg = f"{home}: not empty; name a new folder, so that nobody's records are mixed in"
            raise SetupError(msg)
        return compare_on(job, home, told, told.step)
    # in the system's folder: under root, the database's user has to walk to it
    place = Path(tempfile.mkdtemp(prefix="homeport-"))
    try:
        return compare_on(job, place, told, told.step)
    finally:
        shutil.rmtree(place)


def _print(report: "Report") -> None:
    told = report.to_json()
    click.echo(f"pairs        {told['pairs']:,}, carried out by {', '.join(told['interpreters'])}")
    for schema, pairs in told["schemas"].items():
        varied = report.varied[schema]
        least = min(varied.values(), default=0)
        click.echo(
            f"  {schema:<48} {pairs:>9,} pairs, {len(varied)} leaves varied, each {least:,}+"
        )
    _table("endings", told["endings"])
    _table("gate", told["gate"])
    click.echo("not compared")
    for note in told["not_compared"]:
        click.echo(f"  {note}")
    for leaf in told["never_varied"]:
        click.echo(f"NEVER VARIED {leaf}: try more pairs; nothing is known of it")
    click.echo(f"differences  {told['differences']:,}")
    for row in told["found"]:
        click.echo(f"  {row['times']:,} x {row['subject']} {row['path']}: {row['what']}")
    if told["first"]:
        click.echo("the first of them")
    for line in told["first"]:
        click.echo(f"  {line}")


def _table(name: str, rows: dict[str, int]) -> None:
    click.echo(f"{name}")
    for what, times in rows.items():
        click.echo(f"  {times:>9,}  {what}")
