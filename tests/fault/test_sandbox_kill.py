"""`kill -9` of the test org: what it answered is there, all else is there whole or not at all.

Three kinds of work are cut off at any moment: collections calls of several clients, ingest jobs
and query jobs. The clients write down what they were answered and hold the org to it afterwards.
"""

# ruff: noqa: S608 -- SOQL and SQL of our own making, for our own test org

import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest
import query_jobs
import requests
from ingest_jobs import KEY, ORDER, begin, info, results, table, wait
from running_org import Client, RunningOrg

WRITERS, ROWS_OF_ONE = 3, 199  # and one row in each call that is refused
ROUNDS, LONG_ROUNDS = 3, 20
JOB_ROWS, READ_ROWS = 10_000, 60_000
NAMES = [KEY, "Base_Version__c", "Region__c", "Currency__c", "Total__c", "Item_Count__c"]


@pytest.fixture
def rounds(long_run: bool) -> Iterator[tuple[int, Random]]:
    """Return each round's number and its chance; the seed is shown if the test fails."""
    seed = SystemRandom().randrange(2**32)
    sys.stderr.write(f"seed {seed}\n")
    count = LONG_ROUNDS if long_run else ROUNDS
    return ((number, Random(f"{seed}-{number}")) for number in range(1, count + 1))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], RunningOrg]]:
    """Start the home's org, again and again; the last one is stopped."""
    started: list[RunningOrg] = []

    def begin_again() -> RunningOrg:
        started.append(RunningOrg(tmp_path / "home", "--plain"))
        return started[-1]

    yield begin_again
    if started and started[-1].process.poll() is None:
        started[-1].stop()


def order(key: str, version: int) -> dict[str, Any]:
    """Return an order whose every field follows from key and version."""
    return {
        KEY: key,
        "Base_Version__c": float(version),
        "Region__c": "eu" if version % 2 else "uk",
        "Currency__c": "EUR" if version % 3 else "USD",
        "Total__c": version + len(key) / 100,
        "Item_Count__c": float(version % 7 + 1),
    }


def stored(client: Client, prefix: str) -> list[dict[str, Any]]:
    """Return the fields of all rows whose keys begin so."""
    soql = f"SELECT {', '.join(NAMES)} FROM {ORDER} WHERE {KEY} LIKE '{prefix}%' ORDER BY {KEY}"
    page = client.query(soql)
    assert page["done"]
    return [{name: row[name] for name in NAMES} for row in page["records"]]


class Writer(threading.Thread):
    """Writes the same rows again and again, a version higher each time, until the org is gone.

    Attributes:
        answered: The last version that the org said it wrote, 0 for none.
        sent: The last version sent.

    """

    def __init__(self, client: Client, name: str) -> None:
        super().__init__()
        self._client, self._name = client, name
        self.answered = self.sent = 0

    def run(self) -> None:
        """Send calls of 199 good rows and one bad one."""
        while True:
            self.sent += 1
            rows = [order(f"{self._name}-{n:03d}", self.sent) for n in range(ROWS_OF_ONE)]
            rows.insert(self.sent % ROWS_OF_ONE, {KEY: f"{self._name}-bad", "Currency__c": "EURO"})
            try:
                answer = self._client.upsert(rows)
            except requests.RequestException:
                return
            good = [item["success"] for item in answer.json()]
            assert good.count(True) == ROWS_OF_ONE
            self.answered = self.sent


@pytest.mark.timeout(1800)
def test_kill_9_during_collections_calls_leaves_whole_calls_and_every_answered_one(
    start: Callable[[], RunningOrg], rounds: Iterator[tuple[int, Random]]
) -> None:
    for number, random in rounds:
        running = start()
        writers = [Writer(running.login(), f"r{number}w{n}") for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        while not all(writer.answered for writer in writers):
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.4))

        running.stop(signal.SIGKILL)

        for writer in writers:
            writer.join()
        again = start()
        client = again.login()
        for n, writer in enumerate(writers):
            rows = stored(client, f"r{number}w{n}-")
            version = int(rows[0]["Base_Version__c"])
            wanted = [order(f"r{number}w{n}-{at:03d}", version) for at in range(ROWS_OF_ONE)]
            assert writer.answered <= version <= writer.sent
            assert rows == wanted
        again.stop()


def half_written(home: Path, name: str) -> tuple[int, int, set[int]]:
    """Return (results, rows, versions of those rows) of the last job, from the tables at rest."""
    db = sqlite3.connect(home / "sandbox/org.sqlite")
    try:
        sql = "SELECT COUNT(*) FROM bulk_results WHERE job = (SELECT MAX(number) FROM bulk_jobs)"
        (kept,) = db.execute(sql).fetchone()
        sql = f'SELECT Base_Version__c FROM "{ORDER}" WHERE {KEY} LIKE ?'
        versions = [row[0] for row in db.execute(sql, (f"{name}-%",))]
        return kept, len(versions), set(versions)
    finally:
        db.close()


@pytest.mark.timeout(1800)
def test_kill_9_during_an_ingest_job_leaves_whole_chunks_and_the_job_goes_on(
    start: Callable[[], RunningOrg], rounds: Iterator[tuple[int, Random]]
) -> None:
    cut: set[int] = set()
    for number, random in rounds:
        running = start()
        client = running.login()
        keys = [f"job{number}-{n:05d}" for n in range(JOB_ROWS)]
        bad = set(random.sample(keys, 100))
        rows = [order(key, number) for key in keys]
        cells = [
            [str(row[name]) for name in NAMES[:-1]] + ["many" if row[KEY] in bad else "2"]
            for row in rows
        ]
        job = begin(client, table(NAMES, *cells))
        while number % 2 and not info(client, job)["numberRecordsProcessed"]:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.15))

        running.stop(signal.SIGKILL)

        kept, written, versions = half_written(running.home, f"job{number}")
        again = start()
        client = again.login()
        done = wait(client, job)
        good = [row[KEY] for row in results(client, job, "successfulResults")]
        failed = [row[KEY] for row in results(client, job, "failedResults")]
        created = {row["sf__Created"] for row in results(client, job, "successfulResults")}
        again.stop()
        cut.add(kept)

        assert kept % 200 == 0
        assert kept - len(bad) <= written <= kept
        assert versions <= {number}
        assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", JOB_ROWS)
        assert sorted(good + failed) == keys
        assert set(failed) == bad
        assert created == {"true"}  # a row done twice would have been updated
    assert cut - {0, JOB_ROWS}  # else nothing was cut off, and nothing proved


@pytest.mark.timeout(1800)
def test_kill_9_during_query_jobs_leaves_no_half_results_and_the_jobs_go_on(
    start: Callable[[], RunningOrg], rounds: Iterator[tuple[int, Random]]
) -> None:
    running = start()
    query_jobs.fill(running.login(), READ_ROWS)
    running.stop()
    soql = f"SELECT {KEY}, First_Sku__c FROM {ORDER}"
    cut = 0
    watched = ["seed", f"k{READ_ROWS // 2}", f"k{READ_ROWS - 1}"]
    for number, random in rounds:
        running = start()
        client = running.login()
        # a third of them may be complete before the kill; their results must stay what they are
        jobs = [query_jobs.begin(client, soql) for _ in range(6)]
        client.upsert([{KEY: key, "First_Sku__c": f"round-{number}"} for key in watched])
        time.sleep(random.uniform(0, 1.2))

        running.stop(signal.SIGKILL)

        complete = complete_jobs(running.home)
        whole = {path.stem for path in (running.home / "sandbox/bulk").glob("[0-9]*.rows")}
        again = start()
        client = again.login()
        cut += len(jobs) - len(complete)
        assert complete <= whole
        for job in jobs:
            done = query_jobs.wait(client, job)
            found = query_jobs.rows(client, job, 25_000)
            assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", READ_ROWS)
            assert len({key for key, _ in found}) == len(found) == READ_ROWS
            assert len({sku for key, sku in found if key in watched}) == 1  # of one moment
        left = {path.name for path in (again.home / "sandbox/bulk").iterdir()}
        assert not any(name.startswith(".") for name in left)
        for job in jobs:
            assert client.call("DELETE", f"jobs/query/{job}").status_code == 204
        again.stop()
    assert cut


def complete_jobs(home: Path) -> set[str]:
    """Return the numbers of the query jobs whose results can be had, from the tables at rest."""
    db = sqlite3.connect(home / "sandbox/org.sqlite")
    try:
        sql = "SELECT number FROM bulk_jobs WHERE query NOT NULL AND state = 'JobComplete'"
        return {str(row[0]) for row in db.execute(sql)}
    finally:
        db.close()
