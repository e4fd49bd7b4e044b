"""The sink against the test org's faults: one outcome a record, and every row as they say."""

import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from org_process import (
    CUSTOMER,
    KEY,
    ORDER,
    FaultPlan,
    client_of,
    deletion,
    logged,
    running_org,
    versions,
)

from connectors.salesforce.client import OrgClient
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.options import RowRetry, SinkOptions
from connectors.salesforce.outcome import Outcome, Result
from connectors.salesforce.sink import SalesforceSink
from schemas.errors import RetriableError
from schemas.events import LoggedRecord


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[SalesforceConfig, FaultPlan]]:
    home = tmp_path_factory.mktemp("home")
    with running_org(home, "--faults") as config:
        yield replace(config, read_timeout_s=1.0, limit_pause_s=0.2), FaultPlan(home, config)


@pytest.fixture
def org(running: tuple[SalesforceConfig, FaultPlan]) -> Iterator[SalesforceConfig]:
    running[1].clear()
    yield running[0]
    running[1].clear()


@pytest.fixture
def faults(running: tuple[SalesforceConfig, FaultPlan]) -> FaultPlan:
    return running[1]


def open_sink(client: OrgClient, **options: Any) -> SalesforceSink:
    retry = RowRetry(first_wait_s=0.01, max_wait_s=0.05)
    return SalesforceSink(client, options=SinkOptions(retry=retry, **options), settled=True)


def ends(outcomes: list[Outcome]) -> list[tuple[Result, str | None]]:
    return [(outcome.result, outcome.code) for outcome in outcomes]


def test_a_record_that_is_older_than_its_row_is_superseded(org: SalesforceConfig) -> None:
    sink = open_sink(client_of(org))
    sink.write([logged(5, ORDER, "o-a"), logged(6, ORDER, "o-a", Label_Version__c=6)])

    outcomes = [
        *sink.write([logged(4, ORDER, "o-a", Status__c="placed")]),
        *sink.write([logged(5, ORDER, "o-a", Label_Version__c=5)]),
        *sink.write([logged(5, ORDER, "o-a"), logged(7, ORDER, "o-a", Label_Version__c=5)]),
    ]

    superseded = (Result.SUPERSEDED, None)
    assert ends(outcomes) == [superseded, superseded, (Result.ACCEPTED, None), superseded]
    assert versions(client_of(org), ORDER, "o-") == [("o-a", 5)]


@pytest.mark.parametrize("kind", ["lock", "partial", "duplicate-race"])
@pytest.mark.parametrize("surface", ["collections", "composite"])
def test_rows_that_fail_for_a_while_are_written_in_the_end(
    org: SalesforceConfig, faults: FaultPlan, kind: str, surface: str
) -> None:
    count = 300 if surface == "composite" else 100
    faults.set({"kind": kind, "on": surface, "once": True, "rows": 0.4})

    outcomes = open_sink(client_of(org)).write(
        [logged(n, ORDER, f"w-{kind}-{surface}-{n:03}") for n in range(count)]
    )

    assert faults.fired() == [1]
    assert {o.result for o in outcomes} == {Result.ACCEPTED}
    assert len(versions(client_of(org), ORDER, f"w-{kind}-{surface}-")) == count


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("lock", (Result.PARKED, "UNABLE_TO_LOCK_ROW")),
        ("partial", (Result.PARKED, "UNKNOWN_EXCEPTION")),
        ("duplicate-race", (Result.REJECTED, "DUPLICATE_VALUE")),
    ],
)
def test_rows_that_fail_for_good_end_by_their_code(
    org: SalesforceConfig, faults: FaultPlan, kind: str, end: tuple[Result, str]
) -> None:
    faults.set({"kind": kind, "on": "any", "every": 1, "rows": 1.0})
    keys = [f"f-{kind}-{n}" for n in range(3)]

    outcomes = open_sink(client_of(org)).write([logged(n, ORDER, k) for n, k in enumerate(keys)])

    assert ends(outcomes) == [end] * 3
    assert versions(client_of(org), ORDER, f"f-{kind}-") == []


def test_a_write_that_commits_late_changes_no_newer_row(
    org: SalesforceConfig, faults: FaultPlan
) -> None:
    faults.set({"kind": "late-commit", "on": "collections", "once": True, "seconds": 2})
    sink = open_sink(client_of(org))

    outcomes = sink.write([logged(1, ORDER, "l-a", Status__c="placed")])
    outcomes += sink.write([logged(2, ORDER, "l-a", Status__c="changed")])
    time.sleep(2.5)

    assert ends(outcomes) == [(Result.ACCEPTED, None)] * 2
    soql = f"SELECT Base_Version__c, Status__c FROM {ORDER} WHERE {KEY} = 'l-a'"  # noqa: S608
    assert [list(row.values()) for row in client_of(org).query_all(soql)] == [[2, "changed"]]


def test_a_write_that_commits_late_brings_no_deleted_row_back(
    org: SalesforceConfig, faults: FaultPlan
) -> None:
    faults.set({"kind": "late-commit", "on": "collections", "once": True, "seconds": 2})
    sink = open_sink(client_of(org), fate_s=3)
    sink.write([logged(1, ORDER, "b-a")])
    gone = [deletion(2, ORDER, "b-a")]

    early = sink.write(gone)
    time.sleep(3.1)
    late = sink.write(gone)

    assert ends(early) == [(Result.PARKED, "FATE_UNKNOWN")]
    assert ends(late) == [(Result.ACCEPTED, None)]
    assert versions(client_of(org), ORDER, "b-") == []


AT_ONCE = [
    "request-limit",
    "too-many-requests",
    "no-route",
    "error-500",
    "error-502",
    "error-503",
    "error-500-json",
    "reset-before",
    "reset-after",
    "no-charset",
]
WAITING = ["slow", "timeout-after", "late-commit"]
OF_ROWS = ["lock", "partial", "duplicate-race"]
EVERYTHING: list[dict[str, Any]] = [
    # Never twice in a row: a session that dies as soon as it is opened stops the worker.
    {"kind": "expired-session", "on": "any", "at": 10},
    {"kind": "unauthorised", "on": "any", "every": 23},
    *({"kind": kind, "on": "any", "probability": 0.05} for kind in AT_ONCE),
    *({"kind": kind, "on": "any", "probability": 0.04, "seconds": 1.3} for kind in WAITING),
    *({"kind": kind, "on": "any", "probability": 0.1, "rows": 0.2} for kind in OF_ROWS),
]


def changes(random: Random, prefix: str, count: int) -> list[LoggedRecord]:
    """Return records of a tenth as many rows: new, changed, deleted, some of them wrong."""
    made: list[LoggedRecord] = []
    for offset in range(1, count + 1):
        sobject = random.choice([ORDER, CUSTOMER])
        key = f"{prefix}{random.randrange(count // 10)}"
        kind = random.random()
        if kind < 0.05:
            made.append(deletion(offset, sobject, key))
        else:
            value = "x" * 300 if kind > 0.97 else random.choice(["eu", "uk", None])
            labels = {"Label_Version__c": offset} if kind < 0.3 else {}
            made.append(logged(offset, sobject, key, Region__c=value, **labels))
    return made


@pytest.mark.parametrize("seed", range(2))
def test_whatever_goes_wrong_the_org_is_as_the_outcomes_say(
    org: SalesforceConfig, faults: FaultPlan, seed: int
) -> None:
    batch = changes(Random(seed), f"e{seed}-", 1_000)
    present = SinkOptions(fate_s=3, retry=RowRetry(first_wait_s=0.01, max_wait_s=0.05))
    sink = SalesforceSink(client_of(org, deadline_s=3), options=present, settled=True)
    faults.set(*EVERYTHING, seed=seed)

    wanted: dict[tuple[str, str], dict[str, Any]] = {}
    counts: dict[Result, int] = {}
    for start in range(0, len(batch), 250):
        for outcome in settled(sink, batch[start : start + 250]):
            counts[outcome.result] = counts.get(outcome.result, 0) + 1
            record = outcome.record.record
            row = record.object, record.external_id
            if outcome.result is Result.ACCEPTED and record.deletes:
                wanted.pop(row, None)
            elif outcome.result is Result.ACCEPTED:
                wanted[row] = wanted.get(row, {}) | outcome.record.fields
    fired = faults.fired()
    faults.clear()
    time.sleep(1.5)  # what commits late has

    assert sum(counts.values()) == len(batch)
    assert counts[Result.ACCEPTED] > 800
    assert all(count >= 1 for count in fired[:2])
    assert sum(fired) > 30
    assert found_rows(client_of(org), f"e{seed}-") == {
        row: tuple(fields.get(name) for name in FIELDS) for row, fields in wanted.items()
    }


FIELDS = ("Base_Version__c", "Label_Version__c", "Region__c")


def settled(sink: SalesforceSink, batch: list[LoggedRecord]) -> list[Outcome]:
    """Return each record's last outcome: what is parked is sent again, as its caller would."""
    done: list[Outcome] = []
    deadline = time.monotonic() + 60
    while batch:
        assert time.monotonic() < deadline, "the sink makes no headway"
        try:
            outcomes = sink.write(batch)
        except RetriableError:
            continue
        done += [o for o in outcomes if o.result is not Result.PARKED]
        batch = [o.record for o in outcomes if o.result is Result.PARKED]
        if batch:
            time.sleep(0.3)
    return done


def found_rows(client: OrgClient, prefix: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for sobject in (ORDER, CUSTOMER):
        names = ", ".join(FIELDS)
        soql = f"SELECT {KEY}, {names} FROM {sobject} WHERE {KEY} LIKE '{prefix}%'"  # noqa: S608
        for row in client.query_all(soql):
            assert (sobject, row[KEY]) not in found
            found[sobject, row[KEY]] = tuple(row[name] for name in FIELDS)
    return found
