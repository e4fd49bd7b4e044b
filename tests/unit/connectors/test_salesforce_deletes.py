"""Rows are deleted by the org's own Id, in their turn, and never while a late upsert could come."""

from collections.abc import Sequence
from typing import Any

import pytest
from fake_org import (
    AT_ONCE,
    CUSTOMER,
    KEY,
    ONE_TRY,
    ORDER,
    POISON,
    FakeOrg,
    fake_client,
    fake_config,
    logged,
)

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.deletes import Deleter
from connectors.salesforce.outcome import Result
from connectors.salesforce.refusals import Answer, Call
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import Clock, SalesforceSink
from schemas.errors import HaltError, RetriableError, SetupError

DONE = RowResult(success=True, created=False)


class Time:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    return fake_config(tmp_path_factory.mktemp("app"))


def open_sink(
    config: SalesforceConfig, org: FakeOrg, *, settled: bool = True, time: Time | None = None
) -> SalesforceSink:
    clock = Clock(now=time or Time(), sleep=lambda _s: None)
    return SalesforceSink(fake_client(config, org), clock=clock, settled=settled)


def test_rows_to_delete_are_looked_up_and_deleted_together(config: SalesforceConfig) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)
    sink.write([logged(n, ORDER, f"o{n:03}") for n in range(250)])

    outcomes = sink.write([logged(300 + n, ORDER, f"o{n:03}", deletes=True) for n in range(230)])

    assert {o.result for o in outcomes} == {Result.ACCEPTED}
    assert len(org.queries) == 2
    assert [len(ids) for ids in org.sent[2:]] == [200, 30]
    assert len(org.rows) == 20


def test_an_id_that_differs_in_case_alone_keeps_its_row(config: SalesforceConfig) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)
    sink.write([logged(1, ORDER, "a"), logged(2, ORDER, "A"), logged(3, CUSTOMER, "a")])

    sink.write([logged(4, ORDER, "a", deletes=True)])

    assert org.rows.keys() == {(ORDER, "A"), (CUSTOMER, "a")}


def test_a_row_that_is_not_there_is_deleted_already(config: SalesforceConfig) -> None:
    org = FakeOrg()

    (outcome,) = open_sink(config, org).write([logged(1, ORDER, "a", deletes=True)])

    assert (outcome.result, outcome.created) == (Result.ACCEPTED, False)
    assert org.calls == []


@pytest.mark.parametrize("fault", ["reset before", "reset after", "time-out after", "503"])
def test_a_deletion_whose_answer_is_lost_is_looked_up_again(
    config: SalesforceConfig, fault: str
) -> None:
    org = FakeOrg(faults={1: fault})
    sink = open_sink(config, org)
    sink.write([logged(1, ORDER, "a")])

    (outcome,) = sink.write([logged(2, ORDER, "a", deletes=True)])

    assert outcome.result is Result.ACCEPTED
    assert org.rows == {}


@pytest.mark.parametrize(
    ("kinds", "result", "code"),
    [
        (["gone"], Result.ACCEPTED, None),
        (["lock", "unknown"], Result.ACCEPTED, None),
        (["unknown id"], Result.ACCEPTED, None),
        (["unknown id"] * 5, Result.REJECTED, "INVALID_CROSS_REFERENCE_KEY"),
        (["held"], Result.REJECTED, "DELETE_FAILED"),
        (["lock"] * 5, Result.PARKED, "UNABLE_TO_LOCK_ROW"),
        (["approval"], Result.PARKED, "ENTITY_IS_LOCKED"),
    ],
)
def test_a_deletion_that_the_org_refuses_ends_by_its_code(
    config: SalesforceConfig, kinds: list[str], result: Result, code: str | None
) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)
    sink.write([logged(1, ORDER, "a"), logged(2, ORDER, "b")])
    org.row_errors[ORDER, "a"] = list(kinds)

    outcomes = sink.write([logged(n, ORDER, key, deletes=True) for n, key in enumerate("ab", 3)])

    assert [(o.result, o.code) for o in outcomes] == [(result, code), (Result.ACCEPTED, None)]


def test_a_user_who_may_not_delete_stops_the_worker(config: SalesforceConfig) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)
    sink.write([logged(1, ORDER, "tok_canary")])
    org.row_errors[ORDER, "tok_canary"] = ["access"]

    with pytest.raises(HaltError, match=r"@2#0: Commerce_Order__c: .*permission set .*delete") as c:
        sink.write([logged(2, ORDER, "tok_canary", deletes=True)])

    assert "canary" not in str(c.value)


@pytest.mark.parametrize("fault", ["reset before", "reset after", "time-out after", "502"])
def test_a_row_is_not_deleted_while_a_late_upsert_could_bring_it_back(
    config: SalesforceConfig, fault: str
) -> None:
    org, time = FakeOrg(faults={0: fault}), Time()
    sink = open_sink(config, org, time=time)
    sink.write([logged(1, ORDER, "a")])
    sink.write([logged(2, ORDER, "b")])
    deletions = [logged(n, ORDER, key, deletes=True) for n, key in enumerate("ab", 3)]

    time.now_s += 599
    early = sink.write([*deletions, logged(5, ORDER, "a")])
    time.now_s += 1
    late = sink.write([*deletions[:1], logged(5, ORDER, "a")])

    assert [(o.result, o.code) for o in early] == [
        (Result.PARKED, "FATE_UNKNOWN"),
        (Result.ACCEPTED, None),
        (Result.PARKED, "BEHIND"),
    ]
    assert {o.result for o in late} == {Result.ACCEPTED}
    assert org.rows[ORDER, "a"]["Base_Version__c"] == 5


def test_a_write_that_is_given_up_leaves_its_rows_in_doubt(config: SalesforceConfig) -> None:
    org = FakeOrg(faults={0: "time-out after"})
    client = fake_client(config, org, ONE_TRY)
    sink = SalesforceSink(client, settled=True)

    with pytest.raises(RetriableError):
        sink.write([logged(n, ORDER, f"o{n}") for n in range(201)])
    (outcome,) = sink.write([logged(300, ORDER, "o200", deletes=True)])

    assert (outcome.result, outcome.code) == (Result.PARKED, "FATE_UNKNOWN")


def test_a_request_that_is_refused_whole_may_still_come_where_a_try_of_it_got_no_answer(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg(faults={0: "reset before"})
    sink = open_sink(config, org)

    written = sink.write([logged(1, ORDER, "a"), logged(2, ORDER, "b", Text__c=POISON)])
    (outcome,) = sink.write([logged(3, ORDER, "a", deletes=True)])

    assert [one.result for one in written] == [Result.ACCEPTED, Result.REJECTED]
    assert (outcome.result, outcome.code) == (Result.PARKED, "FATE_UNKNOWN")
    assert not sink.is_settled


def test_a_write_that_is_given_up_after_a_clear_answer_leaves_none(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg(faults={0: "busy"})
    sink = SalesforceSink(fake_client(config, org, ONE_TRY), settled=True)

    with pytest.raises(RetriableError):
        sink.write([logged(1, ORDER, "a")])
    (outcome,) = sink.write([logged(2, ORDER, "a", deletes=True)])

    assert outcome.result is Result.ACCEPTED


@pytest.mark.parametrize("fault", ["limit", "401", "busy"])
def test_an_answer_that_refuses_leaves_no_doubt(config: SalesforceConfig, fault: str) -> None:
    org = FakeOrg(faults={0: fault})
    sink = open_sink(config, org)
    sink.write([logged(1, ORDER, "a")])

    (outcome,) = sink.write([logged(2, ORDER, "a", deletes=True)])

    assert outcome.result is Result.ACCEPTED


def test_after_a_start_no_row_is_deleted_while_requests_of_before_could_come(
    config: SalesforceConfig,
) -> None:
    org, time = FakeOrg(), Time()
    sink = open_sink(config, org, settled=False, time=time)
    batch = [logged(1, ORDER, "a", deletes=True)]

    early = sink.write(batch)
    time.now_s += 600
    late = sink.write(batch)

    assert [o.result for o in (*early, *late)] == [Result.PARKED, Result.ACCEPTED]


def test_the_caller_can_tell_of_rows_in_doubt(config: SalesforceConfig) -> None:
    time = Time()
    sink = open_sink(config, FakeOrg(), time=time)
    sink.doubt([(ORDER, "a")])

    outcomes = sink.write([logged(n, ORDER, key, deletes=True) for n, key in enumerate("ab")])

    assert [o.code for o in outcomes] == ["FATE_UNKNOWN", None]


class Scripted:
    """Answers look-ups with rows, and deletions with what it was told to."""

    data_path = "/services/data/v62.0"

    def __init__(self, rows: Sequence[dict[str, Any]], *answers: object) -> None:
        self.rows = rows
        self.answers = list(answers)
        self.queries: list[tuple[str, bool]] = []
        self.calls: list[Call] = []

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Any:
        self.queries.append((soql, with_deleted))
        return iter(self.rows)

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        return Answer(self.answers.pop(0))


class Purging:
    def __init__(self, *results: RowResult) -> None:
        self.results = results
        self.ids: list[str] = []

    def hard_delete(self, _sobject: str, ids: Sequence[str]) -> list[RowResult]:
        self.ids += ids
        return list(self.results)


def identity(n: int) -> str:
    return f"a00{n:012d}"


@pytest.mark.parametrize("answer", [None, [], [{}], [{"success": "yes"}], {"success": True}])
def test_an_answer_that_does_not_account_for_every_row_says_nothing(answer: object) -> None:
    client = Scripted([{"Id": identity(1), KEY: "a"}], answer)

    (result,) = Deleter(client, KEY, None).delete(ORDER, ["a"], hard=False)

    assert (result.success, result.handling) == (False, Handling.BUSY)


@pytest.mark.parametrize("wrong", [None, "", "a00&x=1", "../../x", identity(1) + "ab"])
def test_what_is_no_id_is_never_sent(wrong: object) -> None:
    client = Scripted([{"Id": wrong, KEY: "a"}])

    with pytest.raises(RetriableError, match="without an Id"):
        Deleter(client, KEY, None).delete(ORDER, ["a"], hard=False)

    assert client.calls == []


def test_external_ids_are_quoted_and_fit_the_query() -> None:
    client = Scripted([])
    keys = ["it's \\ it", *(f"{n}" + "ä" * 120 for n in range(30))]

    results = Deleter(client, KEY, None).delete(ORDER, keys, hard=False)

    assert results == [DONE] * 31
    assert client.queries[0][0].startswith(
        "SELECT Id, External_Id__c FROM Commerce_Order__c WHERE External_Id__c IN "
        "('it\\'s \\\\ it','0ä"
    )
    assert len(client.queries) == 3


def test_a_hard_deletion_also_empties_the_recycle_bin() -> None:
    rows = [
        {"Id": identity(1), KEY: "a", "IsDeleted": False},
        {"Id": identity(2), KEY: "a", "IsDeleted": True},
        {"Id": identity(3), KEY: "b", "IsDeleted": True},  # a crash came before it was purged
    ]
    client = Scripted(rows)
    purger = Purging(
        DONE, RowResult.refused(OrgError("ENTITY_IS_DELETED", (), Handling.RACE)), DONE
    )

    results = Deleter(client, KEY, purger).delete(ORDER, ["a", "b", "c"], hard=True)

    assert results == [DONE] * 3
    assert not client.calls  # not by way of the bin: whether a job purges it is not documented
    assert purger.ids == [identity(1), identity(2), identity(3)]
    assert client.queries[0] == (
        (
            "SELECT Id, External_Id__c, IsDeleted FROM Commerce_Order__c"
            " WHERE External_Id__c IN ('a','b','c')"
        ),
        True,
    )


def test_a_row_that_stays_in_the_recycle_bin_is_not_deleted() -> None:
    rows = [{"Id": identity(n), KEY: key, "IsDeleted": True} for n, key in enumerate("ab")]
    refused = RowResult.refused(OrgError("DELETE_FAILED", (), Handling.REJECT))
    purger = Purging(refused, DONE)

    results = Deleter(Scripted(rows), KEY, purger).delete(ORDER, ["a", "b"], hard=True)

    assert results == [refused, DONE]


@pytest.mark.parametrize("code", ["ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"])
def test_a_row_that_somebody_else_deleted_meanwhile_is_looked_up_again(code: str) -> None:
    rows = [{"Id": identity(1), KEY: "a", "IsDeleted": False}]
    purger = Purging(RowResult.refused(OrgError(code, (), Handling.REJECT)))

    (result,) = Deleter(Scripted(rows), KEY, purger).delete(ORDER, ["a"], hard=True)

    assert (result.success, result.handling) == (False, Handling.RACE)


class Jobs:
    """A Bulk API that takes deletions alone."""

    def __init__(self) -> None:
        self.purged: list[tuple[str, list[str]]] = []

    def resume(self) -> None:
        pass

    def upsert(self, *_: Any) -> list[RowResult]:
        pytest.fail("nothing is to be upserted")

    def hard_delete(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        self.purged.append((sobject, list(ids)))
        return [DONE] * len(ids)


def test_hard_deletion_without_the_bulk_api_is_refused_at_once(config: SalesforceConfig) -> None:
    with pytest.raises(SetupError, match="recycle bin"):
        SalesforceSink(
            fake_client(config, FakeOrg(), AT_ONCE),
            hard_deletes={("plan", ORDER)},
        )


def test_a_row_is_deleted_for_good_where_its_plan_says_so_of_its_object(
    config: SalesforceConfig,
) -> None:
    org, jobs = FakeOrg(), Jobs()
    sink = SalesforceSink(
        fake_client(config, org), bulk=jobs, settled=True, hard_deletes={("hard", ORDER)}
    )
    kinds = [(ORDER, "a", "hard"), (ORDER, "b", "soft"), (CUSTOMER, "c", "hard")]
    sink.write([logged(n, sobject, key) for n, (sobject, key, _) in enumerate(kinds)])
    a = org.ids[ORDER, "a"]

    outcomes = sink.write(
        [logged(9 + n, o, key, deletes=True, plan=plan) for n, (o, key, plan) in enumerate(kinds)]
    )

    assert {one.result for one in outcomes} == {Result.ACCEPTED}
    assert jobs.purged == [(ORDER, [a])]
    assert org.rows.keys() == {(ORDER, "a")}  # the job is of a Bulk API that is no part of it
