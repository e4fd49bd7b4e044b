"""Bulk API jobs against the local test org: every row has its own result, whatever goes wrong."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kept_jobs import FAST, KeptJobs, ids_of, open_writer, row, rows_of, states
from org_process import KEY, ORDER, ROOT, FaultPlan, client_of, logged, running_org, versions

from connectors.salesforce.access import Access
from connectors.salesforce.auth import Tokens
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.client import OrgClient
from connectors.salesforce.codes import Handling
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.flows import Token
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.outcome import Result
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import SalesforceSink
from schemas.errors import HaltError, RetriableError

CREATED = RowResult(success=True, created=True)
UPDATED = RowResult(success=True, created=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def org(home: Path) -> Iterator[SalesforceConfig]:
    with running_org(home, "--faults") as config:
        yield config


@pytest.fixture
def plan(home: Path, org: SalesforceConfig) -> Iterator[FaultPlan]:
    """Open the control path; afterwards no fault is left."""
    opened = FaultPlan(home, org)
    yield opened
    opened.clear()


@pytest.fixture
def client(org: SalesforceConfig) -> OrgClient:
    return client_of(org)


def upsert(writer: BulkWriter, rows: Sequence[Mapping[str, Any]]) -> list[RowResult]:
    return writer.upsert(ORDER, KEY, rows, ids_of(rows))


def codes(results: Sequence[RowResult]) -> set[tuple[str | None, Handling | None]]:
    return {(result.code, result.handling) for result in results}


def test_values_come_back_as_they_were_sent(client: OrgClient) -> None:
    writer = open_writer(client)
    odd = ' "Ünï", a\r\nb '.strip()
    first = {
        KEY: "bv-1", "Total__c": Decimal("1234567.80"), "First_Sku__c": odd,
        "Placed_At__c": datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC), "Status__c": "placed",
    }  # fmt: skip

    (made,) = upsert(writer, [first])
    (changed,) = upsert(writer, [{KEY: "bv-1", "Status__c": None}])

    assert (made, changed) == (CREATED, UPDATED)
    soql = "SELECT Total__c, Placed_At__c, Status__c, First_Sku__c FROM Commerce_Order__c"
    (found,) = client.query_all(f"{soql} WHERE {KEY} = 'bv-1'")
    assert found["Total__c"] == Decimal("1234567.80")
    assert found["Placed_At__c"] == "2026-11-23T08:15:30.000+0000"
    assert found["Status__c"] is None
    assert found["First_Sku__c"].replace("\r\n", "\n") == odd.replace("\r\n", "\n")


def test_jobs_follow_each_other_and_results_keep_the_order_of_rows(client: OrgClient) -> None:
    store = KeptJobs()
    writer = open_writer(client, store, BulkOptions(max_rows=3, first_poll_s=0.01))
    upsert(writer, rows_of("bj", 5))
    rows = rows_of("bj", 10)
    rows[7]["First_Sku__c"] = "x" * 300

    results = upsert(writer, rows)

    refused = results[7]
    assert (refused.code, refused.fields) == ("STRING_TOO_LONG", ("First_Sku__c",))
    assert results == [UPDATED] * 5 + [CREATED] * 2 + [refused] + [CREATED] * 2
    assert len(store.added) == 2 + 4
    assert store.unfinished() == []
    assert states(client) == []


def test_an_older_version_is_superseded_and_a_bad_value_costs_only_its_row(
    client: OrgClient,
) -> None:
    writer = open_writer(client)
    upsert(writer, [row("bo-1", 5)])

    results = upsert(writer, [row("bo-1", 4), row("bo-2", 4, Placed_At__c="soon"), row("bo-3", 4)])

    assert [result.handling for result in results] == [Handling.OLDER, Handling.REJECT, None]
    assert versions(client, ORDER, "bo-") == [("bo-1", 5), ("bo-3", 4)]


def test_a_field_that_the_org_does_not_have_halts_by_name_and_leaves_nothing(
    client: OrgClient,
) -> None:
    store = KeptJobs()
    writer = open_writer(client, store)

    with pytest.raises(HaltError, match=r"Commerce_Order__c\.No_Such__c.*deploy the field"):
        upsert(writer, [{KEY: "bh-1", "No_Such__c": "secret"}])

    assert store.unfinished() == []
    assert states(client) == []
    assert upsert(writer, [row("bh-1", 1)]) == [CREATED]


def test_an_object_that_the_org_does_not_have_halts(client: OrgClient) -> None:
    with pytest.raises(HaltError, match=r"create job for Nothing__c: .*INVALIDJOB.*deploy"):
        open_writer(client).upsert("Nothing__c", KEY, [row("bn-1", 1)], [()])


def test_hard_deletion_needs_its_permission_and_says_so(client: OrgClient) -> None:
    with pytest.raises(HaltError, match=r"FEATURENOTENABLED; .*Bulk API Hard Delete"):
        open_writer(client).hard_delete(ORDER, ["a01000000000001AAA"])


def as_admin(home: Path, org: SalesforceConfig) -> OrgClient:
    """Return a client with a session of the administrator, who may delete for good."""
    argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", "token", "--json"]
    port = org.instance_url.rpartition(":")[2]
    done = subprocess.run(
        [*argv, "--port", port, "--user", "admin", "--home", str(home)],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    access = Access(org)
    access.tokens = Given(org, access.session)
    access.tokens.token = Token(json.loads(done.stdout)["access_token"], 0)
    return OrgClient(org, "eu", access=access)


class Given(Tokens):
    """A session that was opened elsewhere."""

    token: Token

    def current(self, ends: float = math.inf) -> Token:
        del ends
        return self.token


def test_rows_are_deleted_for_good(home: Path, org: SalesforceConfig) -> None:
    client, store = as_admin(home, org), KeptJobs()
    writer = open_writer(client, store)
    upsert(writer, rows_of("bd", 3))
    find = f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE 'bd-%'"  # noqa: S608
    ids = [one["Id"] for one in client.query_all(find)]
    absent = f"{ids[0][:12]}zzzAAA"

    results = writer.hard_delete(ORDER, [ids[2], absent, ids[0]])

    assert [result.success for result in results] == [True, False, True]
    assert [one["Id"] for one in client.query_all(find, with_deleted=True)] == [ids[1]]
    assert (store.unfinished(), [job.operation for job in store.added]) == (
        [],
        ["upsert", "hardDelete"],
    )


def test_the_sink_deletes_for_good_what_its_plan_says_and_the_rest_softly(
    home: Path, org: SalesforceConfig
) -> None:
    client = as_admin(home, org)
    sink = SalesforceSink(
        client, bulk=open_writer(client), settled=True, hard_deletes={("hard", ORDER)}
    )
    plans = {"bp-1": "hard", "bp-2": "soft", "bp-3": "hard"}
    sink.write([logged(n, ORDER, key) for n, key in enumerate(plans)])

    outcomes = sink.write(
        [logged(9, ORDER, key, deletes=True, plan=plan) for key, plan in plans.items()]
    )

    assert [one.result for one in outcomes] == [Result.ACCEPTED] * 3
    find = f"SELECT {KEY}, IsDeleted FROM {ORDER} WHERE {KEY} LIKE 'bp-%'"  # noqa: S608
    left = [(one[KEY], one["IsDeleted"]) for one in client.query_all(find, with_deleted=True)]
    assert left == [("bp-2", True)]


def test_no_rows_are_no_job(client: OrgClient) -> None:
    store = KeptJobs()
    writer = open_writer(client, store)

    assert (upsert(writer, []), writer.hard_delete(ORDER, [])) == ([], [])
    assert store.added == []


def test_the_sink_sends_by_rest_what_csv_cannot_hold(client: OrgClient) -> None:
    store = KeptJobs()
    writer = open_writer(client, store)
    sink = SalesforceSink(client, bulk=writer, options=SinkOptions(bulk_from=5), settled=True)
    batch = [logged(n, ORDER, f"bs-{n}", First_Sku__c="#N/A" if n == 3 else "s") for n in range(9)]

    outcomes = sink.write(batch)

    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert [sorted(job.rows) for job in store.added] == [[f"bs-{n}" for n in range(9) if n != 3]]
    soql = f"SELECT First_Sku__c FROM {ORDER} WHERE {KEY} LIKE 'bs-%' ORDER BY {KEY}"  # noqa: S608
    skus = [one["First_Sku__c"] for one in client.query_all(soql)]
    assert skus == ["s", "s", "s", "#N/A", "s", "s", "s", "s", "s"]


def test_results_that_come_short_once_are_read_again(plan: FaultPlan, client: OrgClient) -> None:
    plan.set({"kind": "truncated-results", "on": "bulk", "once": True, "rows": 0.4})

    results = upsert(open_writer(client), rows_of("bt", 10))

    assert results == [CREATED] * 10
    assert plan.fired() == [1]


def test_rows_without_a_result_are_to_be_sent_again(plan: FaultPlan, client: OrgClient) -> None:
    plan.set({"kind": "truncated-results", "on": "bulk", "every": 1, "rows": 0.4})
    writer = open_writer(client)

    results = upsert(writer, rows_of("bl", 10))
    plan.clear()
    again = upsert(writer, rows_of("bl", 10))

    assert codes(results) == {(None, None), ("NO_RESULT", Handling.BUSY)}
    assert sum(result.success for result in results) == 6
    assert again == [UPDATED] * 10


def test_results_are_utf_8_whatever_they_say(plan: FaultPlan, client: OrgClient) -> None:
    plan.set({"kind": "no-charset", "on": "bulk", "every": 1})

    results = upsert(open_writer(client), [row("bu-Ünï-漢", 1), row("bu-ß", 1)])

    assert results == [CREATED] * 2


def test_a_job_that_fails_half_way_has_written_what_it_wrote(
    plan: FaultPlan, client: OrgClient
) -> None:
    plan.set({"kind": "job-failed", "on": "bulk", "once": True, "rows": 0.5})

    results = upsert(open_writer(client), rows_of("bf", 10))

    written = [result for result in results if result.success]
    assert codes(results) == {(None, None), ("UNPROCESSED", Handling.AGAIN)}
    assert len(written) == len(versions(client, ORDER, "bf-")) == 5


def test_locked_rows_are_sent_again_by_the_sink(plan: FaultPlan, client: OrgClient) -> None:
    plan.set({"kind": "lock", "on": "bulk", "once": True, "rows": 0.5})
    options = SinkOptions(bulk_from=5)
    sink = SalesforceSink(client, bulk=open_writer(client), options=options, settled=True)

    outcomes = sink.write([logged(n, ORDER, f"bk-{n}") for n in range(10)])

    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert len(versions(client, ORDER, "bk-")) == 10


def test_a_job_beyond_its_deadline_is_waited_for_before_anything_else_is_written(
    plan: FaultPlan, client: OrgClient
) -> None:
    plan.set({"kind": "job-stuck", "on": "bulk", "once": True, "seconds": 1.5})
    store = KeptJobs()
    writer = open_writer(client, store, BulkOptions(first_poll_s=0.05, deadline_s=0.2))

    with pytest.raises(RetriableError, match=r"job 750\w+ for Commerce_Order__c is still"):
        upsert(writer, rows_of("bw", 3))
    with pytest.raises(RetriableError, match="is still"):
        upsert(writer, rows_of("bx", 3))
    before = versions(client, ORDER, "bx-")
    results = upsert(open_writer(client, store, FAST), rows_of("bw", 3))

    assert before == []
    assert results == [CREATED] * 3, "what the first job did"
    assert len(store.added) == 1


@pytest.mark.parametrize("kind", ["reset-before", "reset-after", "error-503", "expired-session"])
@pytest.mark.parametrize("at", range(1, 10))
def test_a_fault_at_any_call_loses_and_doubles_nothing(
    plan: FaultPlan, client: OrgClient, kind: str, at: int
) -> None:
    name = f"bz{kind[:7]}{at}"
    writer = open_writer(client)
    plan.set({"kind": kind, "on": "bulk", "at": at})

    results = upsert(writer, rows_of(name, 4))

    assert [result.success for result in results] == [True] * 4
    assert versions(client, ORDER, f"{name}-") == [(f"{name}-{n}", 1) for n in range(4)]
