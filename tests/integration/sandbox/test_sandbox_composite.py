"""Composite: one call, references, order, halts, and one transaction if it is asked for."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest

KEY, ORDER, CUSTOMER = "External_Id__c", "Commerce_Order__c", "Commerce_Customer__c"
BASE = "/services/data/v62.0"
HALTED = [
    {
        "message": (
            "The transaction was rolled back since another operation in the same transaction"
            " failed."
        ),
        "errorCode": "PROCESSING_HALTED",
    }
]


def part(reference: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    item = {"method": method, "url": f"{BASE}/{path}", "referenceId": reference}
    return item if body is None else {**item, "body": body}


def upsert(reference: str, *records: dict[str, Any], sobject: str = ORDER) -> dict[str, Any]:
    typed = [{"attributes": {"type": sobject}, **r} for r in records]
    body = {"allOrNone": False, "records": typed}
    return part(reference, "PATCH", f"composite/sobjects/{sobject}/{KEY}", body)


def send(client: Any, *parts: dict[str, Any], **flags: bool) -> Any:
    return client.call("POST", "composite", json={"compositeRequest": list(parts), **flags})


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    return found


def count(client: Any, pattern: str) -> int:
    total: int = client.query(f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE '{pattern}'")["totalSize"]
    return total


def test_a_thousand_upserts_are_one_call_answered_in_order(admin: Any) -> None:
    parts = [upsert(f"p{n}", *({KEY: f"thousand-{n}-{i}"} for i in range(200))) for n in range(5)]
    before = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]

    answer = items(send(admin, *parts, collateSubrequests=False))

    after = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]
    assert before - after == 2  # the composite and the look at the limits
    assert [i["referenceId"] for i in answer] == [f"p{n}" for n in range(5)]
    assert all(i["httpStatusCode"] == 200 and i["httpHeaders"] == {} for i in answer)
    assert [len(i["body"]) for i in answer] == [200] * 5
    assert all(row["created"] for i in answer for row in i["body"])
    assert count(admin, "thousand-%") == 1000


def test_a_part_may_refer_to_answers_before_it(admin: Any) -> None:
    make = part("made", "POST", f"sobjects/{ORDER}", {KEY: "ref-1", "Currency__c": "EUR"})
    read = part("read", "GET", f"sobjects/{ORDER}/@{{made.id}}?fields=Currency__c")
    copy = upsert("copy", {KEY: "ref-2-@{read.Currency__c}", "First_Sku__c": "@{made.id}"})
    seek = part("seek", "GET", f"query?q=SELECT+Id+FROM+{ORDER}+WHERE+Id='@{{copy[0].id}}'")
    gone = part("gone", "DELETE", f"sobjects/{ORDER}/@{{seek.records[0].Id}}")

    answer = items(send(admin, make, read, copy, seek, gone))

    made = answer[0]["body"]["id"]
    assert [i["httpStatusCode"] for i in answer] == [201, 200, 200, 200, 204]
    assert answer[0]["httpHeaders"] == {"Location": f"{BASE}/sobjects/{ORDER}/{made}"}
    assert answer[1]["body"]["Currency__c"] == "EUR"
    assert answer[4]["body"] is None
    assert count(admin, "ref-%") == 1


def test_a_part_that_needs_a_refused_one_is_halted_and_the_others_go_on(admin: Any) -> None:
    bad = part("bad", "POST", f"sobjects/{ORDER}", {KEY: "halt-1", "Currency__c": "EURO"})
    needs = part("needs", "GET", f"sobjects/{ORDER}/@{{bad.id}}")
    free = upsert("free", {KEY: "halt-2"})

    answer = items(send(admin, bad, needs, free))

    text = (
        "Invalid reference specified. No value for bad.id found in bad. Provided referenceId"
        " ('bad.id') must start with a letter or a number, and it can contain only letters, numbers"
        " and underscores ('_')."
    )
    assert [i["httpStatusCode"] for i in answer] == [400, 400, 200]
    assert answer[0]["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert answer[1]["body"] == [{"message": text, "errorCode": "PROCESSING_HALTED"}]
    assert count(admin, "halt-%") == 1


def test_all_or_none_takes_every_part_back(admin: Any) -> None:
    first = upsert("first", {KEY: "whole-1"})
    seen = part("seen", "GET", f"query?q=SELECT+Id+FROM+{ORDER}+WHERE+{KEY}='whole-1'")
    bad = part("bad", "POST", f"sobjects/{ORDER}", {KEY: "whole-2", "Currency__c": "EURO"})
    last = upsert("last", {KEY: "whole-3"})

    answer = items(send(admin, first, seen, bad, last, allOrNone=True, collateSubrequests=False))

    assert [i["httpStatusCode"] for i in answer] == [400] * 4
    assert answer[2]["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert [answer[at]["body"] for at in (0, 1, 3)] == [HALTED] * 3
    assert count(admin, "whole-%") == 0


def test_all_or_none_ends_with_the_first_part_that_fails(admin: Any) -> None:
    bad = [
        part(f"bad{n}", "POST", f"sobjects/{ORDER}", {KEY: f"ends-{n}", "Currency__c": "EURO"})
        for n in range(2)
    ]

    answer = items(send(admin, *bad, allOrNone=True))

    assert answer[0]["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert answer[1]["body"] == HALTED


def test_nothing_of_a_refused_answer_can_be_referred_to(admin: Any) -> None:
    bad = part("bad", "POST", f"sobjects/{ORDER}", {KEY: "none", "Currency__c": "EURO"})
    needs = upsert("needs", {KEY: "refused-@{bad[0].errorCode}"})

    answer = items(send(admin, bad, needs))

    assert answer[1]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert count(admin, "refused-%") == 0


def test_the_outer_all_or_none_overrides_the_inner_one(admin: Any) -> None:
    first = upsert("first", {KEY: "outer-1"})
    mixed = upsert("mixed", {KEY: "outer-2"}, {KEY: "outer-3", "Currency__c": "EURO"})

    answer = items(send(admin, first, mixed, allOrNone=True))

    assert [i["httpStatusCode"] for i in answer] == [400, 200]
    assert [row["success"] for row in answer[1]["body"]] == [True, False]  # and yet not written
    assert count(admin, "outer-%") == 0


def test_all_or_none_sees_its_own_writes_and_keeps_them_when_all_is_well(admin: Any) -> None:
    first = upsert("first", {KEY: "own-1"})
    seen = part("seen", "GET", f"query?q=SELECT+Id+FROM+{ORDER}+WHERE+{KEY}='own-1'")
    drop = part("drop", "DELETE", "composite/sobjects?ids=@{seen.records[0].Id}&allOrNone=false")
    other = upsert("other", {KEY: "own-2"}, sobject=CUSTOMER)

    answer = items(send(admin, first, seen, drop, other, allOrNone=True, collateSubrequests=False))

    assert [i["httpStatusCode"] for i in answer] == [200] * 4
    assert answer[1]["body"]["totalSize"] == 1
    assert answer[2]["body"][0]["id"] == answer[0]["body"][0]["id"]
    assert count(admin, "own-1") == 0


def test_collated_parts_of_one_kind_go_first_unless_a_reference_holds_them(admin: Any) -> None:
    first = upsert("first", {KEY: "col-1"})
    seen = part("seen", "GET", f"query?q=SELECT+COUNT()+FROM+{ORDER}+WHERE+{KEY}+LIKE+'col-%'")
    other = upsert("other", {KEY: "col-2"})

    collated = items(send(admin, first, seen, other))
    held = items(send(admin, first, seen, upsert("other", {KEY: "col-3-@{seen.totalSize}"})))
    in_order = items(send(admin, seen, upsert("other", {KEY: "col-4"}), collateSubrequests=False))

    assert collated[1]["body"]["totalSize"] == 2
    assert held[1]["body"]["totalSize"] == 2
    assert in_order[0]["body"]["totalSize"] == 3
    assert [i["referenceId"] for i in collated] == ["first", "seen", "other"]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (
            [part(f"p{n}", "GET", "sobjects") for n in range(26)],
            "The request can\u2019t contain more than 25 operations.",
        ),
        (
            [part(f"p{n}", "GET", f"query?q=SELECT+Id+FROM+{ORDER}") for n in range(6)],
            "The request can\u2019t contain more than 5 sObject Collections or query operations.",
        ),
    ],
)
def test_too_many_parts_are_refused_and_none_is_carried_out(
    admin: Any, parts: list[dict[str, Any]], text: str
) -> None:
    answer = items(send(admin, *parts))

    assert answer == [
        {
            "body": [{"message": text, "errorCode": "LIMIT_EXCEEDED"}],
            "httpHeaders": {},
            "httpStatusCode": 400,
            "referenceId": None,
        }
    ]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        ([], "JSON_PARSER_ERROR"),
        ({"compositeRequest": [{"method": "GET", "url": "/x"}]}, "JSON_PARSER_ERROR"),
        ({"compositeRequest": [part("a[1]", "GET", "sobjects")]}, "JSON_PARSER_ERROR"),
        ({"compositeRequest": [part("a", "TRACE", "sobjects")]}, "JSON_PARSER_ERROR"),
        ({"compositeRequest": [part("a", "GET", "sobjects")] * 2}, "INVALID_INPUT"),
        ({"compositeRequest": [], "allOrNone": "yes"}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_malformed_composite_is_refused_whole(admin: Any, document: object, code: str) -> None:
    answer = admin.call("POST", "composite", json=document)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_what_may_not_be_a_part_is_answered_in_its_place(admin: Any) -> None:
    parts = [
        part("nested", "POST", "composite", {"compositeRequest": []}),
        part("wrong", "POST", f"composite/sobjects/{ORDER}/{KEY}", {}),
        {"method": "GET", "url": "/services/data/v20.0/sobjects", "referenceId": "retired"},
        {"method": "GET", "url": "https://elsewhere.example/", "referenceId": "away"},
        {"method": "GET", "url": "//[", "referenceId": "nonsense"},
    ]

    answer = items(send(admin, *parts))

    assert [i["httpStatusCode"] for i in answer] == [404, 405, 410, 404, 404]
