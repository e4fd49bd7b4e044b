"""Refusals of the real org that nothing in this one brings about: by plan only.

Source: SOAP API, StatusCode and ExceptionCode; REST API, "Status Codes and Error Responses". The
texts are those that clients have reported.
"""

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.errors import ApiError, Problem, refuse
from connectors.sandbox.ids import record_id

REQUESTS: Mapping[str, tuple[int, str]] = {  # the first is what a plan means that names none
    "SERVER_UNAVAILABLE": (503, "Server too busy"),
    "API_CURRENTLY_DISABLED": (403, "API functionality is temporarily unavailable."),
    "API_DISABLED_FOR_ORG": (403, "The REST API is not enabled for this Organization."),
    "QUERY_TIMEOUT": (400, "Your query request was running for too long."),
    "REQUEST_RUNNING_TOO_LONG": (
        400,
        "Your request was running for too long, and has been stopped.",
    ),
}
DUPLICATES = "DUPLICATES_DETECTED"
ROWS: Mapping[str, str] = {
    DUPLICATES: "Use one of these records?",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (
        "Trigger: execution of BeforeInsert caused by: System.DmlException: Update failed. First"
        " exception on row 0; first error: UNABLE_TO_LOCK_ROW, unable to obtain exclusive access"
        " to this record: []"
    ),
    "ENTITY_IS_LOCKED": "the entity is locked for editing",
    "FIELD_FILTER_VALIDATION_EXCEPTION": "Value does not exist or does not match filter criteria.",
    "STORAGE_LIMIT_EXCEEDED": "storage limit exceeded",
}
LOGINS: Mapping[str, tuple[str, str]] = {  # error and description
    "inactive user": ("invalid_grant", "inactive user"),
    "ip restricted": ("invalid_grant", "ip restricted"),
    "inactive_org": ("inactive_org", "inactive organization"),
}
LIMITS: Mapping[str, str] = {
    "daily": "TotalRequests Limit exceeded.",
    "concurrent": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    "long-transaction": "ConcurrentPerOrgLongTxn Limit exceeded.",
}


def of_request(code: str) -> ApiError:
    """Return the refusal of a whole request with one of the codes of `REQUESTS`."""
    status, text = REQUESTS[code]
    return refuse(status, code, text)


def of_row(code: str, view: View, row: int | None) -> Problem:
    """Return the refusal of a row with one of the codes of `ROWS`.

    Args:
        code: The code.
        view: The row's object.
        row: Its sequence number; None for one that would be new.

    """
    more = _duplicates(view, record_id(view.prefix, row or 0)) if code == DUPLICATES else None
    return Problem(code, ROWS[code], more=more)


def _duplicates(view: View, other: str) -> Mapping[str, Any]:
    """Return what a duplicate rule found, under the name that the real org gives it."""
    match = {"record": {"attributes": {"type": view.name}, "Id": other}, "matchConfidence": 100.0}
    found = {
        "entityType": view.name,
        "errors": [],
        "matchEngine": "ExactMatchEngine",
        "matchRecords": [match | {"additionalInformation": [], "fieldDiffs": []}],
        "rule": "Standard_Matching_Rule",
        "size": 1,
        "success": True,
    }
    return {
        "duplicateResut": {  # sic
            "allowSave": True,
            "duplicateRule": "Standard_Duplicate_Rule",
            "duplicateRuleEntityType": view.name,
            "errorMessage": ROWS[DUPLICATES],
            "matchResults": [found],
        }
    }
