"""Logins and who is logged in, over HTTP."""

from aiohttp import web

from connectors.sandbox.call import Answer
from connectors.sandbox.errors import not_found
from connectors.sandbox.ids import USER_PREFIX, record_id
from connectors.sandbox.logins.oauth import OAuthError, TokenRequest
from connectors.sandbox.org import Org
from connectors.sandbox.web import ORG, authenticate


async def post_token(request: web.Request) -> Answer:
    """Log in by JWT bearer or client credentials."""
    form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    try:
        asked = TokenRequest(form, request.headers.get("Authorization", ""), request.host)
        return Answer(request.app[ORG].login(asked), headers=headers)
    except OAuthError as exc:
        body = {"error": exc.error, "error_description": exc.description}
        return Answer(body, 400, headers)


async def post_revoke(request: web.Request) -> Answer:
    """End a session."""
    token = (await request.post()).get("token") or request.query.get("token")
    if isinstance(token, str) and request.app[ORG].revoke(token):
        return Answer()
    body = {"error": "unsupported_token_type", "error_description": "this token is not supported"}
    return Answer(body, 400)


async def get_userinfo(request: web.Request) -> Answer:
    """Say who is calling."""
    org, user = request.app[ORG], authenticate(request).user
    return Answer(
        {
            "sub": org.identity(user),
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "preferred_username": user.username,
            "urls": _urls(org),
        }
    )


async def get_identity(request: web.Request) -> Answer:
    """Show the user that an identity URL names; users see only themselves."""
    org, user = request.app[ORG], authenticate(request).user
    if not org.identity(user).endswith(request.path.rstrip("/")):
        raise not_found()
    return Answer(
        {
            "id": org.identity(user),
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "username": user.username,
            "display_name": user.username,
            "active": True,
            "urls": _urls(org),
        }
    )


def _urls(org: Org) -> dict[str, str]:
    rest = f"{org.url}/services/data/v{{version}}/"
    return {"rest": rest, "sobjects": f"{rest}sobjects/", "query": f"{rest}query/"}
