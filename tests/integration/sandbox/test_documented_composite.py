"""Section 1.5, composite and batch; tree and graph are in test_documented_trees."""

from typing import Any

import pytest
from documented import BASE, CUSTOMER, KEY, ORDER, at, create, total, used

HALTED = "PROCESSING_HALTED"
ROLLED_BACK = (
    "The transaction was rolled back since another operation in the same transaction failed."
)


def part(reference: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    item = {"method": method, "url": f"{BASE}/{path}", "referenceId": reference}
    return item if body is None else {**item, "body": body}


def make(reference: str, key: str, **fields: object) -> dict[str, Any]:
    return part(reference, "POST", f"sobjects/{ORDER}", {KEY: key, **fields})


def collection(reference: str, *records: dict[str, Any]) -> dict[str, Any]:
    typed = [{"attributes": {"type": ORDER}, **r} for r in records]
    body = {"allOrNone": False, "records": typed}
    return part(reference, "PATCH", f"composite/sobjects/{ORDER}/{KEY}", body)


def send(client: Any, *parts: dict[str, Any], **flags: bool) -> Any:
    return client.call("POST", "composite", json={**flags, "compositeRequest": list(parts)})


def answers(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    assert answer.json().keys() == {"compositeResponse"}
    assert all(i.keys() == {"body", "httpHeaders", "httpStatusCode", "referenceId"} for i in found)
    return found


def test_1_5_a_composite_answers_a_part_each_by_reference(admin: Any) -> None:
    there = create(admin, ORDER, **{KEY: "doc-comp-0"})
    soql = f"SELECT Id FROM {ORDER} WHERE {KEY}='doc-comp-0'"  # noqa: S608 -- our own
    parts = answers(
        send(
            admin,
            make("made", "doc-comp-1"),
            part("bad", "POST", f"sobjects/{ORDER}", {KEY: "doc-comp-2", "Currency__c": "EURO"}),
            part("read", "GET", f"query?q={soql.replace(' ', '+')}"),
            allOrNone=False,
            collateSubrequests=False,
        )
    )

    made, bad, read = parts
    assert [p["referenceId"] for p in parts] == ["made", "bad", "read"]
    assert [p["httpStatusCode"] for p in parts] == [201, 400, 200]
    row = made["body"]["id"]
    assert made["body"] == {"id": row, "success": True, "errors": []}
    assert made["httpHeaders"]["Location"].endswith(f"{BASE}/sobjects/{ORDER}/{row}")
    assert bad["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert (read["httpHeaders"], read["body"]["records"][0]["Id"]) == ({}, there)


def test_1_5_parts_may_have_headers_of_their_own(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-comp-header"})
    item = part("p", "PATCH", f"sobjects/{ORDER}/{row}", {"Currency__c": "EUR"})
    item["httpHeaders"] = {"If-Unmodified-Since": "Mon, 30 Nov 2020 08:34:54 GMT"}

    (only,) = answers(send(admin, item))

    assert only["httpStatusCode"] == 412
    assert total(admin, ORDER, f"{KEY} = 'doc-comp-header' AND Currency__c = 'EUR'") == 0


def test_1_5_a_reference_is_replaced_by_what_it_names(admin: Any) -> None:
    _, read, copy = answers(
        send(
            admin,
            make("ref", "doc-comp-ref", Currency__c="EUR"),
            part("read", "GET", f"sobjects/{ORDER}/@{{ref.id}}"),
            make("copy", "doc-comp-@{read.Currency__c}", First_Sku__c="@{ref.id}"),
        )
    )

    assert read["body"][KEY] == "doc-comp-ref"
    assert copy["httpStatusCode"] == 201
    sku = f"First_Sku__c = '{read['body']['Id']}'"
    assert total(admin, ORDER, f"{KEY} = 'doc-comp-EUR' AND {sku}") == 1


def test_1_5_a_part_that_needs_a_failed_one_is_halted_and_the_others_go_on(admin: Any) -> None:
    failed, dependent, other = answers(
        send(
            admin,
            make("failed", "doc-halt-1", Currency__c="EURO"),
            make("dependent", "doc-halt-2", First_Sku__c="@{failed.id}"),
            make("other", "doc-halt-3"),
            allOrNone=False,
        )
    )

    assert failed["httpStatusCode"] == 400
    assert dependent["httpStatusCode"] == 400
    assert dependent["body"][0]["errorCode"] == HALTED
    assert other["httpStatusCode"] == 201
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-halt-%'") == 1


def test_1_5_all_or_none_halts_every_other_part(admin: Any) -> None:
    before, failed, after = answers(
        send(
            admin,
            make("before", "doc-roll-1"),
            make("failed", "doc-roll-2", Currency__c="EURO"),
            make("after", "doc-roll-3"),
            allOrNone=True,
        )
    )

    assert [p["httpStatusCode"] for p in (before, failed, after)] == [400] * 3
    assert failed["body"][0]["errorCode"] == "STRING_TOO_LONG"
    for halted in (before, after):
        (error,) = halted["body"]
        assert (error["errorCode"], error["message"]) == (HALTED, ROLLED_BACK)
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-roll-%'") == 0


def test_1_5_the_outer_all_or_none_overrides_that_of_a_collection(admin: Any) -> None:
    answer = send(
        admin,
        collection("inner", {KEY: "doc-outer-1"}, {KEY: "doc-outer-2", "Currency__c": "EURO"}),
        make("other", "doc-outer-3"),
        allOrNone=True,
    )

    assert answer.status_code == 200
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-outer-%'") == 0


def test_1_5_five_collections_of_200_are_one_call(admin: Any) -> None:
    parts = [
        collection(f"c{n}", *({KEY: f"doc-thousand-{n}-{i}"} for i in range(200))) for n in range(5)
    ]
    before = used(admin)

    answer = send(admin, *parts, collateSubrequests=False)

    assert used(admin) - before == 2  # the call, and the look at the limits
    assert [row["created"] for p in answers(answer) for row in p["body"]] == [True] * 1000


REFUSED: dict[str, list[dict[str, Any]]] = {
    "1.5 26 subrequests": [make(f"p{n}", f"doc-26-{n}") for n in range(26)],
    "1.5 6 collections": [collection(f"p{n}", {KEY: f"doc-26-{n}"}) for n in range(6)],
    "1.5 6 queries": [
        make("made", "doc-26-0"),
        *(part(f"p{n}", "GET", f"query?q=SELECT+Id+FROM+{ORDER}+LIMIT+1") for n in range(6)),
    ],
    "1.5 a reference with a dash": [make("a", "doc-26-0"), make("b-c", "doc-26-1")],
    "1.5 a reference with a dot": [make("a", "doc-26-0"), make("b.c", "doc-26-1")],
}


@pytest.mark.parametrize("case", REFUSED)
def test_such_a_composite_is_refused_whole(admin: Any, case: str) -> None:
    answer = send(admin, *REFUSED[case])

    if answer.status_code != 400:  # the document does not say whether as a whole or each part
        assert {p["httpStatusCode"] for p in answers(answer)} == {400}
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-26-%'") == 0


def test_1_5_25_subrequests_are_taken(admin: Any) -> None:
    parts = answers(send(admin, *(make(f"p{n}", f"doc-25-{n}") for n in range(25))))

    assert {p["httpStatusCode"] for p in parts} == {201}


def batch(client: Any, *requests: dict[str, Any], halt: bool = False) -> Any:
    body = {"haltOnError": halt, "batchRequests": list(requests)}
    return client.call("POST", "composite/batch", json=body)


def insert(key: str, **fields: object) -> dict[str, Any]:
    url = f"v62.0/sobjects/{ORDER}"
    return {"method": "POST", "url": url, "richInput": {KEY: key, **fields}}


def test_1_5_a_batch_answers_a_status_and_a_result_each(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-batch"})
    url = f"v59.0/sobjects/{ORDER}/{row}"

    answer = batch(
        admin,
        {"method": "PATCH", "url": url, "richInput": {"Currency__c": "EUR"}},
        {"method": "GET", "url": f"{url}?fields=Currency__c"},
    )

    update, read = answer.json()["results"]
    assert (answer.status_code, answer.json()["hasErrors"]) == (200, False)
    assert update == {"statusCode": 204, "result": None}
    assert (read["statusCode"], read["result"]["Currency__c"]) == (200, "EUR")
    assert read["result"]["attributes"]["url"] == f"/services/data/{url}"


def test_1_5_a_batch_goes_on_after_an_error(admin: Any) -> None:
    answer = batch(admin, insert("doc-on-1", Currency__c="EURO"), insert("doc-on-2"))

    bad, good = answer.json()["results"]
    assert (answer.status_code, answer.json()["hasErrors"]) == (200, True)
    assert (bad["statusCode"], good["statusCode"]) == (400, 201)
    assert bad["result"][0]["errorCode"] == "STRING_TOO_LONG"


def test_1_5_a_batch_halts_on_an_error_if_it_is_told_to(admin: Any) -> None:
    answer = batch(
        admin,
        insert("doc-stop-1"),
        insert("doc-stop-2", Currency__c="EURO"),
        insert("doc-stop-3"),
        halt=True,
    )

    results = answer.json()["results"]
    assert (answer.status_code, answer.json()["hasErrors"]) == (200, True)
    assert [r["statusCode"] for r in results] == [201, 400, 412]
    assert results[2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-stop-%'") == 1  # and the first stays


def test_1_5_each_request_of_a_batch_counts(admin: Any) -> None:
    before = used(admin)

    batch(admin, *(insert(f"doc-count-{n}") for n in range(5)))

    assert used(admin) - before == 6  # five, and the look at the limits


@pytest.mark.parametrize(("size", "status"), [(25, 200), (26, 400)])
def test_1_5_a_batch_holds_25_requests(admin: Any, size: int, status: int) -> None:
    requests = [{"method": "GET", "url": f"v62.0/sobjects/{CUSTOMER}"} for _ in range(size)]

    assert batch(admin, *requests).status_code == status


def test_1_5_references_are_checked_from_version_52(admin: Any) -> None:
    item = make("with-dash", "doc-51")
    item["url"] = item["url"].replace("v62.0", "v51.0")

    answer = at(admin, "51.0", "POST", "composite", json={"compositeRequest": [item]})

    assert answer.status_code == 200
