"""A client of ingest jobs, as plain as the documented calls."""

import csv
import io
import time
from collections.abc import Sequence
from typing import Any

KEY, ORDER = "External_Id__c", "Commerce_Order__c"
ENDED = {"JobComplete", "Failed", "Aborted"}
WAIT_S = 60
csv.field_size_limit(10**6)  # characters; an error's text may hold the longest field


def create(client: Any, operation: str = "upsert", **fields: Any) -> Any:
    """Return the answer of creating a job."""
    key = {"externalIdFieldName": KEY} if operation == "upsert" else {}
    document = {"object": ORDER, "operation": operation, **key, **fields}
    return client.call("POST", "jobs/ingest", json=document)


def upload(client: Any, job: str, data: Any, **headers: str) -> Any:
    """Return the answer of sending a job's data."""
    headers = {"Content-Type": "text/csv", **headers}
    return client.call("PUT", f"jobs/ingest/{job}/batches", data=data, headers=headers)


def move(client: Any, job: str, state: str) -> Any:
    """Return the answer of asking for a state."""
    return client.call("PATCH", f"jobs/ingest/{job}", json={"state": state})


def info(client: Any, job: str) -> dict[str, Any]:
    """Return where the job stands."""
    answer = client.call("GET", f"jobs/ingest/{job}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wait(client: Any, job: str) -> dict[str, Any]:
    """Return the job once it has ended."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        found = info(client, job)
        if found["state"] in ENDED:
            return found
        time.sleep(0.02)
    msg = f"job {job} does not end"
    raise AssertionError(msg)


def begin(client: Any, data: str | bytes, operation: str = "upsert", **fields: Any) -> str:
    """Start a job over *data* and return its id."""
    made = create(client, operation, **fields)
    assert made.status_code == 200, made.text
    job: str = made.json()["id"]
    raw = data.encode("utf-8") if isinstance(data, str) else data
    assert upload(client, job, raw).status_code == 201
    assert move(client, job, "UploadComplete").status_code == 200
    return job


def run(client: Any, data: str | bytes, operation: str = "upsert", **fields: Any) -> dict[str, Any]:
    """Carry out a job over *data* and return how it ended."""
    return wait(client, begin(client, data, operation, **fields))


def table(*rows: Sequence[str]) -> str:
    """Return rows of cells without any special character as CSV."""
    return "".join(",".join(row) + "\n" for row in rows)


def data(name: str, rows: int) -> str:
    """Return the CSV of that many orders with keys ``name-000000`` and on."""
    return table([KEY, "Currency__c"], *([f"{name}-{n:06d}", "EUR"] for n in range(rows)))


def count(client: Any, pattern: str) -> int:
    """Return how many live orders have a key like *pattern*."""
    soql = f"SELECT COUNT() FROM {ORDER} WHERE {KEY} LIKE '{pattern}'"  # noqa: S608 -- our own
    total: int = client.query(soql)["totalSize"]
    return total


def results(client: Any, job: str, kind: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Return one of the three result sets."""
    answer = client.call("GET", f"jobs/ingest/{job}/{kind}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=UTF-8"
    text = io.StringIO(answer.content.decode("utf-8"), newline="")
    return list(csv.DictReader(text, delimiter=delimiter, strict=True))
