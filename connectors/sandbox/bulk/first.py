"""Bulk API 1.0, which this org has not: what its clients are told, in the form they read.

Source: Bulk API, "Errors"; a client without a session learns of that first.
"""

from aiohttp import web

from connectors.sandbox.accesslog import APP_KEY
from connectors.sandbox.call import Answer
from connectors.sandbox.web import ORG

_NO_SESSION = ("InvalidSessionId", "Invalid session id")
_NOT_ENABLED = ("FeatureNotEnabled", "Async API not enabled")


async def refuse(request: web.Request) -> Answer:
    """Refuse a call of any resource; the session comes in a header of this API's own."""
    session = request.app[ORG].session(request.headers.get("X-SFDC-Session", ""))
    if session is not None:
        request[APP_KEY] = session.app
    code, text = _NO_SESSION if session is None or not session.has_api else _NOT_ENABLED
    return Answer({"exceptionCode": code, "exceptionMessage": text}, 400)
