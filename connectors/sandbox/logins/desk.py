"""Where logins are asked for: every flow of the token endpoint, introspection and revocation."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.sandbox.access import User
from connectors.sandbox.logins import sessions
from connectors.sandbox.logins.apps import RegisteredApp
from connectors.sandbox.logins.codes import REFRESH_SCOPES, Callback, Codes, Wish
from connectors.sandbox.logins.oauth import (
    NOT_APPROVED_TEXT,
    OAuthError,
    TokenRequest,
    check_client,
    verify,
)
from connectors.sandbox.logins.rate import LoginRate
from connectors.sandbox.logins.tokens import Issuer, digest, token_answer
from connectors.sandbox.settings import setting
from connectors.sandbox.store import Store
from connectors.sandbox.users import user_named

AUTHORIZATION_CODE, REFRESH_TOKEN = "authorization_code", "refresh_token"


@dataclass(frozen=True, slots=True)
class Login:
    """A login that was found good.

    Attributes:
        scope: What its session may be used for.
        refresh: Digest of the refresh token that its session ends with, if there is one.

    """

    app: RegisteredApp
    user: User
    scope: str = sessions.API_SCOPE
    refresh: bytes | None = None


class LoginDesk:
    """Opens and ends sessions for the apps of one org."""

    def __init__(
        self,
        store: Store,
        org: str,
        url: str,
        idle_minutes: Callable[[str], int],
        apps: Callable[[], Sequence[RegisteredApp]],
    ) -> None:
        """Let the registered apps in.

        Args:
            store: Where sessions are kept.
            org: The org's id.
            url: Its My Domain URL.
            idle_minutes: Returns the inactivity time-out of an app.
            apps: Returns every registered app.

        """
        self.issuer = Issuer(org, url, setting(store, "secret", secrets.token_hex(32)))
        self._store = store
        self._idle_minutes = idle_minutes
        self._apps = apps
        self._codes = Codes()
        self._rate = LoginRate()

    def login(self, request: TokenRequest) -> dict[str, str]:
        """Return the answer to a token request.

        Raises:
            OAuthError: The login is refused.

        """
        grant, now = request.form.get("grant_type"), datetime.now(UTC)
        if grant == AUTHORIZATION_CODE:
            return self._by_code(request, now)
        if grant == REFRESH_TOKEN:
            return self._open(self._by_refresh_token(request), now)
        apps = self._apps()  # before the users: a new app brings its own
        users = {user.username for user in self.users()}
        app, username = verify(request, apps, users, self._audiences(), now)
        user = user_named(self._store, username)
        if user is None:
            raise OAuthError(*_USER)
        return self._open(Login(app, user), now)

    def authorize(self, callback: Callback, wish: Wish, username: str) -> str:
        """Return a code with which an app may log in the user who has just allowed it.

        Raises:
            OAuthError: There is no such user, or an administrator has to approve them first.

        """
        user = user_named(self._store, username)
        if user is None or not callback.app.admits(username):
            raise OAuthError(*_NOT_APPROVED)
        return self._codes.issue(callback, wish, user)

    def users(self) -> list[User]:
        """Return everybody in the org, in the order they came."""
        sql = "SELECT sequence, username, permission_set FROM users ORDER BY sequence"
        return [User(*row) for row in self._store.select(sql)]

    def revoke(self, token: str) -> bool:
        """End a session, or a refresh token and its sessions; return whether there was one."""
        return sessions.revoke_token(self._store, token)

    def introspect(self, request: TokenRequest) -> dict[str, object]:
        """Return what a token is good for; an app learns of its own tokens only.

        Raises:
            OAuthError: The app did not prove itself by its secret, or named no token.

        """
        app = check_client(request, self._apps(), needs_secret=True)
        token = request.form.get("token", "")
        if not token:
            raise OAuthError(*_NO_TOKEN)
        key, now = digest(token), int(datetime.now(UTC).timestamp())
        session = sessions.find_session(self._store, key)
        if session is not None and session.app == app.name and not session.is_over(now):
            shown = self._shown(app, session.user, session.scope)
            return {
                **shown,
                "token_type": "access_token",
                "exp": session.used_at + session.idle_s,
                "iat": session.issued_at,
                "nbf": session.issued_at,
            }
        refresh = sessions.find_refresh_token(self._store, key)
        if refresh is not None and refresh.app == app.name:
            shown = self._shown(app, refresh.user, refresh.scope)
            return {**shown, "token_type": "refresh_token", "iat": refresh.issued_at}
        return {"active": False}

    def _shown(self, app: RegisteredApp, user: User, scope: str) -> dict[str, object]:
        return {
            "active": True,
            "scope": scope,
            "client_id": app.consumer_key,
            "username": user.username,
            "sub": self.issuer.identity(user),
        }

    def _by_code(self, request: TokenRequest, now: datetime) -> dict[str, str]:
        app = check_client(request, self._apps())
        code = self._codes.take(app, request.form)
        if not REFRESH_SCOPES & set(code.wish.scope.split()):
            return self._open(Login(app, code.user, code.wish.scope), now)
        token = sessions.add_refresh_token(self._store, code.user, app.name, code.wish.scope)
        answer = self._open(Login(app, code.user, code.wish.scope, digest(token)), now)
        first = answer.pop("access_token")
        return {"access_token": first, "refresh_token": token, **answer}

    def _by_refresh_token(self, request: TokenRequest) -> Login:
        app = check_client(request, self._apps())
        key = digest(request.form.get("refresh_token", ""))
        found = sessions.find_refresh_token(self._store, key)
        if found is None or found.app != app.name:
            raise OAuthError(*_REFRESH_TOKEN)
        return Login(app, found.user, found.scope, key)

    def _open(self, login: Login, now: datetime) -> dict[str, str]:
        """Open a session of its own: that two logins share one is documented as "may"."""
        if not self._rate.admit(login.user.username):
            raise OAuthError(*_RATE)
        minutes = self._idle_minutes(login.app.name)
        token = sessions.open_session(
            self._store,
            self.issuer.org,
            login.user,
            login.app.name,
            minutes,
            scope=login.scope,
            refresh=login.refresh,
        )
        return token_answer(token, login.user, login.scope, self.issuer, now)

    def _audiences(self) -> tuple[str, str]:
        return self.issuer.url, self.issuer.url.replace("127.0.0.1", "localhost")


_USER = ("invalid_grant", "inactive user")
_NOT_APPROVED = ("OAUTH_APP_ACCESS_DENIED", NOT_APPROVED_TEXT)
_NO_TOKEN = ("invalid_request", "token is required")
_REFRESH_TOKEN = ("invalid_grant", "expired access/refresh token")
_RATE = ("rate_limit_exceeded", "number of logins exceeded")
