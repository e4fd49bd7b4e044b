"""Query jobs in the background: one state of the org, aborts, restarts, and little memory."""

# ruff: noqa: S608 -- SOQL and SQL of our own making, for our own test org

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from ingest_jobs import KEY, ORDER
from query_jobs import begin, fill, page, rows, table, wait

MIB = 2**20
EVERYTHING = f"SELECT {KEY}, First_Sku__c FROM {ORDER}"


def stored(home: Path, sql: str) -> list[Any]:
    """Return what the org's own tables say."""
    db = sqlite3.connect(home / "sandbox/org.sqlite")
    try:
        found = db.execute(sql).fetchall()
        db.commit()
        return found
    finally:
        db.close()


def files(home: Path) -> set[str]:
    """Return what lies in the folder of the jobs' data."""
    return {path.name for path in (home / "sandbox/bulk").iterdir()}


def until_begun(client: Any, job: str) -> None:
    """Wait until the job is in progress, or has ended."""
    while client.call("GET", f"jobs/query/{job}").json()["state"] == "UploadComplete":
        time.sleep(0.002)


def test_a_job_reads_one_state_while_calls_go_on_writing(start_org: Any) -> None:
    client = start_org("--plain").login()
    fill(client, 60_000)
    keys = [f"k{n}" for n in (2, 10_000, 20_000, 30_000, 40_000, 50_000, 59_999)]
    has_ended = threading.Event()
    waits: list[float] = []

    def write() -> None:
        writer, version = client.org.login(), 0
        while not has_ended.is_set():
            version += 1
            started = time.monotonic()
            answer = writer.upsert([{KEY: key, "First_Sku__c": f"v{version}"} for key in keys])
            waits.append(time.monotonic() - started)
            assert all(item["success"] for item in answer.json())

    writing = threading.Thread(target=write)
    writing.start()
    while not waits:
        time.sleep(0.01)
    jobs = [begin(client, EVERYTHING) for _ in range(3)]
    found = [wait(client, job) for job in jobs]
    has_ended.set()
    writing.join()

    for job, done in zip(jobs, found, strict=True):
        versions = {sku for key, sku in rows(client, job, 50_000) if key in keys}
        assert done["numberRecordsProcessed"] == 60_000
        assert len(versions) == 1
    assert len(waits) > 5
    assert max(waits) < 5  # some milliseconds; the rest is for a busy machine


def test_an_aborted_job_ends_soon_without_results(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    fill(client, 300_000)
    whole = begin(client, EVERYTHING)
    needed_s = wait(client, whole)["totalProcessingTime"] / 1000
    client.call("DELETE", f"jobs/query/{whole}")
    job = begin(client, EVERYTHING)
    until_begun(client, job)

    answer = client.call("PATCH", f"jobs/query/{job}", json={"state": "Aborted"})

    assert (answer.status_code, answer.json()["state"]) == (200, "Aborted")
    deadline = time.monotonic() + needed_s / 2
    while files(running.home) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files(running.home) == set()
    assert page(client, job).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    assert wait(client, job)["state"] == "Aborted"
    assert client.call("DELETE", f"jobs/query/{job}").status_code == 204


def test_a_job_in_progress_is_neither_read_nor_deleted(start_org: Any) -> None:
    client = start_org("--plain").login()
    fill(client, 200_000)
    job = begin(client, EVERYTHING)

    answers = [page(client, job), client.call("DELETE", f"jobs/query/{job}")]

    assert [a.status_code for a in answers] == [400, 400]
    assert {a.json()[0]["errorCode"] for a in answers} == {"INVALIDJOBSTATE"}
    assert wait(client, job)["numberRecordsProcessed"] == 200_000


def test_results_are_there_after_a_restart_under_the_same_locators(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    fill(client, 1000)
    job = begin(client, EVERYTHING)
    wait(client, job)
    before = page(client, job, locator="NjAw").content

    running.stop()
    client = start_org("--plain").login()

    assert page(client, job, locator="NjAw").content == before
    assert len(rows(client, job, 300)) == 1000


def test_a_job_that_a_stop_cut_off_is_carried_out_at_the_next_start(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    fill(client, 200_000)
    job = begin(client, EVERYTHING)
    until_begun(client, job)
    started = time.monotonic()

    code = running.stop()

    assert (code, files(running.home)) == (0, set())
    assert time.monotonic() - started < 5
    client = start_org("--plain").login()
    assert wait(client, job)["numberRecordsProcessed"] == 200_000


def test_a_field_that_is_gone_when_the_job_is_carried_out_fails_it_in_words(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    job = begin(client, EVERYTHING)
    wait(client, job)
    running.stop()
    sql = "UPDATE bulk_jobs SET state = 'UploadComplete', query = 'SELECT Shoe__c FROM Account'"
    stored(running.home, sql)

    client = start_org("--plain").login()

    done = wait(client, job)
    start = "InvalidBatch : Failed to process query: INVALID_FIELD: "
    assert (done["state"], done["errorMessage"].startswith(start)) == ("Failed", True)


def test_jobs_and_results_are_kept_seven_days(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    job = begin(client, EVERYTHING)
    wait(client, job)
    assert len(files(running.home)) == 2
    running.stop()
    stored(running.home, "UPDATE bulk_jobs SET changed_at = changed_at - 7 * 86400 - 60")

    client = start_org("--plain").login()

    assert client.call("GET", f"jobs/query/{job}").status_code == 404
    assert files(running.home) == set()


def test_the_daily_allowance_of_query_jobs_is_counted_and_hard(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    wait(client, begin(client, EVERYTHING))

    left = client.call("GET", "limits").json()
    stored(
        running.home,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9999)"
        " INSERT INTO bulk_jobs (user, sobject, operation, delimiter, ending, version, query,"
        " state, created_at, changed_at) SELECT user, sobject, operation, delimiter, ending,"
        " version, query, 'Deleted', created_at, changed_at FROM c, bulk_jobs WHERE number = 1",
    )
    answer = client.call("POST", "jobs/query", json={"operation": "query", "query": EVERYTHING})

    assert left["DailyBulkV2QueryJobs"] == {"Max": 10_000, "Remaining": 9_999}
    assert left["DailyBulkApiBatches"] == {"Max": 15_000, "Remaining": 15_000}
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "errorCode": "LIMIT_EXCEEDED",
            "message": "Max bulk v2 query jobs (10000) per 24 hrs has been reached",
        }
    ]


def test_many_rows_take_little_memory(start_org: Any, long_run: bool) -> None:
    count = 1_000_000 if long_run else 150_000
    running = start_org("--plain")
    client = running.login()
    fill(client, count)
    wait(client, begin(client, f"{EVERYTHING} LIMIT 1000"))
    process = psutil.Process(running.process.pid)
    before = process.memory_info().rss

    job = begin(client, f"SELECT Id, {KEY}, Name, CreatedDate, OwnerId FROM {ORDER}")
    peak = before
    while client.call("GET", f"jobs/query/{job}").json()["state"] != "JobComplete":
        peak = max(peak, process.memory_info().rss)
    answer = page(client, job, maxRecords=100_000)

    assert len(table(answer)) == 100_001
    assert max(peak, process.memory_info().rss) - before < 16 * MIB  # all rows take 50 and more
