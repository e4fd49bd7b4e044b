"""Conditional requests: answer or write only if a row has changed, or has not, since.

Source: REST API, "Conditional Request Headers". They follow HTTP 1.1, except that a header that
cannot be read refuses an update, that ETags are known for accounts alone, and that a delete
takes no conditions.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.store import Store

TAGGED = frozenset({"Account"})  # objects whose rows have ETags


@dataclass(frozen=True, slots=True)
class State:
    """What conditions are compared with.

    Attributes:
        changed_at: Seconds since 1970.
        tag: The ETag, quotes included; None if there is none.

    """

    changed_at: int
    tag: str | None = None

    def headers(self) -> dict[str, str]:
        """Return what an answer says of the state."""
        changed = format_datetime(datetime.fromtimestamp(self.changed_at, UTC), usegmt=True)
        return {"Last-Modified": changed} | ({"ETag": self.tag} if self.tag else {})


def state_of(store: Store, view: View, sequence: int) -> State:
    """Return the state of the row with that number."""
    names = ["LastModifiedDate"]
    if view.name in TAGGED:
        names = [field.name for field in view.sobject.fields if field.name != "Id"]
    row = store.find_rows(view.name, names, [sequence])[sequence]
    tag = _tag([sequence, *row.values()]) if view.name in TAGGED else None
    return State(int(row["LastModifiedDate"] or 0), tag)


def check_read(call: Call, state: State) -> Answer | None:
    """Return the 304 of a read whose client has what there is, or None.

    Raises:
        ApiError: 412.

    """
    _check_match(call, state)
    since = _instant(call.header("If-Unmodified-Since"))
    if since is not None and state.changed_at > since:
        raise _failed()
    tags = _tags(call.header("If-None-Match"))
    if state.tag is not None and tags:
        is_known = state.tag in tags or "*" in tags
    else:
        since = _instant(call.header("If-Modified-Since"))
        is_known = since is not None and state.changed_at <= since
    return Answer(status=304, headers=state.headers()) if is_known else None


def check_write(call: Call, state: State) -> None:
    """Refuse a write whose conditions the row does not meet.

    Raises:
        ApiError: 412; or 400, ``If-Unmodified-Since`` is no date.

    """
    _check_match(call, state)
    text = call.header("If-Unmodified-Since")
    since = _instant(text)
    if text and since is None:
        raise refuse(400, "INVALID_HEADER", "The If-Unmodified-Since header is not a date")
    if since is not None and state.changed_at > since:
        raise _failed()
    tags = _tags(call.header("If-None-Match"))
    if state.tag is not None and (state.tag in tags or "*" in tags):
        raise _failed()


def _check_match(call: Call, state: State) -> None:
    tags = _tags(call.header("If-Match"))
    if state.tag is not None and tags and state.tag not in tags and "*" not in tags:
        raise _failed()


def _tags(header: str) -> set[str]:
    return {part.strip() for part in header.split(",") if part.strip()}


def _instant(text: str) -> int | None:
    """Return ``Mon, 30 Nov 2020 08:34:54 GMT`` in seconds since 1970; None if it is no date."""
    try:
        moment = parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _tag(values: Sequence[object]) -> str:
    digest = hashlib.sha256(repr(values).encode()).digest()
    return f'"{base64.b64encode(digest).decode()}--gzip"'


def _failed() -> ApiError:
    text = "The precondition in the request's headers is not met"
    return refuse(412, "PRECONDITION_FAILED", text)
