"""Ingest jobs in the background: aborts, other calls between, and nothing half after kill -9."""

# ruff: noqa: S608 -- SQL of our own making, for our own test org

import signal
import sqlite3
import time
from random import Random
from typing import Any

from ingest_jobs import (
    KEY,
    ORDER,
    begin,
    count,
    data,
    info,
    move,
    results,
    run,
    wait,
)

CHUNK = 200


def test_an_aborted_job_keeps_what_is_done_and_gives_the_rest_back(admin: Any) -> None:
    rows = 6000
    job = begin(admin, data("abort", rows))
    while info(admin, job)["numberRecordsProcessed"] == 0:
        time.sleep(0.005)

    answer = move(admin, job, "Aborted")

    done = info(admin, job)
    written = [r[KEY] for r in results(admin, job, "successfulResults")]
    left = [r[KEY] for r in results(admin, job, "unprocessedrecords")]
    assert (answer.status_code, done["state"]) == (200, "Aborted")
    assert 0 < done["numberRecordsProcessed"] < rows
    assert done["numberRecordsProcessed"] % CHUNK == 0
    assert len(written) == done["numberRecordsProcessed"] == count(admin, "abort-%")
    assert len(left) == rows - len(written)
    assert len({*written, *left}) == rows


def test_other_calls_get_their_turn_while_a_job_runs(admin: Any) -> None:
    job = begin(admin, data("turn", 8000))
    waits: list[float] = []

    while info(admin, job)["state"] not in {"JobComplete", "Failed"}:
        started = time.monotonic()
        answer = admin.upsert([{KEY: f"between-{len(waits)}"}])
        waits.append(time.monotonic() - started)
        assert answer.json()[0]["success"]

    assert len(waits) >= 5
    assert max(waits) < 5  # a chunk takes milliseconds; the rest is for a busy machine


def state_of(home: Any) -> tuple[str, int, int, int]:
    """Return (state, processed, results, rows) of the home's last job, from its tables."""
    db = sqlite3.connect(home / "sandbox/org.sqlite")
    try:
        number, state, done = db.execute(
            "SELECT number, state, processed FROM bulk_jobs ORDER BY number DESC LIMIT 1"
        ).fetchone()
        sql = "SELECT COUNT(*) FROM bulk_results WHERE job = ?"
        (kept,) = db.execute(sql, (number,)).fetchone()
        pattern = f"kill{number}-%"
        sql = f'SELECT COUNT(*) FROM "{ORDER}" WHERE {KEY} LIKE ?'
        return state, done, kept, db.execute(sql, (pattern,)).fetchone()[0]
    finally:
        db.close()


def test_kill_9_keeps_whole_chunks_and_the_next_start_goes_on(
    start_org: Any, long_run: bool
) -> None:
    random, rows = Random(5), 20_000
    states: list[str] = []
    for number in range(1, 21 if long_run else 5):
        running = start_org("--plain")
        client = running.login()
        job = begin(client, data(f"kill{number}", rows))
        while info(client, job)["numberRecordsProcessed"] == 0:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.2))  # anywhere in a chunk
        running.stop(signal.SIGKILL)

        state, processed, kept, written = state_of(running.home)
        again = start_org("--plain")
        client = again.login()
        done = wait(client, job)
        created = [r["sf__Created"] for r in results(client, job, "successfulResults")]
        again.stop()

        states.append(state)
        assert processed == kept == written
        assert processed % CHUNK == 0
        assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", rows)
        assert created == ["true"] * rows  # a row done twice would have been updated
    assert "InProgress" in states


def test_a_stop_in_a_job_loses_nothing_either(start_org: Any) -> None:
    running = start_org("--plain")
    job = begin(running.login(), data("stop", 4000))

    assert running.stop() == 0

    client = start_org("--plain").login()
    assert wait(client, job)["numberRecordsProcessed"] == 4000
    assert count(client, "stop-%") == 4000


def test_a_stop_does_not_wait_for_the_look_through_a_large_upload(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    job = begin(client, f"{KEY}\n".encode() + b"large\n" * 8_000_000)
    while info(client, job)["state"] != "InProgress":
        time.sleep(0.005)
    started = time.monotonic()

    code = running.stop()

    assert (code, state_of(running.home)[:2]) == (0, ("InProgress", 0))
    assert time.monotonic() - started < 2
    client = start_org("--plain").login()
    assert move(client, job, "Aborted").status_code == 200


def test_what_an_upload_left_half_is_removed_at_the_next_start(start_org: Any) -> None:
    running = start_org("--plain")
    running.stop()
    stray = running.home / "sandbox/bulk/.half"
    stray.write_bytes(b"x")

    start_org("--plain")

    assert not stray.exists()


def test_jobs_are_kept_seven_days(start_org: Any) -> None:
    running = start_org("--plain")
    job = run(running.login(), data("old", 1))["id"]
    running.stop()
    db = sqlite3.connect(running.home / "sandbox/org.sqlite")
    db.execute("UPDATE bulk_jobs SET changed_at = changed_at - 7 * 86400 - 60")
    db.commit()
    db.close()

    client = start_org("--plain").login()

    assert client.call("GET", f"jobs/ingest/{job}").status_code == 404
    assert list((running.home / "sandbox/bulk").iterdir()) == []
    assert count(client, "old-%") == 1
