"""What it costs the border to ask, batch by batch, whose records are of erased people.

The production border carries the same events with and without the question, one after the other
in each round, so that the ratio holds on a machine whose absolute figures swing with its load.
"""

import json
from typing import Any

import click
import psycopg
from common import machine, run, running, say, spread
from hops import REGION, Bench, Meter, Shares
from orders import shop_events

from residency import topics
from streams.duties import BATCH
from streams.launch import launch
from streams.settings import load_settings

TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
Found = tuple[Meter, Shares]


def suppress(bench: Bench, count: int) -> None:
    """Have *count* people erased, of whom no event comes."""
    known = load_settings(bench.home, REGION, "admin").postgres
    if known is None:
        return
    with psycopg.connect(known.dsn) as connection:
        connection.execute(
            "INSERT INTO vault.suppressions (subject, token_digest, since, request)"
            " SELECT substr(sha256(n::text::bytea), 1, 16), sha256(n::text::bytea), now(),"
            " md5(n::text) FROM generate_series(1, %s) AS n",
            (count,),
        )
    with psycopg.connect(known.dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE vault.suppressions")


def measure(bench: Bench, number: int, events: int) -> tuple[Found, Found]:
    """Return what carrying took with and without asking; who goes first alternates."""
    found = {}
    for is_checked in (True, False) if number % 2 else (False, True):
        group = f"erased{number}{is_checked}"
        found[is_checked] = bench.border(group, events, is_checked=is_checked)
    return found[True], found[False]


def report(rounds: list[tuple[Found, Found]]) -> dict[str, Any]:
    """Return both, and their ratios within each round."""

    def per_s(one: Found) -> float:
        return one[0].records / one[0].wall_s

    def cpu_us(one: Found) -> float:
        return one[0].cpu_s / one[0].records * 1e6

    def asking_ms(pair: tuple[Found, Found]) -> float:
        decide = [one[1].decide / one[0].records * BATCH * 1e3 for one in pair]
        return decide[0] - decide[1]

    return {
        "asking_events_per_s": spread([per_s(asked) for asked, _ in rounds], 0),
        "not_asking_events_per_s": spread([per_s(other) for _, other in rounds], 0),
        "throughput_ratio": spread([per_s(a) / per_s(b) for a, b in rounds], 3),
        "cpu_ratio": spread([cpu_us(a) / cpu_us(b) for a, b in rounds], 3),
        "asking_cpu_ms_per_full_batch": spread([asking_ms(pair) for pair in rounds], 2),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=40_000, show_default=True, type=click.IntRange(min=BATCH))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--erased", default=100_000, show_default=True, type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, rounds: int, erased: int, *, as_json: bool) -> None:
    """Measure the border with and without asking who is erased.

    Each event is of another subject, which is the most that can be asked about; the database
    shares the machine's cores. CPU is the worker's process alone.

    Example: .venv/bin/python tests/bench/erased.py --events 20000 --rounds 3 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """
    say("making events ...")
    values = shop_events(events)
    with running(REGION, launch) as home:
        stack = Bench(home)
        suppress(stack, erased)
        stack.publish(topics.raw(REGION, "orders"), values, [TRACE])
        measure(stack, -1, events)  # the JVM and the caches warm up on a round that is not told
        measured = []
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds} ...")
            measured.append(measure(stack, number, events))
    found = {
        "events": events,
        "rounds": rounds,
        "erased": erased,
        "batch": BATCH,
        "machine": machine(),
        **report(measured),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<30} {json.dumps(value)}")


if __name__ == "__main__":
    run(bench)
