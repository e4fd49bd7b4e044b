"""What the vault's writer costs next to a plain COPY of the same rows, and a rotation of many keys.

    .venv/bin/python tests/bench/vault.py --json

All write the same events into tables of one form and with the same indexes, on one server, in one
round after the other; each round begins with an empty vault and no memory of its subjects. A third
way fills a search index, too, with the terms as they are: what finding costs without any secrecy.
"""

import json
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import click
import psutil
import psycopg
from common import machine, run, running, say, spread

from connectors.embedded.launch import Launch
from connectors.postgres.vault.store import VaultStore
from connectors.postgres.vault.upkeep import Upkeep
from residency import topics
from residency.keys import secret
from residency.vault.keyfiles import FileKeyStore
from residency.vault.subjects import subject_of
from schemas.codec import encode
from schemas.events import RawBatch
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.heap import settled_heap, tidy
from streams.settings import Settings, load_settings
from streams.vault import rotating
from streams.vault.erased import Erased
from streams.vault.storing import Vaulting, means, terms_of
from streams.vault.subjectkeys import SubjectKeys
from streams.vault.writer import BATCH

REGION = "eu"
PLACED = "commerce.orders.OrderPlaced"
SIZE = 1_000  # bytes of an event
EACH = 10  # events of a customer
RATE, SHARE = 5_000, 0.40  # aims: events/s per core; of the plain COPY's rate
SEED = 7
_EMPTY: LiteralString = """
TRUNCATE vault.subjects, vault.events, vault.blind_index, vault.progress, vault.plain,
  vault.plain_index
"""
_PLAIN: LiteralString = """
CREATE TABLE vault.plain (LIKE vault.events INCLUDING ALL);
CREATE TABLE vault.plain_index (digest text NOT NULL, subject bytea NOT NULL, kind int2 NOT NULL);
CREATE INDEX ON vault.plain_index (digest);
CREATE INDEX ON vault.plain_index (subject);
"""
_COPY: LiteralString = "COPY vault.plain FROM STDIN (FORMAT BINARY)"
_COPY_TERMS: LiteralString = "COPY vault.plain_index FROM STDIN (FORMAT BINARY)"
_TYPES = ("text", "timestamptz", "text", "text", "int4", "int8", "bytea", "int4", "bytea")


@dataclass
class Meter:
    """What a way took: seconds, and CPU seconds of this process and of its server process."""

    wall_s: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0

    def told(self, events: int) -> dict[str, float]:
        """Return rates per second, and CPU microseconds per event."""
        cpu = self.client_s + self.server_s
        return {
            "events_per_s": events / self.wall_s,
            "events_per_core_s": events / cpu,
            "client_us": self.client_s / events * 1e6,
            "server_us": self.server_s / events * 1e6,
        }


@contextmanager
def metered(meter: Meter, backend: int) -> Iterator[None]:
    """Add what the block takes."""
    server = psutil.Process(backend)

    def now() -> tuple[float, float, float]:
        times = server.cpu_times()
        return time.perf_counter(), time.process_time(), times.user + times.system

    before = now()
    yield
    after = now()
    meter.wall_s += after[0] - before[0]
    meter.client_s += after[1] - before[1]
    meter.server_s += after[2] - before[2]


def batches(count: int, key: bytes) -> list[RawBatch]:
    """Return *count* orders of `SIZE` bytes, `EACH` of a customer, in batches as a worker's."""
    schema, rng = load_registry().latest(PLACED), random.Random(SEED)
    stories = (p for p in Shop(rng, [REGION]).publications(20_000) if p.type == PLACED)
    patterns = [json.dumps(next(p.data for p in stories if p.trap is None)) for _ in range(200)]
    rows = []
    for n in range(count):
        data = json.loads(patterns[n % len(patterns)])
        customer = data["customer"]
        customer["customer_id"] = f"cus-{n % (count // EACH):08}"
        customer["email"] = f"{n % (count // EACH):08}@mail.example"
        data["order_id"], data["customer_note"] = f"ord-{n:010}", ""
        lacks = SIZE - len(encode(schema, from_plain(schema, data)))
        data["customer_note"] = "x" * max(0, lacks)
        value = encode(schema, from_plain(schema, data))
        rows.append((subject_of(key, customer["customer_id"]), value))
    topic, now_ms = topics.raw(REGION, "orders"), int(time.time() * 1_000)
    return [
        RawBatch(
            [topic] * len(part),
            [0] * len(part),
            list(range(start, start + len(part))),
            [value for _, value in part],
            [subject for subject, _ in part],
            times_ms=[now_ms] * len(part),
        )
        for start in range(0, count, BATCH)
        if (part := rows[start:][:BATCH])
    ]


PlainTerm = tuple[str, bytes, int]


def terms_in(settings: Settings, events: Sequence[RawBatch]) -> list[list[PlainTerm]]:
    """Return the rows of a plain search index that each batch adds, in their order."""
    finder, registry = terms_of(settings.folder, REGION), load_registry()
    schema_id = registry.latest(PLACED).id
    seen, rows = set[PlainTerm](), list[list[PlainTerm]]()
    for batch in events:
        found = {
            (text, subject, int(kind))
            for subject, value in zip(batch.keys, batch.values, strict=True)
            for kind, text in finder.of(schema_id, value)
        }
        rows.append(sorted(found - seen))
        seen |= found
    return rows


def plainly(
    dsn: str, events: Sequence[RawBatch], terms: Sequence[Sequence[PlainTerm]] = ()
) -> Meter:
    """Return what it takes to COPY the same rows with the value as it is.

    Args:
        dsn: Of the database.
        events: Batches.
        terms: Of each batch, rows for a search index; none: there is no such index.

    """
    meter, topic_id = Meter(), "x" * 22
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number, batch in enumerate(events):
            at = datetime.fromtimestamp(batch.times_ms[0] / 1_000, UTC)
            columns = zip(batch.topics, batch.offsets, batch.keys, batch.values, strict=True)
            with metered(meter, connection.info.backend_pid), connection.transaction():
                with connection.cursor().copy(_COPY) as out:
                    out.set_types(_TYPES)
                    for topic, offset, subject, value in columns:
                        row = (PLACED, at, topic, topic_id, 0, offset, subject, 1002, value)
                        out.write_row(row)
                if terms:
                    with connection.cursor().copy(_COPY_TERMS) as out:
                        out.set_types(("text", "bytea", "int2"))
                        for term in terms[number]:
                            out.write_row(term)
    return meter


def sealed(settings: Settings, dsn: str, events: Sequence[RawBatch]) -> Meter:
    """Return what the writer takes: suppressions asked, sealed, indexed, stored."""
    meter = Meter()
    keys = SubjectKeys(FileKeyStore(settings.folder / "keys"))
    ids = dict.fromkeys(topics.raw_topics(REGION), "x" * 22)
    vaulting = Vaulting(means(settings, keys, ids))
    with closing(VaultStore(dsn)) as store, closing(Erased(dsn)) as erased:
        store.begin(keys.version, datetime.now(UTC))
        vaulting.part(events[0])
        pid = store.backend()
        for number, batch in enumerate(events):
            with metered(meter, pid):
                tidy(number + 1)  # as a worker between two batches
                together = vaulting.part(batch)
                refused = erased.refused(batch)
                with store.writing() as writing:
                    vaulting.store(writing, batch, refused, datetime.now(UTC))
                if together != len(batch):
                    raise ValueError(together)
    return meter


def rotation(settings: Settings, dsn: str, count: int) -> dict[str, float]:
    """Return what it takes to wrap *count* keys anew."""
    keystore = FileKeyStore(settings.folder / "keys")
    keyring = keystore.load()
    say(f"making {count} keys ...")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_EMPTY)
        with connection.cursor().copy(
            "COPY vault.subjects (subject, kek, wrapped, made_at) FROM STDIN (FORMAT BINARY)"
        ) as out:
            out.set_types(["bytea", "int4", "bytea", "timestamptz"])
            now = datetime.now(UTC)
            for _ in range(count):
                subject = secrets.token_bytes(16)
                out.write_row((subject, *keyring.wrap(subject, secrets.token_bytes(32)), now))
    started = time.perf_counter()
    with closing(Upkeep(dsn)) as upkeep:
        done = rotating.rotate(upkeep, keystore, datetime.now(UTC), lambda _done, _total: None)
    seconds = time.perf_counter() - started
    return {
        "keys": done.wrapped,
        "seconds": round(seconds, 1),
        "keys_per_s": round(done.wrapped / seconds),
    }


def measure(home: Path, events: int, rounds: int, keys: int) -> dict[str, Any]:
    """Return all of it."""
    settings = load_settings(home, REGION, "vault")
    dsn = settings.postgres.dsn if settings.postgres else ""
    say(f"making {events} events ...")
    made = batches(events, secret(settings.folder / "keys", "partition"))
    terms = terms_in(settings, made)
    names = ("plain", "plain_with_index", "vault")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with psycopg.connect(dsn, autocommit=True) as connection, settled_heap():
        connection.execute(_PLAIN)
        for number in range(-1, rounds):  # the first warms up
            ways = {
                "plain": lambda: plainly(dsn, made),
                "plain_with_index": lambda: plainly(dsn, made, terms),
                "vault": lambda: sealed(settings, dsn, made),
            }
            for name in sorted(ways, reverse=number % 2 == 0):
                connection.execute(_EMPTY)
                told = ways[name]().told(events)
                if number >= 0:
                    found[name].append(told)
                    say(f"round {number + 1}, {name}: {told['events_per_s']:.0f} events/s")
    size = sum(len(value) for batch in made for value in batch.values) / events

    def share_of(other: str) -> dict[str, float]:
        pairs = zip(found["vault"], found[other], strict=True)
        return spread([v["events_per_s"] / p["events_per_s"] for v, p in pairs], 2)

    report = {
        "machine": machine(),
        "events": events,
        "bytes_per_event": int(size),
        "terms_per_event": round(sum(map(len, terms)) / events, 2),
        **{
            name: {key: spread([row[key] for row in rows]) for key in rows[0]}
            for name, rows in found.items()
        },
        "share_of_plain": share_of("plain"),
        "share_of_plain_with_index": share_of("plain_with_index"),
        "rotation": rotation(settings, dsn, keys),
    }
    report["meets"] = {
        "rate": report["vault"]["events_per_core_s"]["median"] >= RATE,
        "share": report["share_of_plain"]["median"] >= SHARE,
    }
    return report


@click.command()
@click.option("--events", default=40_000, show_default=True, help="Of a round.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--keys", default=1_000_000, show_default=True, help="To rotate.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def bench(events: int, rounds: int, keys: int, *, as_json: bool) -> None:
    """Measure the vault's writer next to a plain COPY, and a rotation."""
    with running(REGION, lambda _home: Launch()) as home:
        report = measure(home, events, rounds, keys)
    click.echo(json.dumps(report) if as_json else json.dumps(report, indent=2))


if __name__ == "__main__":
    run(bench)
