"""``homeport infer``: a region's model server, in front, looked at, and measured."""

import asyncio
import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from residency.regions import load_regions
from schemas.errors import SetupError
from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.supervisor import State

CONCURRENCY = (1, 8, 32)
CLOSED = ("region", "model", "state", "restarts", "start_s", "canary_s", "memory_mib")


@click.group()
def infer() -> None:
    """Run, look at and measure a region's model server."""


@infer.command("up")
@region_option
@home_option
def infer_up(region: str, home: Path) -> None:
    """Run the model server of one region in front until SIGTERM or Ctrl-C.

    \b
    Example:
      homeport infer up --region eu

    Installs vLLM into .venv-inference on the first run, checks each byte of the model against
    inference/models.lock.toml, starts the server on a Unix socket, asks it a question every few
    seconds and starts it again when it ends or hangs. `homeport up` runs this for each region.
    A stop answers the requests in flight first. Whenever the server is ready, the region's ledger
    gets a certificate of its model, see `homeport models`.

    Exit codes: 0 stopped, 3 it cannot be installed or started, 4 the model's files or the
    server's version are not those of the lock: the text names the file and the next step.
    """
    from connectors.embedded.processes import HALTED  # noqa: PLC0415 - heavy, as are the others
    from inference import environment  # noqa: PLC0415
    from inference.lock import ModelError  # noqa: PLC0415
    from inference.serve import serve  # noqa: PLC0415
    from inference.supervisor import Supervisor  # noqa: PLC0415
    from residency.telemetry.setup import telemetry  # noqa: PLC0415
    from streams import models  # noqa: PLC0415
    from streams.certifying import at_ready  # noqa: PLC0415
    from streams.settings import load_server  # noqa: PLC0415

    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    models.ensure_server_file(home, region)
    config = load_server(home, region)
    if config.python == environment.python():
        environment.ensure(lambda state: click.echo(f"vllm: {state}", err=True))
    signals = telemetry("inference", region, home / region / "telemetry", os.environ)
    supervisor = Supervisor(
        config,
        _both(_tell(), at_ready(home / region, config)),
        lambda cause: signals.recorder.add("homeport.inference.restarts", cause=cause),
    )
    try:
        asyncio.run(serve(config, supervisor))
    except ModelError as exc:
        click.echo(f"homeport: {exc}", err=True)
        sys.exit(HALTED)
    finally:
        signals.shutdown()


def _both(
    one: "Callable[[State], None]", other: "Callable[[State], None]"
) -> "Callable[[State], None]":
    """Return what tells both."""

    def tell(state: "State") -> None:
        one(state)
        other(state)

    return tell


def _tell() -> "Callable[[State], None]":
    """Return what says on stderr where a server is, each change once."""
    began, told = time.monotonic(), ""

    def tell(state: "State") -> None:
        nonlocal told
        line = f"{state.phase}{': ' if state.step else ''}{state.step}"
        if line != told:
            told = line
            click.echo(f"vllm: {time.monotonic() - began:.0f} s, {line}", err=True)

    return tell


@infer.command("status")
@click.option("--region", type=click.Choice(list(load_regions())), help="Only this region's.")
@home_option
@json_option
@click.pass_context
def infer_status(ctx: click.Context, region: str | None, home: Path, *, as_json: bool) -> None:
    """Ask each region's model server a question and say what came of it.

    \b
    Examples:
      homeport infer status
      homeport infer status --region eu --json

    States: ready (it answered just now), starting, failed (its supervisor starts it again), down.
    A server that is ready answered a question: one whose engine hangs is not.

    Exit codes: 0 each answers, 1 one does not, 3 none is set up.
    """
    chosen = [region] if region else list(load_regions())
    rows = [row for name in chosen if (row := _look(home, name)) is not None]
    if not rows:
        msg = f"{home}: no model server is set up; `homeport up` or `homeport infer up` does so"
        raise SetupError(msg)
    if as_json:
        click.echo(json.dumps({"servers": rows}))
    else:
        _show(rows)
    if any(row["state"] != "ready" for row in rows):
        ctx.exit(EXIT_WRONG)


def _look(home: Path, region: str) -> dict[str, Any] | None:
    """Return what can be said of a region's server, None where none is set up."""
    from inference.canary import Probe  # noqa: PLC0415 - heavy
    from streams import models  # noqa: PLC0415

    found = models.find_client(home, region)
    if found is None:
        return None
    began = time.monotonic()
    is_well = asyncio.run(Probe(found).answers())
    took = time.monotonic() - began
    page = models.health(home, region)
    state = "ready" if is_well else page.get("phase", "down")
    if not is_well and state == "ready":
        state = "failed"  # its supervisor will find out
    return {
        "region": region,
        "model": found.model,
        "digest": page.get("digest"),
        "state": state,
        "step": page.get("step", ""),
        "restarts": sum(page.get("restarts", {}).values()),
        "start_s": page.get("start_s"),
        "canary_s": took if is_well else None,
        "memory_mib": models.memory_mib(page.get("session")),
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.table import Table  # noqa: PLC0415

    table = Table(*CLOSED, box=None)
    for row in rows:
        cells = [row[name] for name in CLOSED]
        table.add_row(
            *("-" if c is None else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells)
        )
    Console().print(table)


@infer.command("bench")
@region_option
@click.option("--batch", type=click.IntRange(1, 64), default=16, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.5), default=5.0, show_default=True)
@home_option
@json_option
def infer_bench(region: str, batch: int, seconds: float, home: Path, *, as_json: bool) -> None:
    """Measure a region's running model server with 1, 8 and 32 requests in flight.

    \b
    Example:
      homeport infer bench --region eu --batch 16 --json

    Sends made-up messages, so do not run it beside real work. `tests/bench/model_server.py`
    compares the server with vLLM in-process and with plain transformers.

    Exit codes: 0 measured, 1 it does not answer, 3 none is set up.
    """
    from inference.speed import measure  # noqa: PLC0415 - heavy
    from streams import models  # noqa: PLC0415

    config = models.find_client(home, region)
    if config is None:
        msg = f"{home}: {region} has no model server; `homeport infer up` sets it up"
        raise SetupError(msg)
    rows: list[Mapping[str, Any]] = []
    for concurrency in CONCURRENCY:
        click.echo(f"{concurrency} requests of {batch} texts in flight", err=True)
        rows.append(asdict(asyncio.run(measure(config, batch, concurrency, seconds))))
    if as_json:
        click.echo(json.dumps({"region": region, "model": config.model, "loads": rows}))
        return
    for row in rows:
        click.echo(
            f"{row['concurrency']:>3} in flight: {row['texts_per_s']:7.1f} texts/s,"
            f" p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"
        )


@infer.command("lock")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the model is called in the lock.")
@click.option("--engine", type=click.Choice(["pooling", "generate"]), required=True)
@click.option("--package", default="vllm", show_default=True, help="The server's package.")
@click.option("--version", required=True, help="That package's version.")
@click.option("--dtype", default="bfloat16", show_default=True)
@click.option("--max-tokens", type=click.IntRange(16), default=4_096, show_default=True)
def infer_lock(  # noqa: PLR0913, one parameter per option
    *, folder: Path, name: str, engine: str, package: str, version: str, dtype: str, max_tokens: int
) -> None:
    """Print the tables that pin the model in FOLDER, to be reviewed and added to the lock.

    \b
    Example:
      homeport infer lock /srv/models/instruct --name instruct --engine generate --version 0.33.0

    Whoever adds them to inference/models.lock.toml says that these bytes may read customers' texts.

    Exit codes: 0 printed.
    """
    from inference.lock import hash_folder  # noqa: PLC0415 - heavy

    click.echo(f"[{name}]")
    for key, value in (
        ("engine", engine),
        ("package", package),
        ("version", version),
        ("dtype", dtype),
    ):
        click.echo(f"{key} = {json.dumps(value)}")
    click.echo(f"max_tokens = {max_tokens}\n\n[{name}.files]")
    for path, digest in hash_folder(folder).items():
        click.echo(f"{json.dumps(path)} = {json.dumps(digest)}")


@infer.command("verify")
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def infer_verify(name: str, folder: Path) -> None:
    """Check that FOLDER holds the model NAME of the lock, each byte of it and nothing else.

    \b
    Example:
      homeport infer verify instruct /models/instruct

    For a server that something else than `infer up` starts, such as the compose file: first this.

    Exit codes: 0 it does, 1 it does not (the text names the file), 3 the lock has no such model.
    """
    from inference.lock import locked, verify_model  # noqa: PLC0415 - heavy

    model = locked(name)
    verify_model(model, folder)
    click.echo(f"{folder} is {name}: {len(model.files)} files as pinned", err=True)
