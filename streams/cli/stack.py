"""``homeport up``, ``down``, ``status``, ``logs`` and ``doctor``: the embedded stack for people."""

import json
import signal
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

import click

from residency.regions import load_regions
from schemas.errors import SetupError
from streams.cli import EXIT_ENVIRONMENT, EXIT_WRONG
from streams.cli.options import home_option, inference_option, json_option
from streams.cli.processes import NOTHING, gateways, halted_lines, health, org_page, show_table
from streams.cli.steps import progress_lines

if TYPE_CHECKING:
    from connectors.embedded.stack import Stack

FOLLOW_S = 0.2
TAIL_BYTES = 256 * 1024  # the last lines of a log lie within


def parse_regions(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Return the regions of a comma-separated list, each once.

    Raises:
        click.BadParameter: One of them is not in ``regions.toml``.

    """
    del ctx
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in load_regions()]
    if unknown or not names:
        msg = f"{', '.join(unknown) or 'nothing'}: choose from {', '.join(load_regions())}"
        raise click.BadParameter(msg, param=param)
    return names


@click.command()
@home_option
@json_option
@click.option(
    "--regions",
    default=",".join(load_regions()),
    show_default=True,
    callback=parse_regions,
    help="Which regions to start, separated by commas.",
)
@click.option(
    "--without-workers", is_flag=True, help="Start brokers, databases and the test org only."
)
@inference_option
@click.option(
    "--seal-raw/--no-seal-raw",
    "seal_raw",
    default=None,
    envvar="HOMEPORT_SEAL_RAW",
    help="Let gateways seal events under their subjects' keys: raw topics then hold no "
    "plaintext. Remembered; off at first. docs/raw-sealing.md",
)
def up(  # noqa: PLR0913 - click passes each option as one
    home: Path,
    regions: tuple[str, ...],
    *,
    as_json: bool,
    without_workers: bool,
    without_inference: bool,
    seal_raw: bool | None,
) -> None:
    """Start the embedded stack and wait until all of it is ready.

    \b
    Examples:
      homeport up
      homeport up --regions eu,us --without-workers
      homeport up --without-inference
      homeport up --seal-raw

    For each region an Apache Kafka broker, a PostgreSQL, its workers and a model server; one
    Salesforce test org for all. The first run downloads Kafka's jars (44 MB), checks each
    against its pinned SHA-256, and installs vLLM (2.7 GB; 3 GB of memory per region when it
    runs). Everything listens on 127.0.0.1 and asks for a password, or on a private socket. Run
    it again at any time: it starts what is missing, and what halted.

    Exit codes: 0 all is ready, 3 something could not start or halted (the text says what to do),
    130 interrupted; in both cases what this run started is stopped again.
    """
    from connectors.embedded.stack import Stack  # noqa: PLC0415 - heavy
    from streams import models  # noqa: PLC0415 - heavy
    from streams.launch import launch  # noqa: PLC0415 - heavy

    stack = Stack(home, regions)
    if seal_raw is not None:
        _seal_raw(stack, is_on=seal_raw)
    # `kill` cleans up like Ctrl-C; the default would leave half a stack to the next run
    signal.signal(signal.SIGTERM, _interrupt)
    with_workers, with_inference = not without_workers, not without_inference
    with progress_lines() as report:
        if with_workers and with_inference:
            models.ensure(regions, partial(report, "vllm"), is_new=not stack.is_running())
        start = launch(home, with_workers=with_workers, with_inference=with_inference)
        has_started = stack.up(start, report)
    found = stack.status()
    if as_json:
        document = {
            "home": str(stack.home),
            "started": has_started,
            "regions": list(regions),
            "processes": [asdict(process) for process in found],
            "gateways": gateways(home, found),
        }
        click.echo(json.dumps(document))
        return
    verb = "is up" if has_started else "was up already"
    click.echo(f"The stack {verb}: {len(found)} processes; see `homeport status`.", err=True)
    for line in halted_lines(found):
        click.echo(line, err=True)
    for region, url in gateways(home, found).items():
        click.echo(f"Publish {region} events to {url}/events", err=True)
    click.echo(f"Look into the test org: {org_page(home, found)}", err=True)


def _seal_raw(stack: "Stack", *, is_on: bool) -> None:
    """Remember whether the gateways of *stack* seal raw records."""
    from connectors.embedded.services import seals_raw, set_seal_raw  # noqa: PLC0415 - heavy

    others = [region for region in stack.regions if seals_raw(stack.home, region) != is_on]
    if others and stack.status():
        msg = f"the gateways of {', '.join(others)} run otherwise; run `homeport down` first"
        raise SetupError(msg)
    for region in others:
        set_seal_raw(stack.home, region, is_on=is_on)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


@click.command()
@home_option
@json_option
def down(home: Path, *, as_json: bool) -> None:
    """Stop exactly what `up` started, leftovers of a killed run included.

    Processes are found by the pid and start time that were written down, never by name, so
    other homes and other programs are left alone. Data and ports are kept.

    Exit codes: 0 stopped, or nothing ran.
    """
    from connectors.embedded.stack import Stack  # noqa: PLC0415 - heavy

    with progress_lines() as report:
        stopped = Stack(home).down(report)
    if as_json:
        click.echo(json.dumps({"stopped": stopped}))
    else:
        what = f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running."
        click.echo(what, err=True)


@click.command()
@home_option
@json_option
@click.pass_context
def status(ctx: click.Context, home: Path, *, as_json: bool) -> None:
    """Show what runs, where, and whether it is ready.

    States: ready (it answers), starting (it runs, but does not answer yet), dead (it should
    run and does not; the supervisor starts it again), halted (going on could have moved data
    that must stay: with a pid see `homeport egress status`; without one `homeport logs NAME`,
    mend the cause, then run `homeport up`).
    A border's lag is how many raw records it has yet to decide, an egress's parked how many
    records the org could not take yet, both a few seconds old.

    Exit codes: 0 fine, also when the stack is down; 1 something should run and does not.
    """
    from connectors.embedded.stack import Stack  # noqa: PLC0415 - heavy

    found = Stack(home).status()
    pages = health(found)
    if as_json:
        document = {
            "home": str(home.absolute()),
            "processes": [{**asdict(row), **NOTHING, **pages.get(row.name, {})} for row in found],
            "gateways": gateways(home, found),
        }
        click.echo(json.dumps(document))
    elif found:
        show_table(found, gateways(home, found), pages)
    else:
        click.echo(f"Nothing runs in {home}; start it with `homeport up`.")
    if any(process.state in ("dead", "halted") for process in found):
        ctx.exit(EXIT_WRONG)


@click.command()
@home_option
@click.argument("name", required=False)
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(0), help="Lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl-C.")
def logs(home: Path, name: str | None, lines: int, *, follow: bool) -> None:
    """Show the last lines of a process's log, or of all logs.

    \b
    Examples:
      homeport logs eu-kafka -n 50
      homeport logs -f

    NAME is a process as `homeport status` shows it. No log holds a payload, a key or a header.

    Exit codes: 0 shown, 2 no such log.
    """
    files = {path.stem: path for path in sorted((home / "logs").glob("*.log"))}
    if name is not None and name not in files:
        known = ", ".join(files) or "none; run `homeport up`"
        msg = f"no log of {name!r}; there are: {known}"
        raise click.UsageError(msg)
    if not files:
        msg = f"no logs in {home}; run `homeport up` first"
        raise click.UsageError(msg)
    chosen = {name: files[name]} if name is not None else files
    ends = {}
    for key, path in chosen.items():
        prefix = "" if name is not None else f"{key}: "
        with path.open("rb") as file:
            for line in tail(file, lines):
                click.echo(prefix + line)
            ends[key] = file.tell()
    while follow:
        time.sleep(FOLLOW_S)
        for key, path in chosen.items():
            prefix = "" if name is not None else f"{key}: "
            ends[key] = _more(path, ends[key], prefix)


def tail(file: IO[bytes], count: int) -> list[str]:
    """Return the last *count* lines of a log, fewer if they are very long; leave it at its end."""
    size = file.seek(0, 2)
    file.seek(max(0, size - TAIL_BYTES))
    found = file.read().decode("utf-8", "replace").splitlines()
    return found[-count:] if count else []


def _more(path: Path, position: int, prefix: str) -> int:
    """Print the whole lines after *position*; return where to go on."""
    with path.open("rb") as file:
        if file.seek(0, 2) < position:  # rotated
            position = 0
        file.seek(position)
        whole = file.read().rpartition(b"\n")[0]
    if not whole:
        return position
    for line in whole.decode("utf-8", "replace").splitlines():
        click.echo(prefix + line)
    return position + len(whole) + 1


@click.command()
@home_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, home: Path, *, as_json: bool) -> None:
    """Check the machine and the home, and say what to mend.

    Looks at Python and its modules, disk and memory, Kafka's jars (each byte against the
    lock), Java, PostgreSQL, ports, leftovers of killed runs, and who may read the secrets.

    Exit codes: 0 all well, 3 a fault; each fault says its next step.
    """
    from connectors.embedded.doctor import examine  # noqa: PLC0415 - heavy

    checks = list(examine(home))
    if as_json:
        rows = [{**asdict(check), "ok": check.is_ok} for check in checks]
        click.echo(json.dumps({"ok": all(check.is_ok for check in checks), "checks": rows}))
    else:
        for check in checks:
            mark = click.style("ok   ", "green") if check.is_ok else click.style("fault", "red")
            step = f"\n      -> {check.next_step}" if check.next_step else ""
            click.echo(f"{mark} {check.name}: {check.detail}{step}")
    if not all(check.is_ok for check in checks):
        ctx.exit(EXIT_ENVIRONMENT)
