"""sObject Collections create, update and retrieve: the guide's own examples, order, limits."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest

KEY, ORDER = "External_Id__c", "Commerce_Order__c"
ROLLED_BACK = {
    "statusCode": "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "message": (
        "Record rolled back because not all records were valid and the request was using AllOrNone"
        " header"
    ),
    "fields": [],
}
TOO_LONG = {
    "statusCode": "STRING_TOO_LONG",
    "message": "Currency: data value too large: EURO (max length=3)",
    "fields": ["Currency__c"],
}


def account(**values: object) -> dict[str, Any]:
    return {"attributes": {"type": "Account"}, **values}


def contact(**values: object) -> dict[str, Any]:
    return {"attributes": {"type": "Contact"}, **values}


def order(**values: object) -> dict[str, Any]:
    return {"attributes": {"type": ORDER}, **values}


def send(client: Any, method: str, *records: object, all_or_none: bool = False) -> Any:
    body = {"allOrNone": all_or_none, "records": list(records)}
    return client.call(method, "composite/sobjects", json=body)


def make(client: Any, *records: object) -> list[str]:
    items = send(client, "POST", *records, all_or_none=True).json()
    return [item["id"] for item in items]


def count(client: Any, pattern: str) -> int:
    total: int = client.query(f"SELECT Id FROM {ORDER} WHERE {KEY} LIKE '{pattern}'")["totalSize"]
    return total


def test_rows_of_different_objects_are_created_in_order_without_a_created_member(
    admin: Any,
) -> None:
    first = account(Name="example.com", BillingCity="San Francisco")
    second = contact(LastName="Johnson", FirstName="Erica")

    answer = send(admin, "POST", first, second)

    ids = [item["id"] for item in answer.json()]
    assert answer.status_code == 200
    assert answer.json() == [{"id": i, "success": True, "errors": []} for i in ids]
    assert [i[:3] for i in ids] == ["001", "003"]
    row = admin.call("GET", f"sobjects/Account/{ids[0]}").json()
    assert (row["Name"], row["BillingCity"]) == ("example.com", "San Francisco")


def test_a_record_that_cannot_be_created_fails_alone(admin: Any) -> None:
    records = [order(External_Id__c="ca-1", Currency__c="EURO"), order(External_Id__c="ca-2")]

    answer = send(admin, "POST", *records)

    bad, good = answer.json()
    assert bad == {"success": False, "errors": [TOO_LONG]}
    assert good["success"]


def test_all_or_none_over_several_objects_creates_nothing_and_shows_no_ids(admin: Any) -> None:
    records = [
        order(External_Id__c="cn-1"),
        account(Name="Rolled back"),
        order(External_Id__c="cn-2", Currency__c="EURO"),
    ]

    answer = send(admin, "POST", *records, all_or_none=True)

    taken_back = {"success": False, "errors": [ROLLED_BACK]}
    assert answer.json() == [taken_back, taken_back, {"success": False, "errors": [TOO_LONG]}]
    assert count(admin, "cn-%") == 0
    assert admin.query("SELECT Id FROM Account WHERE Name = 'Rolled back'")["totalSize"] == 0


def test_a_new_record_may_not_bring_an_id(admin: Any) -> None:
    (old,) = make(admin, account(Name="Old"))

    item = send(admin, "POST", account(id=old, Name="New")).json()[0]

    error = item["errors"][0]
    assert error["statusCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert (error["message"], error["fields"]) == ("cannot specify Id in an insert call", ["Id"])


def test_rows_of_different_objects_are_updated_by_their_ids(admin: Any) -> None:
    first, second = make(admin, account(Name="Big"), contact(LastName="Lead"))

    answer = send(
        admin, "PATCH", account(id=first, NumberOfEmployees=27000),
        contact(Id=second, Title="Lead Engineer"),
    )  # fmt: skip

    assert answer.json() == [
        {"id": first, "success": True, "errors": []},
        {"id": second, "success": True, "errors": []},
    ]
    assert admin.call("GET", f"sobjects/Account/{first}").json()["NumberOfEmployees"] == 27000
    assert admin.call("GET", f"sobjects/Contact/{second}").json()["Title"] == "Lead Engineer"


def test_each_record_that_names_no_row_fails_alone_with_its_reason(admin: Any) -> None:
    first, gone, twin = make(admin, contact(LastName="A"), contact(LastName="B"),
                             contact(LastName="C"))  # fmt: skip
    admin.call("DELETE", f"sobjects/Contact/{gone}")
    unknown = first[:6] + "zzzzzzzzz"
    ids = ["001xx000003DGb2999", gone, unknown, twin, twin[:15], None, first]

    items = send(admin, "PATCH", *(contact(id=i, Title="T") for i in ids)).json()

    errors = [(e["statusCode"], e["message"], e["fields"]) for i in items for e in i["errors"]]
    twice = "Duplicate id specified: "
    assert errors == [
        ("MALFORMED_ID", "Contact ID: id value of incorrect type: 001xx000003DGb2999", ["Id"]),
        ("ENTITY_IS_DELETED", "entity is deleted", []),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []),
        ("DUPLICATE_VALUE", twice + twin, ["Id"]),
        ("DUPLICATE_VALUE", twice + twin[:15], ["Id"]),
        ("MISSING_ARGUMENT", "Id not specified in an update call", []),
    ]
    assert [i["success"] for i in items] == [False] * 6 + [True]
    assert all("id" not in i for i in items[:6])


def test_an_update_that_is_rolled_back_keeps_the_ids_of_its_rows(admin: Any) -> None:
    first, second = make(admin, order(External_Id__c="ur-1", Currency__c="EUR"),
                         order(External_Id__c="ur-2", Currency__c="EUR"))  # fmt: skip

    answer = send(
        admin, "PATCH", order(id=first, Currency__c="GBP"), order(id=second, Currency__c="EURO"),
        all_or_none=True,
    )  # fmt: skip

    assert answer.json() == [
        {"id": first, "success": False, "errors": [ROLLED_BACK]},
        {"success": False, "errors": [TOO_LONG]},
    ]
    assert admin.call("GET", f"sobjects/{ORDER}/{first}").json()["Currency__c"] == "EUR"


def test_an_upsert_that_is_rolled_back_keeps_the_ids_of_the_rows_that_were_there(
    admin: Any,
) -> None:
    (old,) = make(admin, order(External_Id__c="up-1"))

    items = admin.upsert(
        [{KEY: "up-1"}, {KEY: "up-2"}, {KEY: "up-3", "Currency__c": "EURO"}], all_or_none=True
    ).json()

    assert items[0] == {"id": old, "success": False, "errors": [ROLLED_BACK]}
    assert items[1] == {"success": False, "errors": [ROLLED_BACK]}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_ten_runs_of_one_type_are_the_most(admin: Any, method: str) -> None:
    runs = [account(Name="A"), account(Name="B"), contact(LastName="C")]

    most = send(admin, method, *runs * 5)
    more = send(admin, method, *runs * 5, account(Name="D"))

    text = (
        "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce"
        " chunking."
    )
    assert (most.status_code, len(most.json())) == (200, 15)
    assert more.status_code == 400
    assert more.json() == [{"message": text, "errorCode": "LIMIT_EXCEEDED"}]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([account(Name="A")] * 201, "EXCEEDED_ID_LIMIT"),
        ([{"Name": "A"}], "INVALID_INPUT"),
        (["A"], "INVALID_INPUT"),
        ([{"attributes": {"type": "Nothing__c"}}], "INVALID_TYPE"),
    ],
)
def test_a_request_that_is_not_well_formed_is_refused_whole(
    admin: Any, method: str, records: list[object], code: str
) -> None:
    answer = send(admin, method, *records)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_200_rows_are_one_call(admin: Any) -> None:
    before = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]

    answer = send(admin, "POST", *(order(External_Id__c=f"one-{n}") for n in range(200)))

    after = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]
    assert before - after == 2  # the collection and the look at the limits
    assert all(item["success"] for item in answer.json())
    assert count(admin, "one-%") == 200


def shown(name: str, row: str) -> dict[str, Any]:
    url = f"/services/data/v62.0/sobjects/Account/{row}"
    return {"attributes": {"type": "Account", "url": url}, "Id": row, "Name": name}


def test_rows_are_read_in_the_order_of_the_ids_and_null_stands_for_what_is_not_there(
    admin: Any,
) -> None:
    acme, media, gone = make(
        admin, account(Name="Acme"), account(Name="Global Media"), account(Name="Gone")
    )
    admin.call("DELETE", f"sobjects/Account/{gone}")
    ids = [media, "001xx000003DGb9AAG", acme, gone, media[:15]]

    by_url = admin.call(
        "GET", "composite/sobjects/Account", params={"ids": ",".join(ids), "fields": "id,name"}
    )
    by_body = admin.call(
        "POST", "composite/sobjects/account", json={"ids": ids, "fields": ["id", "name"]}
    )

    there = shown("Global Media", media)
    assert by_url.status_code == by_body.status_code == 200
    assert by_url.json() == [there, None, shown("Acme", acme), None, there]
    assert by_body.json() == by_url.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ids": ["x"], "fields": ["Shoe_Size__c"]}, "INVALID_FIELD"),
        ({"ids": ["x"] * 2001, "fields": ["Id"]}, "EXCEEDED_ID_LIMIT"),
        ({"ids": [], "fields": ["Id"]}, "MISSING_ARGUMENT"),
        ({"ids": ["x"]}, "JSON_PARSER_ERROR"),
        ({"ids": [1], "fields": ["Id"]}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_retrieve_that_cannot_be_is_refused_whole(
    admin: Any, body: dict[str, Any], code: str
) -> None:
    answer = admin.call("POST", "composite/sobjects/Account", json=body)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_two_thousand_ids_may_be_read_at_once(admin: Any) -> None:
    (made,) = make(admin, account(Name="Many"))

    answer = admin.call(
        "POST", "composite/sobjects/Account", json={"ids": [made] * 2000, "fields": ["Name"]}
    )

    assert len(answer.json()) == 2000
    assert {row["Name"] for row in answer.json()} == {"Many"}


@pytest.mark.parametrize(
    ("version", "method", "path", "status"),
    [
        ("41.0", "POST", "composite/sobjects", 404),
        ("42.0", "POST", "composite/sobjects", 200),
        ("41.0", "DELETE", "composite/sobjects?ids=001", 404),
        ("42.0", "DELETE", "composite/sobjects?ids=001", 200),
        ("45.0", "PATCH", f"composite/sobjects/{ORDER}/{KEY}", 404),
        ("46.0", "PATCH", f"composite/sobjects/{ORDER}/{KEY}", 200),
    ],
)
def test_each_collections_resource_came_with_a_version(
    admin: Any, version: str, method: str, path: str, status: int
) -> None:
    url = f"{admin.org.url}/services/data/v{version}/{path}"

    answer = admin.http.request(method, url, json={"records": []}, timeout=30)

    assert answer.status_code == status
