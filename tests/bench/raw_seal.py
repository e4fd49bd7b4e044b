"""What it costs that raw topics hold no plaintext: at the gateway, and at the border.

Plain and sealed are measured in turns within one run, each on the same events, so that the ratios
hold on a machine whose absolute figures swing with its load.
"""

import asyncio
import json
import multiprocessing
import random
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import click
import psutil
from border import cpu_us
from common import machine, percentiles, run, running, say, spread
from hops import REGION, Bench, Meter, MeteredBorder
from latency import ORDERS, start_at_the_end
from orders import shop_events

from connectors.embedded.launch import Launch
from connectors.embedded.services import set_seal_raw
from connectors.embedded.stack import Stack
from connectors.postgres.vault.store import VaultStore
from residency import topics
from residency.telemetry.setup import telemetry
from residency.vault.rawseal import OVERHEAD_BYTES, RawSeal
from schemas.errors import RetriableError
from streams.demo.generate import Shop
from streams.gateway import BATCH_TYPE, Gateway
from streams.settings import Settings, database, load_settings
from streams.vault.keystores import open_keystore
from streams.vault.subjectkeys import SubjectKeys

WAYS = ("plain", "sealed")
POST, POSTS = 100, 8  # events in a request, requests under way
ALONE = 300  # events that are posted one after the other
WARM_UP = 500  # events of each gateway that are not told of
WAIT_S = 60.0
ONE_TYPE = "application/cloudevents+json"
Row = dict[str, float]


@dataclass(frozen=True)
class Clocks:
    """CPU seconds of a gateway and of the region's database."""

    gateway: psutil.Process
    postgres: psutil.Process

    def read(self) -> tuple[float, float]:
        """Return both, children included: those of the database come and go with connections."""
        parts = [self.postgres, *self.postgres.children(recursive=True)]
        return _cpu(self.gateway.cpu_times()), sum(_cpu(one.cpu_times()) for one in parts)


def _cpu(times: Any) -> float:
    return float(times.user + times.system)


def started(home: Path) -> Launch:
    """Return what the bench starts: broker and database, the gateway may seal."""
    set_seal_raw(home, REGION, is_on=True)
    return Launch()


def _work(settings: Settings, stop: Any) -> None:
    halt = threading.Event()
    folder = settings.folder / "telemetry"
    gateway = Gateway(settings, telemetry("gateway", REGION, folder, {}))
    thread = threading.Thread(target=gateway.run, args=(halt,))
    thread.start()
    stop.wait()
    halt.set()
    thread.join()


@contextmanager
def gateway(home: Path, *, is_sealing: bool) -> Iterator[tuple[str, int]]:
    """Run a gateway in a process of its own; yield its address and pid."""
    settings = replace(load_settings(home, REGION, "gateway"), seal_raw=is_sealing)
    spawn = multiprocessing.get_context("spawn")
    stop = spawn.Event()
    worker = spawn.Process(target=_work, args=(settings, stop))
    worker.start()
    try:
        yield f"http://127.0.0.1:{settings.http_port}/events", worker.pid or 0
    finally:
        stop.set()
        worker.join(WAIT_S)


def bodies(events: int, name: str) -> list[dict[str, Any]]:
    """Return orders with ids that no gateway has seen."""
    shop = Shop(random.Random(7), [REGION])
    found: list[dict[str, Any]] = []
    while len(found) < events:
        for one in shop.publications(4 * events):
            if one.trap is None and one.type == "commerce.orders.OrderPlaced":
                found.append({**one.cloudevent(), "id": f"{name}-{len(found)}"})
    return found[:events]


async def post_all(url: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Post events in batches, some under way at once; every one must be taken."""
    requests = [json.dumps(events[n : n + POST]).encode() for n in range(0, len(events), POST)]
    gate = asyncio.Semaphore(POSTS)
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def post(body: bytes) -> None:
            headers = {"Content-Type": BATCH_TYPE}
            async with gate, session.post(url, data=body, headers=headers) as answer:
                _check(await answer.json())

        await asyncio.gather(*map(post, requests))


async def post_alone(url: str, events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Post events one after the other; return how many seconds each took."""
    took = []
    async with aiohttp.ClientSession(trust_env=False) as session:
        for event in events:
            body, begun = json.dumps(event).encode(), time.perf_counter()
            async with session.post(url, data=body, headers={"Content-Type": ONE_TYPE}) as answer:
                _check([{"status": answer.status}])
            took.append(time.perf_counter() - begun)
    return took


def _check(answers: Sequence[Mapping[str, Any]]) -> None:
    other = {one["status"] for one in answers} - {202}
    if other:
        msg = f"the gateway answered {other}"
        raise RetriableError(msg)


async def _ready(url: str) -> None:
    deadline = time.monotonic() + WAIT_S
    async with aiohttp.ClientSession(trust_env=False) as session:
        while time.monotonic() < deadline:
            try:
                async with session.post(url, data=b"") as answer:
                    await answer.read()
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    msg = "the gateway does not start"
    raise RetriableError(msg)


def published(home: Path, way: str, number: int, events: int) -> Row:
    """Return what a gateway takes per event, and how long one waits alone."""
    pid = next(p.pid for p in Stack(home, (REGION,)).status() if p.name == f"{REGION}-postgres")
    made = bodies(WARM_UP + events + ALONE, f"{way}-{number}")
    with gateway(home, is_sealing=way == "sealed") as (url, worker):
        clocks = Clocks(psutil.Process(worker), psutil.Process(pid))
        asyncio.run(_ready(url))
        asyncio.run(post_all(url, made[:WARM_UP]))
        before, begun = clocks.read(), time.monotonic()
        asyncio.run(post_all(url, made[WARM_UP : WARM_UP + events]))
        wall, after = time.monotonic() - begun, clocks.read()
        alone = percentiles(asyncio.run(post_alone(url, made[WARM_UP + events :])), 1e3)
    return {
        "events_per_s": events / wall,
        "gateway_cpu_us": (after[0] - before[0]) / events * 1e6,
        "postgres_cpu_us": (after[1] - before[1]) / events * 1e6,
        "alone_p50_ms": alone["p50"],
        "alone_p99_ms": alone["p99"],
    }


def sealed(home: Path, values: Sequence[bytes]) -> list[bytes]:
    """Return *values* sealed as `Bench.publish` keys them: each is of a subject of its own."""
    settings = load_settings(home, REGION, "vault")
    keys = SubjectKeys(open_keystore(settings))
    subjects = [n.to_bytes(16, "big") for n in range(len(values))]
    found: dict[bytes, bytes] = {}
    with closing(VaultStore(database(settings.postgres, "vault"))) as store:
        for n in range(0, len(subjects), 5_000):
            with store.writing() as writing:
                known = keys.of(writing, subjects[n : n + 5_000], datetime.now(UTC))
            found |= {subject: one.data_key for subject, one in known.items()}
    each = zip(subjects, values, strict=True)
    return [RawSeal(subject, found[subject]).close(ORDERS, value) for subject, value in each]


def crossed(bench: Bench, group: str, values: Sequence[bytes]) -> Row:
    """Return what the border takes to carry *values* over, which are published first."""
    for domain in topics.DOMAINS:
        start_at_the_end(bench, group, topics.raw(REGION, domain))
    before = _on_disk(bench.home)
    bench.publish(ORDERS, values, [])
    size = _on_disk(bench.home) - before
    meter = Meter(len(values), threading.Event())
    worker = MeteredBorder(bench.settings(), bench.signals(), group, meter)
    worker.run(meter.halt)
    return {
        "events_per_s": meter.records / meter.wall_s,
        "hop_cpu_us": cpu_us(meter),
        "deciding_cpu_us": worker.shares.decide / meter.records * 1e6,
        "topic_bytes": size / len(values),
    }


def _on_disk(home: Path) -> int:
    """Return the bytes that the broker has of raw orders."""
    return sum(p.stat().st_size for p in (home / REGION / "kafka").rglob(f"{ORDERS}-*/*.log"))


def told(rounds: Sequence[Mapping[str, Row]]) -> dict[str, Any]:
    """Return per figure both ways and sealed to plain, taken within each round."""
    found = dict[str, dict[str, Any]]()
    for name in rounds[0]["plain"]:
        row = {way: spread([one[way][name] for one in rounds], 2) for way in WAYS}
        if all(one["plain"][name] for one in rounds):  # an idle database took no tick at all
            ratios = [one["sealed"][name] / one["plain"][name] for one in rounds]
            row["ratio"] = spread(ratios, 2)
        found[name] = row
    return found


def show(found: Mapping[str, Any]) -> None:
    """Print the report as tables."""
    where = found["machine"]
    click.echo(
        f"{found['events']} orders of {found['value_bytes']} bytes, {found['rounds']} rounds;"
        f" {where['cores']} x {where['cpu']}, load {where['load_1m']}; medians (lowest to highest)"
    )
    for part in ("gateway", "border"):
        click.echo(f"\n{part:>26}{'plain':>26}{'sealed':>26}{'sealed / plain':>26}")
        for name, row in found[part].items():
            cells = [f"{c['median']:g} ({c['min']:g} to {c['max']:g})" for c in row.values()]
            click.echo("".join(f"{cell:>26}" for cell in (f"  {name:<16}", *cells)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=10_000, show_default=True, type=click.IntRange(min=POST))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, rounds: int, *, as_json: bool) -> None:
    """Measure what a gateway's sealing costs there and at the border, next to plain events.

    \b
    gateway  orders posted 100 to a request, 8 requests under way, from this process; then 300
             alone, one after the other. CPU is the gateway's, and the region's database's
    border   the production hop over as many orders; each is of a customer of its own, so that
             every one needs a key from the database: the worst there is. The topic's bytes are
             those that the broker keeps of events that a producer compressed with lz4

    The broker is embedded, runs in a temporary home and is stopped at the end.

    Example: .venv/bin/python tests/bench/raw_seal.py --events 5000 --rounds 3 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """  # noqa: D301, click wants a real backspace before what must not be wrapped
    say("making events ...")
    plain = shop_events(events)
    with running(REGION, started) as home:
        stack = Bench(home)
        ways = {"plain": plain, "sealed": sealed(home, plain)}
        posts, hops = list[dict[str, Row]](), list[dict[str, Row]]()
        for number in range(rounds + 1):
            say(f"round {number} of {rounds} ...")
            order = WAYS if number % 2 else WAYS[::-1]
            name = secrets.token_hex(4)
            posts.append({way: published(home, way, number, events) for way in order})
            hops.append({way: crossed(stack, f"{way}{name}", ways[way]) for way in order})
        found = {
            "events": events,
            "rounds": rounds,
            "machine": machine(),
            "value_bytes": round(sum(map(len, plain)) / events),
            "overhead_bytes": OVERHEAD_BYTES,
            "gateway": told(posts[1:]),  # the first round warms up the JVM and the caches
            "border": told(hops[1:]),
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    run(bench)
