"""What the border costs next to a loop that only copies, and how long a record waits in it.

Everything is measured on the same events in the same round, one after the other, so that
the ratios hold on a machine whose absolute figures swing with its load.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import numpy as np
from common import machine, run, running, say, spread
from hops import REGION, Bench, Meter, Shares, own_route, route
from job import Job
from latency import decision, published_to_committed
from orders import JOB, KEY, SCHEMA_IN, SCHEMA_OUT, json_bytes, peers_events, shop_events
from sharing import share

from connectors.embedded.launch import Launch
from connectors.kafka.headers import Headers, Stamp, of_minimal
from residency import topics
from residency.keys import token_keys
from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.found import walk_all
from residency.plan.walk.walker import Walker
from residency.release import release_digest
from schemas.events import RawBatch
from streams.duties import BATCH
from streams.plans import load_book

IN, OUT = "bench.in", "bench.out"
SIZES = (300, 1_000, 4_000, 16_000)  # bytes
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
PER_S = 500
Round = dict[str, Any]


def job() -> Job:
    """Return the job that other tools were measured on."""
    return Job.load(json.dumps(SCHEMA_IN), json.dumps(SCHEMA_OUT), json.dumps(JOB), key=KEY)


def same_headers() -> Headers:
    """Return headers as many and as long as the border's own, for the floor to copy."""
    stamp = Stamp("x" * 22, "Commerce_Order__c", "0" * 64, 1, ("eu-gdpr:A45-3",), release_digest())
    record = f"{topics.raw(REGION, 'orders')}[0]@1000000#0"
    return [*of_minimal(record, 1_000_001_000_000, stamp.encoded()), TRACE]


def cpu_us(meter: Meter) -> float:
    """Return CPU microseconds per record."""
    return meter.cpu_s / meter.records * 1e6


def measure(bench: Bench, number: int, events: int) -> Round:
    """Return what each hop took in one round; who goes first alternates."""
    plan: dict[str, Callable[[], Any]] = {
        "peers floor": lambda: (bench.floor(route(IN, OUT, f"pf{number}", 0), events, None), None),
        "peers hop": lambda: bench.job(route(IN, OUT, f"ph{number}", 0), events, job()),
        "own floor": lambda: (bench.floor(own_route(f"of{number}"), events, same_headers()), None),
        "own hop": lambda: bench.border(f"oh{number}", events),
    }
    names = list(plan) if number % 2 else ["peers hop", "peers floor", "own hop", "own floor"]
    return {name: plan[name]() for name in names}


def parts(bench: Bench, values: Sequence[bytes]) -> dict[str, float]:
    """Return the parts of deciding the shop's orders in batches, CPU us per event."""
    keys = token_keys(bench.home / REGION / "keys", REGION)
    book = load_book(REGION, keys, datetime.now(UTC).date())
    topic = topics.raw(REGION, "orders")
    size = min(BATCH, len(values))
    batch = RawBatch([topic] * size, [0] * size, list(range(size)), values[:size], [b""] * size)
    found = {"all": _clock(partial(book.minimise_batch, batch, lambda _: 1), size)}
    clocks = {"walk": 0.0, "tokens and generalised": 0.0, "assemble": 0.0}
    for walker, mine in book.walkers_of(batch):
        for part, act in _steps(walker, [values[n] for n in mine]).items():
            clocks[part] = round(clocks[part] + _clock(act, size), 2)
    return {**found, **clocks}


def _steps(walker: Walker, values: Sequence[bytes]) -> dict[str, Callable[[], object]]:
    """Return the steps of `Walker.walk` one by one."""
    found = walk_all(walker._program, values, walker._slots)  # noqa: SLF001, a bench looks inside
    fills, ends, _ = walker._fill(found)  # noqa: SLF001
    versions = [1] * len(values)
    return {
        "walk": lambda: walk_all(walker._program, values, walker._slots),  # noqa: SLF001
        "tokens and generalised": lambda: walker._fill(found),  # noqa: SLF001
        "assemble": lambda: [
            walker._emit(emission, found, fills, ends, versions)  # noqa: SLF001
            for emission, _ in walker._outputs  # noqa: SLF001
        ],
    }


def _clock(act: Callable[[], object], events: int) -> float:
    act()
    best = min(_once(act) for _ in range(7))
    return round(best / events * 1e6, 2)


def _once(act: Callable[[], object]) -> float:
    started = time.process_time()
    act()
    return time.process_time() - started


def by_size(bench: Bench, events: int) -> dict[str, Any]:
    """Return CPU us per event over event size: an intercept and a slope, by least squares."""
    rows: dict[str, dict[str, float]] = {"hop": {}, "floor": {}}
    least = len(peers_events(1)[0])
    for size in SIZES:
        padding = max(0, size - least)
        values = peers_events(events, padding=padding)
        name = f"bench.in.{size}"
        bench.publish(bench.make_topic(name), values, [])
        length = str(len(values[0]))
        floor = bench.floor(route(name, OUT, f"fsize{size}", 0), events, None)
        meter, _ = bench.job(route(name, OUT, f"size{size}", 0), events, job())
        rows["floor"][length], rows["hop"][length] = cpu_us(floor), cpu_us(meter)
    return {name: _line(row) for name, row in rows.items()}


def _line(row: dict[str, float]) -> dict[str, Any]:
    slope, intercept = np.polyfit([int(size) / 1024 for size in row], list(row.values()), 1)
    return {
        "cpu_us_per_event": {size: round(us, 2) for size, us in row.items()},
        "intercept_us": round(float(intercept), 2),
        "slope_us_per_kib": round(float(slope), 2),
    }


def shares(found: Sequence[tuple[Meter, Shares]]) -> dict[str, float]:
    """Return CPU us per record of each part, medians; the rest is librdkafka's threads."""
    rows: dict[str, list[float]] = {}
    for meter, share_ in found:
        own = {part: getattr(share_, part) for part in ("consume", "decide", "produce", "commit")}
        own["librdkafka"] = meter.cpu_s - sum(own.values())
        for part, seconds in own.items():
            rows.setdefault(part, []).append(seconds / meter.records * 1e6)
    return {part: spread(values, 2)["median"] for part, values in rows.items()}


def report(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return per job the floor, the hop, their ratio, and where the hop's CPU goes."""
    told = {}
    for name in ("peers", "own"):
        floors = [r[f"{name} floor"][0] for r in rounds]
        hops = [r[f"{name} hop"][0] for r in rounds]
        told[name] = {
            "floor_cpu_us": spread([cpu_us(m) for m in floors], 2),
            "hop_cpu_us": spread([cpu_us(m) for m in hops], 2),
            "ratio": spread([cpu_us(h) / cpu_us(f) for h, f in zip(hops, floors, strict=True)], 2),
            "floor_events_per_s": spread([m.records / m.wall_s for m in floors], 0),
            "hop_events_per_s": spread([m.records / m.wall_s for m in hops], 0),
            "shares_cpu_us": shares([r[f"{name} hop"] for r in rounds]),
        }
    return told


def show(found: dict[str, Any]) -> None:
    """Print the report as tables."""
    where = found["machine"]
    click.echo(
        f"{found['events']} events, {found['rounds']} rounds, batches of up to {BATCH};"
        f" {where['cores']} x {where['cpu']}, load {where['load_1m']}; medians (lowest to highest)"
    )
    for name, row in found["jobs"].items():
        cells = {
            key: f"{c['median']:g} ({c['min']:g} to {c['max']:g})"
            for key, c in row.items()
            if key != "shares_cpu_us"
        }
        click.echo(f"\n{name}: {found['value_bytes'][name]} bytes an event")
        for key, cell in cells.items():
            click.echo(f"  {key:<22}{cell}")
        click.echo("  of the hop's CPU: " + ", ".join(
            f"{part} {us:g}" for part, us in row["shares_cpu_us"].items()
        ))  # fmt: skip
    for key in ("deciding_cpu_us", "decision_ms", "latency_ms", "by_size", "two_workers", "memory"):
        click.echo(f"\n{key}: {json.dumps(found[key])}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=40_000, show_default=True, type=click.IntRange(min=BATCH))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, rounds: int, *, as_json: bool) -> None:
    """Measure what one border worker costs per event, next to a loop that only copies.

    \b
    peers  the job that other tools were measured on: a nested order, 15 fields dropped, two
           HMACs, two cut; topic to topic, exactly once, without headers
    own    the product's: the shop's orders under the region's approved plans, normalised
           tokens, generalised values, nine headers; its floor copies as many headers

    Each floor is the shortest loop of consume and produce in transactions, with the same
    clients, batches and bounds. CPU is the whole process's, librdkafka's threads included.
    It swings with the machine: compare by the ratios, which are taken within one round.

    Then: the parts of deciding; a decision alone; publish to committed at 500 events/s;
    cost over event size; two workers of one group. The broker is embedded, runs in a
    temporary home and is stopped at the end, also by Ctrl-C.

    Example: .venv/bin/python tests/bench/border.py --events 20000 --rounds 3 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """  # noqa: D301, click wants a real backspace before what must not be wrapped
    if not IS_ACCELERATED:
        say("without Numba, strip decides every record: this measures that")
    say("making events ...")
    peers, own = peers_events(events), shop_events(events)
    with running(REGION, lambda _: Launch()) as home:  # egress would work beside what is measured
        stack = Bench(home)
        for name in (IN, OUT, f"{OUT}.quarantine"):
            stack.make_topic(name)
        stack.publish(IN, peers, [])
        stack.publish(topics.raw(REGION, "orders"), own, [TRACE])
        measure(stack, -1, events)  # the JVM and the caches warm up on a round that is not told
        measured = []
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds} ...")
            measured.append(measure(stack, number, events))
        say("the rest ...")
        last = measured[-1]["own hop"][0].report()
        found = {
            "events": events,
            "rounds": rounds,
            "machine": machine(),
            "value_bytes": {
                "peers": round(sum(map(len, peers)) / events),
                "peers_json": json_bytes(),
                "own": round(sum(map(len, own)) / events),
            },
            "jobs": report(measured),
            "deciding_cpu_us": parts(stack, own),
            "decision_ms": decision(stack, own[:5_000]),
            "latency_ms": published_to_committed(stack, own[: 20 * PER_S], PER_S, "latency"),
            "by_size": by_size(stack, min(events, 5_000)),
            "two_workers": share(stack, OUT, peers),
            "memory": {"max_rss_mib_of_this_process": last["max_rss_mib"]},
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
