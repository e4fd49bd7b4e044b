"""Each error code of the org means one thing to us, and its text goes no further."""

from typing import Any

import pytest

from connectors.salesforce.codes import Handling, OrgError, read_error

SENT = ("External_Id__c", "Sku__c", "Total__c")

LOCKED = "unable to obtain exclusive access to this record or 1 records: 001"
TRIGGER = "Trigger: BeforeInsert caused by: "
CASES = [
    # code, message, handling, fields
    ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "busy", ()),
    ("UNABLE_TO_LOCK_ROW", LOCKED, "again", ()),
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
    # two rows have the id: somebody has to say which one stays
    ("DUPLICATE_EXTERNAL_ID", "more than one record found for external id", "reject", ()),
    ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", "reject", ()),
    ("STRING_TOO_LONG", "Sku: data value too large: Total__c (max length=80)", "reject", ()),
    ("INVALID_FIELD", "No such column 'sku__c' on sobject of type T", "halt", ("Sku__c",)),
    ("INVALID_FIELD", "Foreign key external ID: 0116 not found for field X", "park", ()),
    # a value that quotes the other text does not hide that the column is missing
    ("INVALID_FIELD", "No such column 'Foreign key external ID'", "halt", ()),
    (
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "Unable to create/update fields: Total__c. Please check the security settings",
        "halt",
        ("Total__c",),
    ),
    ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Status: bad value for restricted", "reject", ()),
    ("JSON_PARSER_ERROR", "Cannot deserialize instance of date", "reject", ()),
    ("INVALID_TYPE_ON_FIELD_IN_RECORD", "", "reject", ()),
    ("NUMBER_OUTSIDE_VALID_RANGE", "", "reject", ()),
    ("INVALID_EMAIL_ADDRESS", "", "reject", ()),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Total must not be negative", "reject", ()),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "homeport:older-base-version", "older", ()),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "homeport:older-label-version", "older", ()),
    # a rule of the org's own that quotes ours
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "not homeport:older-base-version", "reject", ()),
    ("STRING_TOO_LONG", "homeport:older-base-version", "reject", ()),
    ("FIELD_INTEGRITY_EXCEPTION", "", "reject", ()),
    ("FIELD_FILTER_VALIDATION_EXCEPTION", "", "reject", ()),
    ("MALFORMED_ID", "", "reject", ()),
    ("INVALID_CROSS_REFERENCE_KEY", "", "reject", ()),
    ("DUPLICATES_DETECTED", "", "reject", ()),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER + "x", "reject", ()),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER + "UNABLE_TO_LOCK_ROW", "again", ()),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER + LOCKED, "again", ()),
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER + "QUERY_TIMEOUT", "again", ()),
    (
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        TRIGGER + "Your query request was running for too long.",
        "again",
        (),
    ),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "flow: UNABLE_TO_LOCK_ROW", "again", ()),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", "flow: a value is missing", "reject", ()),
    # the user's profile, not the row
    ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "entity type cannot be inserted: T", "halt", ()),
    ("ENTITY_IS_LOCKED", "in an approval process", "park", ()),
    ("ENTITY_IS_DELETED", "entity is deleted", "race", ()),
    ("NOT_FOUND", "The requested resource does not exist", "halt", ()),
    ("NOT_FOUND", "Provided external ID field does not exist: X", "halt", ()),
    ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights", "halt", ()),
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", "halt", ()),
    ("API_DISABLED_FOR_ORG", "", "halt", ()),
    ("API_CURRENTLY_DISABLED", "", "busy", ()),
    ("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", "busy", ()),
    ("ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because", "again", ()),
    ("SERVER_UNAVAILABLE", "Server too busy", "busy", ()),
    ("UNKNOWN_EXCEPTION", "An unexpected error occurred.", "again", ()),
    ("QUERY_TIMEOUT", "", "again", ()),
    ("REQUEST_RUNNING_TOO_LONG", "", "again", ()),
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


def test_a_row_that_is_older_and_wrong_is_wrong() -> None:
    older = {
        "statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "message": "homeport:older-base-version",
    }

    error = read_error([older, {"statusCode": "STRING_TOO_LONG"}], SENT, "External_Id__c")

    assert error.handling is Handling.REJECT


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
