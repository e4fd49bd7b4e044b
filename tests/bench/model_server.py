"""Labels' model on a CPU: our server over HTTP, vLLM in-process and plain transformers, one run.

    .venv/bin/python tests/bench/model_server.py --json

The same made-up texts go to each of the three, one after the other, in batches of 1, 16 and 64,
and to the server with 1, 8 and 32 requests in flight. The bars: over HTTP at least 80 % of vLLM
in-process at batch 16, 60 % at 64. Also how long a start takes and what it holds in memory.
"""

import asyncio
import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from common import machine, run, say
from model_inside import BATCHES
from pydantic import TypeAdapter

from inference import engine, environment, lock
from inference.config import InferenceConfig, ServerConfig
from inference.process import alone
from inference.speed import Speed, measure, texts
from inference.supervisor import Supervisor
from schemas.errors import HomeportError
from streams import models

INSIDE = Path(__file__).with_name("model_inside.py")
CONCURRENCY = (1, 8, 32)
BARS = {16: 0.8, 64: 0.6}  # of vLLM in-process, by batch
LIMIT_S = 600
PATIENCE_S = 120.0


@click.command()
@click.option("--seconds", type=click.FloatRange(1), default=5.0, show_default=True, help="A load.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def bench(*, seconds: float, as_json: bool) -> None:
    """Measure the region's model server beside the same model without a server.

    Exit codes: 0 both bars are met, 1 one is not, 3 the environment cannot be made.
    """
    environment.ensure(lambda state: say(f"vllm: {state}"))
    document: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as home:
        config = TypeAdapter(ServerConfig).validate_python(models.server(Path(home), "bench"))
        document["http"] = asyncio.run(_over_http(config, seconds))
    for way in ("vllm", "transformers"):
        say(f"{way} in-process ...")
        document[way] = _inside(way, engine.environment(config, os.environ))
    document["machine_after"] = machine()
    document["bars"] = [_bar(document, batch, share) for batch, share in BARS.items()]
    if as_json:
        click.echo(json.dumps(document))
    else:
        _tell(document)
    if not all(bar["met"] for bar in document["bars"]):
        missed = [str(bar["batch"]) for bar in document["bars"] if not bar["met"]]
        msg = f"the bar is missed at batch {', '.join(missed)}"
        raise HomeportError(msg)


async def _over_http(config: ServerConfig, seconds: float) -> dict[str, Any]:
    say("starting the server ...")
    supervisor = Supervisor(config, lambda state: say(f"{state.phase} {state.step}"))
    with alone(config):
        task = asyncio.create_task(supervisor.run())
        try:
            while supervisor.state.phase != "ready":
                await asyncio.sleep(0.2)
                if task.done():
                    task.result()
            # 32 requests of 64 texts wait longer than any of a client's, which are of 16
            client = InferenceConfig(
                "pooling", supervisor.state.model, uds=config.uds, deadline_s=PATIENCE_S
            )
            loads: list[Speed] = []
            for batch in BATCHES:
                for concurrency in CONCURRENCY:
                    say(f"batches of {batch}, {concurrency} in flight ...")
                    loads.append(await measure(client, batch, concurrency, seconds))
            return {
                "start_s": round(supervisor.state.start_s or 0.0, 1),
                "memory_mib": round(models.memory_mib(supervisor.state.session) or 0.0),
                "restarts": supervisor.state.restarts,
                "loads": [asdict(load) for load in loads],
            }
        finally:
            supervisor.stop()
            await task


def _inside(way: str, env: dict[str, str]) -> dict[str, Any]:
    python = environment.python()
    folder = lock.model_folder(lock.locked(models.MODEL), python)
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as scratch:
        done = subprocess.run(
            [str(python), str(INSIDE), way, str(folder)],
            input=json.dumps(texts(64 * max(BATCHES))),
            env={**env, "TMPDIR": scratch, "VLLM_LOGGING_LEVEL": "ERROR"},
            cwd=scratch,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
    if done.returncode != 0:
        msg = f"{way} in-process ended with {done.returncode}: {done.stderr[-500:]}"
        raise HomeportError(msg)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _bar(document: dict[str, Any], batch: int, share: float) -> dict[str, Any]:
    loads = [load for load in document["http"]["loads"] if load["batch"] == batch]
    ours = max(load["texts_per_s"] for load in loads)
    inside = document["vllm"]["texts_per_s"][str(batch)]
    return {
        "batch": batch,
        "share": round(ours / inside, 2),
        "wanted": share,
        "met": ours >= share * inside,
    }


def _tell(document: dict[str, Any]) -> None:
    http = document["http"]
    click.echo(f"start {http['start_s']} s, memory {http['memory_mib']} MiB")
    for load in http["loads"]:
        click.echo(
            f"HTTP, batch {load['batch']:>2}, {load['concurrency']:>2} in flight:"
            f" {load['texts_per_s']:6.1f} texts/s, p50 {load['p50_ms']:.0f} ms,"
            f" p99 {load['p99_ms']:.0f} ms"
        )
    for way in ("vllm", "transformers"):
        for batch, found in document[way]["texts_per_s"].items():
            click.echo(f"{way} in-process, batch {batch:>2}: {found:6.1f} texts/s")
    for bar in document["bars"]:
        met = "met" if bar["met"] else "missed"
        click.echo(f"batch {bar['batch']}: {bar['share']:.0%} of in-process, bar {met}")


if __name__ == "__main__":
    run(bench)
