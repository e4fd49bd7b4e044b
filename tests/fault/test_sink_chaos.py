"""The sink against an org that does everything wrong, and `kill -9` on top.

Whatever the org answers, or does not, and whenever egress dies: the org ends up holding, field
by field, what the ledger says was accepted; each record has exactly one outcome.
"""

import hmac
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Message, Producer
from oracle import comparable, expected_rows, kill, lasting, org_rows

from connectors.embedded.stack import Stack
from connectors.sandbox.faults.remote import Control, control
from residency import topics
from residency.expected import differing, field_hmacs
from residency.keys import secret
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.verify import verify
from residency.normalise import normalise
from schemas.codec import encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.evidence import surplus_rows
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Observer
from streams.launch import launch
from streams.settings import load_settings

REGION = "eu"
RECORDS = 5_000  # events per run; about as many minimal records
RUNS_PER_HOME = 5  # the org is read back whole after each run: it must not grow without end
BULK_FROM = (500, 1_000_000)  # rows: in one home many go by jobs, in the next all by requests
KILLS = 3  # per run, at random moments
SETTLE_S = 300.0
LATE_S = 4.0  # after the client's time-out of `patience`, so also after its next request
ANY_WRITE = ("collections", "composite", "bulk")

# Kind, the calls it strikes, the share of them (0: see the rest), what else the plan says of it.
FAULTS: Sequence[tuple[str, str, float, dict[str, Any]]] = (
    # Three new sessions refused in a row stop the worker, as they should: so never by chance.
    ("unauthorised", "any", 0, {"every": 37}),
    ("expired-session", "any", 0, {"every": 53}),
    ("request-limit", "any", 0.02, {}),
    ("too-many-requests", "any", 0.03, {}),
    ("error-500", "any", 0.02, {}),
    ("error-502", "any", 0.02, {}),
    ("error-503", "any", 0.03, {}),
    ("error-500-json", "any", 0.02, {}),
    ("slow", "any", 0.05, {"seconds": 0.5}),
    ("reset-before", "any", 0.04, {}),
    ("reset-after", "any", 0.06, {}),
    ("timeout-after", "collections", 0.04, {"seconds": LATE_S}),
    ("timeout-after", "composite", 0.04, {"seconds": LATE_S}),
    ("late-commit", "collections", 0.04, {"seconds": LATE_S}),
    ("late-commit", "composite", 0.04, {"seconds": LATE_S}),
    ("lock", "collections", 0.10, {"rows": 0.05}),
    ("lock", "bulk", 0.10, {"rows": 0.02}),
    ("partial", "collections", 0.10, {"rows": 0.05}),
    ("duplicate-race", "collections", 0.05, {"rows": 0.02}),
    ("truncated-results", "bulk", 0.15, {}),
    ("no-charset", "bulk", 0.20, {}),
    ("job-stuck", "bulk", 0.15, {"seconds": 2.0}),
    ("job-failed", "bulk", 0.15, {}),
    ("error-503", "login", 0.05, {}),
)


@contextmanager
def running(home: Path) -> Iterator[Stack]:
    """Run one region's line without a gateway's help, with an org that takes fault plans."""
    stack = Stack(home, (REGION,))
    stack.up(launch(home, org_options=["--faults"]))
    try:
        yield stack
    finally:
        stack.down()


def hurried(home: Path, bulk_from: int) -> None:
    """Give egress a patience that fits a test; the product's waits fit an org far away.

    Its requests are small, so that there are many for faults to strike.
    """
    path = home / REGION / "services" / "egress.json"
    settings = json.loads(path.read_text())
    settings["salesforce"] |= {
        "connect_timeout_s": 1.0,
        "read_timeout_s": 2.0,
        "limit_pause_s": 0.2,
        "sink": {
            "bulk_from": bulk_from,
            "fate_s": LATE_S + 1,
            "retry": {"sizes": [40, 20, 1], "first_wait_s": 0.1, "max_wait_s": 0.5},
        },
    }
    path.write_text(json.dumps(settings))
    kill(home, f"{REGION}-egress")


def publish(home: Path, events: Sequence[Publication]) -> list[tuple[Publication, str]]:
    """Put *events* where the gateway would, and return where each lies."""
    registry, key = load_registry(), secret(home / REGION / "keys", "partition")
    producer = Producer(load_settings(home, REGION, "gateway").kafka.librdkafka(linger_ms=20))
    taken: list[tuple[Publication, str]] = []

    def noted(event: Publication) -> Callable[[Any, Message], None]:
        def delivered(error: Any, message: Message) -> None:
            assert error is None, error
            place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
            taken.append((event, place))

        return delivered

    for event in events:
        versions = {s.version: s for s in registry.versions(event.type)}
        schema = versions[event.schema_version or max(versions)]
        data = from_plain(schema, event.data)
        customer = normalise("", data["customer"]["customer_id"]).encode()
        producer.produce(
            topics.raw(REGION, schema.domain),
            encode(schema, data),
            hmac.digest(key, customer, "sha256")[:16],
            on_delivery=noted(event),
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    return taken


def path_of(home: Path) -> Control:
    """Return the control path of the home's org."""
    settings = load_settings(home, REGION, "egress")
    assert settings.salesforce is not None
    return control(home, int(settings.salesforce.instance_url.rsplit(":", 1)[1]))


def fault_plan(rng: random.Random) -> list[dict[str, Any]]:
    """Return every fault, in an order of its own: the first that strikes a call counts."""
    faults = [
        {"kind": kind, "on": on, **({"probability": share} if share else {}), **more}
        for kind, on, share, more in FAULTS
    ]
    rng.shuffle(faults)
    return faults


@contextmanager
def killing(home: Path, rng: random.Random) -> Iterator[None]:
    """Kill egress a few times meanwhile."""
    over = threading.Event()
    waits = [rng.uniform(1, 8) for _ in range(KILLS)]

    def work() -> None:
        for wait in waits:
            if over.wait(wait):
                return
            kill(home, f"{REGION}-egress")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def settle(home: Path, observer: Observer, wanted: int) -> None:
    """Wait until every record has its result."""
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        counts = observer.counts()
        if counts.raw == wanted and counts.is_settled:
            return
        time.sleep(0.5)
    log = (home / "logs" / f"{REGION}-egress.log").read_text().splitlines()[-20:]
    states = {process.name: process.state for process in Stack(home).status()}
    told = "\n".join([f"{observer.counts()}, wanted {wanted}", f"{states}", *log])
    pytest.fail(f"not settled after {SETTLE_S:.0f} s: {told}")


def outcomes(home: Path) -> Counter[str]:
    """Return how many records had each result, having seen that each had one, and was logged."""
    reader = Reader(home / REGION / "ledger")
    size = open_head(reader).size
    announced: Counter[Any] = Counter()
    settled: Counter[Any] = Counter()
    results: Counter[str] = Counter()
    for data in reader.entries(0, size, size):
        leaf = parse_leaf(data)
        if isinstance(leaf, TransferLeaf):
            announced[leaf.record] += 1
        elif isinstance(leaf, OutcomeLeaf):
            settled[leaf.record] += 1
            results[leaf.result] += 1
    assert set(announced.values()) | set(settled.values()) == {1}
    assert settled.keys() >= announced.keys()
    return results


def kept_rows(home: Path) -> dict[tuple[str, str], dict[str, str | None]]:
    """Return the HMACs of the fields that egress expects the org to hold."""
    settings = load_settings(home, REGION, "egress")
    assert settings.postgres is not None
    with psycopg.connect(settings.postgres.dsn) as connection:
        rows = connection.execute(
            "SELECT object, external_id, fields FROM expected_rows WHERE NOT deleted"
        ).fetchall()
    return {(sobject, external_id): fields for sobject, external_id, fields in rows}


def differences(
    one: Mapping[Any, Mapping[str, str | None]], other: Mapping[Any, Mapping[str, str | None]]
) -> dict[Any, list[str]]:
    """Return the rows that differ, each with the names of the fields that do."""
    found = {
        key: differing(one.get(key, {}), other.get(key, {})) for key in one.keys() | other.keys()
    }
    return {key: names for key, names in found.items() if names}


def check(home: Path, taken: Sequence[tuple[Publication, str]], name: str) -> Counter[str]:
    """Compare org, definition, ledger and expected rows, all with each other."""
    rows = org_rows(home, REGION)
    assert surplus_rows(rows) == 0, name
    found = {(r["attributes"]["type"], r["External_Id__c"]): comparable(r) for r in rows}
    wanted = {key: comparable(row) for key, row in expected_rows(home, REGION, taken).items()}
    assert found == wanted, name
    key = secret(home / REGION / "keys", "expected")
    hmacs = {where: field_hmacs(key, where[0], fields) for where, fields in found.items()}
    assert differences(kept_rows(home), hmacs) == {}, name
    report = verify(home / REGION / "ledger", None)
    assert report.verified, report.problems
    results = outcomes(home)
    assert folded(home) == results["accepted"], name
    return results


def folded(home: Path) -> int:
    """Return how many accepted records the expected rows say that they fold."""
    settings = load_settings(home, REGION, "egress")
    assert settings.postgres is not None
    with psycopg.connect(settings.postgres.dsn) as connection:
        row = connection.execute("SELECT sum(records) FROM expected_rows").fetchone()
    return int(row[0]) if row is not None else 0


@pytest.mark.timeout(4 * 3600)  # fifty runs; `settle` has a bound of its own
def test_an_org_that_does_everything_wrong_ends_up_right(
    new_home: Callable[[], Path], long_run: bool
) -> None:
    runs = 50 if long_run else 2
    seed = int(os.environ.get("HOMEPORT_CHAOS_SEED", random.SystemRandom().randrange(2**32)))
    print(f"HOMEPORT_CHAOS_SEED={seed}")  # noqa: T201, pytest shows it when the test fails
    rng = random.Random(seed)
    fired: Counter[str] = Counter()
    per_home = RUNS_PER_HOME if long_run else 1
    for first in range(0, runs, per_home):
        home = new_home()
        with running(home):
            hurried(home, BULK_FROM[first // per_home % 2])
            faults, observer = path_of(home), Observer(home, REGION)
            taken: list[tuple[Publication, str]] = []
            for number in range(first, first + per_home):
                shop = Shop(random.Random(rng.random()), [REGION])
                events = lasting(e for e in shop.publications(RECORDS) if e.expect == "accepted")
                faults.set(fault_plan(rng), seed=rng.randrange(2**31))
                with killing(home, rng):
                    taken += publish(home, events)
                    settle(home, observer, len(taken))
                fired.update(faults.fired())
                faults.clear()

                results = check(home, taken, f"run {number}, seed {seed}")

                assert results.keys() <= {"accepted", "superseded", "gate-refused"}, results
                print(f"run {number}: {dict(results)}")  # noqa: T201, told with -s
    print(dict(fired))  # noqa: T201, which faults there were
    if long_run:
        assert fired.keys() >= {kind for kind, *_ in FAULTS}
