"""Jobs to their end: halted, handed back or tidied up as what happens asks for."""

from decimal import Decimal
from typing import Any

import pytest
from bulk_org import JOB, KEY, ORDER, ROWS, Org, refused, saying
from kept_jobs import KeptJobs, ids_of, open_writer

from connectors.salesforce.bulk.jobs import Job
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.codes import Handling
from connectors.salesforce.errors import (
    OrgUnavailableError,
    RequestRefusedError,
    UnsendableValueError,
)
from connectors.salesforce.refusals import Call
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import Clock
from schemas.errors import HaltError, RetriableError


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        ("InvalidBatch : Field name not found : Base_Version__c",
         r"Commerce_Order__c\.Base_Version__c: .* InvalidBatch; deploy the field"),
        ("InvalidBatch : Field name not found : Not_Sent__c", "for Commerce_Order__c: .*deploy"),
        ("ClientInputError : LineEnding is invalid", "ClientInputError; see the job"),
    ],
)  # fmt: skip
def test_a_failure_that_is_ours_halts_and_leaves_nothing(failure: str, text: str) -> None:
    store = KeptJobs()
    org = Org(saying(look={"state": "Failed", "errorMessage": failure}))

    with pytest.raises(HaltError, match=text):
        open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert store.unfinished() == []
    assert org.calls[-1] == f"DELETE /{JOB}"


def test_a_job_that_somebody_removed_is_done_again() -> None:
    store = KeptJobs()
    org = Org(lambda call: refused(call, 404, "NOT_FOUND") if call.verb[:4] == "look" else None)

    results = open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert {(one.code, one.handling) for one in results} == {("NO_RESULT", Handling.BUSY)}
    assert store.unfinished() == []


def test_an_upload_that_is_refused_is_tried_once_more_by_a_new_job() -> None:
    store = KeptJobs()
    org = Org(lambda call: refused(call, 400, "BULK_API_ERROR") if call.method == "PUT" else None)

    # handed back, and no halt: the answers may have been lost, not the uploads
    with pytest.raises(OrgUnavailableError, match="BULK_API_ERROR"):
        open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert [call for call in org.calls if call == "POST "] == ["POST "] * 2
    assert [call for call in org.calls if call == f"PATCH /{JOB}"] == [f"PATCH /{JOB}"] * 2
    assert store.unfinished() == []


def test_an_upload_that_is_refused_for_another_reason_halts_at_once() -> None:
    store = KeptJobs()
    org = Org(lambda call: refused(call, 400, "INVALIDJOB") if call.method == "PUT" else None)

    with pytest.raises(RequestRefusedError, match="INVALIDJOB"):
        open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert org.calls.count("POST ") == 1
    assert store.unfinished() == []


def test_what_cannot_be_tidied_costs_no_result() -> None:
    store = KeptJobs()
    out = OrgUnavailableError("the org is out")
    org = Org(saying(list=out, delete=out))

    results = open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert results == [RowResult(success=True, created=True)] * 3
    assert store.unfinished() == []


def test_looks_at_a_running_job_become_rarer_until_the_deadline() -> None:
    waits: list[float] = []
    store = KeptJobs()
    options = BulkOptions(first_poll_s=1, max_poll_s=4, deadline_s=20)
    clock = Clock(now=lambda: sum(waits), sleep=waits.append)
    writer = BulkWriter(Org(saying(look={"state": "InProgress"})), store, options, clock)

    with pytest.raises(RetriableError, match=f"job {JOB} for Commerce_Order__c is still InProg"):
        writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert waits == [1, 1.5, 2.25, 3.375, 4, 4, 4]
    assert [job.id for job in store.unfinished()] == [JOB]


class Line:
    """Says that uploads get no answer, from the second on, until it is mended.

    Attributes:
        rows: How many each upload brought.

    """

    def __init__(self, failed: bytes = b"") -> None:
        self.rows: list[int] = []
        self.is_mended = False
        self._failed = failed
        self._verb = ""

    def __call__(self, call: Call) -> Any:
        said: Any = None
        if call.method == "PUT":
            self.rows.append((call.body or b"").count(b"\n") - 1)
            said = (
                None if self.is_mended or len(self.rows) < 2 else OrgUnavailableError("no answer")
            )
        elif call.verb[:4] == "look" and self._verb == "upload":
            said = {"state": "Open"}  # it was not closed
        elif self._failed and call.path.endswith("/successfulResults"):
            said = b""
        elif call.path.endswith("/failedResults"):
            said = self._failed or None
        self._verb = call.verb.split()[0]
        return said


@pytest.mark.parametrize(
    ("error", "uploads"),
    [
        ("", [2, 1, 1]),
        ("STRING_TOO_LONG:x:--", [2, 1, 1]),
        ("UNABLE_TO_LOCK_ROW:x:--", [2, 1, 2, 1]),
    ],
)
def test_what_a_first_job_said_for_good_is_not_lost_when_the_second_fails(
    error: str, uploads: list[int]
) -> None:
    failed = "sf__Id,sf__Error,External_Id__c\n" + "".join(f",{error},{row[KEY]}\n" for row in ROWS)
    line = Line(failed.encode() if error else b"")
    options = BulkOptions(max_rows=2, first_poll_s=0.01)
    writer = open_writer(Org(line), KeptJobs(), options)
    with pytest.raises(RetriableError):
        writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))
    line.is_mended = True

    results = writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert {one.code for one in results} == {error.partition(":")[0] or None}
    assert line.rows == uploads


def test_an_unsendable_value_is_named_by_its_place_among_all_rows() -> None:
    line = Line()
    writer = open_writer(Org(line), KeptJobs(), BulkOptions(max_rows=2, first_poll_s=0.01))
    with pytest.raises(RetriableError):
        writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))
    line.is_mended = True
    spoilt = [*ROWS[:2], {**ROWS[2], "Total__c": Decimal("NaN")}]  # the first two are done

    with pytest.raises(UnsendableValueError) as caught:
        writer.upsert(ORDER, KEY, spoilt, ids_of(ROWS))

    assert (caught.value.row, caught.value.field) == (2, "Total__c")


def test_a_result_is_given_once() -> None:
    org = Org()
    writer = open_writer(org)

    for _ in range(2):
        writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert org.calls.count("POST ") == 2


def test_an_open_job_that_cannot_be_aborted_is_not_waited_for() -> None:
    store = KeptJobs()
    store.add(Job("750A", ORDER, "upsert", KEY, (KEY,), {}))
    org = Org(
        lambda call: (
            refused(call, 400, "INVALIDJOBSTATE") if call.method == "PATCH" else {"state": "Open"}
        )
    )

    with pytest.raises(RetriableError, match="still Open"):
        open_writer(org, store).resume()

    assert org.calls == ["GET /750A", "PATCH /750A", "GET /750A", "GET /750A"]


@pytest.mark.parametrize("state", ["Open", "InProgress"])
def test_a_job_of_an_earlier_run_is_settled_before_anything_is_sent(state: str) -> None:
    store = KeptJobs()
    store.add(Job("750A", ORDER, "upsert", KEY, (KEY,), {}))
    org = Org(
        lambda call: (
            {"state": "JobComplete" if "GET /750A" in org.calls[:-1] else state}
            if call.path == "jobs/ingest/750A" and not call.raw
            else None
        )
    )

    open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    first = org.calls.index("POST ")
    settled = ["GET /750A", "PATCH /750A" if state == "Open" else "GET /750A"]
    assert [call for call in org.calls[:first] if "Results" not in call][:2] == settled
    assert org.calls[first - 1] == "DELETE /750A"
    assert store.unfinished() == []


def test_two_rows_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows"):
        open_writer(Org()).upsert(ORDER, KEY, [ROWS[0], ROWS[0]], [(), ()])
