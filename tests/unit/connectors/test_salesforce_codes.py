"""Each error code of the org means one thing to us, and its text goes no further."""

from typing import Any

import pytest

from connectors.salesforce.codes import Handling, OrgError, read_error

SENT = ("External_Id__c", "Sku__c", "Total__c")

CASES = [
    # code, message, handling, fields
    ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", "busy", ()),
    (
        "DUPLICATE_VALUE",
        "duplicate value found: External_Id__c duplicates value on record with id: 001",
        "race",
        (),
    ),
    # another unique field: no retry helps
    ("DUPLICATE_VALUE", "duplicate value found: Sku__c duplicates value on", "reject", ()),
    # we never repeat an id in a request, so the org compares ids without case
    ("DUPLICATE_VALUE", "Duplicate external id specified: tok_eu1_a", "halt", ()),
    ("INVALID_FIELD", "No such column 'sku__c' on sobject of type T", "halt", ("Sku__c",)),
    ("INVALID_FIELD", "Foreign key external ID: 0116 not found for field X", "reject", ()),
    (
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: Total__c. Please check the security settings",
        "halt",
        ("Total__c",),
    ),
    ("NOT_FOUND", "The requested resource does not exist", "halt", ()),
    ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights", "halt", ()),
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", "halt", ()),
    ("API_DISABLED_FOR_ORG", "", "halt", ()),
    ("STRING_TOO_LONG", "Sku: data value too large: Total__c (max length=80)", "reject", ()),
    ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", "reject", ()),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Trigger: BeforeInsert caused by: x", "reject", ()),
    (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "Trigger: BeforeInsert caused by: UNABLE_TO_LOCK_ROW",
        "busy",
        (),
    ),
    ("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", "busy", ()),
    ("ENTITY_IS_LOCKED", "in an approval process", "reject", ()),
    ("UNKNOWN_EXCEPTION", "An unexpected error occurred.", "race", ()),
    ("A_CODE_OF_NEXT_YEAR", "", "reject", ()),
]


@pytest.mark.parametrize(("code", "message", "handling", "fields"), CASES)
@pytest.mark.parametrize("member", ["statusCode", "errorCode"])
def test_a_code_means(
    member: str, code: str, message: str, handling: str, fields: tuple[str, ...]
) -> None:
    error = read_error([{member: code, "message": message}], SENT, "External_Id__c")

    assert error == OrgError(code, fields, Handling(handling))


@pytest.mark.parametrize("content", [None, [], "<html>502</html>", 7, [None], ["x"]])
def test_an_unreadable_error_is_one_without_a_code(content: Any) -> None:
    assert read_error(content, SENT, "External_Id__c") == OrgError("UNKNOWN", (), Handling.REJECT)


@pytest.mark.parametrize("code", ["jane@example.com", "Jane", "A B", "", None, 7, "X" * 99])
def test_what_does_not_look_like_a_code_is_not_repeated(code: Any) -> None:
    assert read_error([{"statusCode": code}], SENT, "External_Id__c").code == "UNKNOWN"


def test_the_gravest_of_several_errors_decides() -> None:
    content = [
        {"statusCode": "UNABLE_TO_LOCK_ROW"},
        {"statusCode": "INVALID_TYPE"},
        {"statusCode": "STRING_TOO_LONG", "fields": ["Sku__c"]},
    ]

    assert read_error(content, SENT, "External_Id__c").code == "INVALID_TYPE"
    assert read_error(content[::2], SENT, "External_Id__c").code == "STRING_TOO_LONG"


def test_fields_are_named_only_if_we_sent_them() -> None:
    content = [{"statusCode": "STRING_TOO_LONG", "fields": ["sku__c", "tok_eu1_a", 4]}]

    assert read_error(content, SENT, "External_Id__c").fields == ("Sku__c",)
