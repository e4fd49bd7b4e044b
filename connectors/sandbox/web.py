"""HTTP in and out: what every answer of the REST API has in common."""

import secrets
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import orjson
from aiohttp import web

from connectors.sandbox.accesslog import APP_KEY, AccessLog
from connectors.sandbox.call import Answer, Call, Handler
from connectors.sandbox.dispatch import DISPATCHER
from connectors.sandbox.edition import settled
from connectors.sandbox.errors import ApiError, not_found, refuse, unexpected
from connectors.sandbox.faults.acts import Work, act
from connectors.sandbox.limits import LongCalls
from connectors.sandbox.org import Org, Session
from connectors.sandbox.protocol import (
    check_accept,
    check_size,
    check_version,
    compressed,
    not_allowed,
    over_the_limit,
    warning,
)

ORG: web.AppKey[Org] = web.AppKey("org", Org)
LOG: web.AppKey[AccessLog] = web.AppKey("log")
LONG_CALLS: web.AppKey[LongCalls] = web.AppKey("long-calls")


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log every request and give every refusal the API's form."""
    started = time.monotonic()
    try:
        check_size(request)
        response = await handler(request)
    except ApiError as exc:
        response = _whole(request, _refused(exc))
    except web.HTTPMethodNotAllowed as exc:
        response = _whole(request, _refused(not_allowed(exc.method, exc.allowed_methods)))
    except web.HTTPNotFound:
        response = _whole(request, _refused(not_found()))
    except web.HTTPRequestEntityTooLarge:
        refused = refuse(413, "REQUEST_TOO_LARGE", "The request body is too large")
        response = _whole(request, _refused(refused))
    except web.HTTPException as exc:
        response = _whole(request, _refused(refuse(exc.status, "INVALID_INPUT", exc.reason)))
    except Exception as exc:  # noqa: BLE001 -- the outermost loop: the server must go on
        response = _whole(request, _unexpected(exc))
    request.app[LOG].add(request, response.status, started)
    return response


def api(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return *handler* behind the version, session and limit checks of a REST resource."""

    async def answer(request: web.Request) -> web.StreamResponse:
        org = request.app[ORG]
        version = check_version(request.match_info["version"])
        session = authenticate(request)
        if not session.has_api:
            raise refuse(401, "INVALID_SESSION_ID", _SCOPE_TEXT)
        is_within = org.usage.count(session.app, session.daily_calls)
        usage = org.usage.header(session.app, session.daily_calls)
        common = {"Sforce-Limit-Info": usage} | warning(version)

        async def carry_out() -> Answer:
            try:
                if not is_within:
                    raise over_the_limit()
                check_accept(request.headers.get("Accept", ""))

                async def act_in(edition: int) -> Answer:
                    act_on, call = _meant(handler, Call(org, session, version, request, edition))
                    return await act_on(call)

                result = await settled(org, act_in)
            except ApiError as exc:
                result = _refused(exc)
            except web.RequestPayloadError:
                text = "The body is not encoded as its headers say"
                result = _refused(refuse(400, "INVALID_INPUT", text))
                result.headers["Connection"] = "close"  # where the next request begins is unknown
            result.headers.update(common)
            return result

        try:
            with request.app[LONG_CALLS].one_more():
                return await _under_the_plan(request, carry_out, lambda: org.end(session))
        except ApiError as exc:
            exc.headers.update(common)
            raise

    return answer


async def refuse_unmatched(call: Call) -> Answer:
    """Refuse a method that a resource does not know, or a resource that there is not."""
    allowed: set[str] = set()
    for resource in call.request.app.router.resources():
        _, methods = await resource.resolve(call.request)
        allowed |= methods - {"*"}  # of the route that leads here
    raise not_allowed(call.request.method, allowed) if allowed else not_found()


def _meant(handler: Handler, call: Call) -> tuple[Handler, Call]:
    """Return what a POST with ``_HttpMethod`` stands for, for clients that know no PATCH.

    Source: REST API, "Update a Record".
    """
    method = call.request.query.get("_HttpMethod", "")
    if call.request.method != "POST" or not method:
        return handler, call
    found = call.request.app[DISPATCHER].find(method.upper(), call.request.raw_path)
    return found.route.handler, replace(call, parts=found.parts)


def open_to_all(
    handler: Callable[[web.Request], Awaitable[Answer]], *, has_faults: bool = False
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return *handler* without any check: logins and the list of versions."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if has_faults:
            return await _under_the_plan(request, lambda: handler(request), lambda: None)
        return await _respond(request, await handler(request))

    return answer


async def _under_the_plan(
    request: web.Request, carry_out: Callable[[], Awaitable[Answer]], end: Callable[[], object]
) -> web.StreamResponse:
    """Return the answer that *carry_out* gives, unless a fault of the plan comes between."""

    async def safely() -> Answer:
        try:
            return await carry_out()
        except Exception as exc:  # noqa: BLE001 -- a request that is late has no other loop
            return _unexpected(exc)

    async def respond(answer: Answer) -> web.StreamResponse:
        return await _respond(request, answer)

    faults = request.app[ORG].faults
    if faults is None:
        return await respond(await carry_out())
    return await act(faults, request, Work(safely, respond, end))


def authenticate(request: web.Request) -> Session:
    """Return the session named in the Authorization header.

    Raises:
        ApiError: 401.

    """
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if header and scheme.lower() not in {"bearer", "oauth"}:
        raise refuse(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
    session = request.app[ORG].session(token.strip())
    if session is None:
        raise refuse(401, "INVALID_SESSION_ID", "Session expired or invalid")
    request[APP_KEY] = session.app
    return session


_SCOPE_TEXT = "This session is not valid for use with the REST API"


async def _respond(request: web.Request, answer: Answer) -> web.StreamResponse:
    if answer.lines is not None:
        return await _stream(request, answer.lines, answer.headers)
    return _whole(request, answer)


def _whole(request: web.Request, answer: Answer) -> web.Response:
    headers = {"Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private"}
    headers |= answer.headers
    if answer.text is not None:
        headers["Content-Type"] = "text/plain;charset=UTF-8"
        return web.Response(status=answer.status, headers=headers, text=answer.text)
    if answer.document is None:
        return web.Response(status=answer.status, headers=headers)
    is_pretty = request.headers.get("X-PrettyPrint", "").lower() in {"1", "true"}
    whole = orjson.dumps(answer.document, option=orjson.OPT_INDENT_2 if is_pretty else None)
    headers.setdefault("Content-Type", "application/json;charset=UTF-8")
    body, encoding = compressed(whole, request.headers.get("Accept-Encoding", ""))
    return web.Response(status=answer.status, headers=headers | encoding, body=body)


async def _stream(
    request: web.Request, lines: AsyncIterator[bytes], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Send an answer piece by piece: a job's results may be larger than memory should hold."""
    response = web.StreamResponse(headers={"Content-Type": "text/csv; charset=UTF-8", **headers})
    response.enable_compression()
    await response.prepare(request)
    async for piece in lines:
        await response.write(piece)
    await response.write_eof()
    return response


def report(exc: Exception) -> str:
    """Say on stderr where *exc* came from and return the text that the caller gets.

    The exception's own text may hold data and goes nowhere.
    """
    number = f"{secrets.randbelow(10**10)}-{secrets.randbelow(10**6)} (-{secrets.randbits(31)})"
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    print(f"sandbox: error {number}: {type(exc).__name__} at {where}", file=sys.stderr)  # noqa: T201
    return unexpected(number).message


def _refused(exc: ApiError) -> Answer:
    return Answer(exc.body(), exc.status, dict(exc.headers))


def _unexpected(exc: Exception) -> Answer:
    return Answer(refuse(500, "UNKNOWN_EXCEPTION", report(exc)).body(), 500)
