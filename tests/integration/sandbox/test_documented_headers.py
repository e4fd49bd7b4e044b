"""Section 1.3, what headers ask of a row and of an answer: conditions, gzip, print, versions."""

import gzip
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from documented import (
    ACCOUNT,
    KEY,
    ORDER,
    at,
    create,
    made,
    read,
)


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)  # Mon, 30 Nov 2020 08:34:54 GMT


CONDITIONS = {
    "1.3 modified since": ("GET", "If-Modified-Since", 1, 200),
    "1.3 not modified since": ("GET", "If-Modified-Since", 0, 304),
    "1.3 unmodified since": ("PATCH", "If-Unmodified-Since", 0, 204),
    "1.3 not unmodified since": ("PATCH", "If-Unmodified-Since", 1, 412),
    "1.3 read, unmodified since": ("GET", "If-Unmodified-Since", 0, 200),
    "1.3 read, not unmodified since": ("GET", "If-Unmodified-Since", 1, 412),
}


@pytest.fixture(scope="module")
def settled(admin: Any) -> dict[str, str]:
    """Make a row for each case, and let the second pass in which they were made."""
    rows = {case: create(admin, ORDER, **{KEY: f"doc-if-{case}"}) for case in CONDITIONS}
    time.sleep(1.1)  # an HTTP date tells whole seconds
    return rows


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_row_follows_conditions_of_time(admin: Any, settled: dict[str, str], case: str) -> None:
    method, header, days_ago, status = CONDITIONS[case]
    row = settled[case]

    answer = admin.call(
        method,
        f"sobjects/{ORDER}/{row}",
        headers={header: http_date(datetime.now(UTC) - timedelta(days=days_ago))},
        json={"Currency__c": "EUR"} if method == "PATCH" else None,
    )

    assert answer.status_code == status
    written = method == "PATCH" and status == 204
    assert read(admin, ORDER, row, "Currency__c") == ["EUR" if written else None]


def test_1_3_an_account_follows_conditions_of_its_etag(admin: Any) -> None:
    path = f"sobjects/{ACCOUNT}/{create(admin, ACCOUNT, Name='Doc')}"
    tag = admin.call("GET", path).headers["ETag"]

    same = admin.call("GET", path, headers={"If-None-Match": tag})
    other = admin.call("PATCH", path, headers={"If-Match": '"other"'}, json={"Name": "Doc 2"})
    right = admin.call("PATCH", path, headers={"If-Match": tag}, json={"Name": "Doc 3"})
    late = admin.call("PATCH", path, headers={"If-Match": tag}, json={"Name": "Doc 4"})

    assert [a.status_code for a in (same, other, right, late)] == [304, 412, 204, 412]
    assert admin.call("GET", path).json()["Name"] == "Doc 3"


def test_1_3_bodies_may_be_gzip_both_ways(admin: Any) -> None:
    packed = gzip.compress(json.dumps({KEY: "doc-gzip"}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    row = made(admin.call("POST", f"sobjects/{ORDER}", data=packed, headers=headers))
    packed_answer = admin.call(
        "GET", f"sobjects/{ORDER}/describe", headers={"Accept-Encoding": "gzip"}
    )
    plain = admin.call("GET", f"sobjects/{ORDER}/describe", headers={"Accept-Encoding": "identity"})

    assert read(admin, ORDER, row, KEY) == ["doc-gzip"]
    assert packed_answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed_answer.json() == plain.json()


def test_1_3_pretty_print_indents(admin: Any) -> None:
    plain = admin.call("GET", "limits")
    pretty = admin.call("GET", "limits", headers={"X-PrettyPrint": "1"})

    assert "\n" not in plain.text.strip()
    assert "\n  " in pretty.text
    assert pretty.json().keys() == plain.json().keys()


def test_1_3_an_old_version_is_answered_with_a_warning(admin: Any) -> None:
    old, new = (at(admin, version, "GET", "sobjects") for version in ("31.0", "62.0"))

    assert old.headers["Warning"].startswith("299 ")
    assert "Warning" not in new.headers


@pytest.mark.parametrize(
    "header",
    [
        ("Sforce-Duplicate-Rule-Header", "allowSave=true; includeRecordDetails=true"),
        ("Sforce-Duplicate-Rule-Header", "allowSave=true; runAsCurrentUser=true"),
        ("Sforce-Auto-Assign", "false"),
        ("Sforce-Call-Options", "client=kafka-sink-eu"),
    ],
)
def test_1_3_a_documented_header_is_taken(admin: Any, header: tuple[str, str]) -> None:
    name, value = header

    answer = admin.call("POST", f"sobjects/{ACCOUNT}", json={"Name": "D"}, headers={name: value})

    assert made(answer)
