"""Faults of requests: what the plan does to one call, around the handler that knows nothing.

Source: the observed behaviour of the real API and its edge, which answers 5xx in HTML.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from aiohttp import web

from connectors.sandbox.call import Answer
from connectors.sandbox.errors import ApiError, refuse, unexpected
from connectors.sandbox.faults.book import Faults, Fired, Target
from connectors.sandbox.faults.hindrances import hit_by
from connectors.sandbox.faults.plan import Kind, Surface, Trait
from connectors.sandbox.faults.refusals import LIMITS, LOGINS, of_request

FAULT_KEY = "homeport.fault"  # where a request keeps the fault that hit it, for the log
NO_ANSWER = 0  # status in the log of a request that got none
LOOK_EVERY_S = 0.02  # for a client that has gone: aiohttp tells nobody
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST and not FIN
_HTML = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"
_EDGE = {
    Kind.NO_ROUTE: (420, "No Route"),
    Kind.TOO_MANY_REQUESTS: (429, "Too Many Requests"),
    Kind.ERROR_500: (500, "Internal Server Error"),
    Kind.ERROR_502: (502, "Bad Gateway"),
    Kind.ERROR_503: (503, "Service Unavailable"),
}
_UPLOADS = frozenset({"text/csv", "multipart/form-data"})  # taken in pieces by their handler
_RESULTS = ("successfulresults", "failedresults", "unprocessedrecords")
_UPSERT = frozenset({Trait.HTTP, Trait.CHARSET, Trait.WRITE, Trait.ROWS, Trait.UPSERTS})


@dataclass(frozen=True, slots=True)
class Work:
    """One call that has passed every check of session and limits.

    Attributes:
        carry_out: Runs the handler and returns its answer, a refusal included.
        respond: Sends an answer.
        end_session: Ends the caller's session.

    """

    carry_out: Callable[[], Awaitable[Answer]]
    respond: Callable[[Answer], Awaitable[web.StreamResponse]]
    end_session: Callable[[], object]


async def act(faults: Faults, request: web.Request, work: Work) -> web.StreamResponse:
    """Return the answer to a call under the plan; there may be none, and the client be gone.

    Raises:
        ApiError: The fault refuses the call.

    """
    fired = faults.pick(target_of(request.method, request.path))
    if fired is None:
        return await work.respond(await work.carry_out())
    request[FAULT_KEY] = fired.kind.value
    if fired.kind in _EDGE:
        status, text = _EDGE[fired.kind]
        return web.Response(
            status=status, text=_HTML.format(f"{status} {text}"), content_type="text/html"
        )
    if fired.kind is Kind.LOGIN_REFUSED:
        return await work.respond(_refused_login(fired.fault.code))
    if fired.kind is Kind.EXPIRED_SESSION:
        work.end_session()
    refusal = _refusal(fired)
    if refusal is not None:
        raise refusal
    if fired.kind in {Kind.RESET_BEFORE, Kind.LATE_COMMIT}:
        return await _not_now(faults, fired, request, work)
    with hit_by(fired.fault, fired.seed):
        answer = await work.carry_out()
    return await _after(faults, fired, request, work, answer)


def target_of(method: str, path: str) -> Target:
    """Return what a request is to faults, from its method and path."""
    if path.startswith("/services/oauth2/"):
        return Target(Surface.LOGIN, frozenset({Trait.HTTP, Trait.CHARSET, Trait.LOGIN}))
    below = path.rstrip("/").lower().split("/")[4:]  # after /services/data/vNN.N
    first = below[0] if below else ""
    if first == "jobs":
        return _bulk(method, below[-1])
    if method == "DELETE":
        return Target(Surface.DELETE, _UPSERT - {Trait.UPSERTS})
    if first == "composite":
        surface = Surface.COLLECTIONS if len(below) > 1 else Surface.COMPOSITE
        return Target(surface, _UPSERT)
    if method != "GET":
        return Target(Surface.ANY, _UPSERT)  # a single row
    surface = Surface.ANY
    if first in {"query", "queryall"}:
        surface = Surface.QUERY
    elif first == "sobjects" and (len(below) <= 2 or below[2:] == ["describe"]):  # noqa: PLR2004
        surface = Surface.DESCRIBE
    return Target(surface, frozenset({Trait.HTTP, Trait.CHARSET}))


def _bulk(method: str, last: str) -> Target:
    if last in _RESULTS:
        return Target(Surface.BULK, frozenset({Trait.HTTP, Trait.CHARSET, Trait.RESULTS}))
    writes = frozenset() if method == "GET" else frozenset({Trait.WRITE})
    return Target(Surface.BULK, frozenset({Trait.HTTP}) | writes)


def _refused_login(code: str) -> Answer:
    error, description = LOGINS[code]
    body = {"error": error, "error_description": description}
    return Answer(body, 400, {"Cache-Control": "no-store", "Pragma": "no-cache"})


def _refusal(fired: Fired) -> ApiError | None:
    """Return the refusal in the API's own form that this fault is, None if it is another."""
    if fired.kind in {Kind.UNAUTHORISED, Kind.EXPIRED_SESSION}:
        return refuse(401, "INVALID_SESSION_ID", "Session expired or invalid")
    if fired.kind is Kind.REQUEST_LIMIT:
        return refuse(403, "REQUEST_LIMIT_EXCEEDED", LIMITS[fired.fault.limit])
    if fired.kind is Kind.REFUSED:
        return of_request(fired.fault.code)
    if fired.kind is Kind.ERROR_500_JSON:
        return ApiError(500, [unexpected()])
    return None


async def _not_now(
    faults: Faults, fired: Fired, request: web.Request, work: Work
) -> web.StreamResponse:
    """Cut the connection before anything is done; or do it when the client has long gone."""
    if fired.kind is Kind.LATE_COMMIT:
        if request.content_type not in _UPLOADS:
            await request.read()  # kept with the request; the client may leave at any moment
        with hit_by(fired.fault, fired.seed):
            faults.let_run(work.carry_out)  # an upload is taken now; put off is the first write
        await _silence(faults, request, None)
        return _cut(request)
    async for _ in request.content.iter_any():
        pass  # to its end: a client that still sends sees something else than a reset
    return _cut(request)


async def _after(
    faults: Faults, fired: Fired, request: web.Request, work: Work, answer: Answer
) -> web.StreamResponse:
    """Send *answer*, or what the fault leaves of it."""
    seconds = fired.fault.seconds
    match fired.kind:
        case Kind.RESET_AFTER:
            return _cut(request)
        case Kind.TIMEOUT_AFTER:
            await _silence(faults, request, seconds)
            return _cut(request)
        case Kind.SLOW:
            await _silence(faults, request, seconds)
        case Kind.NO_CHARSET:
            is_csv = answer.lines is not None
            answer.headers["Content-Type"] = "text/csv" if is_csv else "application/json"
        case Kind.TRUNCATED_RESULTS:
            if answer.lines is not None:
                answer = replace(answer, lines=_truncated(answer.lines, fired.fault.share))
        case _:
            pass
    return await work.respond(answer)


async def _silence(faults: Faults, request: web.Request, seconds: float | None) -> None:
    """Say nothing until the client leaves, the org stops, or so many seconds are over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while request.transport is not None and not faults.is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(faults.is_over.wait(), LOOK_EVERY_S)


async def _truncated(lines: AsyncIterator[bytes], share: float) -> AsyncIterator[bytes]:
    """Yield CSV without its last rows: that share of them, and one at least if there is any."""
    text = b"".join([piece async for piece in lines])
    records: list[bytes] = []
    is_open = False  # within quotes, where a line's end is none of a row
    for line in text.splitlines(keepends=True):
        if is_open:
            records[-1] += line
        else:
            records.append(line)
        is_open ^= line.count(b'"') % 2 == 1
    rows = len(records) - 1  # beside the header
    yield b"".join(records[: len(records) - min(rows, max(1, round(rows * share)))])


def _cut(request: web.Request) -> web.StreamResponse:
    """Reset the connection and return an answer that nobody gets."""
    transport = request.transport
    if transport is not None:
        plain: socket.socket | None = transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    return web.Response(status=NO_ANSWER)
