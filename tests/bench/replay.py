"""A replay's rate next to the border's own, in one run on the same records.

The border carries the shop's orders over; what it made is logged as egress would; then a replay of
one worker reads all of it again. The rate of the replay includes the reading of the ledger, two
leaves a record. Starting Python and compiling the walker are left out on both sides.
"""

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from common import machine, run, running, say, spread
from confluent_kafka import Consumer, TopicPartition
from hops import REGION, Bench
from orders import shop_events

from connectors.embedded.launch import Launch
from connectors.kafka.record import read
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import ledger_keys
from residency.ledger.files import Ledger
from residency.ledger.leaves import quantise
from residency.ledger.log import Draft, log_outcomes, log_transfers
from residency.ledger.outcomes import OutcomeLeaf
from residency.replay.compare import Place
from schemas.errors import HomeportError
from schemas.events import RecordId
from streams.arrivals import arrival_of
from streams.carrier import GROUP
from streams.duties import BATCH
from streams.replay.run import Asked, finish, prepare
from streams.replay.state import State
from streams.replay.topics import Span, records
from streams.replay.worker import Worker
from streams.settings import load_settings


def settle(home: Path) -> None:
    """Log what lies on the minimal topic, transfers and outcomes, and commit it as egress does."""
    topic, config = topics.minimal(REGION), load_settings(home, REGION, "egress").kafka
    keys = ledger_keys(home / REGION / "keys", REGION)
    client = config.librdkafka(group_id=topics.group("egress"), isolation_level="read_committed")
    with closing(Consumer(client)) as consumer:
        wanted = [
            TopicPartition(topic, n) for n in range(load_topics(home, REGION)[topic].partitions)
        ]
        ends = [consumer.get_watermark_offsets(place)[1] for place in wanted]
        consumer.commit(
            offsets=[TopicPartition(topic, n, end) for n, end in enumerate(ends)],
            asynchronous=False,
        )
    reader = load_settings(home, REGION, "replay")
    drafts = dict[RecordId, Draft]()  # several borders carried the same records
    for n, end in enumerate(ends):
        span = Span(Place(topic, n, "", 0), 0, end, 0, is_whole=True)
        for message in records(reader, span):
            one = arrival_of(read(message))
            drafts[one.record.id] = Draft(one.record, {}, one.basis, one.release)
    now = datetime.now(UTC)
    with Ledger.open(home / REGION / "ledger", keys.origin, keys.seed) as ledger:
        rows = list(drafts.values())
        for start in range(0, len(rows), GROUP):
            logged = log_transfers(ledger, rows[start:][:GROUP], now=now, root=keys.root)
            outcomes = [
                OutcomeLeaf(quantise(now), one.record.id, one.leaf, "accepted", None)
                for one in logged
            ]
            log_outcomes(ledger, outcomes)


def replayed(home: Path, wanted: int) -> dict[str, float]:
    """Replay all of it once and return the seconds of each part.

    Raises:
        HomeportError: The replay did not find every record the same.

    """
    settings = load_settings(home, REGION, "replay")
    state = State(home / REGION / "replay" / "state")
    started, cpu = time.monotonic(), time.process_time()
    asked = Asked((topics.raw(REGION, "orders"),), None, None)
    job = prepare(settings, asked, state, lambda _: None)
    prepared = time.monotonic()
    cpu_prepared = time.process_time()
    worker = Worker(settings, state, job, None)
    warm, cpu_warm = time.monotonic(), time.process_time()
    worker.run(job.tasks, lambda: False)
    ended, cpu_ended = time.monotonic(), time.process_time()
    found = finish(state, job, REGION, "2026-01-01T00:00Z")
    if found["counts"] != {"same": wanted}:
        msg = f"the replay found {found['counts']}, not {wanted} the same"
        raise HomeportError(msg)
    return {
        "ledger_s": prepared - started,
        "compare_s": ended - warm,
        "cpu_s": cpu_prepared - cpu + cpu_ended - cpu_warm,
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", default=40_000, show_default=True, type=click.IntRange(min=BATCH))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def bench(events: int, rounds: int, *, as_json: bool) -> None:
    """Measure how fast one worker replays what one border carried over.

    Example: .venv/bin/python tests/bench/replay.py --events 20000 --rounds 3 --json

    Exit codes: 0 measured, 1 the line broke, 2 usage, 3 environment, 130 interrupted.
    """
    say("making events ...")
    own = shop_events(events)
    with running(REGION, lambda _: Launch()) as home:
        stack = Bench(home)
        stack.publish(topics.raw(REGION, "orders"), own, [])
        stack.border(topics.group("border"), events)  # warms up, and says where the border is
        borders = [stack.border(f"round{n}", events)[0] for n in range(rounds)]
        say("logging ...")
        settle(home)
        replayed(home, events)
        say("replaying ...")
        rows = [replayed(home, events) for _ in range(rounds)]
    rates = [events / (row["ledger_s"] + row["compare_s"]) for row in rows]
    border_rates = [meter.records / meter.wall_s for meter in borders]
    found = {
        "machine": machine(),
        "events": events,
        "border_events_per_s": spread(border_rates, 0),
        "replay_events_per_s": spread(rates, 0),
        "ratio": spread([r / b for r, b in zip(rates, border_rates, strict=True)], 2),
        "border_cpu_us": spread([meter.cpu_s / meter.records * 1e6 for meter in borders], 1),
        "replay_cpu_us": spread([row["cpu_s"] / events * 1e6 for row in rows], 1),
        "replay_ledger_us": spread([row["ledger_s"] / events * 1e6 for row in rows], 1),
        "replay_compare_us": spread([row["compare_s"] / events * 1e6 for row in rows], 1),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        click.echo(f"{name:<22}{json.dumps(value)}")


if __name__ == "__main__":
    run(bench)
