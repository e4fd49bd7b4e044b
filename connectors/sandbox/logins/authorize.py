"""The page on which a person lets an app in: the authorisation endpoint.

There are no passwords here. Who came through the door of the pages owns the org's home folder
and may be any of its users, as with ``homeport sandbox token``.
"""

from urllib.parse import quote, urlsplit

from aiohttp import web

from connectors.sandbox.accesslog import APP_KEY, PAGE_APP
from connectors.sandbox.bodies import read_form
from connectors.sandbox.logins.codes import Callback, Wish, read_callback, read_wish
from connectors.sandbox.logins.oauth import OAuthError
from connectors.sandbox.page.door import closed, is_inside, is_own_form
from connectors.sandbox.page.html import page, see_other
from connectors.sandbox.web import ORG

_TOLD = {
    "api": "read and change records over the API",
    "full": "do everything that you may",
    "web": "use the org in a browser",
    "id": "see who you are",
    "refresh_token": "come back at any time, until it is revoked",
    "offline_access": "come back at any time, until it is revoked",
}


async def authorize(request: web.Request) -> web.Response:
    """Ask the person (GET), or send the app their answer (POST).

    An app that the org does not know, or a callback that is not the app's, is told to the person
    in the real endpoint's plain text; every other refusal goes to the callback.
    """
    request[APP_KEY] = PAGE_APP
    org = request.app[ORG]
    try:
        callback = read_callback(request.query, org.apps.all())
    except OAuthError as exc:
        text = f"error={exc.error}&error_description={quote(exc.description)}"
        return web.Response(status=400, text=text, headers={"Cache-Control": "no-store"})
    try:
        wish = read_wish(request.query, callback.app)
        if not is_inside(request):
            return closed(request)
        if request.method == "GET":
            return _ask(request, callback, wish)
        return await _decide(request, callback, wish)
    except OAuthError as exc:
        return see_other(callback.answer(error=exc.error, error_description=exc.description))


def _ask(request: web.Request, callback: Callback, wish: Wish) -> web.Response:
    users = request.app[ORG].logins.users()
    hinted = request.query.get("login_hint")
    allowed = [user.username for user in users if callback.app.admits(user.username)]
    shown = {
        "app": callback.app.name,
        "callback": callback.url,
        "users": [user.username for user in users],
        "chosen": hinted or next(iter(allowed), None),
        "wishes": list(dict.fromkeys(_TOLD[scope] for scope in wish.scope.split())),
        "action": request.path_qs,
    }
    return page("authorize.html", shown, form_target=_origin(callback.url))


async def _decide(request: web.Request, callback: Callback, wish: Wish) -> web.Response:
    if not is_own_form(request):
        return closed(request)
    form = await read_form(request)
    if form.get("decision") != "allow":
        raise OAuthError(*_DENIED)
    code = request.app[ORG].logins.authorize(callback, wish, form.get("user", ""))
    return see_other(callback.answer(code=code))


def _origin(url: str) -> str:
    """Return what a content security policy calls the place of *url*."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


_DENIED = ("access_denied", "end-user denied authorization")
