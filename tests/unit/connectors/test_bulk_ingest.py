"""What the org says of jobs, the odd answers included, and what is made of it."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from kept_jobs import KeptJobs, ids_of, open_writer, rows_of

from connectors.salesforce.bulk.ingest import Info, Ingest, State
from connectors.salesforce.bulk.jobs import Job
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.codes import Handling
from connectors.salesforce.errors import OrgUnavailableError, RequestRefusedError
from connectors.salesforce.refusals import Answer, Call, refusal
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import Clock
from schemas.errors import HaltError, RetriableError

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
JOB, USER = "7505fEXAMPLE4C2AAM", "0055fEXAMPLE4C2AAM"
ROWS = rows_of("k", 3)
Say = Callable[[Call], Any]


class Org:
    """Answers as *say* says; where that says None, as an org that carries every job out.

    Attributes:
        calls: What was asked: ``METHOD path``.

    """

    def __init__(self, say: Say = lambda _: None) -> None:
        self.say = say
        self.calls: list[str] = []
        self.data_path = "/services/data/v62.0"

    def send(self, call: Call) -> Answer:
        self.calls.append(f"{call.method} {call.path.removeprefix('jobs/ingest')}")
        said = self.say(call)
        if isinstance(said, Exception):
            raise said
        return Answer(_usual(call) if said is None else said)


def _usual(call: Call) -> Any:
    if call.path.endswith("/successfulResults"):
        lines = ["sf__Id,sf__Created,External_Id__c,Base_Version__c"]
        return "\n".join([*lines, *(f"a01,true,{row[KEY]},1" for row in ROWS)]).encode()
    if call.raw:
        return b""
    if "jobType" in call.path:
        return {"done": True, "records": []}
    return {"id": JOB, "createdById": USER, "state": "JobComplete"}


def saying(**answers: Any) -> Say:
    """Return what answers a call by its verb's first word."""
    return lambda call: answers.get(call.verb.split()[0])


def refused(call: Call, status: int, code: str) -> Exception:
    return refusal(call, status, [{"errorCode": code, "message": "x"}])


def info_of(answer: Any) -> Info | None:
    return Ingest(Org(saying(look=answer))).info(JOB, ORDER)


@pytest.mark.parametrize(
    ("text", "failure", "column", "handling"),
    [
        (None, "", "", Handling.BUSY),
        ("InvalidBatch : Field name not found : A__c", "InvalidBatch", "A__c", Handling.BUSY),
        ("TooManyLockFailure : x", "TooManyLockFailure", "", Handling.AGAIN),
        ("ExceededQuota : Daily batch limit exceeded", "ExceededQuota", "", Handling.BUSY),
        ("no kind at all", "Unknown", "", Handling.BUSY),
    ],
)
def test_a_failure_has_a_kind(
    text: str | None, failure: str, column: str, handling: Handling
) -> None:
    state = "JobComplete" if text is None else "Failed"

    info = info_of({"state": state, "errorMessage": text, "numberRecordsProcessed": 7})

    assert info == Info(State(state), 7, 0, failure, column)
    assert info.unprocessed is handling


@pytest.mark.parametrize("answer", [[], {}, {"state": "Odd"}, "text", {"state": None}])
def test_an_answer_that_holds_no_job_is_none(answer: object) -> None:
    with pytest.raises(OrgUnavailableError, match="look at job for Commerce_Order__c"):
        info_of(answer)


@pytest.mark.parametrize("answer", [[], {}, {"id": "../../limits", "createdById": USER}])
def test_an_id_that_could_change_a_path_is_none(answer: object) -> None:
    with pytest.raises(OrgUnavailableError, match="no Id"):
        Ingest(Org(saying(create=answer))).create(ORDER, "upsert", KEY)


def test_open_jobs_of_ours_are_found_on_every_page_of_the_org() -> None:
    mine = {"id": "750A", "object": ORDER, "state": "Open", "createdById": USER}
    others = [mine | {"createdById": "0050"}, mine | {"state": "InProgress"}]
    home = "/services/data/v62.0/jobs/ingest"
    pages: Mapping[str, Any] = {
        "?jobType=V2Ingest": {
            "records": [mine, *others], "done": False, "nextRecordsUrl": f"{home}?queryLocator=2",
        },
        "?queryLocator=2": {
            "records": [mine | {"id": "750B"}], "done": False, "nextRecordsUrl": "/elsewhere",
        },
    }  # fmt: skip
    org = Org(lambda call: pages[call.path.removeprefix("jobs/ingest")])

    found = list(Ingest(org).open_jobs(USER))

    assert found == [("750A", ORDER), ("750B", ORDER)]


@pytest.mark.parametrize(
    ("state", "is_closed"),
    [("UploadComplete", True), ("InProgress", True), ("JobComplete", True), ("Failed", True),
     ("Open", False), ("Aborted", False)],
)  # fmt: skip
def test_a_job_that_an_earlier_try_closed_is_closed(state: str, is_closed: bool) -> None:
    org = Org(
        lambda call: (
            refused(call, 400, "INVALIDJOBSTATE") if call.method == "PATCH" else {"state": state}
        )
    )

    if is_closed:
        Ingest(org).close(JOB, ORDER)
    else:
        with pytest.raises(OrgUnavailableError, match="did not take the job"):
            Ingest(org).close(JOB, ORDER)

    assert org.calls == [f"PATCH /{JOB}", f"GET /{JOB}"]


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

    with pytest.raises(RequestRefusedError, match="BULK_API_ERROR"):
        open_writer(org, store).upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert [call for call in org.calls if call == "POST "] == ["POST "] * 2
    assert [call for call in org.calls if call == f"PATCH /{JOB}"] == [f"PATCH /{JOB}"] * 2
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


def test_what_a_first_job_said_is_not_lost_when_the_second_fails() -> None:
    store = KeptJobs()
    org = Org()
    options = BulkOptions(max_rows=2, first_poll_s=0.01)
    writer = open_writer(org, store, options)
    uploads: list[bytes] = []

    def second_fails(call: Call) -> Any:
        if call.method == "PUT":
            uploads.append(call.body or b"")
            return OrgUnavailableError("no answer") if len(uploads) == 2 else None
        return None

    org.say = second_fails
    with pytest.raises(RetriableError):
        writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))
    mark = len(org.calls)

    def left_open(call: Call) -> Any:
        if call.method == "PUT":
            uploads.append(call.body or b"")
        is_new = "POST " in org.calls[mark:]
        return {"state": "Open"} if call.verb[:4] == "look" and not is_new else None

    org.say = left_open
    results = writer.upsert(ORDER, KEY, ROWS, ids_of(ROWS))

    assert results == [RowResult(success=True, created=True)] * 3
    assert [body.count(b"\n") - 1 for body in uploads] == [2, 1, 1]


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


def test_the_order_for_a_job_is_as_documented() -> None:
    bodies: list[Any] = []
    org = Org(lambda call: bodies.append(orjson.loads(call.body or b"")))

    Ingest(org).create(ORDER, "upsert", KEY)
    Ingest(org).create(ORDER, "hardDelete", "Id")

    layout = {"contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
    assert bodies == [
        {"object": ORDER, "operation": "upsert", "externalIdFieldName": KEY, **layout},
        {"object": ORDER, "operation": "hardDelete", **layout},
    ]


def test_two_rows_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows"):
        open_writer(Org()).upsert(ORDER, KEY, [ROWS[0], ROWS[0]], [(), ()])
