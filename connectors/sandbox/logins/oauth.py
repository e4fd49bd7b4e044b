"""Logins: JWT bearer, client credentials and who a client is, checked as the real org does. Pure.

Source: Salesforce help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration", "OAuth 2.0
Client Credentials Flow for Server-to-Server Integration" and "OAuth 2.0 Authorization Errors".
The texts of a blocked app, a flow that is off and a missing execution user are not on those
pages; they are what clients have reported.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.sandbox.logins.apps import RegisteredApp

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_CREDENTIALS = "client_credentials"
MAX_LIFE_S = 300  # an assertion may expire this far ahead; the documented window is 180
_MILLISECONDS_FROM = 10**11  # as seconds it would be the year 5138
MIN_KEY_BITS = 2048
NOT_APPROVED_TEXT = "user is not admin approved to access this app"
LEGACY_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
LEGACY_AUDIENCES = frozenset(f"https://{host}" for host in LEGACY_HOSTS)


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a client sends to the token endpoint.

    Attributes:
        form: The body's fields.
        authorization: The header of that name, empty if there is none.
        host: The host that the client means to talk to.

    """

    form: Mapping[str, str]
    authorization: str = ""
    host: str = ""


class OAuthError(Exception):
    """A refused login.

    Attributes:
        error: OAuth error code.
        description: Text for people.

    """

    def __init__(self, error: str, description: str) -> None:
        """Take the pair that the real endpoint answers; neither holds a value."""
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description


def check_client(
    request: TokenRequest, apps: Sequence[RegisteredApp], *, needs_secret: bool = False
) -> RegisteredApp:
    """Return the app that asks; one that has a secret must give it.

    Args:
        request: The request.
        apps: Every registered app.
        needs_secret: An app without a secret is refused, too.

    Raises:
        OAuthError: There is no such app, it is blocked, or it did not prove itself.

    """
    client_id, secret = _credentials(request)
    app = find_app(apps, client_id)
    is_proof_needed = needs_secret or app.secret_sha256 is not None
    if is_proof_needed and not app.knows(secret):
        raise OAuthError(*_SECRET)
    return app


def find_app(apps: Sequence[RegisteredApp], consumer_key: object) -> RegisteredApp:
    """Return the app with that consumer key.

    Raises:
        OAuthError: There is none, or it is blocked.

    """
    app = next((a for a in apps if a.consumer_key == consumer_key), None)
    if app is None:
        raise OAuthError(*_CLIENT)
    if app.blocked:
        raise OAuthError(*_BLOCKED)
    return app


def verify(
    request: TokenRequest,
    apps: Sequence[RegisteredApp],
    users: Collection[str],
    audiences: Collection[str],
    now: datetime,
) -> tuple[RegisteredApp, str]:
    """Return the app that a token request logs in, and the name of the user it runs as.

    Args:
        request: The request.
        apps: Every registered app.
        users: Every username of the org.
        audiences: The org's own My Domain URLs.
        now: The org's clock.

    Raises:
        OAuthError: The login is refused.

    """
    grant = request.form.get("grant_type")
    if grant == JWT_BEARER:
        app = _verify_assertion(request.form.get("assertion", ""), apps, users, audiences, now)
        return app, app.username
    if grant == CLIENT_CREDENTIALS:
        return _verify_client(request, apps)
    # since February 2027 no org lets usernames and passwords in, and no external client app may
    raise OAuthError(*(_PASSWORD if grant == "password" else _GRANT_TYPE))


def _verify_assertion(
    assertion: str,
    apps: Sequence[RegisteredApp],
    users: Collection[str],
    audiences: Collection[str],
    now: datetime,
) -> RegisteredApp:
    if not assertion:
        raise OAuthError(*_NO_ASSERTION)
    app = find_app(apps, _decode(assertion, None).get("iss"))
    claims = _decode(assertion, _public_key(app, now))
    _check_audience(claims.get("aud"), audiences)
    _check_expiry(claims.get("exp"), now.timestamp())
    if claims.get("sub") not in users:
        raise OAuthError(*_USER)
    if claims["sub"] != app.username:
        raise OAuthError(*_NOT_APPROVED)
    return app


def _verify_client(
    request: TokenRequest, apps: Sequence[RegisteredApp]
) -> tuple[RegisteredApp, str]:
    if request.host in LEGACY_HOSTS:
        raise OAuthError(*_DOMAIN)
    client_id, secret = _credentials(request)
    app = find_app(apps, client_id)
    if not app.knows(secret):
        raise OAuthError(*_SECRET)
    if not app.has_client_credentials:
        raise OAuthError(*_FLOW)
    if not app.execution_user:
        raise OAuthError(*_NO_EXECUTION_USER)
    return app, app.execution_user


def _credentials(request: TokenRequest) -> tuple[str, str]:
    """Return (client id, secret): from the Basic header, or else from the body."""
    scheme, _, encoded = request.authorization.partition(" ")
    if scheme.lower() != "basic":
        return request.form.get("client_id", ""), request.form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError as exc:
        raise OAuthError(*_SECRET) from exc
    return client_id, secret


_GRANT_TYPE = ("unsupported_grant_type", "grant type not supported")
_PASSWORD = ("invalid_grant", "authentication failure")
_CLIENT = ("invalid_client_id", "client identifier invalid")
_BLOCKED = ("OAUTH_APP_BLOCKED", "this app is blocked by admin")
_NO_ASSERTION = ("invalid_request", "assertion is required")
_ASSERTION = ("invalid_grant", "invalid assertion")
_APP = ("app_not_found", "External client app is not installed in this org")
_AUDIENCE = ("invalid_grant", "audience is invalid")
_EXPIRED = ("invalid_grant", "expired authorization code")
_USER = ("invalid_grant", "user hasn't approved this consumer")
_NOT_APPROVED = ("invalid_grant", NOT_APPROVED_TEXT)
_DOMAIN = ("invalid_grant", "request not supported on this domain")
_SECRET = ("invalid_client", "invalid client credentials")
_FLOW = ("invalid_grant", "client credentials flow not enabled")
_NO_EXECUTION_USER = ("invalid_grant", "no client credentials user enabled")


def _decode(assertion: str, key: rsa.RSAPublicKey | None) -> dict[str, Any]:
    """Return the claims; without *key* unverified, to learn whose certificate to use."""
    options: dict[str, Any] = {
        "verify_signature": key is not None,
        "verify_exp": False,  # exp may be a string, which PyJWT refuses
        "verify_aud": False,
        "verify_iat": False,
        "verify_nbf": False,
        "verify_sub": False,
        "verify_iss": False,
        "verify_jti": False,
    }
    try:
        if key is None:
            return dict(jwt.decode(assertion, options=options))  # type: ignore[arg-type]
        return dict(jwt.decode(assertion, key, algorithms=["RS256"], options=options))  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError) as exc:
        raise OAuthError(*_ASSERTION) from exc


def _public_key(app: RegisteredApp, now: datetime) -> rsa.RSAPublicKey:
    if not app.certificate:
        raise OAuthError(*_ASSERTION)
    certificate = x509.load_pem_x509_certificate(app.certificate.encode("ascii"))
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise OAuthError(*_ASSERTION)
    if now.astimezone(UTC) > certificate.not_valid_after_utc:
        raise OAuthError(*_ASSERTION)
    return key


def _check_audience(audience: object, own: Collection[str]) -> None:
    listed = audience if isinstance(audience, list) else [audience]
    # the official CLI signs for `https://org/` where it was told `https://org`
    named = [str(name).removesuffix("/") for name in listed]
    if any(name in own for name in named):
        return
    if any(name in LEGACY_AUDIENCES for name in named):
        raise OAuthError(*_APP)
    raise OAuthError(*_AUDIENCE)


def _check_expiry(expiry: object, now: float) -> None:
    try:
        at = float(expiry) if isinstance(expiry, int | float | str) else 0.0
    except (ValueError, OverflowError) as exc:
        raise OAuthError(*_ASSERTION) from exc
    if at >= _MILLISECONDS_FROM:
        # the official CLI sends milliseconds, 300 of them ahead, and real orgs let it in
        if abs(at / 1000 - now) > MAX_LIFE_S:
            raise OAuthError(*_ASSERTION)
        return
    if not at > now:
        raise OAuthError(*_EXPIRED)
    if at > now + MAX_LIFE_S:
        raise OAuthError(*_ASSERTION)
