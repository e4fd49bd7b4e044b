"""Section 1.2, the body of an error, its status, and each code's text, pair by pair.

Codes that no request can provoke here are in test_documented_refusals.
"""

import re
from typing import Any

import pytest
from documented import ACCOUNT, CONTACT, CUSTOMER, KEY, ORDER, code, create

NOBODY = "000000000000000"
READ_ONLY = (
    "Unable to create/update fields: {}. Please check the security settings of this field and"
    " verify that it is read/write for your profile or permission set."
)
JSON_TEXT = (
    r"Cannot deserialize instance of {} from VALUE_STRING value .*"
    r" or request may be missing a required field at \[line:1, column:\d+\]"
)


def order(**fields: object) -> tuple[str, str, dict[str, object]]:
    return "POST", f"sobjects/{ORDER}", {KEY: "doc-error", **fields}


Case = tuple[tuple[str, str, Any], int, str, str, list[str] | None]
CASES: dict[str, Case] = {
    "1.2 REQUIRED_FIELD_MISSING": (
        ("POST", f"sobjects/{ACCOUNT}", {}),
        400,
        "REQUIRED_FIELD_MISSING",
        re.escape("Required fields are missing: [Name]"),
        ["Name"],
    ),
    "1.2 REQUIRED_FIELD_MISSING, custom": (
        ("POST", f"sobjects/{ORDER}", {"Currency__c": "EUR"}),
        400,
        "REQUIRED_FIELD_MISSING",
        re.escape(f"Required fields are missing: [{KEY}]"),
        [KEY],
    ),
    "1.2 STRING_TOO_LONG names the label and echoes the value": (
        ("POST", f"sobjects/{ACCOUNT}", {"Name": "n" * 256}),
        400,
        "STRING_TOO_LONG",
        re.escape(f"Account Name: data value too large: {'n' * 256} (max length=255)"),
        ["Name"],
    ),
    "1.2 INVALID_FIELD": (
        order(Shoe_Size__c=43),
        400,
        "INVALID_FIELD",
        re.escape(f"No such column 'Shoe_Size__c' on sobject of type {ORDER}"),
        None,
    ),
    "1.2 INVALID_FIELD_FOR_INSERT_UPDATE": (
        order(CreatedDate="2026-01-01T00:00:00.000Z"),
        400,
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        re.escape(READ_ONLY.format("CreatedDate")),
        ["CreatedDate"],
    ),
    "1.2 INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (
        order(Status__c="lost"),
        400,
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        re.escape("Status: bad value for restricted picklist field: lost"),
        ["Status__c"],
    ),
    "1.2 JSON_PARSER_ERROR, a datetime that is none": (
        order(Placed_At__c="soon"),
        400,
        "JSON_PARSER_ERROR",
        JSON_TEXT.format("datetime"),
        None,
    ),
    "1.2 JSON_PARSER_ERROR, a number that is none": (
        order(Total__c="a lot"),
        400,
        "JSON_PARSER_ERROR",
        JSON_TEXT.format("double"),
        None,
    ),
    "1.2 NUMBER_OUTSIDE_VALID_RANGE": (
        order(Item_Count__c=1_000_000_000),
        400,
        "NUMBER_OUTSIDE_VALID_RANGE",
        ".+",
        ["Item_Count__c"],
    ),
    "1.2 INVALID_EMAIL_ADDRESS": (
        ("POST", f"sobjects/{CONTACT}", {"LastName": "Doc", "Email": "nowhere"}),
        400,
        "INVALID_EMAIL_ADDRESS",
        ".+",
        ["Email"],
    ),
    "1.2 MALFORMED_ID": (
        ("POST", f"sobjects/{CONTACT}", {"LastName": "Doc", "AccountId": "001"}),
        400,
        "MALFORMED_ID",
        ".+",
        ["AccountId"],
    ),
    "1.2 NOT_FOUND, an object": (
        ("GET", "sobjects/Nothing__c/describe", None),
        404,
        "NOT_FOUND",
        "The requested resource does not exist",
        None,
    ),
    "1.2 NOT_FOUND, a resource": (
        ("GET", "nothing", None),
        404,
        "NOT_FOUND",
        "The requested resource does not exist",
        None,
    ),
    "1.2 NOT_FOUND, an external id field": (
        ("PATCH", f"sobjects/{ORDER}/Nothing__c/1", {"Currency__c": "EUR"}),
        404,
        "NOT_FOUND",
        "Provided external ID field does not exist or is not accessible: Nothing__c",
        None,
    ),
    "1.2 MALFORMED_QUERY": (("GET", "query?q=SELECT", None), 400, "MALFORMED_QUERY", ".+", None),
    "1.2 INVALID_QUERY_LOCATOR": (
        ("GET", f"query/01g{NOBODY}-500", None),
        400,
        "INVALID_QUERY_LOCATOR",
        ".+",
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refused_request_has_its_status_code_text_and_fields(admin: Any, case: str) -> None:
    (method, path, body), status, error_code, text, fields = CASES[case]

    answer = admin.call(method, path, json=body)

    assert answer.status_code == status
    assert isinstance(answer.json(), list)
    (error,) = answer.json()
    assert {"message", "errorCode"} <= error.keys() <= {"message", "errorCode", "fields"}
    assert error["errorCode"] == error_code
    assert re.fullmatch(text, error["message"], re.DOTALL), error["message"]
    if fields is not None:
        assert error["fields"] == fields
    if error_code == "NOT_FOUND":
        assert "fields" not in error


def test_1_2_a_parent_that_is_not_there_is_an_invalid_cross_reference(admin: Any) -> None:
    absent = create(admin, ACCOUNT, Name="Doc")[:6] + "zzzzzzzzz"  # well-formed

    answer = admin.call("POST", f"sobjects/{CONTACT}", json={"LastName": "D", "AccountId": absent})

    assert code(answer) == (400, "INVALID_CROSS_REFERENCE_KEY")


def test_1_2_a_duplicate_names_the_field_and_the_row(admin: Any) -> None:
    first = create(admin, ORDER, **{KEY: "doc-twice"})

    answer = admin.call("POST", f"sobjects/{ORDER}", json={KEY: "doc-twice"})

    assert code(answer) == (400, "DUPLICATE_VALUE")
    text = answer.json()[0]["message"]
    assert re.fullmatch(
        rf"duplicate value found: {KEY} duplicates value on record with id: {first[:15]}(.{{3}})?",
        text,
    )


def test_1_2_several_validation_rules_are_several_elements(admin: Any) -> None:
    versions = {"Base_Version__c": 10, "Label_Version__c": 10}
    row = create(admin, ORDER, **{KEY: "doc-rules"}, **versions)

    answer = admin.call("PATCH", f"sobjects/{ORDER}/{row}", json=dict.fromkeys(versions, 9))

    assert answer.status_code == 400
    assert [e["errorCode"] for e in answer.json()] == ["FIELD_CUSTOM_VALIDATION_EXCEPTION"] * 2


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "GET"])
def test_1_2_a_deleted_row_is_404_entity_is_deleted(admin: Any, method: str) -> None:
    row = create(admin, CUSTOMER, **{KEY: f"doc-gone-{method}"})
    admin.call("DELETE", f"sobjects/{CUSTOMER}/{row}")

    answer = admin.call(
        method, f"sobjects/{CUSTOMER}/{row}", json={} if method == "PATCH" else None
    )

    assert answer.status_code == 404
    if method != "GET":
        assert answer.json() == [
            {"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}
        ]
