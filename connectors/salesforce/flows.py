"""What is said at the token endpoint: JWT bearer and client credentials, and the answers to both.

Source: Salesforce help, "OAuth 2.0 JWT Bearer Flow", "OAuth 2.0 Client Credentials Flow" and
"OAuth 2.0 Authorization Errors"; RFC 7523; RFC 6749 section 4.4.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.salesforce.config import App, SalesforceConfig
from connectors.salesforce.errors import LoginRefusedError, OrgUnavailableError
from schemas.errors import HaltError

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  a path, not a secret
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 180  # the documented window; longer ones are refused
MIN_KEY_BITS = 2048  # RFC 7518 section 3.3
OTHERS = 0o077
OK, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 429, 500
_VISIBLE = re.compile(r"[!-~]+")  # what may stand in an Authorization header

NEXT_STEP: Mapping[str, str] = {
    "OAUTH_APP_BLOCKED": "an administrator has blocked the app; unblock it, or name another",
    "app_not_found": "instance_url must be the My Domain of the org that has the app",
    "inactive_org": "the org is locked or gone",
    "invalid_app_access": "pre-authorise the user for the app with its permission set",
    "invalid_client": "check consumer_key and client_secret_file against the app",
    "invalid_client_id": "check consumer_key against the app",
    "invalid_grant": (
        "check that the user is active and pre-authorised for the app, that the app holds the "
        "certificate of private_key_file or has its client credentials flow and its user, the "
        "IP ranges and this machine's clock"
    ),
    "invalid_request": "turn on the flow in the app: JWT bearer by giving it a certificate",
    "unsupported_grant_type": "turn on the flow in the app: JWT bearer by giving it a certificate",
}
DEFAULT_STEP = "see the user's Login History in the org's Setup"
LATER = frozenset({"rate_limit_exceeded", "server_error", "temporarily_unavailable"})
# Descriptions are the org's text; only those known to hold no value are repeated.
DESCRIPTIONS = frozenset(
    {
        "Audience validation failed",
        "audience is invalid",
        "authentication failure",
        "client credentials flow not enabled",
        "client identifier invalid",
        "expired access/refresh token",
        "expired authorization code",
        "grant type not supported",
        "inactive user",
        "invalid assertion",
        "invalid client credentials",
        "ip restricted",
        "no client credentials user enabled",
        "user hasn't approved this consumer",
        "user is not admin approved to access this app",
    }
)


@dataclass(frozen=True, slots=True)
class Token:
    """A session id and how many logins came before it."""

    value: str = field(repr=False)
    generation: int


@dataclass(frozen=True, slots=True)
class Login:
    """A request to the token endpoint.

    Attributes:
        form: Its form fields.
        basic: User and password of its Authorization header, or None.

    """

    form: Mapping[str, str] = field(repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)


def login(config: SalesforceConfig, app: App, now_s: float) -> Login:
    """Return the request that asks for a session through *app* at *now_s* (Unix seconds).

    Raises:
        HaltError: The app's key or secret cannot be read.

    """
    if app.private_key_file is not None:
        signed = assertion(config, app, app.private_key_file, now_s)
        return Login({"grant_type": GRANT_TYPE, "assertion": signed})
    secret = _secret(app.client_secret_file)
    return Login({"grant_type": "client_credentials"}, (app.consumer_key, secret))


def assertion(config: SalesforceConfig, app: App, key_file: Path, now_s: float) -> str:
    """Return the signed JWT that asks for a session at *now_s* (Unix seconds).

    Raises:
        HaltError: private_key_file does not hold an RSA key of at least 2,048 bits.

    """
    key: object = None
    with suppress(OSError, TypeError, ValueError):  # said below, without the parser's text
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        msg = (
            f"private_key_file {key_file} is no readable PEM of an RSA key of "
            f"{MIN_KEY_BITS} bits or more, without a password"
        )
        raise HaltError(msg)
    claims = {
        "iss": app.consumer_key,
        "sub": config.username,
        "aud": config.instance_url,
        "exp": int(now_s) + ASSERTION_LIFE_S,
    }
    return jwt.encode(claims, key, algorithm="RS256")


def _secret(file: Path | None) -> str:
    text = ""
    with suppress(OSError, UnicodeDecodeError):
        if file is not None and not file.stat().st_mode & OTHERS:
            text = file.read_text("ascii").strip()
    if not _VISIBLE.fullmatch(text):
        msg = (
            f"client_secret_file {file} is no readable file that holds the app's consumer"
            " secret alone; run `chmod 600` on it if others can read it"
        )
        raise HaltError(msg)
    return text


def read_token(status: int, body: Mapping[str, Any], generation: int) -> Token:
    """Return the token in the token endpoint's answer.

    Raises:
        LoginRefusedError: The org says why it refuses; that code and the next step.
        OrgUnavailableError: The answer is not one, or asks to come back later.

    """
    value = body.get("access_token")
    if status == OK and isinstance(value, str) and _VISIBLE.fullmatch(value):
        return Token(value, generation)
    error = str(body.get("error", ""))
    late = status in {OK, TOO_MANY_REQUESTS} or status >= SERVER_ERROR or error in LATER
    if late:
        msg = f"log in: Salesforce answered HTTP {status} without a token"
        raise OrgUnavailableError(msg)
    code = error if error in NEXT_STEP else f"HTTP {status}"
    description = str(body.get("error_description", ""))
    detail = f" ({description})" if description in DESCRIPTIONS else ""
    msg = f"Salesforce refuses the login: {code}{detail}; {NEXT_STEP.get(error, DEFAULT_STEP)}"
    raise LoginRefusedError(msg)
