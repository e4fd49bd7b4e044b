"""Composite Batch: up to 25 requests in one call, which know nothing of each other.

Source: REST API, "Composite Batch"; each counts against the limits, and each commits.
"""

import re
from typing import Any

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.composite.parts import FAILS_FROM, Asked, ask
from connectors.sandbox.composite.plan import (
    MAX_PARTS,
    METHODS,
    check_count,
    flag,
    listed,
    mapping,
    text,
)
from connectors.sandbox.dispatch import Kind
from connectors.sandbox.errors import parse_error, refuse
from connectors.sandbox.protocol import over_the_limit

BATCH_SINCE = 34  # API version, of the batch and of what it asks

_URL = re.compile(r"(?:/?services/data)?/?v((\d+)\.\d/.*)", re.ASCII | re.DOTALL)
_KINDS = frozenset({Kind.ROW, Kind.QUERY, Kind.LIMITS})
_HALTED = refuse(
    412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request or because of an error."
)


async def post_batch(call: Call) -> Answer:
    """Carry out the requests of a batch, one after the other."""
    call.since(BATCH_SINCE)
    document = call.record(await call.body())
    asked = _batch(document, call.major)
    halts = flag(document, "haltOnError", default=False)
    results: list[dict[str, Any]] = []
    has_errors = False
    for at, one in enumerate(asked):
        if has_errors and halts:
            answer = Answer(_HALTED.body(), _HALTED.status)
        else:
            answer = await _carry_out(call, one, is_counted=at == 0)
        has_errors = has_errors or answer.status >= FAILS_FROM
        results.append({"statusCode": answer.status, "result": answer.document})
    return Answer({"hasErrors": has_errors, "results": results})


async def _carry_out(call: Call, asked: Asked, *, is_counted: bool) -> Answer:
    """Return the answer of one request; the call itself has been counted as the first one."""
    session = call.session
    if not is_counted and not call.org.usage.count(session.app, session.daily_calls):
        refused = over_the_limit()
        return Answer(refused.body(), refused.status)
    return await ask(call, asked, _KINDS)


def _batch(document: dict[str, Any], version: int) -> list[Asked]:
    """Return what the batch asks for.

    Raises:
        ApiError: 400, it is no batch, or one of its requests is malformed; none is carried out.

    """
    items = listed(document, "batchRequests")
    check_count("operations", len(items), MAX_PARTS)
    return [_asked(mapping(item, "method"), version) for item in items]


def _asked(item: dict[str, Any], version: int) -> Asked:
    method, url = text(item, "method"), text(item, "url")
    if method.upper() not in METHODS:
        message = f"{method} is not a method at batchRequests.method"
        raise parse_error(message)
    if "binaryPartName" in item or "binaryPartNameAlias" in item:
        message = "This org has no objects with binary data: binaryPartName"
        raise refuse(400, "INVALID_INPUT", message)
    match = _URL.fullmatch(url)
    if match is None:
        message = f"Invalid URL at batchRequests.url: {url}"
        raise parse_error(message)
    if not BATCH_SINCE <= int(match[2]) <= version:
        message = (
            f"The API version of a subrequest must be no earlier than {BATCH_SINCE}.0 and no later"
            f" than that of the batch, {version}.0: {url}"
        )
        raise refuse(400, "INVALID_INPUT", message)
    return Asked(method.upper(), f"/services/data/v{match[1]}", item.get("richInput"), {})
