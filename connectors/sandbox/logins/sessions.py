"""Sessions and refresh tokens in the org's database, as digests only."""

import time
from dataclasses import dataclass

from connectors.sandbox.access import User
from connectors.sandbox.logins.tokens import digest, new_refresh_token, new_token
from connectors.sandbox.store import Store

SECONDS_PER_MINUTE = 60
API_SCOPE, FULL_SCOPE = "api", "full"  # either opens the REST API


@dataclass(frozen=True, slots=True)
class Stored:
    """A session as it is stored, expired or not.

    Attributes:
        app: The app's name.
        idle_s: It ends so many seconds after its last use.
        used_at: When it was used last, to the minute; seconds since 1970.
        issued_at: When it was opened, seconds since 1970.
        scope: What it may be used for, words separated by blanks.

    """

    user: User
    app: str
    idle_s: int
    used_at: int
    issued_at: int
    scope: str

    @property
    def has_api(self) -> bool:
        """Whether it may be used with the REST API."""
        scopes = self.scope.split()
        return API_SCOPE in scopes or FULL_SCOPE in scopes

    def is_over(self, now: int) -> bool:
        """Return whether it was idle for too long at *now*, seconds since 1970."""
        return now - self.used_at > self.idle_s


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token as it is stored.

    Attributes:
        app: Name of the app that it was given to; to every other it is nothing.
        scope: What its sessions may be used for.
        issued_at: Seconds since 1970.

    """

    user: User
    app: str
    scope: str
    issued_at: int


def open_session(  # noqa: PLR0913 -- the columns of one row
    store: Store,
    org: str,
    user: User,
    app: str,
    minutes: int,
    *,
    scope: str,
    refresh: bytes | None = None,
) -> str:
    """Return the token of a new session.

    Args:
        store: Where it is kept; the sessions that are over are forgotten.
        org: The org's id.
        user: Whose it is.
        app: Name of the app.
        minutes: It ends so long after its last use.
        scope: What it may be used for.
        refresh: Digest of the refresh token that it ends with, if there is one.

    """
    token, now = new_token(org), int(time.time())
    row = (digest(token), user.sequence, app, minutes * SECONDS_PER_MINUTE, now, now)
    with store.transaction():
        store.run("DELETE FROM sessions WHERE used_at + idle_s < ?", (now,))
        store.run("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, scope, refresh))
    return token


def find_session(store: Store, key: bytes) -> Stored | None:
    """Return the session of that digest, expired or not."""
    sql = (
        "SELECT u.sequence, u.username, u.permission_set,"
        " s.app, s.idle_s, s.used_at, s.issued_at, s.scope"
        " FROM sessions s JOIN users u ON u.sequence = s.user WHERE s.digest = ?"
    )
    for row in store.select(sql, (key,)):
        return Stored(User(*row[:3]), *row[3:])
    return None


def touch_session(store: Store, key: bytes, now: int) -> None:
    """Note a use of the session at *now*, seconds since 1970."""
    store.run("UPDATE sessions SET used_at = ? WHERE digest = ?", (now, key))


def close_session(store: Store, key: bytes) -> bool:
    """End the session of that digest; return whether there was one."""
    return store.run("DELETE FROM sessions WHERE digest = ?", (key,)) > 0


def close_sessions(store: Store, app: str | None) -> int:
    """End all sessions, or those of the app of that name; return how many there were."""
    return store.run("DELETE FROM sessions WHERE ?1 IS NULL OR app = ?1", (app,))


def add_refresh_token(store: Store, user: User, app: str, scope: str) -> str:
    """Return a new refresh token, good until it is revoked."""
    token = new_refresh_token()
    row = (digest(token), user.sequence, app, scope, int(time.time()))
    store.run("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?)", row)
    return token


def find_refresh_token(store: Store, key: bytes) -> Refresh | None:
    """Return the refresh token of that digest."""
    sql = (
        "SELECT u.sequence, u.username, u.permission_set, r.app, r.scope, r.issued_at"
        " FROM refresh_tokens r JOIN users u ON u.sequence = r.user WHERE r.digest = ?"
    )
    for row in store.select(sql, (key,)):
        return Refresh(User(*row[:3]), *row[3:])
    return None


def revoke_token(store: Store, token: str) -> bool:
    """End a session, or a refresh token with all its sessions; return whether there was one."""
    key = digest(token)
    if close_session(store, key):
        return True
    with store.transaction():
        store.run("DELETE FROM sessions WHERE refresh = ?", (key,))
        return store.run("DELETE FROM refresh_tokens WHERE digest = ?", (key,)) > 0
