"""sObject Tree: the guide's own examples, parents linked, all or none, limits."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest


def record(kind: str, reference: str, **values: object) -> dict[str, Any]:
    return {"attributes": {"type": kind, "referenceId": reference}, **values}


def account(reference: str, **values: object) -> dict[str, Any]:
    return record("Account", reference, **{"name": f"Tree {reference}", **values})


def contact(reference: str, **values: object) -> dict[str, Any]:
    return record("Contact", reference, **{"lastname": f"Tree {reference}", **values})


def rows(*records: dict[str, Any]) -> dict[str, Any]:
    return {"records": list(records)}


def send(client: Any, *records: object, sobject: str = "Account") -> Any:
    return client.call("POST", f"composite/tree/{sobject}/", json={"records": list(records)})


def nothing_of(client: Any, name: str) -> bool:
    total: int = client.query(f"SELECT Id FROM Account WHERE Name = '{name}'")["totalSize"]
    return total == 0


GUIDE = (
    account(
        "ref1", name="SampleAccount1", phone="1234567890", website="www.salesforce.com",
        numberOfEmployees="100", industry="Banking",
        Contacts=rows(
            contact("ref2", lastname="Smith", Title="President", email="sample@salesforce.com"),
            contact("ref3", lastname="Evans", title="Vice President", email="s@salesforce.com"),
        ),
    ),
    account(
        "ref4", name="SampleAccount2", phone="1234567890",
        childAccounts=rows(account("ref5", name="SampleChildAccount1", industry="Banking")),
        Contacts=rows(contact("ref6", lastname="Jones", title="President")),
    ),
)  # fmt: skip


def test_nested_records_are_created_and_linked_and_listed_level_by_level(admin: Any) -> None:
    answer = send(admin, *GUIDE)

    found = answer.json()
    assert answer.status_code == 201
    assert found["hasErrors"] is False
    assert [r["referenceId"] for r in found["results"]] == [
        "ref1", "ref4", "ref2", "ref3", "ref5", "ref6",
    ]  # fmt: skip
    assert all(list(r) == ["referenceId", "id"] for r in found["results"])
    ids = {r["referenceId"]: r["id"] for r in found["results"]}
    links = {
        name: admin.call("GET", f"sobjects/{of}/{ids[name]}").json()[field]
        for name, of, field in [
            ("ref2", "Contact", "AccountId"),
            ("ref3", "Contact", "AccountId"),
            ("ref5", "Account", "ParentId"),
            ("ref6", "Contact", "AccountId"),
        ]
    }
    assert links == {
        "ref2": ids["ref1"], "ref3": ids["ref1"], "ref5": ids["ref4"], "ref6": ids["ref4"],
    }  # fmt: skip


def test_records_of_one_object_need_no_children(admin: Any) -> None:
    answer = send(admin, *(account(f"ref{n}") for n in range(200)))

    assert answer.status_code == 201
    assert len(answer.json()["results"]) == 200


def test_one_record_that_fails_takes_all_back_and_is_the_only_one_listed(admin: Any) -> None:
    bad = contact("ref2", email="123")
    tree = account("ref1", name="Taken back", Contacts=rows(bad, contact("ref3")))

    answer = send(admin, tree)

    assert answer.status_code == 400
    assert answer.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "ref2",
                "errors": [
                    {
                        "statusCode": "INVALID_EMAIL_ADDRESS",
                        "message": "Email: invalid email address: 123",
                        "fields": ["Email"],
                    }
                ],
            }
        ],
    }
    assert nothing_of(admin, "Taken back")


def test_every_instance_of_a_reference_id_that_comes_twice_is_listed(admin: Any) -> None:
    answer = send(admin, account("one", name="Twice"), account("two"), account("one"))

    error = {
        "statusCode": "INVALID_INPUT",
        "message": "Duplicate ReferenceId provided in the request.",
        "fields": [],
    }
    assert answer.status_code == 400
    assert answer.json()["results"] == [{"referenceId": "one", "errors": [error]}] * 2
    assert nothing_of(admin, "Twice")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            record("Account", "", Name="Wrong"),
            "Include a reference ID for each record in the request.",
        ),
        (contact("root"), "Record type Contact does not match its place, one of Account"),
        (
            account("root", name="Wrong", Contacts=rows(account("child"))),
            "Record type Account does not match its place, one of Contact",
        ),
    ],
)
def test_a_record_out_of_place_or_without_a_reference_id_is_refused(
    admin: Any, tree: dict[str, Any], message: str
) -> None:
    answer = send(admin, tree)

    (result,) = answer.json()["results"]
    assert answer.status_code == 400
    assert (result["errors"][0]["statusCode"], result["errors"][0]["message"]) == (
        "INVALID_INPUT", message,
    )  # fmt: skip
    assert nothing_of(admin, "Wrong")


def test_children_of_no_known_relationship_are_an_unknown_field(admin: Any) -> None:
    answer = send(admin, account("root", Pets=rows(record("Pet__c", "pet"))))

    (error,) = answer.json()["results"][0]["errors"]
    assert error["statusCode"] == "INVALID_FIELD"
    assert error["message"] == "No such column 'Pets' on sobject of type Account"


def deep(levels: int) -> dict[str, Any]:
    tree = account(f"level{levels}")
    for level in range(levels - 1, 0, -1):
        tree = account(f"level{level}", ChildAccounts=rows(tree))
    return tree


def test_five_levels_are_the_most(admin: Any) -> None:
    most, more = send(admin, deep(5)), send(admin, deep(6))

    assert most.status_code == 201
    assert more.status_code == 400
    assert more.json()[0]["errorCode"] == "LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"records": [account(f"r{n}", name="Never") for n in range(201)]}, "LIMIT_EXCEEDED"),
        (
            {
                "records": [
                    account(
                        "r", name="Never", Contacts=rows(*(contact(f"c{n}") for n in range(200)))
                    )
                ]
            },
            "LIMIT_EXCEEDED",
        ),
        ({}, "JSON_PARSER_ERROR"),
        ([], "JSON_PARSER_ERROR"),
        ({"records": ["a"]}, "JSON_PARSER_ERROR"),
        ({"records": [{"Name": "Never"}]}, "JSON_PARSER_ERROR"),
        ({"records": [{"attributes": {"referenceId": "r"}}]}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_malformed_tree_is_refused_whole(admin: Any, document: object, code: str) -> None:
    answer = admin.call("POST", "composite/tree/Account", json=document)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert nothing_of(admin, "Never")


def test_a_tree_is_one_call_and_of_an_object_that_exists(admin: Any) -> None:
    before = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]

    unknown = send(admin, account("r"), sobject="Nothing__c")
    send(admin, *(account(f"r{n}") for n in range(50)))

    after = admin.call("GET", "limits").json()["DailyApiRequests"]["Remaining"]
    assert before - after == 3  # the two trees and the look at the limits
    assert (unknown.status_code, unknown.json()[0]["errorCode"]) == (404, "NOT_FOUND")
