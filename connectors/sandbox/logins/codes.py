"""The authorisation code flow (web server flow), with PKCE. Pure but for the codes it keeps.

Source: Salesforce help, "OAuth 2.0 Web Server Flow for Web App Integration" and "OAuth 2.0
Authorization Errors"; RFC 7636. Texts that are not on those pages are what clients have reported.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from connectors.sandbox.access import User
from connectors.sandbox.logins.apps import RegisteredApp
from connectors.sandbox.logins.oauth import OAuthError, find_app
from connectors.sandbox.logins.tokens import digest, new_code

CODE_LIFE_S = 600
REFRESH_SCOPES = frozenset({"refresh_token", "offline_access"})
SCOPES = ("refresh_token", "offline_access", "web", "id", "api", "full")
DEFAULT_SCOPE = "refresh_token web id api"  # an app that asks for nothing gets all it may have
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes in base64url, unpadded


@dataclass(frozen=True, slots=True)
class Callback:
    """Where an app's answer goes.

    Attributes:
        app: Who asked.
        url: One of the callback URLs it is registered with.
        state: What it wants back, None if it sent nothing.

    """

    app: RegisteredApp
    url: str
    state: str | None

    def answer(self, **members: str) -> str:
        """Return the URL that tells the app *members*."""
        told = members if self.state is None else {**members, "state": self.state}
        return f"{self.url}{'&' if urlsplit(self.url).query else '?'}{urlencode(told)}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What an app asks a user for.

    Attributes:
        scope: Words separated by blanks.
        challenge: SHA-256 of the verifier it will show, base64url; None: it will show none.

    """

    scope: str
    challenge: str | None


@dataclass(frozen=True, slots=True)
class Code:
    """An authorisation code as it is kept.

    Attributes:
        ends_at: By the clock of `Codes`, in seconds.

    """

    callback: Callback
    wish: Wish
    user: User
    ends_at: float


def read_callback(query: Mapping[str, str], apps: Sequence[RegisteredApp]) -> Callback:
    """Return who asks for a code, and where the answer may go.

    Raises:
        OAuthError: Nobody whom the org knows asks; the person is told, and nobody else.

    """
    app = find_app(apps, query.get("client_id", ""))
    url = query.get("redirect_uri", "")
    if not url:
        raise OAuthError(*_NO_CALLBACK)
    if url not in app.callbacks():
        raise OAuthError(*CALLBACK)
    return Callback(app, url, query.get("state"))


def read_wish(query: Mapping[str, str], app: RegisteredApp) -> Wish:
    """Return what the app asks for.

    Raises:
        OAuthError: It asks for what there is not; its callback is told.

    """
    if query.get("response_type") != "code":
        raise OAuthError(*_RESPONSE_TYPE)
    if query.get("immediate") == "true" or query.get("prompt") == "none":
        raise OAuthError(*_IMMEDIATE)  # nobody is ever logged in without being asked
    scopes = query.get("scope", "").split() or DEFAULT_SCOPE.split()
    if not set(scopes) <= set(SCOPES):
        raise OAuthError(*_SCOPE)
    challenge = query.get("code_challenge") or None
    if challenge is None and app.requires_pkce:
        raise OAuthError(*_NO_CHALLENGE)
    is_sha256 = query.get("code_challenge_method", "S256") == "S256"
    if challenge is not None and not (is_sha256 and _CHALLENGE.fullmatch(challenge)):
        raise OAuthError(*_CHALLENGE_FORM)
    return Wish(" ".join(dict.fromkeys(scopes)), challenge)


class Codes:
    """The codes of the last minutes, good once each. They do not outlive the org's process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep none yet; *clock* gives seconds."""
        self._clock = clock
        self._codes: dict[bytes, Code] = {}
        self._used: set[bytes] = set()

    def issue(self, callback: Callback, wish: Wish, user: User) -> str:
        """Return a new code, with which the app of *callback* may log *user* in."""
        now = self._clock()
        self._codes = {k: c for k, c in self._codes.items() if c.ends_at + CODE_LIFE_S > now}
        self._used &= self._codes.keys()
        code = new_code()
        self._codes[digest(code)] = Code(callback, wish, user, now + CODE_LIFE_S)
        return code

    def take(self, app: RegisteredApp, form: Mapping[str, str]) -> Code:
        """Return the code in *form* and let it be used no more.

        Raises:
            OAuthError: It is not this app's, used, too old, or the app does not prove that it
                is the one that asked.

        """
        key = digest(form.get("code", ""))
        code = self._codes.get(key)
        if code is None or code.callback.app.name != app.name:
            raise OAuthError(*_CODE)
        if key in self._used or self._clock() >= code.ends_at:
            raise OAuthError(*_EXPIRED)
        self._used.add(key)  # whoever fails below does not get a second try
        if form.get("redirect_uri") != code.callback.url:
            raise OAuthError(*CALLBACK)
        if not _proves(form.get("code_verifier", ""), code.wish.challenge):
            raise OAuthError(*_VERIFIER)
        return code


def _proves(verifier: str, challenge: str | None) -> bool:
    """Return whether *verifier* is what *challenge* was made from (RFC 7636 section 4.6)."""
    if challenge is None:
        return not verifier
    hashed = hashlib.sha256(verifier.encode("utf-8", "replace")).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(hashed).rstrip(b"=").decode(), challenge)


CALLBACK = ("redirect_uri_mismatch", "redirect_uri must match configuration")
_NO_CALLBACK = ("redirect_uri_missing", "redirect_uri not provided")
_RESPONSE_TYPE = ("unsupported_response_type", "response type not supported")
_IMMEDIATE = ("immediate_unsuccessful", "immediate unsuccessful")
_SCOPE = ("invalid_scope", "requested scope is invalid, unknown, or malformed")
_NO_CHALLENGE = ("invalid_request", "missing required code challenge")
_CHALLENGE_FORM = ("invalid_request", "invalid code challenge")
_CODE = ("invalid_grant", "invalid authorization code")
_EXPIRED = ("invalid_grant", "expired authorization code")
_VERIFIER = ("invalid_grant", "invalid code verifier")
