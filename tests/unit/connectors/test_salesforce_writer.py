"""Rows travel in as few calls as may be, none too large, over the interface that pays."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from fake_org import CUSTOMER, KEY, ORDER, FakeOrg, fake_client, fake_config, logged

from connectors.salesforce.client import OrgClient
from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.composite import groups
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import UnsendableValueError
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.outcome import Result
from connectors.salesforce.refusals import Answer, Call
from connectors.salesforce.rows import Request, RowResult, encode_rows, pack
from connectors.salesforce.sink import Clock, SalesforceSink
from schemas.errors import HaltError, RetriableError
from schemas.events import LoggedRecord, RecordId

DONE = RowResult(success=True, created=True)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    return fake_config(tmp_path_factory.mktemp("app"))


def rows_of_size(*sizes: int) -> list[dict[str, Any]]:
    return [{KEY: f"k{n}", "Text__c": "ä" * (size // 2)} for n, size in enumerate(sizes)]


def test_no_request_is_larger_than_it_may_be_but_for_one_row_alone() -> None:
    rows = rows_of_size(300, 300, 300, 3_000, 300, 300)

    requests = list(pack(ORDER, KEY, rows, max_rows=200, max_bytes=1_000))

    assert [row for request in requests for row in request.rows] == rows
    assert [len(request.rows) for request in requests] == [1, 2, 1, 2]
    assert [len(request.body) > 1_000 for request in requests] == [False, False, True, False]
    assert all(request.body == encode_rows(ORDER, request.rows) for request in requests)


def test_a_request_of_exactly_the_limits_is_one() -> None:
    rows = rows_of_size(100, 100)
    size = len(encode_rows(ORDER, rows))

    exact = list(pack(ORDER, KEY, rows, max_rows=2, max_bytes=size))
    smaller = list(pack(ORDER, KEY, rows, max_rows=2, max_bytes=size - 1))

    assert (len(exact), len(smaller)) == (1, 2)


def request_of(size: int) -> Request:
    return Request(ORDER, KEY, [], b"x" * size)


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ([], 5, []),
        ([1] * 6, 5, [5, 1]),
        ([1] * 4, 2, [2, 2]),
        ([40, 60, 1], 5, [2, 1]),
        ([60, 41], 5, [1, 1]),
        ([101, 1], 5, [1, 1]),
    ],
)
def test_a_call_takes_what_fits_in_order(sizes: list[int], most: int, expected: list[int]) -> None:
    requests = [request_of(size) for size in sizes]

    found = list(groups(requests, 100, most))

    assert [len(group) for group in found] == expected
    assert [request for group in found for request in group] == requests


def test_rows_are_sorted_by_parent_and_key(config: SalesforceConfig) -> None:
    org = FakeOrg()
    parents = {"c": "p1", "a": "p2", "b": "p1", "d": None}
    sink = SalesforceSink(fake_client(config, org))

    sink.write([logged(n, ORDER, k, Customer_Key__c=p) for n, (k, p) in enumerate(parents.items())])

    assert org.sent == [["d", "b", "c", "a"]]


def many(count: int, sobject: str = ORDER) -> list[LoggedRecord]:
    return [logged(n, sobject, f"o{n:05}") for n in range(count)]


class Lane:
    """A client that answers only when all have a call: they must be under way together."""

    data_path = "/services/data/v62.0"

    def __init__(self, inner: OrgClient, all_called: threading.Barrier) -> None:
        self.inner = inner
        self.all_called = all_called
        self.query_all = inner.query_all

    def send(self, call: Call) -> Answer:
        self.all_called.wait()
        return self.inner.send(call)


def test_several_clients_share_the_requests_at_once(config: SalesforceConfig) -> None:
    orgs = [FakeOrg(), FakeOrg()]
    all_called = threading.Barrier(2, timeout=60)
    lanes = [Lane(fake_client(config, org), all_called) for org in orgs]

    outcomes = SalesforceSink(*lanes).write(many(3_150))

    assert {o.result for o in outcomes} == {Result.ACCEPTED}
    assert [o.record.record.external_id for o in outcomes] == [f"o{n:05}" for n in range(3_150)]
    assert [org.calls for org in orgs] == [[5, 5], [5, 1]]
    assert sum(len(org.rows) for org in orgs) == 3_150


def test_when_one_client_fails_the_others_are_waited_for(config: SalesforceConfig) -> None:
    orgs = [FakeOrg(always={(ORDER, "o00000"): "column"}), FakeOrg()]
    all_called = threading.Barrier(2, timeout=60)
    lanes = [Lane(fake_client(config, org), all_called) for org in orgs]

    with pytest.raises(HaltError):
        SalesforceSink(*lanes).write(many(1_200))

    assert len(orgs[1].rows) == 600


@pytest.mark.parametrize(("tight", "calls"), [(False, [1, 1]), (True, [2])])
def test_calls_are_saved_before_time_when_the_allocation_runs_low(
    config: SalesforceConfig, *, tight: bool, calls: list[int]
) -> None:
    orgs = [FakeOrg(), FakeOrg()]  # an org each: it counts for one thread
    clients = [fake_client(config, org) for org in orgs]

    SalesforceSink(*clients, is_tight=lambda: tight).write(many(400))

    assert [call for org in orgs for call in org.calls] == calls


class FakeBulk:
    """Says of each job's rows what it was told to; notes how far REST had come."""

    def __init__(self, org: FakeOrg, results: Mapping[str, RowResult] | None = None) -> None:
        self.org = org
        self.results = results or {}
        self.jobs: list[tuple[str, list[str], list[tuple[RecordId, ...]]]] = []
        self.rest_before: list[int] = []
        self.failure: Exception | None = None
        self.unfinished: Exception | None = None

    def resume(self) -> None:
        if self.unfinished:
            raise self.unfinished

    def upsert(
        self,
        sobject: str,
        key_field: str,
        rows: Sequence[Mapping[str, Any]],
        record_ids: Sequence[Sequence[RecordId]],
    ) -> list[RowResult]:
        keys = [row[key_field] for row in rows]
        self.jobs.append((sobject, keys, [tuple(ids) for ids in record_ids]))
        self.rest_before.append(len(self.org.sent))
        if self.failure:
            raise self.failure
        return [self.results.get(key, DONE) for key in keys]

    def hard_delete(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        pytest.fail(f"{len(ids)} rows of {sobject} purged, and none was to be deleted")


def bulk_sink(config: SalesforceConfig, org: FakeOrg, bulk: FakeBulk) -> SalesforceSink:
    options, clock = SinkOptions(bulk_from=50), Clock(sleep=lambda _s: None)
    client = fake_client(config, org)
    return SalesforceSink(client, bulk=bulk, options=options, clock=clock, settled=True)


def test_many_rows_of_one_object_go_by_bulk_after_what_goes_by_rest(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)
    batch = [*many(50), logged(90, ORDER, "o00000"), *many(49, CUSTOMER)]

    outcomes = bulk_sink(config, org, bulk).write(batch)

    ((sobject, keys, ids),) = bulk.jobs
    assert (sobject, len(keys)) == (ORDER, 50)
    assert [len(names) for names in ids] == [2] + [1] * 49
    assert bulk.rest_before == [1]
    assert [len(keys) for keys in org.sent] == [49]
    assert {o.result for o in outcomes} == {Result.ACCEPTED}
    assert [o.record for o in outcomes] == batch


def test_what_a_job_refuses_goes_on_over_rest(config: SalesforceConfig) -> None:
    org = FakeOrg()
    refused = {
        "o00001": RowResult.refused(OrgError("UNABLE_TO_LOCK_ROW", (), Handling.AGAIN)),
        "o00002": RowResult.refused(OrgError("STRING_TOO_LONG", ("F__c",), Handling.REJECT)),
        "o00003": RowResult.refused(OrgError("STRING_TOO_LONG", ("F__c",), Handling.REJECT)),
    }
    bulk = FakeBulk(org, refused)
    batch = [*many(60), logged(90, ORDER, "o00003", F__c="bad")]

    outcomes = bulk_sink(config, org, bulk).write(batch)

    wrong = {o.record.leaf: (o.result, o.code) for o in outcomes if o.result is not Result.ACCEPTED}
    assert wrong == {
        2: (Result.REJECTED, "STRING_TOO_LONG"),
        90: (Result.REJECTED, "STRING_TOO_LONG"),
    }
    assert org.sent == [["o00001"], ["o00003"], ["o00003"]]
    assert len(bulk.jobs) == 1


def test_rows_of_a_job_that_is_given_up_are_in_doubt(config: SalesforceConfig) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)
    bulk.failure = RetriableError("the job did not end")
    sink = bulk_sink(config, org, bulk)

    with pytest.raises(RetriableError):
        sink.write(many(50))
    (outcome,) = sink.write([logged(99, ORDER, "o00003", deletes=True)])

    assert (outcome.result, outcome.code) == (Result.PARKED, "FATE_UNKNOWN")


def test_a_value_that_no_job_can_carry_halts_by_record_and_field(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)
    bulk.failure = UnsendableValueError(7, "Text__c", "CSV has no form for it")

    with pytest.raises(HaltError, match=r"@7#0: Commerce_Order__c\.Text__c: CSV has no form"):
        bulk_sink(config, org, bulk).write(many(50))


def test_what_csv_cannot_hold_goes_over_rest_before_the_job(config: SalesforceConfig) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)
    batch = [*many(50), logged(90, ORDER, "o00007", F__c="#N/A")]

    outcomes = bulk_sink(config, org, bulk).write(batch)

    ((_, keys, ids),) = bulk.jobs
    assert "o00007" not in keys
    assert (len(keys), len(ids)) == (49, 49)
    assert org.sent == [["o00007"]]
    assert {o.result for o in outcomes} == {Result.ACCEPTED}


def test_rows_that_all_go_over_rest_are_no_job(config: SalesforceConfig) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)

    outcomes = bulk_sink(config, org, bulk).write(
        [logged(n, ORDER, f"o{n:03}", F__c="#N/A") for n in range(50)]
    )

    assert (bulk.jobs, [len(keys) for keys in org.sent]) == ([], [50])
    assert {o.result for o in outcomes} == {Result.ACCEPTED}


def test_nothing_is_written_while_an_earlier_job_may_be_under_way(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg()
    bulk = FakeBulk(org)
    bulk.unfinished = RetriableError("the job has not ended")

    with pytest.raises(RetriableError, match="has not ended"):
        bulk_sink(config, org, bulk).write([logged(1, ORDER, "o1"), logged(2, ORDER, "o2")])

    assert (org.sent, bulk.jobs) == ([], [])
