"""Logging in by JWT bearer, with one token shared until the org calls it dead.

Source: Salesforce help, "OAuth 2.0 JWT Bearer Flow" and "OAuth 2.0 Authorization Errors";
RFC 7523.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.errors import LoginRefusedError, OrgUnavailableError
from schemas.errors import HaltError, HomeportError

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  a path, not a secret
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE_S = 180  # the documented window; longer ones are refused
MIN_KEY_BITS = 2048  # RFC 7518 section 3.3
OK, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 429, 500
_VISIBLE = re.compile(r"[!-~]+")  # what may stand in an Authorization header

NEXT_STEP: Mapping[str, str] = {
    "app_not_found": "instance_url must be the My Domain of the org that has the app",
    "inactive_org": "the org is locked or gone",
    "invalid_app_access": "pre-authorise the user for the app with its permission set",
    "invalid_client": "check consumer_key against the app",
    "invalid_client_id": "check consumer_key against the app",
    "invalid_grant": (
        "check that the user is active and pre-authorised for the app, that the app holds the "
        "certificate of private_key_file, the IP ranges and this machine's clock"
    ),
    "invalid_request": "turn on the JWT bearer flow in the app: give it a certificate",
    "unsupported_grant_type": "turn on the JWT bearer flow in the app: give it a certificate",
}
DEFAULT_STEP = "see the user's Login History in the org's Setup"
LATER = frozenset({"rate_limit_exceeded", "server_error", "temporarily_unavailable"})
# Descriptions are the org's text; only those known to hold no value are repeated.
DESCRIPTIONS = frozenset(
    {
        "Audience validation failed",
        "audience is invalid",
        "authentication failure",
        "client identifier invalid",
        "expired access/refresh token",
        "expired authorization code",
        "grant type not supported",
        "inactive user",
        "invalid assertion",
        "invalid client credentials",
        "ip restricted",
        "user hasn't approved this consumer",
        "user is not admin approved to access this app",
    }
)


@dataclass(frozen=True, slots=True)
class Token:
    """A session id and how many logins came before it."""

    value: str = field(repr=False)
    generation: int


def open_session(config: SalesforceConfig) -> requests.Session:
    """Return a session that trusts only the configured authorities.

    It takes nothing from the environment: REQUESTS_CA_BUNDLE would override the authorities,
    a proxy variable or a ~/.netrc would change where requests go and with what.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = True if config.ca_file is None else str(config.ca_file)
    return session


class Tokens:
    """Caches the token; threads may share one. Logs in when asked, never on its own."""

    def __init__(
        self,
        config: SalesforceConfig,
        session: requests.Session,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take the session to log in with and a clock that gives Unix seconds."""
        self._config = config
        self._session = session
        self._now = now
        self._lock = threading.Lock()
        self._token: Token | None = None

    def current(self) -> Token:
        """Return the cached token, logging in if there is none yet.

        Raises:
            LoginRefusedError: The org refuses; the text says which setting to look at.
            OrgUnavailableError: The org could not be reached or is not ready.

        """
        with self._lock:
            if self._token is None:
                self._token = self._login(generation=0)
            return self._token

    def refresh(self, if_generation: int) -> Token:
        """Return a token newer than *if_generation*.

        Callers whose requests failed together with the same dead token cause one login.

        Raises:
            LoginRefusedError: As `current`.
            OrgUnavailableError: As `current`.

        """
        with self._lock:
            if self._token is None or self._token.generation <= if_generation:
                self._token = self._login(generation=if_generation + 1)
            return self._token

    def _login(self, generation: int) -> Token:
        form = {"grant_type": GRANT_TYPE, "assertion": assertion(self._config, self._now())}
        url = self._config.instance_url + TOKEN_PATH
        failure: HomeportError
        try:
            response = self._session.post(
                url, data=form, timeout=self._config.timeout_s, allow_redirects=False
            )
        except OSError as exc:  # every error of requests is one
            failure = network_failure("log in", exc)
        else:
            return read_token(response.status_code, _json(response), generation)
        raise failure  # here, so that the caught error does not ride along with its texts


def assertion(config: SalesforceConfig, now_s: float) -> str:
    """Return the signed JWT that asks for a session at *now_s* (Unix seconds).

    Raises:
        HaltError: private_key_file does not hold an RSA key of at least 2,048 bits.

    """
    key: object = None
    with suppress(OSError, TypeError, ValueError):  # said below, without the parser's text
        key = load_pem_private_key(config.private_key_file.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        msg = (
            f"private_key_file {config.private_key_file} is no readable PEM of an RSA key of "
            f"{MIN_KEY_BITS} bits or more, without a password"
        )
        raise HaltError(msg)
    claims = {
        "iss": config.consumer_key,
        "sub": config.username,
        "aud": config.instance_url,
        "exp": int(now_s) + ASSERTION_LIFE_S,
    }
    return jwt.encode(claims, key, algorithm="RS256")


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


def network_failure(what: str, exc: OSError) -> HomeportError:
    """Return the error to raise for a call that got no answer. Never *exc*'s text: it has URLs."""
    if not isinstance(exc, requests.RequestException):
        return HaltError(f"{what}: the file ca_file names cannot be read")
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return HaltError(
            f"{what}: the org's certificate is not signed by an authority in ca_file, "
            "or is for another host than instance_url's"
        )
    text = f"{what}: no answer from Salesforce ({type(exc).__name__})"
    return OrgUnavailableError(text, fate_unknown=not isinstance(exc, requests.ConnectTimeout))


def _json(response: requests.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
