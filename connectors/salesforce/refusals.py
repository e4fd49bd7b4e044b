"""From an HTTP answer that is not success to the error that says what to do next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.salesforce.codes import (
    DEFAULT_STEP,
    NEXT_STEP,
    NO_CODE,
    Handling,
    OrgError,
    code_of,
    entries,
    read_error,
)
from connectors.salesforce.errors import (
    BodyRefusedError,
    OrgUnavailableError,
    RequestRefusedError,
    SessionRefusedError,
)
from schemas.errors import HaltError, HomeportError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
BAD_REQUEST, UNAUTHORISED, TOO_LARGE, SERVER_ERROR = 400, 401, 413, 500
COME_BACK = frozenset({408, 420, 429})  # 420: Salesforce's edge has no route just now
FORGOTTEN = frozenset({"INVALID_QUERY_LOCATOR"})  # a cursor lives two days
# A new session would meet the same refusal, and log in for ever.
NO_REFRESH = (
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, named for errors by what it does, never by its URL or body.

    Attributes:
        verb: What it does.
        sobject: To rows of which object.
        path: Below the org's data path.
        content_type: Of the body.
        headers: Further ones of this call alone.
        raw: Its answer is not JSON: take the bytes as they are.
        sent: The names of the fields in the body, which an error may name.
        key_field: The external id field of an upsert.

    """

    verb: str
    sobject: str
    method: str
    path: str = field(repr=False)
    params: Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    raw: bool = False
    sent: frozenset[str] = frozenset()
    key_field: str = ""

    def __str__(self) -> str:
        """Return verb and object: ``upsert Commerce_Order__c``."""
        return f"{self.verb} {self.sobject}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the org answered to a call.

    Attributes:
        content: The decoded JSON, None if there was none; bytes if the call is raw.
        fate_unknown: An earlier try of the same call was not answered, and may still be
            carried out.
        status: HTTP status, of success.
        headers: Its headers, found whatever their case.

    """

    content: Any = field(repr=False)
    fate_unknown: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def api_name(name: str) -> str:
    """Return *name*, of an object or field, if nothing in it could change a path or a query.

    Raises:
        HaltError: It has other characters than API names have.

    """
    if not _NAME.fullmatch(name):
        msg = "an object or field name with other characters than letters, digits and _"
        raise HaltError(msg)
    return name


def refusal(call: Call, status: int, content: object) -> HomeportError:
    """Return the error for an answer of *status* with the decoded (or raw) body *content*."""
    if status == UNAUTHORISED:
        return _session_refused(call, content)
    error = read_error(content, call.sent, call.key_field)
    later = status >= SERVER_ERROR or status in COME_BACK
    passing = error.handling is Handling.AGAIN and not call.body
    if later or passing or error.handling is Handling.BUSY or error.code in FORGOTTEN:
        # Without a code it was the org's edge that spoke, not who carries the request out.
        unknown = status >= SERVER_ERROR and error.code == NO_CODE
        text = f"{call}: Salesforce answered HTTP {status} {error.code}"
        return OrgUnavailableError(text, fate_unknown=unknown)
    if status in {BAD_REQUEST, TOO_LARGE} and call.body and error.handling is not Handling.HALT:
        text = f"{call}: Salesforce refuses the request ({error.code})"
        return BodyRefusedError(text, status=status, error=error)
    return RequestRefusedError(halt_text(str(call), error, status), status=status, error=error)


def is_spent(content: object) -> bool:
    """Return whether the org says that the calls of the day are used up.

    The same code says that too many calls run at once, which is over in a moment.
    """
    return any(
        code_of(entry) == "REQUEST_LIMIT_EXCEEDED" and "TotalRequests" in str(entry.get("message"))
        for entry in entries(content)
    )


def halt_text(what: str, error: OrgError, status: int | None = None) -> str:
    """Return the line that stops the worker: what was refused, which fields, what to do."""
    http = f"HTTP {status} " if status is not None and error.code == NO_CODE else ""
    fields = f" at {', '.join(error.fields)}" if error.fields else ""
    step = NEXT_STEP.get(error.code, DEFAULT_STEP)
    return f"{what}: Salesforce refuses with {http}{error.code}{fields}; {step}"


def _session_refused(call: Call, content: object) -> SessionRefusedError:
    texts = [str(entry.get("message", "")) for entry in entries(content)]
    final = any(marker in text for text in texts for marker in NO_REFRESH)
    if final:
        return SessionRefusedError(
            f"{call}: the org lets this user or app no further than the login; "
            "give the user API access and the app its scopes",
            may_refresh=False,
        )
    return SessionRefusedError(
        f"{call}: the org refuses a session it has just opened; "
        "see the app's and the user's session policies in Setup",
        may_refresh=True,
    )
