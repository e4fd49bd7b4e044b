"""Section 1.9, ingest jobs: the calls and answers, states, limits. Data and results: bulk_data."""

import re
from typing import Any

import pytest
from documented import KEY, ORDER, at, code, create, total, used
from ingest_jobs import begin, info, move, run, table, upload, wait
from ingest_jobs import create as open_job

MULTIPART_MAX = 100_000  # characters
HEADER_MAX = 32_000  # characters
DATETIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"
CREATED = {
    "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state",
    "concurrencyMode", "contentType", "apiVersion", "contentUrl", "lineEnding",
    "columnDelimiter",
}  # fmt: skip
ENDED = {
    "jobType", "numberRecordsProcessed", "numberRecordsFailed", "retries", "totalProcessingTime",
    "apiActiveProcessingTime", "apexProcessingTime",
}  # fmt: skip


def test_1_9_a_job_is_made_with_the_documented_members(admin: Any) -> None:
    body = {
        "object": ORDER, "operation": "upsert", "externalIdFieldName": KEY, "contentType": "CSV",
        "lineEnding": "LF", "columnDelimiter": "COMMA",
    }  # fmt: skip

    answer = at(admin, "59.0", "POST", "jobs/ingest", json=body)

    job = answer.json()
    assert answer.status_code == 200
    assert job.keys() == CREATED | {"externalIdFieldName"}
    assert {k: job[k] for k in body} == body
    assert (job["state"], job["concurrencyMode"]) == ("Open", "Parallel")
    assert re.fullmatch(r"750\w{15}", job["id"])
    assert re.fullmatch(r"005\w{15}", job["createdById"])
    assert type(job["apiVersion"]) is float
    assert job["apiVersion"] == 59.0
    assert job["contentUrl"] == f"services/data/v59.0/jobs/ingest/{job['id']}/batches"
    assert re.fullmatch(DATETIME, job["createdDate"])
    assert re.fullmatch(DATETIME, job["systemModstamp"])


@pytest.mark.parametrize("operation", ["insert", "update", "upsert", "delete", "hardDelete"])
def test_1_9_every_documented_operation_is_taken(admin: Any, operation: str) -> None:
    answer = open_job(admin, operation)

    assert (answer.status_code, answer.json()["operation"]) == (200, operation)


def test_1_9_upload_close_and_end_answer_as_documented(admin: Any) -> None:
    job = open_job(admin).json()["id"]

    sent = upload(admin, job, table([KEY], ["doc-bulk-1"]).encode())
    closed = move(admin, job, "UploadComplete")
    ended = wait(admin, job)

    assert (sent.status_code, sent.content) == (201, b"")
    assert (closed.status_code, closed.json()["state"]) == (200, "UploadComplete")
    assert ended.keys() >= ENDED
    assert (ended["state"], ended["jobType"]) == ("JobComplete", "V2Ingest")
    assert (ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (1, 0)
    assert total(admin, ORDER, f"{KEY} = 'doc-bulk-1'") == 1


def test_1_9_what_was_processed_includes_what_failed(admin: Any) -> None:
    data = table([KEY, "Currency__c"], ["doc-bulk-good", "EUR"], ["doc-bulk-bad", "EURO"])

    ended = run(admin, data)

    assert ended["state"] == "JobComplete"
    assert (ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (2, 1)


def test_1_9_a_job_takes_one_upload(admin: Any) -> None:
    job = open_job(admin).json()["id"]
    upload(admin, job, table([KEY], ["doc-bulk-once"]).encode())

    assert upload(admin, job, table([KEY], ["doc-bulk-twice"]).encode()).status_code == 400


def test_1_9_an_upload_may_be_chunked(admin: Any) -> None:
    job = open_job(admin).json()["id"]

    sent = upload(admin, job, iter([f"{KEY}\n".encode(), b"doc-bulk-", b"chunked\n"]))

    move(admin, job, "UploadComplete")
    assert sent.status_code == 201
    assert wait(admin, job)["numberRecordsProcessed"] == 1
    assert total(admin, ORDER, f"{KEY} = 'doc-bulk-chunked'") == 1


def multipart(client: Any, data: str) -> Any:
    job = f'{{"object":"{ORDER}","operation":"upsert","externalIdFieldName":"{KEY}"}}'
    files = {
        "job": (None, job, "application/json"),
        "content": ("content", data, "text/csv"),
    }
    return client.call("POST", "jobs/ingest", files=files)


def test_1_9_a_multipart_create_is_job_data_and_close_in_one(admin: Any) -> None:
    answer = multipart(admin, table([KEY], ["doc-bulk-multi"]))

    job = answer.json()
    assert (answer.status_code, job["state"]) == (200, "UploadComplete")
    assert wait(admin, job["id"])["numberRecordsProcessed"] == 1
    assert total(admin, ORDER, f"{KEY} = 'doc-bulk-multi'") == 1


@pytest.mark.parametrize(
    ("characters", "status"), [(MULTIPART_MAX, {200}), (MULTIPART_MAX + 1, {400, 413})]
)
def test_1_9_a_multipart_create_holds_100000_characters(
    admin: Any, characters: int, status: set[int]
) -> None:
    head = f"{KEY},First_Sku__c\n"
    line = f"doc-bulk-multi-many,{'x' * 60}\n"
    lines, left = divmod(characters - len(head), len(line))
    data = head + line * (lines - 1) + line[:-1] + "x" * left + "\n"

    answer = multipart(admin, data)

    assert len(data) == characters
    assert answer.status_code in status


def test_1_9_an_aborted_job_has_written_nothing(admin: Any) -> None:
    job = open_job(admin).json()["id"]
    upload(admin, job, table([KEY], ["doc-bulk-abort"]).encode())

    answer = move(admin, job, "Aborted")

    assert (answer.status_code, answer.json()["state"]) == (200, "Aborted")
    assert info(admin, job)["state"] == "Aborted"
    assert total(admin, ORDER, f"{KEY} = 'doc-bulk-abort'") == 0


def test_1_9_a_job_that_ended_is_deleted_and_then_not_found(admin: Any) -> None:
    job = run(admin, table([KEY], ["doc-bulk-delete"]))["id"]

    deleted = admin.call("DELETE", f"jobs/ingest/{job}")

    after = admin.call("GET", f"jobs/ingest/{job}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert code(after) == (404, "NOT_FOUND")


def test_1_9_an_aborted_job_is_deleted_and_an_open_one_is_not(admin: Any) -> None:
    aborted, still_open = (open_job(admin).json()["id"] for _ in range(2))
    move(admin, aborted, "Aborted")

    answers = [admin.call("DELETE", f"jobs/ingest/{job}") for job in (aborted, still_open)]

    assert [a.status_code for a in answers] == [204, 400]
    assert info(admin, still_open)["state"] == "Open"


def test_1_9_the_jobs_are_listed(admin: Any) -> None:
    job = open_job(admin).json()["id"]

    shown = admin.call("GET", "jobs/ingest", params={"jobType": "V2Ingest"}).json()
    pages = [shown]
    while not pages[-1]["done"]:
        path = pages[-1]["nextRecordsUrl"].partition("/v62.0/")[2]
        pages.append(admin.call("GET", path).json())

    assert shown.keys() >= {"done", "records", "nextRecordsUrl"}
    (listed,) = [r for page in pages for r in page["records"] if r["id"] == job]
    assert (listed["state"], listed["jobType"]) == ("Open", "V2Ingest")


def test_1_9_each_call_of_a_job_counts(admin: Any) -> None:
    before = used(admin)

    job = open_job(admin).json()["id"]
    upload(admin, job, table([KEY], ["doc-bulk-calls"]).encode())
    move(admin, job, "UploadComplete")

    assert used(admin) - before == 4  # three, and the look at the limits


JOB_FAILURES: dict[str, tuple[str, str]] = {
    "1.9 InvalidBatch, a field that is none": (
        table([KEY, "Shoe_Size__c"], ["doc-bulk-x", "43"]),
        r"InvalidBatch.*Field name not found : Shoe_Size__c.*",
    ),
    "1.9 a header of more than 32,000 characters": (
        f"{KEY},{'x' * HEADER_MAX}\ndoc-bulk-x,1\n",
        r".+",
    ),
    "1.9 a header of more than 5,000 fields": (
        f"{KEY}{',Name' * 5_000}\ndoc-bulk-x{',1' * 5_000}\n",
        r".+",
    ),
    "1.9 a blank between a quote and a comma": (
        f'{KEY},Currency__c\n"doc-bulk-x" ,EUR\n',
        r".+",
    ),
}


@pytest.mark.parametrize("case", JOB_FAILURES)
def test_a_job_fails_as_a_whole(admin: Any, case: str) -> None:
    data, text = JOB_FAILURES[case]

    ended = wait(admin, begin(admin, data))

    assert ended["state"] == "Failed"
    assert re.fullmatch(text, ended["errorMessage"])
    assert total(admin, ORDER, f"{KEY} = 'doc-bulk-x'") == 0


def test_1_9_a_job_that_fails_keeps_the_rows_it_committed(
    faulty: Any, client: Any, plan: Any
) -> None:
    plan.set([{"kind": "job-failed", "on": "bulk", "once": True, "rows": 0.5}])

    ended = run(client, table([KEY], *([f"doc-bulk-half-{n:03}"] for n in range(400))))

    kept = total(client, ORDER, f"{KEY} LIKE 'doc-bulk-half-%'")
    rest = client.call("GET", f"jobs/ingest/{ended['id']}/unprocessedrecords").text
    assert faulty.url
    assert ended["state"] == "Failed"
    assert 0 < kept < 400
    assert len(rest.splitlines()) - 1 == 400 - kept


def query_job(client: Any, soql: str, operation: str = "query") -> dict[str, Any]:
    made = client.call("POST", "jobs/query", json={"operation": operation, "query": soql})
    assert made.status_code == 200, made.text
    job: dict[str, Any] = made.json()
    assert (job["state"], job["operation"]) == ("UploadComplete", operation)
    while job["state"] not in {"JobComplete", "Failed", "Aborted"}:
        job = client.call("GET", f"jobs/query/{job['id']}").json()
    assert job["state"] == "JobComplete"
    return job


def test_1_9_a_query_jobs_results_come_in_pages_by_locator(admin: Any) -> None:
    admin.upsert([{KEY: f"doc-bq-{n}"} for n in range(5)])
    job = query_job(admin, f"SELECT {KEY} FROM {ORDER} WHERE {KEY} LIKE 'doc-bq-%'")  # noqa: S608

    path, locator, keys, counts = f"jobs/query/{job['id']}/results", None, [], []
    while locator != "null":
        params = {"maxRecords": "2"} | ({"locator": locator} if locator else {})
        page = admin.call("GET", path, params=params)
        locator = page.headers["Sforce-Locator"]
        counts.append(int(page.headers["Sforce-NumberOfRecords"]))
        head, *rows = page.text.splitlines()
        keys += rows
        assert page.headers["Content-Type"].startswith("text/csv")
        assert head == f'"{KEY}"'

    assert counts == [2, 2, 1]
    assert sorted(keys) == [f'"doc-bq-{n}"' for n in range(5)]


@pytest.mark.parametrize(("operation", "rows"), [("query", 0), ("queryAll", 1)])
def test_1_9_a_query_all_job_shows_deleted_rows(admin: Any, operation: str, rows: int) -> None:
    key = f"doc-bqa-{operation}"
    row = create(admin, ORDER, **{KEY: key})
    admin.call("DELETE", f"sobjects/{ORDER}/{row}")

    job = query_job(admin, f"SELECT Id FROM {ORDER} WHERE {KEY} = '{key}'", operation)  # noqa: S608

    page = admin.call("GET", f"jobs/query/{job['id']}/results")
    assert page.headers["Sforce-NumberOfRecords"] == str(rows)
    assert page.headers["Sforce-Locator"] == "null"
    assert page.text.splitlines() == ['"Id"'] + [f'"{row}"'] * rows
