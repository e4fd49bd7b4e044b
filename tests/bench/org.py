"""How much the test org takes, so that it is known not to be the bottleneck of the line.

Rows written per second, and how long single requests take. Clients and org share the machine; the
org's own CPU is a column of its own.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import click
import psutil
import requests
from common import machine, run, say
from org_client import (
    JSON,
    KEY,
    PER_COLLECTION,
    SOBJECT,
    check,
    checked,
    collection,
    row,
    running_org,
    send_collection,
    session,
)
from org_requests import measure_requests

from schemas.errors import RetriableError

PER_COMPOSITE = 5
POLL_S = 0.05
CSV = {"Content-Type": "text/csv"}

Send = Callable[[requests.Session, str, int, int], int]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to write rows.

    Attributes:
        send: Writes rows [first, first + size) and returns how many API calls that took.
        size: Rows per send.

    """

    send: Send
    size: int


def send_composite(http: requests.Session, url: str, first: int, size: int) -> int:
    """Write 5 x 200 rows by one composite request."""
    path = f"/services/data/v62.0/composite/sobjects/{SOBJECT}/{KEY}"
    parts = [
        {
            "method": "PATCH",
            "url": path,
            "referenceId": f"part{at}",
            "body": collection(first + at * PER_COLLECTION),
        }
        for at in range(PER_COMPOSITE)
    ]
    body = json.dumps({"collateSubrequests": False, "compositeRequest": parts})
    answer = checked(http.post(f"{url}/composite", data=body, headers=JSON)).json()
    check([item for part in answer["compositeResponse"] for item in part["body"]], size)
    return 1


def send_job(http: requests.Session, url: str, first: int, size: int) -> int:
    """Write rows by one ingest job and wait for its end."""
    names = list(row(0))
    lines = [",".join(names)]
    lines += [",".join(str(v) for v in row(n).values()) for n in range(first, first + size)]
    order = {"object": SOBJECT, "operation": "upsert", "externalIdFieldName": KEY}
    job = checked(http.post(f"{url}/jobs/ingest", json=order)).json()["id"]
    path = f"{url}/jobs/ingest/{job}"
    checked(http.put(f"{path}/batches", data="\n".join(lines).encode(), headers=CSV))
    checked(http.patch(path, json={"state": "UploadComplete"}))
    calls = 3
    while True:
        info, calls = checked(http.get(path)).json(), calls + 1
        if info["state"] == "JobComplete":
            break
        time.sleep(POLL_S)
    if (info["numberRecordsProcessed"], info["numberRecordsFailed"]) != (size, 0):
        msg = f"the job processed {info['numberRecordsProcessed']} of {size} rows"
        raise RetriableError(msg)
    return calls


def measure(way: Way, rows: int, clients: int) -> dict[str, Any]:
    """Return the figures of one way, in an org of its own: rows new, then the same again."""
    with running_org() as (url, token, pid):
        starts = range(0, rows, way.size)
        found: dict[str, Any] = {"clients": clients, "rows": len(starts) * way.size}
        for name in ("insert", "update"):
            process, began = psutil.Process(pid), time.monotonic()
            cpu = sum(process.cpu_times()[:2])
            calls = _all(way, url, token, starts, clients)
            wall, cpu = time.monotonic() - began, sum(process.cpu_times()[:2]) - cpu
            found[f"{name}_rows_per_s"] = round(found["rows"] / wall)
            found[f"{name}_org_cpu_us_per_row"] = round(cpu / found["rows"] * 1e6, 1)
            found["api_calls_per_million_rows"] = round(calls / found["rows"] * 1e6)
        return found


def _all(way: Way, url: str, token: str, starts: Sequence[int], clients: int) -> int:
    def client(mine: Sequence[int]) -> int:
        with session(token) as http:
            return sum(way.send(http, url, first, way.size) for first in mine)

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, [starts[at::clients] for at in range(clients)]))


def show(found: Mapping[str, Any]) -> None:
    """Print the report as a table."""
    where = found["machine"]
    click.echo(f"{where['cores']} x {where['cpu']}, load {where['load_1m']}\n")
    click.echo(
        f"{'way':<14}{'clients':>8}{'new/s':>9}{'again/s':>9}{'us new':>8}{'us again':>9}"
        f"{'calls/M rows':>14}"
    )
    for name, figures in found["ways"].items():
        click.echo(
            f"{name:<14}{figures['clients']:>8}{figures['insert_rows_per_s']:>9}"
            f"{figures['update_rows_per_s']:>9}{figures['insert_org_cpu_us_per_row']:>8}"
            f"{figures['update_org_cpu_us_per_row']:>9}{figures['api_calls_per_million_rows']:>14}"
        )
    click.echo(
        f"\n{'request':<24}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'org CPU ms':>12}"
    )
    for name, figures in found["requests"].items():
        click.echo(
            f"{name:<24}{figures['requests_per_s']:>9}{figures['p50']:>9}{figures['p99']:>9}"
            f"{figures['max']:>9}{figures['org_cpu_ms']:>12}"
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", default=40_000, show_default=True, type=click.IntRange(min=1000))
@click.option("--clients", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=5.0, show_default=True, help="Per kind of request.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(rows: int, clients: int, seconds: float, *, as_json: bool) -> None:
    """Measure the test org alone: what it takes, and how soon it answers.

    Each way (collections, composite of 5 x 200, ingest jobs) writes rows to an org of its own, in
    a temporary home, over http: all new, then all again. "us" is the org's CPU per row in
    microseconds. An ingest job is one per client. Then requests of one kind at a time go to an
    org that holds as many rows. The clients run on the same machine and cost as much again.

    Example: .venv/bin/python tests/bench/org.py --rows 40000 --json

    Exit codes: 0 measured, 1 the org refused something, 2 usage, 3 environment, 130 interrupted.
    """
    ways = {
        "collections": Way(send_collection, PER_COLLECTION),
        "composite": Way(send_composite, PER_COLLECTION * PER_COMPOSITE),
        "ingest jobs": Way(send_job, rows // clients),
    }
    figures: dict[str, Any] = {}
    for name, way in ways.items():
        say(f"{name} ...")
        figures[name] = measure(way, rows, clients)
    say("requests ...")
    asked = measure_requests(rows, clients, seconds)
    found = {"machine": machine(), "ways": figures, "requests": asked}
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
