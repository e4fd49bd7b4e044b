"""Whether the test org's memory stays flat, however many rows it is sent."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click
import psutil
from common import machine, run, say
from org_client import PER_COLLECTION, running_org, send_collection, session

KEYS = 10_000  # where the same rows are written over and over
MIB = 2**20


def measure(rows: int, every: int, keys: int) -> dict[str, Any]:
    """Return the org's resident memory in MiB at the start and after *every* rows, and the rate.

    The rows have *keys* different keys, new ones first.
    """
    with running_org() as (url, token, pid), session(token) as http:
        process = psutil.Process(pid)
        send_collection(http, url, 0, PER_COLLECTION)  # caches and threads are there
        found: dict[str, float] = {"0": _rss(process)}
        started = time.monotonic()
        for first in range(0, rows, PER_COLLECTION):
            send_collection(http, url, first % keys, PER_COLLECTION)
            written = first + PER_COLLECTION
            if written % every == 0:
                found[str(written)] = _rss(process)
                say(f"{written:>10} rows {found[str(written)]:>8.1f} MiB")
        per_s = round(rows / (time.monotonic() - started))
        return {"rss_mib": found, "rows_per_s": per_s}


def _rss(process: psutil.Process) -> float:
    rss: int = process.memory_info().rss
    return round(rss / MIB, 1)


def show(found: Mapping[str, Any]) -> None:
    """Print the report as a table."""
    where = found["machine"]
    click.echo(f"{where['cores']} x {where['cpu']}, load {where['load_1m']}\n")
    forms = found["forms"]
    click.echo(f"{'rows':>10}" + "".join(f"{name:>18}" for name in forms))
    for at in next(iter(forms.values()))["rss_mib"]:
        cells = (f"{form['rss_mib'][at]:>14.1f} MiB" for form in forms.values())
        click.echo(f"{at:>10}" + "".join(cells))
    rates = (f"{form['rows_per_s']:>12} rows/s" for form in forms.values())
    click.echo(f"{'':>10}" + "".join(f"{rate:>18}" for rate in rates))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rows", default=1_000_000, show_default=True, type=click.IntRange(min=1000))
@click.option("--every", default=100_000, show_default=True, type=click.IntRange(min=200))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(rows: int, every: int, *, as_json: bool) -> None:
    """Watch the test org's resident memory while a client upserts a million rows.

    Twice, each time in an org of its own: 10,000 keys over and over, then nothing but new keys.
    One client, collections of 200. Rows and steps are multiples of 200.

    Example: .venv/bin/python tests/bench/org_memory.py --json

    Exit codes: 0 measured, 1 the org refused something, 2 usage, 3 environment, 130 interrupted.
    """
    forms: dict[str, Any] = {}
    for name, keys in {"the same keys": KEYS, "new keys": rows}.items():
        say(f"{name} ...")
        forms[name] = measure(rows, every, keys)
    found = {"machine": machine(), "forms": forms}
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
