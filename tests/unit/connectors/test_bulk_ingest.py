"""What the org says of jobs, the odd answers included."""

from typing import Any

import orjson
import pytest
from bulk_org import JOB, KEY, ORDER, USER, Org, refused, saying

from connectors.salesforce.bulk.ingest import Info, Ingest, State
from connectors.salesforce.codes import Handling
from connectors.salesforce.errors import OrgUnavailableError


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
    pages: dict[str, Any] = {
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
