"""SOAP over HTTP: one call an envelope, faults HTTP 500.

Source: SOAP API Developer Guide, "Core Data Types Used in API Calls" (ExceptionCode) and "SOAP
Header Options"; the texts as the real API writes them.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from connectors.sandbox.accesslog import APP_KEY
from connectors.sandbox.deploys.jobs import NO_PERMISSION, PERMISSION
from connectors.sandbox.deploys.runner import DEPLOYER
from connectors.sandbox.errors import ApiError
from connectors.sandbox.markup import Node
from connectors.sandbox.org import Org, Session
from connectors.sandbox.protocol import FIRST_VERSION, LAST_VERSION, compressed
from connectors.sandbox.soap import metadata, partner
from connectors.sandbox.soap.envelope import (
    ENTERPRISE,
    METADATA,
    PARTNER,
    Fault,
    Request,
    answer,
    fault,
    read_request,
    unknown_operation,
)
from connectors.sandbox.web import ORG, report

_VERSION = re.compile(r"(\d{1,3})(?:\.\d)?", re.ASCII)
_NAMESPACES = {"u": PARTNER, "c": ENTERPRISE}
_TOO_LARGE = (
    "Maximum size of request reached. Maximum size of request is {} bytes."  # the real API's words
)
_LIMIT_TEXT = "TotalRequests Limit exceeded."


async def post_partner(request: web.Request) -> web.Response:
    """Carry a call of the partner or the enterprise API out."""
    namespace = _NAMESPACES[request.match_info["api"]]

    async def carry_out(asked: Request) -> str:
        if asked.operation == "login":
            raise partner.no_login()
        org, session = request.app[ORG], _session(request, asked)
        operation = partner.OPERATIONS.get(asked.operation)
        if operation is None or asked.namespace != namespace:
            raise unknown_operation(asked)
        result = await operation(org, session, asked)
        return answer(namespace, asked.operation, result, _usage(org))

    return await _respond(request, namespace, carry_out)


async def post_metadata(request: web.Request) -> web.Response:
    """Carry a call of the Metadata API out."""

    async def carry_out(asked: Request) -> str:
        org, session = request.app[ORG], _session(request, asked)
        if not org.views.permits(session.user, PERMISSION):
            code = "INSUFFICIENT_ACCESS"
            raise Fault(code, NO_PERMISSION)
        operation = metadata.OPERATIONS.get(asked.operation)
        if operation is None or asked.namespace != METADATA:
            raise unknown_operation(asked)
        result = await operation(org, request.app[DEPLOYER], session, asked)
        return answer(METADATA, asked.operation, result)

    return await _respond(request, METADATA, carry_out)


async def _respond(
    request: web.Request, namespace: str, carry_out: Callable[[Request], Awaitable[str]]
) -> web.Response:
    """Return the answer to a call, or the fault that refuses it."""
    status, body = 500, ""
    try:
        _check_version(request.match_info["version"])
        body, status = await carry_out(read_request(await request.read())), 200
    except Fault as exc:
        body = fault(namespace, exc)
    except ApiError as exc:
        first = exc.problems[0]
        body = fault(namespace, Fault(first.code, first.message))
    except web.HTTPRequestEntityTooLarge:
        largest = _TOO_LARGE.format(request.client_max_size)
        body = fault(namespace, Fault("EXCEEDED_MAX_SIZE_REQUEST", largest))
    except Exception as exc:  # noqa: BLE001 -- clients of SOAP read faults, whatever happened
        body = fault(namespace, Fault("UNKNOWN_EXCEPTION", report(exc)))
    content, headers = compressed(body.encode(), request.headers.get("Accept-Encoding", ""))
    headers["Content-Type"] = "text/xml; charset=UTF-8"
    return web.Response(status=status, body=content, headers=headers)


def _session(request: web.Request, asked: Request) -> Session:
    """Return the session of the SessionHeader; the call counts.

    Raises:
        Fault: There is none, or its allowance is used up.

    """
    org = request.app[ORG]
    session = org.session(asked.session)
    if session is None or not session.has_api:
        code = "INVALID_SESSION_ID"
        words = "Invalid Session ID found in SessionHeader: Illegal Session"
        raise Fault(code, words)
    request[APP_KEY] = session.app
    if not org.usage.count(session.app, session.daily_calls):
        code = "REQUEST_LIMIT_EXCEEDED"
        raise Fault(code, _LIMIT_TEXT)
    return session


def _check_version(version: str) -> None:
    match = _VERSION.fullmatch(version)
    if match is None or not FIRST_VERSION <= int(match[1]) <= LAST_VERSION:
        code, words = "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL"
        raise Fault(code, words)


def _usage(org: Org) -> Node:
    """Return the LimitInfoHeader of an answer."""
    info: Node = {"current": org.usage.used(), "limit": org.usage.maximum, "type": "API REQUESTS"}
    return {"LimitInfoHeader": {"limitInfo": info}}
