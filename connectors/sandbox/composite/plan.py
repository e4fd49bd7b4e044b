"""What a composite request asks for, and in which order. Pure.

Source: REST API, "Composite", "compositeRequest" and "collateSubrequests".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.composite.references import referenced
from connectors.sandbox.dispatch import Dispatcher, Kind
from connectors.sandbox.errors import ApiError, Problem, parse_error, refuse

MAX_PARTS = 25
MAX_LARGE_PARTS = 5  # collections and queries together

_REFERENCE_ID = re.compile(r"[A-Za-z0-9]\w*", re.ASCII)
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})
_REQUIRED = "request may be missing a required field: {}"


@dataclass(frozen=True, slots=True)
class Part:
    """One subrequest.

    Attributes:
        reference: Its ``referenceId``.
        needs: Reference ids of the earlier parts that it uses.
        group: What parts that may be collated have in common.
        kind: What it counts as.

    """

    method: str
    url: str
    reference: str
    body: Any
    headers: Mapping[str, str]
    needs: frozenset[str]
    group: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Plan:
    """A composite request.

    Attributes:
        is_collated: The order of parts that do not refer to each other is ours to choose.

    """

    parts: tuple[Part, ...]
    all_or_none: bool
    is_collated: bool


def parse_composite(document: object, dispatcher: Dispatcher) -> Plan:
    """Return the plan in a composite request's body.

    Raises:
        ApiError: 400, it is not such a body.

    """
    listed = document.get("compositeRequest") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(listed, list):
        raise parse_error(_REQUIRED.format("compositeRequest"))
    parts: list[Part] = []
    for item in listed:
        part = _part(item, {p.reference for p in parts}, dispatcher)
        parts.append(part)
    return Plan(
        parts=tuple(parts),
        all_or_none=_flag(document, "allOrNone", default=False),
        is_collated=_flag(document, "collateSubrequests", default=True),
    )


def _part(item: object, earlier: set[str], dispatcher: Dispatcher) -> Part:
    if not isinstance(item, dict):
        raise parse_error(_REQUIRED.format("method"))
    for name in ("method", "url", "referenceId"):
        if not isinstance(item.get(name), str) or not item[name]:
            raise parse_error(_REQUIRED.format(name))
    method, url, reference = item["method"].upper(), item["url"], item["referenceId"]
    if method not in _METHODS:
        text = f"{method} is not a method at compositeRequest.method"
        raise parse_error(text)
    if _REFERENCE_ID.fullmatch(reference) is None:
        text = (
            f"Provided referenceId ('{reference}') must start with a letter or a number, and it"
            " can contain only letters, numbers and underscores ('_')."
        )
        raise parse_error(text)
    if reference in earlier:
        text = f"Duplicate referenceId provided: {reference}"
        raise refuse(400, "INVALID_INPUT", text)
    headers = item.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        text = "Cannot deserialize instance of map: httpHeaders"
        raise parse_error(text)
    kind, group = _place(dispatcher, method, url)
    return Part(
        method=method,
        url=url,
        reference=reference,
        body=item.get("body"),
        headers={str(name).lower(): str(value) for name, value in headers.items()},
        needs=frozenset(referenced(url) | referenced(item.get("body"))),
        group=group,
        kind=kind,
    )


def _place(dispatcher: Dispatcher, method: str, url: str) -> tuple[Kind, str]:
    """Return what the part counts as, and what it may be collated with."""
    try:
        found = dispatcher.find(method, url)
    except ApiError:
        return Kind.ROW, f"{method} {url}"  # refused when its turn comes
    sobject = found.parts.get("sobject", "").lower()
    return found.route.kind, f"{method} {found.route.path} {sobject}"


def _flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        text = f"Cannot deserialize instance of boolean: {name}"
        raise parse_error(text)
    return value


def too_many_parts(plan: Plan) -> Problem | None:
    """Return the refusal of a plan that is beyond a limit, or None."""
    if len(plan.parts) > MAX_PARTS:
        text = f"The request can\u2019t contain more than {MAX_PARTS} operations."
        return Problem("LIMIT_EXCEEDED", text, None)
    if sum(part.kind is not Kind.ROW for part in plan.parts) > MAX_LARGE_PARTS:
        text = (
            f"The request can\u2019t contain more than {MAX_LARGE_PARTS} sObject Collections or"
            " query operations."
        )
        return Problem("LIMIT_EXCEEDED", text, None)
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
