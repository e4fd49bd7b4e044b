"""Composite Batch: the guide's own example, each request alone, halts, limits, API calls."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest

KEY, ORDER = "External_Id__c", "Commerce_Order__c"
HALTED = {
    "statusCode": 412,
    "result": [
        {
            "message": "Batch processing halted per request or because of an error.",
            "errorCode": "BATCH_PROCESSING_HALTED",
        }
    ],
}


def make_account(client: Any, name: str) -> str:
    made: str = client.call("POST", "sobjects/Account", json={"Name": name}).json()["id"]
    return made


def ask(method: str, path: str, body: object = None) -> dict[str, Any]:
    item: dict[str, Any] = {"method": method, "url": f"v62.0/{path}"}
    return item if body is None else {**item, "richInput": body}


def send(client: Any, *requests: dict[str, Any], **flags: bool) -> Any:
    return client.call("POST", "composite/batch", json={"batchRequests": list(requests), **flags})


def used(client: Any) -> int:
    left: int = client.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]
    return left


def test_a_row_is_updated_and_read_in_one_call(admin: Any) -> None:
    row = make_account(admin, "OldName")
    update = ask("PATCH", f"sobjects/account/{row}", {"Name": "NewName"})
    read = ask("GET", f"sobjects/account/{row}?fields=Name,BillingPostalCode")

    answer = send(admin, update, read)

    shown = {
        "attributes": {"type": "Account", "url": f"/services/data/v62.0/sobjects/Account/{row}"},
        "Name": "NewName",
        "BillingPostalCode": None,
        "Id": row,
    }
    assert answer.status_code == 200
    assert answer.json() == {
        "hasErrors": False,
        "results": [
            {"statusCode": 204, "result": None},
            {"statusCode": 200, "result": shown},
        ],
    }
    assert list(answer.json()["results"][1]["result"]) == list(shown)


def test_each_request_commits_and_an_error_stops_none_unless_it_is_asked_for(admin: Any) -> None:
    bad = ask("POST", f"sobjects/{ORDER}", {KEY: "b-bad", "Currency__c": "EURO"})
    good = [ask("POST", f"sobjects/{ORDER}", {KEY: f"b-{n}"}) for n in range(3)]

    answer = send(admin, good[0], bad, good[1]).json()
    halted = send(admin, bad, good[2], bad, haltOnError=True).json()

    assert answer["hasErrors"]
    assert [r["statusCode"] for r in answer["results"]] == [201, 400, 201]
    assert answer["results"][1]["result"][0]["errorCode"] == "STRING_TOO_LONG"
    assert halted["hasErrors"]
    assert halted["results"][1:] == [HALTED, HALTED]
    soql = f"SELECT {KEY} FROM {ORDER} WHERE {KEY} LIKE 'b-%' ORDER BY {KEY}"
    assert [r[KEY] for r in admin.query(soql)["records"]] == ["b-0", "b-1"]


def test_limits_and_queries_may_be_asked_and_a_reference_means_nothing(admin: Any) -> None:
    query = ask("GET", "query/?q=SELECT+Id+FROM+Account+WHERE+Name='@%7Bone.id%7D'")

    answer = send(admin, ask("GET", "limits"), query).json()

    assert "DailyApiRequests" in answer["results"][0]["result"]
    assert answer["results"][1] == {
        "statusCode": 200, "result": {"totalSize": 0, "done": True, "records": []},
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "/", "/services/data/", "services/data/"])
def test_a_url_may_begin_with_the_version(admin: Any, prefix: str) -> None:
    answer = send(admin, {"method": "GET", "url": f"{prefix}v40.0/sobjects/Account"}).json()

    assert answer["results"][0]["statusCode"] == 200


@pytest.mark.parametrize(
    "path", ["composite/sobjects?ids=001", "composite", "sobjects/Nothing__c", "nowhere"]
)
def test_what_cannot_be_asked_is_answered_in_its_place(admin: Any, path: str) -> None:
    answer = send(admin, ask("GET", "limits"), ask("DELETE", path)).json()

    assert [r["statusCode"] for r in answer["results"]] in ([200, 404], [200, 405])


def test_every_request_of_a_batch_counts_as_a_call(admin: Any) -> None:
    before = used(admin)

    send(admin, *[ask("GET", "sobjects")] * 5)

    assert before - used(admin) == 6  # five, and the look at the limits


def test_a_batch_goes_no_further_than_the_allowance(start_org: Any) -> None:
    client = start_org("--plain", "--api-calls", "3").login()

    answer = send(client, *[ask("GET", "sobjects")] * 5).json()

    assert [r["statusCode"] for r in answer["results"]] == [200, 200, 200, 403, 403]
    assert answer["results"][3]["result"] == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]


GOOD = ask("POST", f"sobjects/{ORDER}", {KEY: "batch-never"})


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ([], "JSON_PARSER_ERROR"),
        ({}, "JSON_PARSER_ERROR"),
        ({"batchRequests": [GOOD] * 26}, "LIMIT_EXCEEDED"),
        ({"batchRequests": [GOOD, {"url": "v62.0/limits"}]}, "JSON_PARSER_ERROR"),
        ({"batchRequests": [GOOD, {"method": "GET"}]}, "JSON_PARSER_ERROR"),
        (
            {"batchRequests": [GOOD, {**ask("GET", "limits"), "method": "LOOK"}]},
            "JSON_PARSER_ERROR",
        ),
        ({"batchRequests": [GOOD, {"method": "GET", "url": "limits"}]}, "JSON_PARSER_ERROR"),
        ({"batchRequests": [GOOD, {"method": "GET", "url": "v63.0/limits"}]}, "INVALID_INPUT"),
        ({"batchRequests": [GOOD, {"method": "GET", "url": "v33.0/limits"}]}, "INVALID_INPUT"),
        ({"batchRequests": [GOOD, {**GOOD, "binaryPartName": "file"}]}, "INVALID_INPUT"),
        ({"batchRequests": [GOOD], "haltOnError": "yes"}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_malformed_batch_is_refused_whole(admin: Any, document: object, code: str) -> None:
    answer = admin.call("POST", "composite/batch", json=document)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert admin.query(f"SELECT Id FROM {ORDER} WHERE {KEY} = 'batch-never'")["totalSize"] == 0
