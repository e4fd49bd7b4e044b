"""Ingest jobs: states and rights, one upload, what counts, and what is refused."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from ingest_jobs import (
    KEY,
    ORDER,
    count,
    create,
    data,
    info,
    move,
    results,
    run,
    table,
    upload,
    wait,
)

from connectors.embedded.pki import ensure_app, write_apps


def refused(answer: Any) -> tuple[int, str, str]:
    (error,) = answer.json()
    assert error.keys() == {"message", "errorCode"}
    return answer.status_code, error["errorCode"], error["message"]


def test_what_a_state_does_not_allow_is_refused_in_words(admin: Any) -> None:
    job = create(admin).json()["id"]
    path = f"jobs/ingest/{job}"

    open_answers = [
        refused(admin.call("DELETE", path)),
        refused(admin.call("GET", f"{path}/successfulResults")),
    ]
    upload(admin, job, data("state", 1).encode())
    twice = refused(upload(admin, job, data("state", 1).encode()))
    move(admin, job, "UploadComplete")
    wait(admin, job)
    done_answers = [
        refused(move(admin, job, "Aborted")),
        refused(move(admin, job, "UploadComplete")),
        refused(upload(admin, job, b"x")),
    ]

    assert open_answers == [
        (400, "INVALIDJOBSTATE", "Deleting a Job that is Open not allowed"),
        (400, "INVALIDJOBSTATE", "Results of a Job that is Open are not available"),
    ]
    assert twice == (
        400,
        "BULK_API_ERROR",
        (
            f"Found multipe contents for job: <{job[:15]}>, please 'Close' / 'Abort' / 'Delete' the"
            " current Job then create a new Job and make sure you only do 'PUT' once on a"
            " given Job."
        ),
    )
    assert done_answers == [
        (400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed"),
        (400, "INVALIDJOBSTATE", "Closing already Completed Job not allowed"),
        (400, "INVALIDJOBSTATE", "Uploading to a Job that is JobComplete not allowed"),
    ]


INVALID = {
    "object": (
        {"object": "Nothing__c"},
        ("INVALIDJOB", "InvalidJob : Unable to find object: Nothing__c"),
    ),
    "key that is none": (
        {"externalIdFieldName": "Currency__c"},
        (
            "INVALIDJOB",
            (
                "InvalidJob : Field name provided, Currency__c does not match an External ID for"
                f" {ORDER}"
            ),
        ),
    ),
    "no key": (
        {"externalIdFieldName": None},
        (
            "INVALIDJOB",
            (
                f"InvalidJob : External ID was blank for {ORDER}. An External ID must be specified"
                " for upsert."
            ),
        ),
    ),
    "operation": (
        {"operation": "merge"},
        ("API_ERROR", "Invalid value: 'merge' supplied for property: 'operation'"),
    ),
    "content type": (
        {"contentType": "JSON"},
        ("API_ERROR", "Invalid value: 'JSON' supplied for property: 'contentType'"),
    ),
    "delimiter": (
        {"columnDelimiter": ";"},
        ("API_ERROR", "Invalid value: ';' supplied for property: 'columnDelimiter'"),
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_a_job_that_the_org_cannot_do_is_refused(admin: Any, case: str) -> None:
    fields, (code, text) = INVALID[case]
    document = {"object": ORDER, "operation": "upsert", "externalIdFieldName": KEY, **fields}

    answer = admin.call("POST", "jobs/ingest", json=document)

    assert refused(answer) == (400, code, text)


def test_another_media_type_or_state_or_job_is_refused(admin: Any) -> None:
    job = create(admin).json()["id"]

    answers = [
        upload(admin, job, b"{}", **{"Content-Type": "application/json"}),
        move(admin, job, "InProgress"),
        admin.call("GET", f"jobs/ingest/{job[:15]}zzz"),
        admin.call("GET", "jobs/ingest/750RO000000zzzz"),
        admin.call("GET", f"jobs/ingest/{job}/allResults"),
    ]

    assert [a.status_code for a in answers] == [415, 400, 404, 404, 404]
    assert info(admin, job[:15])["state"] == "Open"


def test_a_job_without_data_fails_and_one_without_rows_completes(admin: Any) -> None:
    empty = create(admin).json()["id"]
    move(admin, empty, "UploadComplete")

    rows = run(admin, data("none", 0))

    assert wait(admin, empty)["errorMessage"] == "InvalidBatch : No data was uploaded"
    assert (rows["state"], rows["numberRecordsProcessed"]) == ("JobComplete", 0)


def test_the_slower_of_two_uploads_is_refused(admin: Any) -> None:
    job = create(admin).json()["id"]
    has_begun, may_end = threading.Event(), threading.Event()
    answers: list[Any] = []

    def slowly() -> Iterator[bytes]:
        yield KEY.encode()
        has_begun.set()
        may_end.wait(30)
        yield b"\nrace-slow\n"

    slow = threading.Thread(target=lambda: answers.append(upload(admin, job, slowly())))
    slow.start()
    has_begun.wait(30)
    fast = upload(admin.org.login(), job, f"{KEY}\nrace-fast\n".encode())
    may_end.set()
    slow.join()

    move(admin, job, "UploadComplete")
    wait(admin, job)
    assert fast.status_code == 201
    assert answers[0].json()[0]["errorCode"] == "BULK_API_ERROR"
    assert [r[KEY] for r in results(admin, job, "successfulResults")] == ["race-fast"]


def test_an_upload_that_breaks_off_is_none_and_may_come_again(admin: Any) -> None:
    job = create(admin).json()["id"]

    def broken() -> Iterator[bytes]:
        yield KEY.encode()
        raise ConnectionError

    with pytest.raises(requests.ConnectionError):
        upload(admin.org.login(), job, broken())
    again = upload(admin, job, data("broken", 1).encode())

    assert again.status_code == 201
    left = {p.suffix for p in (admin.org.home / "sandbox/bulk").iterdir()}
    assert left <= {".csv", ".rows"}  # uploads that were taken, results of query jobs


def test_jobs_are_listed_and_a_deleted_one_is_gone_with_its_data(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    first = run(client, data("list", 3))["id"]
    second = create(client, "insert").json()["id"]

    listed = client.call("GET", "jobs/ingest?jobType=V2Ingest").json()
    gone = client.call("DELETE", f"jobs/ingest/{first}")

    assert (listed["done"], listed["nextRecordsUrl"]) == (True, None)
    assert [(r["id"], r["state"]) for r in listed["records"]] == [
        (first, "JobComplete"),
        (second, "Open"),
    ]
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.call("GET", f"jobs/ingest/{first}").status_code == 404
    assert [r["id"] for r in client.call("GET", "jobs/ingest").json()["records"]] == [second]
    assert list((running.home / "sandbox/bulk").iterdir()) == []
    assert client.call("GET", "limits").json()["DailyBulkApiBatches"] == {
        "Max": 15_000,
        "Remaining": 14_999,
    }


def test_every_call_of_a_job_counts(start_org: Any) -> None:
    client = start_org("--plain", "--api-calls", "100").login()
    job = create(client).json()["id"]
    upload(client, job, data("calls", 1).encode())
    move(client, job, "UploadComplete")

    answer = client.call("GET", f"jobs/ingest/{job}")

    assert answer.headers["Sforce-Limit-Info"] == "api-usage=4/100"


def test_a_region_has_its_own_jobs_and_fields_and_no_hard_delete(start_org: Any) -> None:
    running = start_org("--plain")
    apps = [ensure_app(running.home, region) for region in ("eu", "uk")]
    write_apps(running.home, apps)
    eu, uk = (running.login(app.username) for app in apps)
    admin = running.login()

    done = run(eu, data("rights", 2))
    hard = refused(create(eu, "hardDelete"))
    locked = run(eu, table([KEY, "CreatedDate"], ["rights-x", "2026-01-01T00:00:00Z"]))

    assert done["numberRecordsFailed"] == 0
    assert uk.call("GET", f"jobs/ingest/{done['id']}").status_code == 404
    assert uk.call("GET", "jobs/ingest").json()["records"] == []
    assert info(admin, done["id"])["state"] == "JobComplete"
    assert hard == (
        400,
        "FEATURENOTENABLED",
        (
            "FeatureNotEnabled : hardDelete operation requires special user profile permission,"
            " please contact your system administrator"
        ),
    )
    (error,) = [r["sf__Error"] for r in results(eu, locked["id"], "failedResults")]
    assert error.startswith("INVALID_FIELD_FOR_INSERT_UPDATE:")
    assert uk.query(f"SELECT COUNT() FROM {ORDER}")["totalSize"] == 0


def test_the_daily_allowance_of_batches_is_hard(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    run(client, data("quota", 1))
    db = sqlite3.connect(running.home / "sandbox/org.sqlite")
    db.execute("UPDATE bulk_jobs SET processed = 15000 * 10000")
    db.commit()
    db.close()

    done = run(client, data("quota-over", 1))

    assert done["errorMessage"] == "ExceededQuota : Daily batch limit exceeded"
    assert count(client, "quota-over-%") == 0
    assert client.call("GET", "limits").json()["DailyBulkApiBatches"]["Remaining"] == 0


def test_an_upload_is_at_most_100_megabytes(start_org: Any) -> None:
    client = start_org("--plain").login()
    job = create(client).json()["id"]
    piece = b"x" * 10**6
    try:
        status = upload(client, job, (piece for _ in range(101))).status_code
    except requests.ConnectionError:  # refused before all of it was sent
        status = 413

    assert status == 413
    assert info(client, job)["state"] == "Open"
