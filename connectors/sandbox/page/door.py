"""The door of the pages: a one-time key in, a cookie out.

The org listens on loopback, but so may every other user of the machine: that a browser can reach
it proves nothing. A browser sends its cookies to every port of a host and calls them all one
site, so a form is also held to come from this very port.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from connectors.sandbox.accesslog import APP_KEY, PAGE_APP
from connectors.sandbox.bodies import read_form
from connectors.sandbox.page.html import page, see_other
from connectors.sandbox.page.keys import VISIT_LIFE_S
from connectors.sandbox.web import ORG

HOME = "/"
# where the door may lead on to; all of it on this host, whatever is asked for
_ASKED = re.compile(r"/|/calls|/objects/\w+|/services/oauth2/authorize\?[\x21-\x7e]+", re.ASCII)

Handler = Callable[[web.Request], Awaitable[web.Response]]


def guarded(handler: Handler) -> Handler:
    """Return *handler* for those who came through the door, and the closed door for all others."""

    async def answer(request: web.Request) -> web.Response:
        request[APP_KEY] = PAGE_APP
        if not is_inside(request):
            return closed(request)
        return await handler(request)

    return answer


def is_inside(request: web.Request) -> bool:
    """Return whether the request's cookie is one of ours."""
    cookie = request.cookies.get(_cookie_name(request), "")
    return bool(cookie) and request.app[ORG].visits.is_open(cookie)


def is_own_form(request: web.Request) -> bool:
    """Return whether a form was sent by a page of this org."""
    return request.headers.get("Origin") == f"{request.scheme}://{request.host}"


def closed(request: web.Request, *, is_wrong: bool = False) -> web.Response:
    """Return the page that asks for a key; it leads on to what was asked for."""
    asked = request.path_qs if request.method == "GET" and "key" not in request.query else HOME
    shown = {"asked": asked, "port": request.url.port, "is_wrong": is_wrong}
    return page("closed.html", shown, status=403)


async def get_home_or_enter(request: web.Request, show: Handler) -> web.Response:
    """Answer ``/``: a link's key is taken and goes from the address bar; else show the page."""
    key = request.query.get("key")
    if key is None:
        return await guarded(show)(request)
    request[APP_KEY] = PAGE_APP
    return _enter(request, key, HOME)


async def post_enter(request: web.Request) -> web.Response:
    """Take a key that was typed in, and lead on to the page that was asked for."""
    request[APP_KEY] = PAGE_APP
    form = await read_form(request)
    key, asked = form.get("key", ""), form.get("asked", HOME)
    return _enter(request, key.strip(), asked if _ASKED.fullmatch(asked) else HOME)


def _enter(request: web.Request, key: str, asked: str) -> web.Response:
    cookie = request.app[ORG].visits.open(key)
    if cookie is None:
        return closed(request, is_wrong=True)
    response = see_other(asked)
    response.set_cookie(
        _cookie_name(request),
        cookie,
        max_age=VISIT_LIFE_S,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.scheme == "https",
    )
    return response


def _cookie_name(request: web.Request) -> str:
    """Return the cookie's name: by port, because cookies are not kept apart by it."""
    return f"homeport-org-{request.url.port}"
