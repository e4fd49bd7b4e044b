"""How long single requests to the test org take, and how many a client gets through in a second."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

import psutil
import requests
from common import percentiles
from org_client import (
    KEY,
    PER_COLLECTION,
    SOBJECT,
    checked,
    row,
    running_org,
    send_collection,
    session,
)

PAGE = 2_000  # rows of a page of a query, Salesforce's most
FIELDS = ", ".join(["Id", *row(0)])


@dataclass(frozen=True, slots=True)
class Aim:
    """What requests go to: an org that holds orders 0 to *rows*, seen by one client."""

    http: requests.Session
    url: str
    rows: int
    random: Random


def _describe(aim: Aim) -> None:
    checked(aim.http.get(f"{aim.url}/sobjects/{SOBJECT}/describe"))


def _page(aim: Aim) -> None:
    soql = f"SELECT {FIELDS} FROM {SOBJECT} LIMIT {PAGE}"  # noqa: S608 -- our own
    found = checked(aim.http.get(f"{aim.url}/query", params={"q": soql})).json()
    if len(found["records"]) != min(PAGE, aim.rows):
        msg = f"a page of {len(found['records'])} rows"
        raise AssertionError(msg)


def _by_key(aim: Aim) -> None:
    key = row(aim.random.randrange(aim.rows))[KEY]
    soql = f"SELECT {FIELDS} FROM {SOBJECT} WHERE {KEY} = '{key}'"  # noqa: S608 -- our own
    checked(aim.http.get(f"{aim.url}/query", params={"q": soql}))


def _count(aim: Aim) -> None:
    soql = f"SELECT COUNT() FROM {SOBJECT}"  # noqa: S608 -- our own
    checked(aim.http.get(f"{aim.url}/query", params={"q": soql}))


def _collection(aim: Aim) -> None:
    first = aim.random.randrange(aim.rows // PER_COLLECTION) * PER_COLLECTION
    send_collection(aim.http, aim.url, first, PER_COLLECTION)


REQUESTS: dict[str, Callable[[Aim], None]] = {
    "describe": _describe,
    "query, 2,000 rows": _page,
    "query by key": _by_key,
    "count": _count,
    "collections, 200 rows": _collection,
}


def measure_requests(rows: int, clients: int, seconds: float) -> dict[str, dict[str, Any]]:
    """Return, for each kind of request, requests/s of all clients and p50, p99 and max in ms.

    One org holds *rows* orders; each client sends one request after the other for *seconds*. The
    org's CPU per request is in ms, too.
    """
    found: dict[str, dict[str, Any]] = {}
    with running_org() as (url, token, pid):
        org = psutil.Process(pid)
        with session(token) as http:
            for first in range(0, rows, PER_COLLECTION):
                send_collection(http, url, first, PER_COLLECTION)
        for name, send in REQUESTS.items():

            def client(number: int, send: Callable[[Aim], None] = send) -> list[float]:
                with session(token) as http:
                    aim = Aim(http, url, rows, Random(number))
                    send(aim)  # the connection is open, the org's caches are warm
                    return _timed(send, aim, seconds)

            cpu = sum(org.cpu_times()[:2])
            with ThreadPoolExecutor(clients) as pool:
                took = [t for times in pool.map(client, range(clients)) for t in times]
            cpu = sum(org.cpu_times()[:2]) - cpu
            found[name] = {
                "requests_per_s": round(len(took) / seconds, 1),
                **percentiles(took, 1e3),
                "org_cpu_ms": round(cpu / (len(took) + clients) * 1e3, 2),
            }
    return found


def _timed(send: Callable[[Aim], None], aim: Aim, seconds: float) -> list[float]:
    """Return how many seconds each request took, of those that began within *seconds*."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while (started := time.monotonic()) < until:
        send(aim)
        took.append(time.monotonic() - started)
    return took
