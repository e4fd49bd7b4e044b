"""What the whole line sustains for one region, and which process the CPU goes to.

Events are published as fast as the gateway answers; the clock runs until the last minimal
record has its outcome leaf in the ledger. The publisher and the watcher run on the same
machine and are a row of their own.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil
from common import machine, run, running, say

from connectors.embedded.stack import Stack
from connectors.embedded.supervisor import NAME as SUPERVISOR
from residency.regions import load_regions
from schemas.errors import HomeportError
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Counts, Observer
from streams.demo.publish import Published, publish
from streams.launch import launch
from streams.settings import load_settings

SEED = 7
WARM_UP = 200  # events before the clock starts: connections, plans, the JVM's first compilations
POLL_S = 0.25
STALLED_S = 60.0  # nothing moved for so long: something is broken
US = 1e6
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process, its children included, has used so far."""

    pid: int
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """One batch of events through the line.

    Attributes:
        counts: What became of them.
        published_s: Until the gateway had answered for the last one.
        settled_s: Until the last minimal record had its outcome.

    """

    published: Published
    counts: Counts
    published_s: float
    settled_s: float


def usages(home: Path) -> dict[str, Usage]:
    """Return the usage of every process of the stack, and of this one, by name."""
    found = {
        process.name: usage(process.pid, with_children=process.name != SUPERVISOR)
        for process in Stack(home).status()
        if process.pid is not None
    }
    return {**found, "this bench": usage(psutil.Process().pid, with_children=False)}


def usage(pid: int, *, with_children: bool) -> Usage:
    """Return CPU seconds and resident bytes; the supervisor's children have their own rows."""
    process = psutil.Process(pid)
    times, rss = process.cpu_times(), process.memory_info().rss
    cpu = times.user + times.system
    if with_children:
        cpu += times.children_user + times.children_system  # those that ended
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                spent = child.cpu_times()
                cpu += spent.user + spent.system
                rss += child.memory_info().rss
    return Usage(pid, cpu, rss)


async def drive(events: list[Publication], observer: Observer, gateways: Mapping[str, str]) -> Run:
    """Publish *events* and return once all of them are settled.

    Raises:
        HomeportError: Nothing moved for a minute.

    """
    before = await asyncio.to_thread(observer.counts)
    started = moved = time.monotonic()
    answered: list[float] = []
    publishing = asyncio.create_task(
        publish(events, gateways, lambda: answered.append(time.monotonic()))
    )
    last: tuple[int, ...] = ()
    while True:
        counts = (await asyncio.to_thread(observer.counts)).since(before)
        now = time.monotonic()
        if publishing.done() and counts.is_settled:
            published = publishing.result()
            if counts.raw >= published.accepted:
                return Run(published, counts, answered[-1] - started, now - started)
        seen = len(answered), counts.border.raw, counts.settled
        if seen != last:
            last, moved = seen, now
        elif now - moved > STALLED_S:
            msg = f"nothing moved for {STALLED_S:.0f} s"
            raise HomeportError(msg)
        await asyncio.sleep(POLL_S)


def measure(region: str, events: int) -> dict[str, Any]:
    """Return the documented object of ``--json``."""
    say("making events ...")
    source: Iterator[Publication] = Shop(random.Random(SEED), [region]).publications(
        events + WARM_UP
    )
    everything = list(source)
    with running(region, launch) as home:
        observer = Observer(home, region)
        gateways = load_settings(home, region, "gateway").gateways or {}
        say(f"{WARM_UP} events to warm up ...")
        asyncio.run(drive(everything[:WARM_UP], observer, gateways))
        say(f"{events} events ...")
        before = usages(home)
        done = asyncio.run(drive(everything[WARM_UP:], observer, gateways))
        after = usages(home)
        return report(done, before, after)


def report(done: Run, before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, Any]:
    """Return rates, and per process its CPU and memory."""
    raw = done.counts.raw
    restarted = {n for n, now in after.items() if n not in before or before[n].pid != now.pid}
    spent = {
        name: now.cpu_s - (0.0 if name in restarted else before[name].cpu_s)
        for name, now in after.items()
    }
    total = sum(spent.values())
    return {
        "events": done.published.published,
        "raw_records": raw,
        "minimal_records": done.counts.border.minimal,
        "results": dict(done.counts.results),
        "published_s": round(done.published_s, 2),
        "settled_s": round(done.settled_s, 2),
        "raw_records_per_s": round(raw / done.settled_s, 1),
        "org_records_per_s": round(done.counts.settled / done.settled_s, 1),
        "cpu_s": round(total, 2),
        "rss_mib": round(sum(now.rss_bytes for now in after.values()) / MIB),
        "machine": machine(),
        "processes": {
            name: {
                "cpu_s": round(cpu, 2),
                "cpu_share": round(cpu / total, 3),
                "cpu_us_per_raw_record": round(cpu / raw * US),
                "rss_mib": round(after[name].rss_bytes / MIB),
                "restarted": name in restarted,
            }
            for name, cpu in sorted(spent.items(), key=lambda pair: -pair[1])
        },
    }


def show(found: Mapping[str, Any]) -> None:
    """Print the report as a table."""
    where = found["machine"]
    click.echo(
        f"{found['raw_records']} raw records in {found['settled_s']} s until settled:"
        f" {found['raw_records_per_s']} raw records/s, {found['org_records_per_s']} rows/s to the"
        f" org; the gateway had the last one after {found['published_s']} s;"
        f" {where['cores']} x {where['cpu']}, load {where['load_1m']}\n"
    )
    click.echo(f"{'process':<14}{'CPU s':>8}{'share':>8}{'us/raw record':>15}{'RSS MiB':>9}")
    for name, row in found["processes"].items():
        click.echo(
            f"{name:<14}{row['cpu_s']:>8}{row['cpu_share']:>8.1%}"
            f"{row['cpu_us_per_raw_record']:>15}{row['rss_mib']:>9}"
            f"{'  restarted' if row['restarted'] else ''}"
        )
    click.echo(f"{'sum':<14}{found['cpu_s']:>8}{'':>8}{'':>15}{found['rss_mib']:>9}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=3_000, show_default=True, type=click.IntRange(min=100))
@click.option("--region", default="eu", show_default=True, type=click.Choice(list(load_regions())))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, region: str, *, as_json: bool) -> None:
    """Measure the whole line of one region: gateway to org, all workers, all on this machine.

    Starts broker, database, test org and workers in a temporary home, sends some events to
    warm up, then the measured ones as fast as the gateway answers, and waits until the
    ledger has an outcome for every minimal record. "this bench" is the publisher and the
    watcher. RSS counts shared pages once per process, so the sum is an upper bound. All is
    stopped at the end, also by Ctrl-C.

    Example: .venv/bin/python tests/bench/line.py --events 3000 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """
    found = measure(region, events)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
