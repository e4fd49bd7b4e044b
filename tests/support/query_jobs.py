"""A client of query jobs, as plain as the documented calls."""

# ruff: noqa: S608 -- SQL of our own making, for our own test org

import csv
import io
import sqlite3
import time
from typing import Any

from ingest_jobs import KEY, ORDER

ENDED = {"JobComplete", "Failed", "Aborted"}
WAIT_S = 120


def create(client: Any, soql: str, operation: str = "query", **fields: Any) -> Any:
    """Return the answer of creating a job."""
    document = {"operation": operation, "query": soql, **fields}
    return client.call("POST", "jobs/query", json=document)


def begin(client: Any, soql: str, operation: str = "query", **fields: Any) -> str:
    """Start a job and return its id."""
    made = create(client, soql, operation, **fields)
    assert made.status_code == 200, made.text
    job: str = made.json()["id"]
    return job


def wait(client: Any, job: str) -> dict[str, Any]:
    """Return the job once it has ended."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        answer = client.call("GET", f"jobs/query/{job}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        if found["state"] in ENDED:
            return found
        time.sleep(0.02)
    msg = f"job {job} does not end"
    raise AssertionError(msg)


def page(client: Any, job: str, **params: Any) -> Any:
    """Return the answer of asking for a page of results."""
    return client.call("GET", f"jobs/query/{job}/results", params=params)


def table(answer: Any, delimiter: str = ",") -> list[list[str]]:
    """Return the cells of an answer, header first."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=UTF-8"
    text = io.StringIO(answer.content.decode("utf-8"), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def rows(client: Any, job: str, most: int) -> list[list[str]]:
    """Return all rows of a job's results, read page by page."""
    found: list[list[str]] = []
    params: dict[str, Any] = {"maxRecords": most}
    while True:
        answer = page(client, job, **params)
        _, *more = table(answer)
        assert int(answer.headers["Sforce-NumberOfRecords"]) == len(more) <= most
        found += more
        params["locator"] = answer.headers["Sforce-Locator"]
        if params["locator"] == "null":
            return found


def select(client: Any, soql: str, operation: str = "query", **fields: Any) -> list[list[str]]:
    """Carry out a job and return its results, header first."""
    job = begin(client, soql, operation, **fields)
    assert wait(client, job)["state"] == "JobComplete"
    return table(page(client, job))


def fill(client: Any, count: int) -> int:
    """Give an empty org that many orders at once, in its own tables, and return how many."""
    client.upsert([{KEY: "seed"}])
    db = sqlite3.connect(client.org.home / "sandbox/org.sqlite")
    try:
        names = [row[1] for row in db.execute(f'PRAGMA table_info("{ORDER}")')]
        values = ", ".join({"Id": "n + 1", KEY: "'k' || n"}.get(n, f'o."{n}"') for n in names)
        db.execute(
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT {count - 1})"
            f' INSERT INTO "{ORDER}" SELECT {values} FROM c, "{ORDER}" o WHERE o.{KEY} = \'seed\''
        )
        db.commit()
    finally:
        db.close()
    return count
