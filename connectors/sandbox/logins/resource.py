"""Logins over HTTP: the token endpoint, introspection, revocation, and what the org offers."""

from aiohttp import web

from connectors.sandbox.bodies import read_form
from connectors.sandbox.call import Answer
from connectors.sandbox.errors import ApiError
from connectors.sandbox.logins.codes import SCOPES
from connectors.sandbox.logins.oauth import OAuthError, TokenRequest
from connectors.sandbox.web import ORG

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def post_token(request: web.Request) -> Answer:
    """Log in by JWT bearer, client credentials, an authorisation code or a refresh token."""
    try:
        return Answer(request.app[ORG].logins.login(await _asked(request)), headers={**NO_STORE})
    except OAuthError as exc:
        return _refusal(exc, 400)


async def post_introspect(request: web.Request) -> Answer:
    """Say what a token is good for.

    Source: Salesforce help, "OpenID Connect Token Introspection".
    """
    try:
        shown = request.app[ORG].logins.introspect(await _asked(request))
    except OAuthError as exc:
        return _refusal(exc, 400 if exc.error == "invalid_request" else 401)
    return Answer(shown, headers={**NO_STORE})


async def revoke(request: web.Request) -> Answer:
    """End a session, or a refresh token with all its sessions.

    Source: Salesforce help, "Revoke OAuth Tokens".
    """
    try:
        form = await _form(request) if request.method == "POST" else {}
    except OAuthError as exc:
        return _refusal(exc, 400)
    token = form.get("token") or request.query.get("token")
    if token and request.app[ORG].logins.revoke(token):
        return Answer(headers={**NO_STORE})
    return _refusal(OAuthError(*_UNSUPPORTED_TOKEN), 400)


async def get_configuration(request: web.Request) -> Answer:
    """Say where which endpoint is and what it takes.

    Source: Salesforce help, "OpenID Connect Discovery Endpoint".
    """
    url = request.app[ORG].url
    oauth = f"{url}/services/oauth2"
    return Answer(
        {
            "issuer": url,
            "authorization_endpoint": f"{oauth}/authorize",
            "token_endpoint": f"{oauth}/token",
            "revocation_endpoint": f"{oauth}/revoke",
            "userinfo_endpoint": f"{oauth}/userinfo",
            "introspection_endpoint": f"{oauth}/introspect",
            "scopes_supported": sorted(SCOPES),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "display_values_supported": ["page", "popup", "touch"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_post",
                "client_secret_basic",
            ],
        }
    )


async def _asked(request: web.Request) -> TokenRequest:
    form = await _form(request)
    return TokenRequest(form, request.headers.get("Authorization", ""), request.host)


async def _form(request: web.Request) -> dict[str, str]:
    try:
        return await read_form(request)
    except ApiError as exc:
        raise OAuthError(*_NO_FORM) from exc


def _refusal(exc: OAuthError, status: int) -> Answer:
    body = {"error": exc.error, "error_description": exc.description}
    return Answer(body, status, {**NO_STORE})


_NO_FORM = ("invalid_request", "the form cannot be read")
_UNSUPPORTED_TOKEN = ("unsupported_token_type", "this token is not supported")
