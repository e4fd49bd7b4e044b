"""A test org of a bench's own, a client of it, and rows to write."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from connectors.sandbox.running import issue_token
from schemas.errors import RetriableError, SetupError

ROOT = Path(__file__).parents[2]
SOBJECT, KEY = "Commerce_Order__c", "External_Id__c"
PER_COLLECTION = 200
STOP_WITHIN_S = 20
JSON = {"Content-Type": "application/json"}


@contextmanager
def running_org() -> Iterator[tuple[str, str, int]]:
    """Yield (base URL, access token, pid) of a test org of its own; it is stopped and removed."""
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as folder:
        home = Path(folder) / "home"
        argv = [sys.executable, "-P", "-m", "streams.cli", "sandbox", "--plain", "--json"]
        process = subprocess.Popen(
            [*argv, "--port", "0", "--home", str(home), "--api-calls", "10000000"],
            stdout=subprocess.PIPE,
            cwd=folder,
            env={"PYTHONPATH": str(ROOT)},
        )
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                msg = "the test org did not start; see above"
                raise SetupError(msg)
            port = json.loads(line)["port"]
            answer = issue_token(home, port, "admin")
            url = f"{answer['instance_url']}/services/data/v62.0"
            yield url, answer["access_token"], process.pid
        finally:
            process.terminate()
            process.wait(STOP_WITHIN_S)
            if process.stdout:
                process.stdout.close()


def row(number: int) -> dict[str, Any]:
    """Return an order as wide as the contract makes one."""
    return {
        KEY: f"bench-{number:08d}",
        "Base_Version__c": number,
        "Region__c": "eu",
        "Status__c": "placed",
        "Currency__c": "EUR",
        "Total__c": number % 10_000 / 100,
        "Item_Count__c": number % 9 + 1,
        "First_Sku__c": f"SKU-{number % 500}",
        "Ship_Country__c": "DE",
        "Placed_At__c": "2026-11-23T01:02:03Z",
    }


@contextmanager
def session(token: str) -> Iterator[requests.Session]:
    """Yield a connection with that access token."""
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Authorization"] = f"Bearer {token}"
        yield http


def collection(first: int) -> dict[str, Any]:
    """Return the body of one collections upsert."""
    attributes = {"type": SOBJECT}
    records = [{"attributes": attributes, **row(n)} for n in range(first, first + PER_COLLECTION)]
    return {"allOrNone": False, "records": records}


def send_collection(http: requests.Session, url: str, first: int, size: int) -> int:
    """Write 200 rows by sObject Collections."""
    body = json.dumps(collection(first))
    path = f"{url}/composite/sobjects/{SOBJECT}/{KEY}"
    items = checked(http.patch(path, data=body, headers=JSON)).json()
    check(items, size)
    return 1


def checked(answer: requests.Response) -> requests.Response:
    """Return *answer* if it is none of refusal.

    Raises:
        RetriableError: It is one.

    """
    if not answer.ok:
        msg = f"the test org answered {answer.status_code}; see its access.log"
        raise RetriableError(msg)
    return answer


def check(items: Sequence[Mapping[str, Any]], size: int) -> None:
    """Return if as many records were taken.

    Raises:
        RetriableError: They were not.

    """
    good = sum(bool(item["success"]) for item in items)
    if good != size:
        msg = f"the test org took {good} of {size} rows"
        raise RetriableError(msg)
