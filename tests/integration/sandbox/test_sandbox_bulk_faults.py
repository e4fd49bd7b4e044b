"""Faults of ingest jobs: stuck, failed half-way, rows refused, results cut short, late uploads."""

import threading
import time
from collections import Counter
from typing import Any

import pytest
import requests
from ingest_jobs import (
    KEY,
    ORDER,
    begin,
    create,
    info,
    move,
    results,
    run,
    table,
    upload,
    wait,
)

from connectors.sandbox.faults.remote import Control


def keys(name: str, rows: int) -> list[str]:
    return [f"job-{name}-{n:04d}" for n in range(rows)]


def data(name: str, rows: int) -> str:
    return table([KEY], *([key] for key in keys(name, rows)))


def rows_of(client: Any, name: str) -> int:
    """Return how many rows the org holds of those names."""
    soql = f"SELECT COUNT() FROM {ORDER} WHERE {KEY} LIKE 'job-{name}-%'"  # noqa: S608 -- our own
    found: int = client.query(soql)["totalSize"]
    return found


def sets(client: Any, job: str) -> dict[str, list[str]]:
    """Return the keys of the three result sets, sorted."""
    kinds = ("successfulResults", "failedResults", "unprocessedrecords")
    return {kind: sorted(row[KEY] for row in results(client, job, kind)) for kind in kinds}


def test_a_stuck_job_is_in_progress_for_so_long(plan: Control, client: Any) -> None:
    plan.set([{"kind": "job-stuck", "on": "bulk", "once": True, "seconds": 0.8}])
    started = time.monotonic()

    job = begin(client, data("stuck", 3))
    states: Counter[str] = Counter()
    while time.monotonic() - started < 0.5:
        states[info(client, job)["state"]] += 1
    ended = wait(client, job)

    assert states["InProgress"] > 1
    assert states.keys() <= {"UploadComplete", "InProgress"}
    assert time.monotonic() - started >= 0.8
    assert (ended["state"], ended["numberRecordsProcessed"]) == ("JobComplete", 3)


def test_a_stuck_job_can_be_aborted(plan: Control, client: Any) -> None:
    plan.set([{"kind": "job-stuck", "on": "bulk", "once": True, "seconds": 0.5}])
    job = begin(client, data("aborted", 3))

    aborted = move(client, job, "Aborted")
    time.sleep(0.7)

    assert aborted.json()["state"] == "Aborted"
    assert info(client, job)["state"] == "Aborted"
    assert rows_of(client, "aborted") == 0


@pytest.mark.parametrize(("rows", "share", "done"), [(10, 0.5, 5), (450, 0.8, 360), (4, 0, 0)])
def test_a_job_that_fails_half_way_keeps_what_it_committed(
    plan: Control, client: Any, rows: int, share: float, done: int
) -> None:
    plan.set([{"kind": "job-failed", "on": "bulk", "once": True, "rows": share}])
    name = f"half{rows}"

    ended = run(client, data(name, rows))

    found = sets(client, ended["id"])
    assert ended["state"] == "Failed"
    assert ended["errorMessage"].startswith("TooManyLockFailure : ")
    assert ended["numberRecordsProcessed"] == done
    assert found["successfulResults"] == keys(name, rows)[:done]
    assert found["failedResults"] == []
    assert found["unprocessedrecords"] == keys(name, rows)[done:]
    assert rows_of(client, name) == done


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("lock", "UNABLE_TO_LOCK_ROW"),
        ("partial", "UNKNOWN_EXCEPTION"),
        ("duplicate-race", "DUPLICATE_VALUE"),
    ],
)
def test_rows_of_a_job_can_be_refused(plan: Control, client: Any, kind: str, code: str) -> None:
    plan.set([{"kind": kind, "on": "bulk", "once": True, "rows": 0.3}])

    ended = run(client, data(kind, 20))

    failed = results(client, ended["id"], "failedResults")
    assert (ended["state"], ended["numberRecordsFailed"]) == ("JobComplete", 6)
    assert {row["sf__Error"].partition(":")[0] for row in failed} == {code}
    assert rows_of(client, kind) == 14


@pytest.mark.parametrize("operation", ["delete", "hardDelete", "update", "insert"])
def test_some_rows_fail_whatever_the_job_does(plan: Control, client: Any, operation: str) -> None:
    name = f"some-{operation}"
    made = client.upsert([{KEY: key} for key in keys(name, 10)]).json()
    ids = table(["Id"], *([item["id"]] for item in made))
    if operation == "update":
        ids = table(["Id", "Currency__c"], *([item["id"], "EUR"] for item in made))
    elif operation == "insert":
        ids = data(f"{name}-new", 10)
    plan.set([{"kind": "lock", "on": "bulk", "once": True, "rows": 0.4}])

    ended = run(client, ids, operation)

    assert (ended["numberRecordsProcessed"], ended["numberRecordsFailed"]) == (10, 4)


def test_a_job_waits_for_a_held_row_and_refuses_it_alone(plan: Control, client: Any) -> None:
    client.upsert([{KEY: key} for key in keys("holding", 3)])
    plan.set([], wait_s=0.3)
    plan.hold(ORDER, "job-holding-0001", 60)

    ended = run(client, data("holding", 3))

    failed = results(client, ended["id"], "failedResults")
    assert [row[KEY] for row in failed] == ["job-holding-0001"]
    assert failed[0]["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:")


def test_results_can_lack_their_last_rows(plan: Control, client: Any) -> None:
    job = run(client, table([KEY], *([f'"cut\n\n{n}"'] for n in range(10))))["id"]
    whole = results(client, job, "successfulResults")
    plan.set([{"kind": "truncated-results", "on": "bulk", "once": True, "rows": 0.25}])

    cut = results(client, job, "successfulResults")
    again = results(client, job, "successfulResults")

    assert len(whole) == 10
    assert cut == whole[:8]
    assert again == whole


def test_empty_results_have_nothing_to_lack(plan: Control, client: Any) -> None:
    job = run(client, data("empty", 1))["id"]
    plan.set([{"kind": "truncated-results", "on": "bulk", "every": 1}])

    failed = client.call("GET", f"jobs/ingest/{job}/failedResults").text

    assert failed == f'"sf__Id","sf__Error","{KEY}"\n'
    assert results(client, job, "successfulResults") == []


def test_results_can_lack_their_charset(plan: Control, client: Any) -> None:
    plan.set([{"kind": "no-charset", "on": "bulk", "once": True}])
    job = run(client, data("charset", 2))["id"]  # its other calls are not counted

    first, second = (client.call("GET", f"jobs/ingest/{job}/successfulResults") for _ in "12")

    assert first.headers["Content-Type"] == "text/csv"
    assert second.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert first.content == second.content


def test_an_upload_can_land_after_its_client_gave_up(plan: Control, client: Any) -> None:
    job = create(client).json()["id"]
    plan.set([{"kind": "late-commit", "on": "bulk", "once": True, "seconds": 2}])
    url = f"{client.org.url}/services/data/v62.0/jobs/ingest/{job}/batches"
    with pytest.raises(requests.ReadTimeout):
        client.http.put(url, data("late", 3), headers={"Content-Type": "text/csv"}, timeout=0.5)

    again = upload(client, job, data("second", 3).encode())
    while plan.state()["late"]["pending"]:
        time.sleep(0.02)
    move(client, job, "UploadComplete")
    ended = wait(client, job)

    assert again.status_code == 201  # it was faster, and a job takes one upload only
    assert ended["state"] == "JobComplete"
    assert (rows_of(client, "late"), rows_of(client, "second")) == (0, 3)


@pytest.mark.parametrize(("kind", "is_done"), [("reset-before", False), ("reset-after", True)])
def test_a_job_can_be_closed_without_an_answer(
    plan: Control, client: Any, kind: str, is_done: bool
) -> None:
    job = create(client).json()["id"]
    upload(client, job, data(kind, 3).encode())
    plan.set([{"kind": kind, "on": "bulk", "once": True}])

    with pytest.raises(requests.ConnectionError):
        move(client, job, "UploadComplete")

    ended = wait(client, job) if is_done else info(client, job)
    assert ended["state"] == ("JobComplete" if is_done else "Open")
    assert rows_of(client, kind) == (3 if is_done else 0)


def test_a_large_upload_can_be_reset(plan: Control, client: Any) -> None:
    job = create(client).json()["id"]
    plan.set([{"kind": "reset-before", "on": "bulk", "once": True}])
    failures: list[str] = []

    def send() -> None:
        try:
            upload(client, job, b"x" * 60_000_000)
        except requests.ConnectionError as exc:
            failures.append(repr(exc))

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(30)

    assert "ConnectionResetError" in failures[0]
    assert info(client, job)["state"] == "Open"
