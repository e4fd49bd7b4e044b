"""HTTP in and out: what every answer of the REST API has in common."""

import gzip
import json
import secrets
import sys
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from connectors.sandbox.call import Answer, Call, Handler
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.faults.acts import FAULT_KEY, Work, act
from connectors.sandbox.org import Org, Session

ORG: web.AppKey[Org] = web.AppKey("org", Org)
LOG: web.AppKey["AccessLog"] = web.AppKey("log")
FIRST_VERSION, LAST_VERSION = 31, 67
COMPRESS_FROM = 1000  # bytes; below it gzip costs more than it saves
MAX_URI = 16_384  # bytes; Salesforce's limit
APP_KEY = "homeport.app"  # where a request keeps the app it came through, for the log
KEPT_CALLS = 200  # of them the pages show the last
PAGE_APP = "page"  # the app of the pages themselves, which do not show their own calls
_SHOWN = frozenset({"version", "sobject", "field", "slash"})  # parts of a path that name metadata


class AccessLog:
    """One JSON line per request: never a body, a token, a key or a query's text.

    Attributes:
        recent: The last calls, oldest first, as they are written.

    """

    def __init__(self, file: Path) -> None:
        """Append to *file*."""
        self._out = file.open("a", buffering=1, encoding="utf-8")
        file.chmod(0o600)
        self.recent: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)

    def close(self) -> None:
        """Close the file."""
        self._out.close()

    def add(self, request: web.Request, status: int, started: float) -> None:
        """Note a request that began at *started*, in `time.monotonic` seconds."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": request.method,
            "path": _shown_path(request),
            "status": status,
            "app": request.get(APP_KEY, "-"),
            "fault": request.get(FAULT_KEY),
            "ms": round((time.monotonic() - started) * 1000, 1),
        }
        self._out.write(json.dumps(line) + "\n")
        if line["app"] != PAGE_APP:
            self.recent.append(line)


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log every request and give every refusal the API's form."""
    started = time.monotonic()
    try:
        if len(request.raw_path) > MAX_URI:
            raise refuse(414, "URI_TOO_LONG", "Maximum length for URI exceeded")  # noqa: TRY301
        response = await handler(request)
    except ApiError as exc:
        response = _whole(request, Answer(exc.body(), exc.status))
    except web.HTTPMethodNotAllowed as exc:
        allowed = ",".join(sorted(exc.allowed_methods - {"HEAD"}))
        text = f"HTTP Method '{exc.method}' not allowed. Allowed are {allowed}"
        refused = refuse(405, "METHOD_NOT_ALLOWED", text)
        response = _whole(request, Answer(refused.body(), 405))
    except web.HTTPNotFound:
        response = _whole(request, Answer(not_found().body(), 404))
    except web.HTTPRequestEntityTooLarge:
        refused = refuse(413, "REQUEST_TOO_LARGE", "The request body is too large")
        response = _whole(request, Answer(refused.body(), 413))
    except web.HTTPException as exc:
        refused = refuse(exc.status, "INVALID_INPUT", exc.reason)
        response = _whole(request, Answer(refused.body(), exc.status))
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

        async def carry_out() -> Answer:
            try:
                if not is_within:
                    raise refuse(403, "REQUEST_LIMIT_EXCEEDED", _LIMIT_TEXT)
                result = await handler(Call(org, session, version, request))
            except ApiError as exc:
                result = Answer(exc.body(), exc.status)
            result.headers["Sforce-Limit-Info"] = usage
            return result

        return await _under_the_plan(request, carry_out, lambda: org.end(session))

    return answer


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
_LIMIT_TEXT = "TotalRequests Limit exceeded."


def check_version(version: str) -> str:
    """Return the API version of a path, such as ``62.0``, if there is such a one.

    Raises:
        ApiError: 410 for a retired one, 404 for one that does not exist yet.

    """
    number = int(version.partition(".")[0])
    if number < FIRST_VERSION:
        text = f"The requested API version {version} has been retired"
        raise refuse(410, "GONE", text)
    if number > LAST_VERSION:
        raise not_found()
    return version


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
    body = orjson.dumps(answer.document, option=orjson.OPT_INDENT_2 if is_pretty else None)
    headers.setdefault("Content-Type", "application/json;charset=UTF-8")
    if len(body) >= COMPRESS_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = gzip.compress(body, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return web.Response(status=answer.status, headers=headers, body=body)


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


def _shown_path(request: web.Request) -> str:
    """Return the path with ids, keys and whatever matched no route as ``*``."""
    resource = request.match_info.route.resource
    if resource is None:
        return "*"
    parts = {k: v if k in _SHOWN else "*" for k, v in request.match_info.items()}
    return str(resource.url_for(**parts)) if parts else resource.canonical


def report(exc: Exception) -> str:
    """Say on stderr where *exc* came from and return the text that the caller gets.

    The exception's own text may hold data and goes nowhere.
    """
    number = f"{secrets.randbelow(10**10)}-{secrets.randbelow(10**6)}"
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    print(f"sandbox: error {number}: {type(exc).__name__} at {where}", file=sys.stderr)  # noqa: T201
    return (
        "An unexpected error occurred. Please include this ErrorId if you contact support:"
        f" {number}"
    )


def _unexpected(exc: Exception) -> Answer:
    return Answer(refuse(500, "UNKNOWN_EXCEPTION", report(exc)).body(), 500)
