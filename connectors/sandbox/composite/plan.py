"""What a composite request asks for, and in which order. Pure.

Source: REST API, "Composite", "compositeRequest" and "collateSubrequests".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.composite.references import referenced
from connectors.sandbox.dispatch import Dispatcher, Kind
from connectors.sandbox.errors import ApiError, Problem, parse_error, refuse

MAX_PARTS = 25
MAX_LARGE_PARTS = 5  # collections and queries together
STRICT_NAMES_SINCE = 52  # API version that refuses a reference id of other characters
COLLATED_SINCE, COLLATED_UNASKED_SINCE = 48, 49  # API versions

METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})  # case-sensitive
_REFERENCE_ID = re.compile(r"[A-Za-z0-9]\w*", re.ASCII)
_TOO_MANY = "The request can\u2019t contain more than {} {}."
_INHERITED = frozenset({"accept", "authorization", "content-type"})


@dataclass(frozen=True, slots=True)
class Place:
    """Which resource a subrequest asks.

    Attributes:
        path: The resource's path below the API version, such as ``/sobjects/{sobject}``.
        sobject: The object in it, in lower case; empty if there is none.

    """

    kind: Kind
    path: str
    version: str
    sobject: str


@dataclass(frozen=True, slots=True)
class Part:
    """One subrequest.

    Attributes:
        reference: Its ``referenceId``.
        headers: By lower-case name.
        needs: Reference ids of the other parts that it uses.
        place: What it asks, None if there is no such resource: it is refused when its turn comes.

    """

    method: str
    url: str
    reference: str
    body: Any
    headers: Mapping[str, str]
    needs: frozenset[str]
    place: Place | None

    @property
    def is_large(self) -> bool:
        """Whether it counts as one of the few collections and queries that a request may hold."""
        return self.place is not None and self.place.kind in {Kind.COLLECTION, Kind.QUERY}

    @property
    def group(self) -> tuple[object, ...]:
        """What parts that may be collated have in common; one with headers goes alone."""
        if self.place is None or self.headers:
            return (self.reference,)
        return (self.method, self.place)


@dataclass(frozen=True, slots=True)
class Plan:
    """A composite request.

    Attributes:
        is_collated: The order of parts that do not refer to each other is ours to choose.

    """

    parts: tuple[Part, ...]
    all_or_none: bool
    is_collated: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """How a body is read.

    Attributes:
        version: Of the API, without its ``.0``: that of the request, not of its parts.
        may_refer: It may hold references.

    """

    dispatcher: Dispatcher
    version: int
    may_refer: bool


def parse_composite(document: object, reading: Reading) -> Plan:
    """Return the plan in a composite request's body.

    Raises:
        ApiError: 400, it is not such a body.

    """
    document = mapping(document, "compositeRequest")
    is_collated = flag(
        document, "collateSubrequests", default=reading.version >= COLLATED_UNASKED_SINCE
    )
    return Plan(
        parts=parse_parts(document, reading),
        all_or_none=flag(document, "allOrNone", default=False),
        is_collated=is_collated and reading.version >= COLLATED_SINCE,
    )


def parse_parts(document: Mapping[str, Any], reading: Reading) -> tuple[Part, ...]:
    """Return what is under ``compositeRequest``, of which a graph has one too.

    Raises:
        ApiError: 400, it is not a list of subrequests.

    """
    parts: dict[str, Part] = {}
    for item in listed(document, "compositeRequest"):
        part = _part(item, reading)
        if part.reference in parts:
            text = f"Duplicate referenceId provided: {part.reference}"
            raise refuse(400, "INVALID_INPUT", text)
        parts[part.reference] = part
    return tuple(parts.values())


def _part(item: object, reading: Reading) -> Part:
    item = mapping(item, "method")
    method, url, reference = (text(item, n) for n in ("method", "url", "referenceId"))
    if method not in METHODS:
        message = f"{method} is not a method at compositeRequest.method"
        raise parse_error(message)
    if reading.version >= STRICT_NAMES_SINCE and _REFERENCE_ID.fullmatch(reference) is None:
        message = (
            f"Provided referenceId ('{reference}') must start with a letter or a number, and it"
            " can contain only letters, numbers and underscores ('_')."
        )
        raise parse_error(message)
    body = item.get("body")
    needs = referenced(url) | referenced(body) if reading.may_refer else set()
    return Part(
        method=method,
        url=url,
        reference=reference,
        body=body,
        headers=_headers(item),
        needs=frozenset(needs),
        place=_place(reading.dispatcher, method, url),
    )


def _headers(item: Mapping[str, Any]) -> dict[str, str]:
    headers = item.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        message = "Cannot deserialize instance of map: httpHeaders"
        raise parse_error(message)
    for name in headers:
        if name.lower() in _INHERITED:
            message = f"Subrequests inherit the header {name} and cannot specify it"
            raise refuse(400, "INVALID_HTTP_HEADER", message)
    return {name.lower(): str(value) for name, value in headers.items()}


def _place(dispatcher: Dispatcher, method: str, url: str) -> Place | None:
    try:
        found = dispatcher.find(method, url)
    except ApiError:
        return None
    sobject = found.parts.get("sobject", "").lower()
    return Place(found.route.kind, found.route.path, found.version, sobject)


def mapping(value: object, name: str) -> dict[str, Any]:
    """Return *value* if it is an object, which should hold something under that name.

    Raises:
        ApiError: 400, it is something else.

    """
    if not isinstance(value, dict):
        raise _missing(name)
    return value


def listed(document: object, name: str) -> list[Any]:
    """Return the list that a body holds under that name.

    Raises:
        ApiError: 400, there is none.

    """
    value = mapping(document, name).get(name)
    if not isinstance(value, list):
        raise _missing(name)
    return value


def check_count(what: str, count: int, maximum: int) -> None:
    """Refuse more than *maximum* of something.

    Raises:
        ApiError: 400, there are more.

    """
    if count > maximum:
        raise refuse(400, "LIMIT_EXCEEDED", _TOO_MANY.format(maximum, what))


def text(item: Mapping[str, Any], name: str) -> str:
    """Return the text that *item* holds under that name.

    Raises:
        ApiError: 400, there is none.

    """
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise _missing(name)
    return value


def flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    """Return the truth value that a body holds under that name.

    Raises:
        ApiError: 400, it is something else.

    """
    value = document.get(name, default)
    if not isinstance(value, bool):
        message = f"Cannot deserialize instance of boolean: {name}"
        raise parse_error(message)
    return value


def too_many_parts(parts: Sequence[Part]) -> Problem | None:
    """Return the refusal of parts that are beyond a limit, or None."""
    if len(parts) > MAX_PARTS:
        return Problem("LIMIT_EXCEEDED", _TOO_MANY.format(MAX_PARTS, "operations"), None)
    if sum(part.is_large for part in parts) > MAX_LARGE_PARTS:
        what = "sObject Collections or query operations"
        return Problem("LIMIT_EXCEEDED", _TOO_MANY.format(MAX_LARGE_PARTS, what), None)
    return None


def in_order(plan: Plan) -> Iterator[Part]:
    """Yield the parts as they are carried out: as they stand, or collated.

    Collated, a part brings forward all of its kind whose references are answered.
    """
    if not plan.is_collated:
        yield from plan.parts
        return
    names = {part.reference for part in plan.parts}
    pending, done = list(plan.parts), set[str]()
    while pending:
        ready = [p for p in pending if p.needs & names <= done] or pending[:1]
        group = [p for p in ready if p.group == ready[0].group]
        yield from group
        done |= {part.reference for part in group}
        pending = [part for part in pending if part.reference not in done]


def _missing(name: str) -> ApiError:
    return parse_error(f"request may be missing a required field: {name}")
