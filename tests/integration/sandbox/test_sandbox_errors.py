"""The form of refusals: which members they have, and in which words an empty body is refused."""

from typing import Any

import pytest
from ingest_jobs import KEY, ORDER

NO_BODY = "The HTTP entity body is required, but this request has no entity body."
UNREADABLE = {
    "a value of another type": {"Total__c": "a lot"},
    "a field that there is not": {"Shoe_Size__c": 43},
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_row_that_cannot_be_read_is_refused_without_fields(admin: Any, case: str) -> None:
    answer = admin.call("POST", f"sobjects/{ORDER}", json={KEY: "error", **UNREADABLE[case]})

    assert answer.status_code == 400
    assert [error.keys() for error in answer.json()] == [{"message", "errorCode"}]


@pytest.mark.parametrize("case", UNREADABLE)
def test_in_a_collection_such_a_row_has_fields_that_are_empty(admin: Any, case: str) -> None:
    (item,) = admin.upsert([{KEY: "error", **UNREADABLE[case]}]).json()

    assert [error["fields"] for error in item["errors"]] == [[]]


@pytest.mark.parametrize("body", [b"", b" \r\n"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"sobjects/{ORDER}"),
        ("PATCH", f"sobjects/{ORDER}/{KEY}/error"),
        ("PATCH", f"composite/sobjects/{ORDER}/{KEY}"),
        ("POST", "composite"),
        ("POST", "jobs/ingest"),
    ],
)
def test_a_request_without_a_body_is_told_so(
    admin: Any, method: str, path: str, body: bytes
) -> None:
    answer = admin.call(method, path, data=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json() == [{"message": NO_BODY, "errorCode": "JSON_PARSER_ERROR"}]
