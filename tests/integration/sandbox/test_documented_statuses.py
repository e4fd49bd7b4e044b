"""Section 1.2, the statuses of HTTP, and the errors that come with load, locks and outages."""

import re
from typing import Any

import pytest
from documented import BASE, KEY, ORDER, at, code, create

from connectors.sandbox.faults.remote import Control

STATUSES: dict[str, tuple[tuple[str, str], dict[str, Any], int]] = {
    "1.2 405 method": (("DELETE", f"{BASE}/limits"), {}, 405),
    "1.2 410 version 7": (("GET", "/services/data/v7.0/"), {}, 410),
    "1.2 410 version 20": (("GET", "/services/data/v20.0/"), {}, 410),
    "1.2 410 version 21": (("GET", "/services/data/v21.0/limits"), {}, 410),
    "1.2 410 version 30": (("GET", "/services/data/v30.0/sobjects"), {}, 410),
    "1.2 200 version 31": (("GET", "/services/data/v31.0/sobjects"), {}, 200),
    "1.2 404 a version of the future": (("GET", "/services/data/v99.0/sobjects"), {}, 404),
    "1.2 415 a body that is no JSON": (
        ("POST", f"{BASE}/sobjects/{ORDER}"),
        {"data": "key=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        415,
    ),
    "1.2 414 a URI of more than 16,384 bytes": (
        ("GET", f"{BASE}/query?q=" + "x" * 16_384),
        {},
        414,
    ),
    "1.2 431 URI and headers of more than 16,384 bytes": (
        ("GET", f"{BASE}/limits"),
        {"headers": {f"X-Long-{n}": "x" * 4_000 for n in range(5)}},
        431,
    ),
    "1.2 200 URI and headers just below": (
        ("GET", f"{BASE}/limits"),
        {"headers": {f"X-Long-{n}": "x" * 3_000 for n in range(5)}},
        200,
    ),
    "1.2 400 a body that does not parse": (
        ("POST", f"{BASE}/sobjects/{ORDER}"),
        {"data": "{", "headers": {"Content-Type": "application/json"}},
        400,
    ),
}


@pytest.mark.parametrize("case", STATUSES)
def test_a_request_has_the_documented_status(org: Any, admin: Any, case: str) -> None:
    (method, path), options, status = STATUSES[case]

    answer = admin.http.request(method, f"{org.url}{path}", timeout=30, **options)

    assert answer.status_code == status
    if status >= 400 and answer.headers["Content-Type"].startswith("application/json"):
        assert answer.json()[0].keys() >= {"message", "errorCode"}


def test_1_2_a_long_uri_below_the_limit_is_taken(admin: Any) -> None:
    soql = f"SELECT Id FROM {ORDER} WHERE {KEY} = '{'x' * 15_000}'"  # noqa: S608 -- our own

    assert at(admin, "62.0", "GET", "query", params={"q": soql}).status_code == 200


LIMITS = {
    "daily": "TotalRequests Limit exceeded.",
    "concurrent": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    "long-transaction": "ConcurrentPerOrgLongTxn Limit exceeded.",
}


@pytest.mark.parametrize("limit", LIMITS)
def test_1_2_a_reached_limit_is_403_without_fields(plan: Control, client: Any, limit: str) -> None:
    plan.set([{"kind": "request-limit", "on": "any", "once": True, "limit": limit}])

    answer = client.call("GET", "limits")

    assert answer.status_code == 403
    assert answer.json() == [{"message": LIMITS[limit], "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_1_2_a_locked_row_is_400_and_names_the_row(plan: Control, client: Any) -> None:
    row = create(client, ORDER, **{KEY: "doc-lock"})
    plan.set([{"kind": "lock", "on": "any", "once": True}], wait_s=0.1)

    answer = client.call("PATCH", f"sobjects/{ORDER}/{row}", json={"Currency__c": "EUR"})

    assert code(answer) == (400, "UNABLE_TO_LOCK_ROW")
    assert re.fullmatch(
        rf"unable to obtain exclusive access to this record or 1 records: {row[:15]}(.{{3}})?",
        answer.json()[0]["message"],
    )


def test_1_2_a_locked_row_of_a_collection_fails_alone(plan: Control, client: Any) -> None:
    row = create(client, ORDER, **{KEY: "doc-lock-1"})
    plan.set([], wait_s=0.1)
    plan.hold(ORDER, "doc-lock-1", 5)

    locked, free = client.upsert([{KEY: "doc-lock-1"}, {KEY: "doc-lock-2"}]).json()

    (error,) = locked["errors"]
    assert error["statusCode"] == "UNABLE_TO_LOCK_ROW"
    assert row[:15] in error["message"]
    assert free["success"] is True


def test_1_2_an_unknown_exception_is_500_and_carries_an_error_id(
    plan: Control, client: Any
) -> None:
    plan.set([{"kind": "error-500-json", "on": "any", "once": True}])

    answer = client.call("GET", "limits")

    assert code(answer) == (500, "UNKNOWN_EXCEPTION")
    assert re.fullmatch(
        r"An unexpected error occurred\. Please include this ErrorId if you contact support:"
        r" \d+-\d+ \(-?\d+\)",
        answer.json()[0]["message"],
    )


@pytest.mark.parametrize("status", [500, 502, 503])
def test_1_2_a_5xx_body_may_be_html(plan: Control, client: Any, status: int) -> None:
    plan.set([{"kind": f"error-{status}", "on": "any", "once": True}])

    answer = client.call("GET", "limits")

    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html")


def test_1_2_a_race_of_two_upserts_is_a_duplicate_value(plan: Control, client: Any) -> None:
    plan.set([{"kind": "duplicate-race", "on": "collections", "once": True}])

    (item,) = client.upsert([{KEY: "doc-race"}]).json()

    (error,) = item["errors"]
    assert error["statusCode"] == "DUPLICATE_VALUE"
    assert re.fullmatch(
        rf"duplicate value found: {KEY} duplicates value on record with id: \w{{15,18}}",
        error["message"],
    )
