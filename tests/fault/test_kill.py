"""Promise 3 on the real broker: `kill -9` anywhere loses no record and doubles none.

The org must hold, row by row and field by field, what `strip` folds from the published
events; the counts must add up; the ledger must verify.
"""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.stack import Stack
from connectors.kafka.topology import load_topics
from connectors.sandbox.running import issue_token
from residency.expected import canonical
from residency.gate.check import Gate
from residency.keys import token_keys
from residency.ledger.verify import verify
from residency.plan.approved import APPROVED_FILE
from residency.plan.book import PlanBook
from schemas.codec import encode
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.evidence import Org, surplus_rows
from streams.demo.generate import Publication, Shop
from streams.demo.observe import Observer
from streams.demo.publish import Published, publish
from streams.launch import launch
from streams.settings import load_settings

REGION = "eu"
EVENTS = 300  # per round
SETTLE_S = 120
SYSTEM = {"Id", "Name", "IsDeleted", "OwnerId", "SystemModstamp", "Label_Version__c", "attributes"}
AUDIT = re.compile(r"(Created|LastModified|LastViewed|LastReferenced)(Date|ById)")
AT = re.compile(r"(.+)\[(\d+)\]@(\d+)")

Rows = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Iterator[Path]:
    """One region's whole line: broker, database, org, gateway, border, egress."""
    place = new_home()
    stack = Stack(place, (REGION,))
    stack.up(launch(place))
    yield place
    stack.down()


def expected_rows(home: Path, taken: list[tuple[Publication, str]]) -> Rows:
    """Fold what `strip` makes of each event, oldest first: the definition of the org's rows."""
    book = PlanBook.load(
        REGION, token_keys(home / REGION / "keys", REGION), datetime.now(UTC).date()
    )
    gate = Gate.load(REGION, APPROVED_FILE)
    known, registry = load_topics(home, REGION), load_registry()
    rows: Rows = {}
    for event, at in sorted(taken, key=lambda pair: coordinates(pair[1])):
        versions = {s.version: s for s in registry.versions(event.type)}
        schema = versions[event.schema_version or max(versions)]
        where = coordinates(at)
        info = known[where.topic]
        value = encode(schema, from_plain(schema, event.data))
        try:
            records = book.minimise(RawEvent(where, info.id, info.generation, value)).records
            for record in records:
                fields = gate.check(record)
                rows.setdefault((record.object, record.external_id), {}).update(fields)
        except QuarantineError:
            continue
    return rows


def coordinates(text: str) -> Coordinates:
    match = AT.fullmatch(text)
    assert match is not None
    return Coordinates(match[1], int(match[2]), int(match[3]))


def org_rows(home: Path) -> list[dict[str, Any]]:
    settings = load_settings(home, REGION, "egress")
    assert settings.salesforce is not None
    port = int(settings.salesforce.instance_url.rsplit(":", 1)[1])
    token = issue_token(home, port, "admin")
    org = Org(token["instance_url"], token["access_token"], home / "ca" / "ca.pem")
    return list(org.rows())


def comparable(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the row's own fields as canonical text; empty ones left out."""
    return {
        name: text(value)
        for name, value in row.items()
        if value not in (None, "", False) and name not in SYSTEM and not AUDIT.fullmatch(name)
    }


def text(value: Any) -> str:
    if isinstance(value, float):
        return canonical(Decimal(str(value)))
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+0000", value):
        return canonical(datetime.fromisoformat(value))
    return canonical(value)


def kill(home: Path, service: str) -> None:
    name = f"{REGION}-{service}"
    pid = next((p.pid for p in Stack(home).status() if p.name == name), None)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def settle(observer: Observer, wanted: int) -> None:
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        counts = observer.counts()
        if counts.raw == wanted and counts.is_settled:
            return
        time.sleep(0.5)
    pytest.fail(f"not settled after {SETTLE_S} s: {observer.counts()}, wanted {wanted} raw records")


def test_kill_9_of_border_and_egress_under_load_loses_and_doubles_nothing(
    home: Path, long_run: bool
) -> None:
    rounds = 20 if long_run else 3
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201, pytest shows it when the test fails
    rng = random.Random(seed)
    gateways = load_settings(home, REGION, "gateway").gateways or {}
    observer = Observer(home, REGION)
    taken: list[tuple[Publication, str]] = []
    for number in range(rounds):
        events = list(Shop(random.Random(rng.random()), [REGION]).publications(EVENTS))
        answered: list[Published] = []
        sender = threading.Thread(
            target=lambda: answered.append(asyncio.run(publish(events, gateways)))  # noqa: B023
        )
        sender.start()
        for service in rng.sample(["border", "egress"], 2) + rng.choices(["border", "egress"]):
            time.sleep(rng.uniform(0, 1.5))
            kill(home, service)
        sender.join()
        taken += answered[0].taken
        settle(observer, len(taken))

        rows = org_rows(home)
        found = {(r["attributes"]["type"], r["External_Id__c"]): comparable(r) for r in rows}
        wanted = {key: comparable(row) for key, row in expected_rows(home, taken).items()}
        assert found == wanted, f"round {number}"
        assert surplus_rows(rows) == 0
        report = verify(home / REGION / "ledger", None)
        assert report.verified, report.problems
    counts = observer.counts()
    assert counts.raw == len(taken) == counts.border.raw
    assert counts.results.get("rejected", 0) == 0


def test_status_says_how_far_behind_the_border_is_and_how_much_egress_has_parked(
    home: Path,
) -> None:
    processes = status_once_all_run(home)

    lag = {row["name"]: row["lag"] for row in processes}
    assert lag[f"{REGION}-border"] >= 0
    assert {name for name, n in lag.items() if n is not None} == {f"{REGION}-border"}
    parked = {row["name"]: (row["parked"], row["parked_since"]) for row in processes}
    assert parked.pop(f"{REGION}-egress") == (0, None)
    assert set(parked.values()) == {(None, None)}


def status_once_all_run(home: Path) -> list[dict[str, Any]]:
    """Return what `status` shows once all is ready: what was killed last may still start."""
    command = [sys.executable, "-P", "-m", "streams.cli", "status", "--home", str(home), "--json"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    deadline = time.monotonic() + SETTLE_S
    while True:
        done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=60)
        processes: list[dict[str, Any]] = json.loads(done.stdout)["processes"]
        if all(row["state"] == "ready" for row in processes):
            assert done.returncode == 0, done.stderr
            return processes
        assert time.monotonic() < deadline, processes
        time.sleep(1)
