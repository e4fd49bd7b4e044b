"""Composite Graph: the guide's own examples, any order, each graph all or none, limits."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest

BASE = "/services/data/v62.0"
HALTED = "The transaction was rolled back since another operation in the same transaction failed."


def node(reference: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    item = {"method": method, "url": f"{BASE}/{path}", "referenceId": reference}
    return item if body is None else {**item, "body": body}


def account(reference: str, name: str, **values: object) -> dict[str, Any]:
    return node(reference, "POST", "sobjects/Account/", {"name": name, **values})


def contact(reference: str, of: str, **values: object) -> dict[str, Any]:
    body = {"LastName": reference, "AccountId": f"@{{{of}.id}}", **values}
    return node(reference, "POST", "sobjects/Contact/", body)


def graph(name: str, *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"graphId": name, "compositeRequest": list(nodes)}


def send(client: Any, *graphs: dict[str, Any]) -> Any:
    return client.call("POST", "composite/graph", json={"graphs": list(graphs)})


def parts(item: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = item["graphResponse"]["compositeResponse"]
    return found


def total(client: Any, name: str) -> int:
    found: int = client.query(f"SELECT Id FROM Account WHERE Name LIKE '{name}'")["totalSize"]
    return found


def test_graphs_create_related_rows_and_answer_each_with_its_nodes(admin: Any) -> None:
    first = graph(
        "1",
        account("reference_id_account_1", "Cloudy Consulting"),
        contact("reference_id_contact_1", "reference_id_account_1", FirstName="Nellie"),
    )
    second = graph("2", account("reference_id_account_2", "Easy Spaces"))

    answer = send(admin, first, second)

    one, two = answer.json()["graphs"]
    made, linked = (part["body"]["id"] for part in parts(one))
    assert answer.status_code == 200
    assert one == {
        "graphId": "1",
        "graphResponse": {
            "compositeResponse": [
                {
                    "body": {"id": made, "success": True, "errors": []},
                    "httpHeaders": {"Location": f"{BASE}/sobjects/Account/{made}"},
                    "httpStatusCode": 201,
                    "referenceId": "reference_id_account_1",
                },
                {
                    "body": {"id": linked, "success": True, "errors": []},
                    "httpHeaders": {"Location": f"{BASE}/sobjects/Contact/{linked}"},
                    "httpStatusCode": 201,
                    "referenceId": "reference_id_contact_1",
                },
            ]
        },
        "isSuccessful": True,
    }
    assert (two["graphId"], two["isSuccessful"]) == ("2", True)
    assert admin.call("GET", f"sobjects/Contact/{linked}").json()["AccountId"] == made


def test_a_node_may_stand_before_the_one_it_refers_to(admin: Any) -> None:
    chief = contact("chief", "acme")
    clerk = contact("clerk", "acme", ReportsToId="@{chief.id}")

    answer = send(admin, graph("any", clerk, chief, account("acme", "Acme of any order")))

    items = parts(answer.json()["graphs"][0])
    assert [i["httpStatusCode"] for i in items] == [201] * 3
    assert [i["referenceId"] for i in items] == ["clerk", "chief", "acme"]
    row = admin.call("GET", f"sobjects/Contact/{items[0]['body']['id']}").json()
    assert row["ReportsToId"] == items[1]["body"]["id"]


def test_rows_are_read_changed_upserted_and_deleted_in_a_graph(admin: Any) -> None:
    made = admin.call("POST", "sobjects/Account", json={"Name": "Read me"}).json()["id"]
    read = node("read", "GET", f"sobjects/Account/{made}?fields=Name")
    change = node("change", "PATCH", f"sobjects/Account/{made}", {"Site": "@{read.Name}"})
    path = "sobjects/Commerce_Order__c/External_Id__c/graph-1"
    upsert = node("upsert", "PATCH", path, {"First_Sku__c": "@{read.Id}"})
    drop = node("drop", "DELETE", "sobjects/Commerce_Order__c/@{upsert.id}")

    answer = send(admin, graph("rows", read, change, upsert, drop))

    items = parts(answer.json()["graphs"][0])
    assert [i["httpStatusCode"] for i in items] == [200, 204, 201, 204]
    assert admin.call("GET", f"sobjects/Account/{made}").json()["Site"] == "Read me"


def test_a_graph_with_a_node_that_fails_is_taken_back_and_the_others_are_kept(
    admin: Any,
) -> None:
    good = graph("good", account("a", "Graph kept"))
    bad = graph(
        "bad", account("a", "Graph taken back"), account("b", "Graph", Phone="1" * 41),
        contact("c", "b"),
    )  # fmt: skip

    answer = send(admin, bad, good)

    one, two = answer.json()["graphs"]
    halted = [{"message": HALTED, "errorCode": "PROCESSING_HALTED"}]
    assert (one["isSuccessful"], two["isSuccessful"]) == (False, True)
    assert [i["httpStatusCode"] for i in parts(one)] == [400] * 3
    assert parts(one)[1]["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert [parts(one)[at]["body"] for at in (0, 2)] == [halted, halted]
    assert total(admin, "Graph taken back") == 0
    assert total(admin, "Graph kept") == 1


def test_a_graph_cannot_refer_to_another(admin: Any) -> None:
    one = graph("one", account("acme", "Graph one"))
    two = graph("two", contact("lonely", "acme"))

    answer = send(admin, one, two)

    found = answer.json()["graphs"][1]
    assert not found["isSuccessful"]
    assert parts(found)[0]["body"][0]["errorCode"] == "PROCESSING_HALTED"


def test_after_fourteen_failed_graphs_one_more_halts_the_rest(admin: Any) -> None:
    def bad(name: str) -> dict[str, Any]:
        return graph(name, account("a", "Graph", Phone="1" * 41))

    fourteen = [bad(f"b{n}") for n in range(14)]

    goes_on = send(admin, *fourteen, graph("next", account("a", "Graph goes on")))
    halts = send(
        admin, *fourteen, bad("b14"), graph("next", account("a", "Graph never"), contact("c", "a"))
    )

    found = halts.json()["graphs"]
    assert goes_on.json()["graphs"][14]["isSuccessful"]
    assert parts(found[14])[0]["body"][0]["errorCode"] == "STRING_TOO_LONG"
    assert not found[15]["isSuccessful"]
    codes = [(i["httpStatusCode"], i["body"][0]["errorCode"]) for i in parts(found[15])]
    assert codes == [(400, "PROCESSING_HALTED")] * 2
    assert total(admin, "Graph never") == 0


@pytest.mark.parametrize(
    "path",
    [
        "query?q=SELECT+Id+FROM+Account",
        "sobjects/Account/describe",
        "composite/sobjects/Account?ids=001&fields=Id",
    ],
)
def test_only_rows_can_be_nodes(admin: Any, path: str) -> None:
    answer = send(admin, graph("g", node("a", "GET", path)))

    (item,) = parts(answer.json()["graphs"][0])
    assert (item["httpStatusCode"], item["body"][0]["errorCode"]) == (404, "NOT_FOUND")


def chain(length: int) -> dict[str, Any]:
    nodes = [account("a1", "Graph chain")]
    nodes += [
        account(f"a{n}", "Graph chain", ParentId=f"@{{a{n - 1}.id}}") for n in range(2, length + 1)
    ]
    return graph("chain", *nodes)


def test_fifteen_levels_are_the_most(admin: Any) -> None:
    most, more = send(admin, chain(15)), send(admin, chain(16))

    assert most.json()["graphs"][0]["isSuccessful"]
    assert more.status_code == 400
    assert more.json()[0]["errorCode"] == "LIMIT_EXCEEDED"


def test_five_hundred_nodes_are_one_call(admin: Any) -> None:
    nodes = [account(f"a{n}", "Graph many") for n in range(500)]
    before = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]

    answer = send(admin, *(graph(f"g{n}", *nodes[n * 10 : n * 10 + 10]) for n in range(50)))

    after = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]
    assert before - after == 2  # the graphs and the look at the limits
    assert all(g["isSuccessful"] for g in answer.json()["graphs"])
    assert total(admin, "Graph many") == 500


SOME = account("a", "Graph refused")
VERSIONS = [
    {**node(f"v{n}", "GET", ""), "url": f"/services/data/v{n}.0/sobjects/Account/001"}
    for n in range(50, 66)
]


@pytest.mark.parametrize(
    ("graphs", "code"),
    [
        ([graph(f"g{n}", SOME) for n in range(76)], "LIMIT_EXCEEDED"),
        ([graph("g", *(account(f"a{n}", "Graph refused") for n in range(501)))], "LIMIT_EXCEEDED"),
        ([graph("g", *VERSIONS)], "LIMIT_EXCEEDED"),
        ([graph("g", SOME), graph("g", SOME)], "INVALID_INPUT"),
        ([graph("g", SOME, SOME)], "INVALID_INPUT"),
        ([graph("a.b", SOME)], "JSON_PARSER_ERROR"),
        ([graph("-a", SOME)], "JSON_PARSER_ERROR"),
        ([graph("a" * 40, SOME)], "JSON_PARSER_ERROR"),
        ([graph("g", contact("a", "b"), contact("b", "a"))], "CIRCULAR_OBJECT_GRAPH"),
        ([graph("g", {**SOME, "url": "/services/data/v49.0/sobjects/Account"})], "INVALID_INPUT"),
        (["g"], "JSON_PARSER_ERROR"),
        ([{"graphId": "g"}], "JSON_PARSER_ERROR"),
        ({}, "JSON_PARSER_ERROR"),
    ],
)
def test_malformed_graphs_are_refused_whole(admin: Any, graphs: object, code: str) -> None:
    answer = admin.call("POST", "composite/graph", json={"graphs": graphs})

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert total(admin, "Graph refused") == 0
