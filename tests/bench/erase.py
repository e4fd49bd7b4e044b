"""How long it takes to erase: the key of one among many, and many people through the whole line.

    .venv/bin/python tests/bench/erase.py --json
    .venv/bin/python tests/bench/erase.py --people 10000 --subjects 1000000

The keys lie in a vault of so many subjects, in the same database that the line then uses.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any, LiteralString

import click
import psycopg
from common import machine, percentiles, run, running, say
from confluent_kafka import Producer

from connectors.embedded.launch import Launch
from connectors.postgres.vault.destroying import Renewed
from connectors.postgres.vault.erasures import Erasures, Wish
from connectors.postgres.vault.rows import Wrapped
from residency import topics
from residency.keys import secret, token_keys
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.erasure import STEPS, Erasure, Step
from residency.vault.subjects import subject_of
from schemas.codec import encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.launch import launch
from streams.leaf_requests import new_request
from streams.settings import load_settings

REGION, SEED = "eu", 7
AIM_S = 1.0  # for the key of one
EACH, EVENT_BYTES = 3, 1_000  # events of a made-up subject
MONTH = timedelta(days=7)  # ago, all of one month's table
TOGETHER = 500  # as the worker takes them
KINDS = ("commerce.customers.CustomerRegistered", "commerce.orders.OrderPlaced")
_SUBJECTS: LiteralString = """
INSERT INTO vault.subjects SELECT decode(md5(n::text), 'hex'), 1,
  decode(repeat(md5('k' || n), 4), 'hex'), now() FROM generate_series(1, %s) n
"""
_EVENTS: LiteralString = """
INSERT INTO vault.events SELECT 'commerce.orders.OrderPlaced', %s, 'eu.commerce.orders.v1',
  'made-up', 0, n * 100 + e, decode(md5(n::text), 'hex'), 1002, decode(repeat('ab', %s), 'hex')
FROM generate_series(1, %s) n, generate_series(1, %s) e
"""
_INDEX: LiteralString = """
INSERT INTO vault.blind_index SELECT 1 + e %% 5, decode(md5(n || 'i' || e), 'hex'),
  decode(md5(n::text), 'hex') FROM generate_series(1, %s) n, generate_series(1, 9) e
"""


_ASKED: LiteralString = """
INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step)
SELECT md5('r' || n), decode(md5(n::text), 'hex'), '', now(), 'command', 'abroad'
FROM generate_series(%s::int, %s::int) n
"""


def made_up(home: Path, subjects: int, erased: int) -> None:
    """Fill the vault: a key for each subject, events and index for those to be erased."""
    dsn = json.loads((home / REGION / "services/admin.json").read_text())["postgres"]["dsn"]
    at = datetime.now(UTC) - MONTH
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_SUBJECTS, (subjects,))
        make = "SELECT vault.make_partition('commerce.orders.OrderPlaced', %s)"
        with psycopg.connect(_as_vault(home), autocommit=True) as owner:
            owner.execute(make, (at,))
        connection.execute(_EVENTS, (at, EVENT_BYTES, erased, EACH))
        connection.execute(_INDEX, (erased,))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _as_vault(home: Path) -> str:
    found: str = json.loads((home / REGION / "services/vault.json").read_text())["postgres"]["dsn"]
    return found


def erasures_of(
    store: Erasures, connection: "psycopg.Connection[Any]", first: int, count: int
) -> list[Erasure]:
    """Keep erasures of made-up subjects that need nothing abroad; return them."""
    connection.execute(_ASKED, (first, first + count - 1))
    names = [md5(f"r{n}".encode()).hexdigest() for n in range(first, first + count)]  # noqa: S324
    return store.some(names)


def _no_key(_subject: bytes) -> Wrapped:
    raise AssertionError  # no gateway has sealed for them


def keys(home: Path, many: int) -> dict[str, Any]:
    """Return how long destruction takes: of one subject, one after the other, and of many."""
    dsn = load_settings(home, REGION, "erase").postgres
    assert dsn is not None
    with closing(Erasures(dsn.dsn)) as store, psycopg.connect(dsn.dsn, autocommit=True) as asked:
        ones, vacuums = [], []
        for n in range(1, 31):
            one = erasures_of(store, asked, n, 1)
            begun = time.perf_counter()
            (done,) = store.destroy(one, lambda _: Renewed(), _no_key)
            ones.append(time.perf_counter() - begun)
            store.vacuum(done.state.tables)
            vacuums.append(time.perf_counter() - begun - ones[-1])
        wished = erasures_of(store, asked, 31, many)
        begun = time.perf_counter()
        for start in range(0, many, TOGETHER):
            store.destroy(wished[start : start + TOGETHER], lambda _: Renewed(), _no_key)
        bulk = time.perf_counter() - begun
        asked.execute("UPDATE vault.erasures SET ended_at = now(), step = 'done'")
    return {
        "one_ms": percentiles(ones, 1e3),
        "vacuum_ms": percentiles(vacuums, 1e3),
        "many": {"subjects": many, "seconds": round(bulk, 2), "per_s": round(many / bulk)},
        "one_within_aim": max(ones) <= AIM_S,
    }


def publish(home: Path, people: int) -> list[tuple[bytes, str]]:
    """Publish a registration and an order of each person; return subject and token of each."""
    folder, registry = home / REGION / "keys", load_registry()
    stories = list(Shop(random.Random(SEED), [REGION]).publications(2_000))
    made = {k: next(p.data for p in stories if p.type == k and p.trap is None) for k in KINDS}
    tokens = Tokeniser(token_keys(folder, REGION), CENTRAL)
    key = secret(folder, "partition")
    producer = Producer(load_settings(home, REGION, "gateway").kafka.librdkafka(linger_ms=20))
    found = []
    for n in range(people):
        customer = f"cus-bench-{n:08}"
        subject = subject_of(key, customer)
        for kind in KINDS:
            schema, data = registry.latest(kind), json.loads(json.dumps(made[kind]))
            data["customer"]["customer_id"] = customer
            if "order_id" in data:
                data["order_id"] = f"ord-bench-{n:08}"
            topic = topics.raw(REGION, schema.domain)
            producer.produce(topic, encode(schema, from_plain(schema, data)), subject)
            producer.poll(0)
        found.append((subject, tokens.identity("customer", customer)))
    assert producer.flush(120) == 0
    return found


def through(home: Path, people: int) -> dict[str, Any]:
    """Return how long it takes to erase people through the whole line, and when steps were over."""
    config = load_settings(home, REGION, "erase").postgres
    assert config is not None
    say(f"publishing {people} people ...")
    whose = publish(home, people)
    _settled(home, 2 * people)
    with closing(Erasures(config.dsn)) as store:
        begun = time.perf_counter()
        for subject, token in whose:
            store.ask(Wish(new_request(), subject, token, "bench", "bench"), datetime.now(UTC))
        asked = time.perf_counter() - begun
        over: dict[str, float] = {}
        while Step.DONE not in over:
            steps = store.steps()
            at = [sum(steps.get(s, 0) for s in STEPS[n:]) for n in range(len(STEPS))]
            whole = sum(steps.values())
            for n, step in enumerate(STEPS[1:], 1):
                if at[n] == whole and step not in over:
                    over[step] = round(time.perf_counter() - begun, 1)
                    say(f"all {step} after {over[step]} s")
            time.sleep(0.2)
    done = over[Step.DONE]
    per_s = round(people / done, 1)
    return {"people": people, "asked_s": round(asked, 1), "over_s": over, "per_s": per_s}


def without_eraser(home: Path) -> Launch:
    """Return what a stack starts: all but the erasing worker, which would destroy keys, too."""
    found = launch(home)
    services = tuple(service for service in found.services if service != "erase")
    return replace(found, services=services)


@contextmanager
def erasing(home: Path) -> Iterator[None]:
    """Run the erasing worker."""
    argv = ["-P", "-m", "streams.cli", "worker", "--region", REGION, "--service", "erase"]
    worker = subprocess.Popen([sys.executable, *argv, "--home", str(home)], stdout=sys.stderr)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


def _settled(home: Path, records: int) -> None:
    """Wait until egress has settled so many records."""
    dsn = load_settings(home, REGION, "egress").postgres
    assert dsn is not None
    with psycopg.connect(dsn.dsn, autocommit=True) as connection:
        while True:
            row = connection.execute("SELECT count(*) FROM ledger_index WHERE outcome IS NOT NULL")
            if (row.fetchone() or (0,))[0] >= records:
                return
            time.sleep(0.5)


def _table(found: dict[str, Any]) -> Sequence[str]:
    keys_, line = found["keys"], found["line"]
    many = keys_["many"]
    return (
        f"key of one of {found['subjects']:,}: {keys_['one_ms']} ms, vacuum {keys_['vacuum_ms']}",
        f"keys of {many['subjects']:,}: {many['seconds']} s, {many['per_s']} a second",
        f"{line['people']:,} people through the line: {line['over_s']}, {line['per_s']} a second",
    )


@click.command()
@click.option("--subjects", default=100_000, show_default=True, help="Keys in the vault.")
@click.option("--many", default=10_000, show_default=True, help="Keys destroyed in bulk.")
@click.option("--people", default=1_000, show_default=True, help="Erased through the line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def main(*, subjects: int, many: int, people: int, as_json: bool) -> None:
    """Measure erasures; exit code 1 where the key of one takes longer than a second."""
    with running(REGION, without_eraser) as home:
        say(f"making up {subjects:,} subjects ...")
        made_up(home, subjects, many + 30)
        say("destroying keys ...")
        found = {"machine": machine(), "subjects": subjects, "keys": keys(home, many)}
        with erasing(home):
            found["line"] = through(home, people)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(_table(found)))
    raise SystemExit(0 if found["keys"]["one_within_aim"] else 1)


if __name__ == "__main__":
    run(main)
