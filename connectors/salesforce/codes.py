"""What each Salesforce error code means for the row, the batch and the worker.

Error messages of the org echo the values it was sent (``data too large: <value>``). They are
read here, to tell apart what shares a code, and go no further: only codes and names of fields
that we sent leave this module.

Source: SOAP API guide, StatusCode; REST API guide, status codes and error responses.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

NO_CODE = "UNKNOWN"
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,79}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Handling(StrEnum):
    """What to do with an error, mildest first."""

    OLDER = "older"  # the row in the org is newer: the record is superseded
    RACE = "race"  # send the row again a few times, then call it rejected
    AGAIN = "again"  # send the row again a few times, then park it
    PARK = "park"  # nothing is wrong with the row: park it at once, it may pass much later
    BUSY = "busy"  # the whole org: send the row again a few times, then hand the batch back
    REJECT = "reject"  # the row's data will never pass
    HALT = "halt"  # the org's set-up or ours is wrong: every row would fail like this


_ORDER = tuple(Handling)

# A code that is not listed concerns its row alone: the row is rejected, and accounted for.
HANDLING: Mapping[str, Handling] = {
    "ENTITY_IS_DELETED": Handling.RACE,  # deleted under our hands: the next try creates it
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Handling.AGAIN,  # by another row of its request
    "QUERY_TIMEOUT": Handling.AGAIN,  # a trigger's query; a smaller request may be quick enough
    "REQUEST_RUNNING_TOO_LONG": Handling.AGAIN,
    "UNABLE_TO_LOCK_ROW": Handling.AGAIN,
    "UNKNOWN_EXCEPTION": Handling.AGAIN,
    "ENTITY_IS_LOCKED": Handling.PARK,  # in an approval process: hours or days
    "API_CURRENTLY_DISABLED": Handling.BUSY,
    "EXCEEDEDQUOTA": Handling.BUSY,  # of the day's jobs
    "REQUEST_LIMIT_EXCEEDED": Handling.BUSY,
    "SERVER_UNAVAILABLE": Handling.BUSY,
    "STORAGE_LIMIT_EXCEEDED": Handling.BUSY,
    "API_DISABLED_FOR_ORG": Handling.HALT,
    "INSUFFICIENT_ACCESS": Handling.HALT,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Handling.HALT,
    "INSUFFICIENT_ACCESS_OR_READONLY": Handling.HALT,
    "INVALID_FIELD": Handling.HALT,
    "INVALID_FIELD_FOR_INSERT_UPDATE": Handling.HALT,
    "INVALID_TYPE": Handling.HALT,
    "NOT_FOUND": Handling.HALT,
}

# Codes that mean several things, told apart by how the text starts.
BY_START: Mapping[str, Mapping[str, Handling]] = {
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": {"entity type cannot be ": Handling.HALT},  # no access
    "DUPLICATE_VALUE": {
        # We never send an id twice, so the org compares them without case.
        "Duplicate external id specified": Handling.HALT,
    },
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": {
        # The validation rules that `homeport salesforce deploy` brings refuse what comes late.
        "homeport:older-base-version": Handling.OLDER,
        "homeport:older-label-version": Handling.OLDER,
    },
    "INVALID_FIELD": {
        "Foreign key external ID": Handling.PARK,  # the parent is not there yet
        "Failed to deserialize field": Handling.REJECT,  # Bulk API: a value does not parse
    },
}

# Triggers and flows pass on what stopped them; these a later try may not meet.
WRAPPERS = frozenset({"CANNOT_EXECUTE_FLOW_TRIGGER", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"})
PASSING = (
    "UNABLE_TO_LOCK_ROW",
    "unable to obtain exclusive access",
    "QUERY_TIMEOUT",
    "Your query request was running for too long",
)

NEXT_STEP: Mapping[str, str] = {
    "API_DISABLED_FOR_ORG": "turn on API access for the org and API Enabled for the user",
    "DUPLICATE_VALUE": "make the external id field case-sensitive",
    "FEATURENOTENABLED": "give the user the permission Bulk API Hard Delete",
    "INVALIDJOB": "deploy the object and its external id field, or let us read them",
    "INVALID_FIELD": "deploy the field, or let the permission set read it",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "let the permission set edit the field",
    "INVALID_TYPE": "deploy the object, or let the permission set read it",
    "MALFORMED_QUERY": "the query is ours to mend",
    "NOT_FOUND": "deploy the object and its external id field, or let the permission set read them",
}
DEFAULT_STEP = "let the permission set create, read, edit and delete rows of the object"


@dataclass(frozen=True, slots=True)
class OrgError:
    """One refusal, without its text.

    Attributes:
        code: Salesforce's error code, ``UNKNOWN`` if it gave none.
        fields: Fields it names, of those we sent, sorted.
        handling: What to do about it.

    """

    code: str
    fields: tuple[str, ...]
    handling: Handling


def read_error(content: object, sent: Collection[str], key_field: str) -> OrgError:
    """Return the gravest of the errors in *content*.

    Args:
        content: A decoded error body, or a row's ``errors``; HTML and other surprises count as
            an error without a code.
        sent: Names of the fields in the request.
        key_field: The external id field the request upserts by.

    """
    errors = [_one(entry, sent, key_field) for entry in entries(content)]
    if not errors:
        return OrgError(NO_CODE, (), Handling.REJECT)
    return max(errors, key=lambda error: _ORDER.index(error.handling))


def entries(content: object) -> Iterator[Mapping[str, Any]]:
    """Yield the error objects of a decoded body: an array of them, or a single one."""
    for entry in content if isinstance(content, list) else [content]:
        if isinstance(entry, Mapping):
            yield entry


def code_of(entry: Mapping[str, Any]) -> str:
    """Return the entry's code; collections say ``statusCode``, everything else ``errorCode``."""
    code = entry.get("statusCode", entry.get("errorCode"))
    return code if isinstance(code, str) and _CODE.fullmatch(code) else NO_CODE


def _one(entry: Mapping[str, Any], sent: Collection[str], key_field: str) -> OrgError:
    code = code_of(entry)
    message = str(entry.get("message", ""))
    handling = _handle(code, message, key_field)
    named = {str(name) for name in entry.get("fields") or ()}
    if handling is Handling.HALT:  # "No such column 'X__c'" names its field in the text alone
        named |= set(_WORD.findall(message))
    lowered = {name.lower() for name in named}
    return OrgError(code, tuple(sorted(n for n in sent if n.lower() in lowered)), handling)


def _handle(code: str, message: str, key_field: str) -> Handling:
    for start, handling in BY_START.get(code, {}).items():
        if message.startswith(start):
            return handling
    if code == "DUPLICATE_VALUE" and f"duplicate value found: {key_field} " in message:
        return Handling.RACE  # another request is about to commit the same new row
    if code in WRAPPERS and any(text in message for text in PASSING):
        return Handling.AGAIN
    return HANDLING.get(code, Handling.REJECT)
