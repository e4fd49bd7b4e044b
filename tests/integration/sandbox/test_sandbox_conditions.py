"""Conditional requests: 304 for what the client has, 412 for what changed behind its back."""

import time
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from uuid import uuid4

import pytest

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
BEFORE, AFTER = "Mon, 30 Nov 2020 08:34:54 GMT", "Thu, 30 Nov 2090 08:34:54 GMT"
SINCE, UNCHANGED = "If-Modified-Since", "If-Unmodified-Since"


def make(client: Any, sobject: str = ORDER, **fields: Any) -> str:
    if sobject == ORDER:
        fields = {KEY: uuid4().hex}
    answer = client.call("POST", f"sobjects/{sobject}", json=fields)
    assert answer.status_code == 201, answer.text
    return f"sobjects/{sobject}/{answer.json()['id']}"


@pytest.fixture(scope="module")
def row(admin: Any) -> str:
    """Make a row that the module's reads share."""
    return make(admin)


def test_a_row_says_when_it_was_last_changed(admin: Any, row: str) -> None:
    answer = admin.call("GET", row)

    changed = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert answer.headers["Last-Modified"].endswith(" GMT")
    assert changed.strftime("%Y-%m-%dT%H:%M:%S") == answer.json()["LastModifiedDate"][:19]
    assert "ETag" not in answer.headers


@pytest.mark.parametrize("path", ["sobjects", f"sobjects/{ORDER}/describe", "row"])
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({SINCE: BEFORE}, 200),
        ({SINCE: AFTER}, 304),
        ({UNCHANGED: BEFORE}, 412),
        ({UNCHANGED: AFTER}, 200),
        ({SINCE: "yesterday"}, 200),  # HTTP 1.1: what is no date is no condition
        ({UNCHANGED: "yesterday"}, 200),
    ],
)
def test_a_read_is_answered_only_under_its_conditions(
    admin: Any, row: str, path: str, header: dict[str, str], status: int
) -> None:
    answer = admin.call("GET", row if path == "row" else path, headers=header)

    assert answer.status_code == status
    if status == 304:
        assert answer.content == b""
        assert "Last-Modified" in answer.headers
    if status == 412:
        assert answer.json()[0]["errorCode"] == "PRECONDITION_FAILED"


def test_a_client_that_repeats_the_date_it_was_given_hears_304(admin: Any, row: str) -> None:
    for path in (row, f"sobjects/{ORDER}/describe", "sobjects"):
        given = admin.call("GET", path).headers["Last-Modified"]

        again = admin.call("GET", path, headers={SINCE: given})

        assert again.status_code == 304


def test_an_older_date_in_another_zone_is_read_as_the_moment_it_is(admin: Any, row: str) -> None:
    changed = parsedate_to_datetime(admin.call("GET", row).headers["Last-Modified"])
    text = format_datetime(changed).replace("+0000", "+0100")  # an hour earlier

    answer = admin.call("GET", row, headers={SINCE: text})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        (UNCHANGED, BEFORE, 412),
        (UNCHANGED, AFTER, 204),
        (UNCHANGED, "yesterday", 400),
        (SINCE, AFTER, 204),  # HTTP 1.1: a condition of reads
        (SINCE, "yesterday", 204),
    ],
)
def test_an_update_is_carried_out_only_under_its_conditions(
    admin: Any, header: str, value: str, status: int
) -> None:
    path = make(admin)

    answer = admin.call("PATCH", path, json={"Currency__c": "EUR"}, headers={header: value})

    assert answer.status_code == status
    written = admin.call("GET", path).json()["Currency__c"]
    assert written == ("EUR" if status == 204 else None)


def test_a_delete_takes_no_conditions(admin: Any) -> None:
    answer = admin.call("DELETE", make(admin), headers={UNCHANGED: BEFORE})

    assert answer.status_code == 204


def test_a_subrequest_of_a_composite_has_conditions_of_its_own(admin: Any) -> None:
    path = make(admin)
    url = f"/services/data/v62.0/{path}"
    part = {"method": "PATCH", "url": url, "body": {"Currency__c": "EUR"}}
    parts = [
        {**part, "referenceId": "late", "httpHeaders": {UNCHANGED: BEFORE}},
        {**part, "referenceId": "good", "httpHeaders": {UNCHANGED: AFTER}},
    ]

    answer = admin.call("POST", "composite", json={"compositeRequest": parts})

    statuses = [r["httpStatusCode"] for r in answer.json()["compositeResponse"]]
    assert statuses == [412, 204]


def test_an_account_has_a_tag_that_changes_with_it(admin: Any) -> None:
    path = make(admin, "Account", Name="Tagged")

    first, same = (admin.call("GET", path).headers["ETag"] for _ in range(2))
    admin.call("PATCH", path, json={"Name": "Tagged anew"})
    other = admin.call("GET", path).headers["ETag"]

    twin = admin.call("GET", make(admin, "Account", Name="Tagged anew")).headers["ETag"]
    assert first == same != other
    assert twin != other
    assert first.startswith('"')
    assert first.endswith('--gzip"')


@pytest.mark.parametrize(
    ("method", "header", "has_it", "status"),
    [
        ("GET", "If-Match", True, 200),
        ("GET", "If-Match", False, 412),
        ("GET", "If-None-Match", True, 304),
        ("GET", "If-None-Match", False, 200),
        ("PATCH", "If-Match", True, 204),
        ("PATCH", "If-Match", False, 412),
        ("PATCH", "If-None-Match", True, 412),
        ("PATCH", "If-None-Match", False, 204),
    ],
)
def test_tags_are_conditions_of_accounts(
    admin: Any, method: str, header: str, has_it: bool, status: int
) -> None:
    path = make(admin, "Account", Name="Tagged")
    tag = admin.call("GET", path).headers["ETag"] if has_it else '"another--gzip"'
    body = {"json": {"Name": "Changed"}} if method == "PATCH" else {}

    answer = admin.call(method, path, headers={header: f'"one--gzip", {tag}'}, **body)

    assert answer.status_code == status


@pytest.mark.parametrize("sobject", [ORDER, "Contact"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_tags_are_no_conditions_of_other_objects(admin: Any, method: str, sobject: str) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    path = make(admin, sobject, LastName="Untagged")

    answer = admin.call(method, path, headers={"If-Match": '"another"'}, **body)

    assert answer.status_code in {200, 204}


def test_a_describe_that_was_made_later_is_sent_again(start_org: Any) -> None:
    first = start_org("--plain")
    seen = first.login().call("GET", "sobjects").headers["Last-Modified"]
    first.stop()
    time.sleep(1.1)  # a date has whole seconds

    again = start_org("--plain").login().call("GET", "sobjects", headers={SINCE: seen})

    assert again.status_code == 200
