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

    RACE = "race"  # send the row again a few times, then call it rejected
    BUSY = "busy"  # send the row again a few times, then hand the batch back
    REJECT = "reject"  # the row's data will never pass
    HALT = "halt"  # the org's set-up or ours is wrong: every row would fail like this


_ORDER = tuple(Handling)

# A code that is not listed concerns its row alone: the row is rejected, and accounted for.
HANDLING: Mapping[str, Handling] = {
    "UNKNOWN_EXCEPTION": Handling.RACE,
    "ENTITY_IS_DELETED": Handling.RACE,  # deleted under our hands: the next try creates it
    "UNABLE_TO_LOCK_ROW": Handling.BUSY,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": Handling.BUSY,
    "API_CURRENTLY_DISABLED": Handling.BUSY,
    "QUERY_TIMEOUT": Handling.BUSY,
    "REQUEST_LIMIT_EXCEEDED": Handling.BUSY,
    "REQUEST_RUNNING_TOO_LONG": Handling.BUSY,
    "SERVER_UNAVAILABLE": Handling.BUSY,
    "STORAGE_LIMIT_EXCEEDED": Handling.BUSY,
    "API_DISABLED_FOR_ORG": Handling.HALT,
    "INSUFFICIENT_ACCESS": Handling.HALT,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Handling.HALT,
    "INSUFFICIENT_ACCESS_OR_READONLY": Handling.HALT,
    "INVALID_FIELD_FOR_INSERT_UPDATE": Handling.HALT,
    "INVALID_TYPE": Handling.HALT,
    "NOT_FOUND": Handling.HALT,
}

NEXT_STEP: Mapping[str, str] = {
    "API_DISABLED_FOR_ORG": "turn on API access for the org and API Enabled for the user",
    "DUPLICATE_VALUE": "make the external id field case-sensitive",
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
    match code:
        case "INVALID_FIELD":  # also a parent's external id that is not there: the row's data
            parent = message.startswith("Foreign key external ID")
            return Handling.REJECT if parent else Handling.HALT
        case "DUPLICATE_VALUE" if message.startswith("Duplicate external id specified"):
            return Handling.HALT  # we never send an id twice, so the org compares them loosely
        case "DUPLICATE_VALUE":  # another request is about to commit the same new row
            race = f"duplicate value found: {key_field} " in message
            return Handling.RACE if race else Handling.REJECT
        case "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" | "CANNOT_EXECUTE_FLOW_TRIGGER":
            wrapped = "UNABLE_TO_LOCK_ROW" in message or "QUERY_TIMEOUT" in message
            return Handling.BUSY if wrapped else Handling.REJECT
        case _:
            return HANDLING.get(code, Handling.REJECT)
