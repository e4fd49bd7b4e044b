"""Logins: the JWT bearer flow, checked as the real token endpoint checks it. Pure.

Source: Salesforce help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration" and
"OAuth 2.0 Authorization Errors".
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from schemas.errors import SetupError

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
MAX_LIFE_S = 300  # an assertion may expire this far ahead; the documented window is 180
MIN_KEY_BITS = 2048
LEGACY_AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An External Client App with its one pre-authorised user.

    Attributes:
        consumer_key: The ``iss`` of its assertions.
        username: The ``sub`` of its assertions.
        certificate: PEM of the certificate that verifies them.

    """

    name: str
    consumer_key: str
    username: str
    certificate: str
    permission_set: str


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


def read_apps(file: Path) -> tuple[RegisteredApp, ...]:
    """Return the apps in *file*, none if there is no file.

    Raises:
        SetupError: The file is not a list of apps.

    """
    if not file.exists():
        return ()
    try:
        return tuple(RegisteredApp(**row) for row in json.loads(file.read_text("utf-8")))
    except (TypeError, ValueError) as exc:
        msg = f"{file} is not a list of apps; remove it and register them again"
        raise SetupError(msg) from exc


def verify(
    form: Mapping[str, str],
    apps: Sequence[RegisteredApp],
    users: Collection[str],
    audiences: Collection[str],
    now: datetime,
) -> RegisteredApp:
    """Return the app that a token request logs in.

    Args:
        form: The request's fields.
        apps: Every registered app.
        users: Every username of the org.
        audiences: The org's own My Domain URLs.
        now: The org's clock.

    Raises:
        OAuthError: The login is refused.

    """
    if form.get("grant_type") != GRANT_TYPE:
        raise OAuthError(*_GRANT_TYPE)
    if not form.get("assertion"):
        raise OAuthError(*_NO_ASSERTION)
    claims = _decode(form["assertion"], None)
    app = next((a for a in apps if a.consumer_key == claims.get("iss")), None)
    if app is None:
        raise OAuthError(*_CLIENT)
    claims = _decode(form["assertion"], _public_key(app, now))
    _check_audience(claims.get("aud"), audiences)
    _check_expiry(claims.get("exp"), now.timestamp())
    if claims.get("sub") not in users:
        raise OAuthError(*_USER)
    if claims["sub"] != app.username:
        raise OAuthError(*_NOT_APPROVED)
    return app


_GRANT_TYPE = ("unsupported_grant_type", "grant type not supported")
_NO_ASSERTION = ("invalid_request", "assertion is required")
_ASSERTION = ("invalid_grant", "invalid assertion")
_CLIENT = ("invalid_client_id", "client identifier invalid")
_APP = ("app_not_found", "External client app is not installed in this org")
_AUDIENCE = ("invalid_grant", "audience is invalid")
_EXPIRED = ("invalid_grant", "expired authorization code")
_USER = ("invalid_grant", "user hasn't approved this consumer")
_NOT_APPROVED = ("invalid_grant", "user is not admin approved to access this app")


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
    certificate = x509.load_pem_x509_certificate(app.certificate.encode("ascii"))
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise OAuthError(*_ASSERTION)
    if now.astimezone(UTC) > certificate.not_valid_after_utc:
        raise OAuthError(*_ASSERTION)
    return key


def _check_audience(audience: object, own: Collection[str]) -> None:
    named = audience if isinstance(audience, list) else [audience]
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
    if not at > now:
        raise OAuthError(*_EXPIRED)
    if at > now + MAX_LIFE_S:
        raise OAuthError(*_ASSERTION)


def new_token(org_id: str) -> str:
    """Return a session id as the real org makes them: the org's id, ``!``, 96 characters."""
    return f"{org_id[:15]}!{secrets.token_urlsafe(72).replace('-', '.')}"


def digest(token: str) -> bytes:
    """Return what is stored of a token: 32 bytes that do not open a session."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def token_answer(token: str, url: str, identity: str, secret: str, now: datetime) -> dict[str, str]:
    """Return the body of a successful login; every member is a string.

    Args:
        token: The new session id.
        url: The org's My Domain URL.
        identity: The user's identity URL.
        secret: What signs the answer.
        now: When it was issued.

    """
    issued_at = str(int(now.timestamp() * 1000))
    signature = hmac.digest(
        secret.encode("ascii"), (identity + issued_at).encode("ascii"), "sha256"
    )
    return {
        "access_token": token,
        "scope": "api",
        "instance_url": url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
        "signature": base64.b64encode(signature).decode("ascii"),
        "api_instance_url": url,
    }
