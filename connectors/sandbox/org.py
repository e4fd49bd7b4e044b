"""The org as a whole: what is deployed, its rows, its users, and the threads that touch them."""

import asyncio
import contextvars
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from connectors.embedded.files import private_dir
from connectors.sandbox.access import User, View, Views
from connectors.sandbox.deployed.source import DEFAULT_SESSION_MINUTES, load_metadata
from connectors.sandbox.faults.book import Faults
from connectors.sandbox.faults.hindrances import hindrances
from connectors.sandbox.ids import USER_PREFIX, record_id
from connectors.sandbox.limits import DAILY_API_CALLS, ApiUsage, window_start
from connectors.sandbox.logins.apps import CLI_APP, AppBook, RegisteredApp
from connectors.sandbox.logins.oauth import (
    OAuthError,
    TokenRequest,
    digest,
    new_token,
    token_answer,
    verify,
)
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.writer import Writer
from connectors.sandbox.soql.engine import QueryEngine
from connectors.sandbox.store import Store

T = TypeVar("T")
ORG_PREFIX = "00D"
TOUCH_EVERY_S = 60  # how often a session's last use is written down
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class OrgOptions:
    """How the org behaves where it is configured, or where the real one is not documented.

    Attributes:
        daily_api_calls: Calls in 24 hours; more are refused.
        refuses_whole: A record with an unknown field or a value of the wrong JSON type refuses
            the whole collections request (400) and not that record alone. The real org's
            documentation does not say which it does, so a client must survive both.
        faults: There is a control path, by which faults can be asked for.

    """

    daily_api_calls: int = DAILY_API_CALLS
    refuses_whole: bool = False
    faults: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """Who is calling, and through which app.

    Attributes:
        daily_calls: The app's own limit of API calls, None if it has none.

    """

    user: User
    app: str
    digest: bytes
    daily_calls: int | None = None


class Org:
    """One org. Writes go through one thread, reads through another."""

    def __init__(self, folder: Path, url: str, options: OrgOptions) -> None:
        """Open or make the org in *folder*, reachable at *url*."""
        self.url = url
        self.options = options
        self.faults = Faults() if options.faults else None
        self.uploads = private_dir(folder / "bulk")
        self._file = file = folder / "org.sqlite"
        self._sessions = Store(file)  # the event loop's: one indexed read per call
        metadata = load_metadata()
        self.views = Views(metadata, self._sessions.deploy(metadata))
        self._minutes = metadata.session_minutes
        self._writes, self._reads = Store(file), Store(file)
        self._writer = ThreadPoolExecutor(1, "org-writer")
        self._reader = ThreadPoolExecutor(1, "org-reader")
        self.queries = QueryEngine(lambda: self.views)
        self.usage = ApiUsage(options.daily_api_calls, self._sessions.usage(window_start()))
        self.id = org_id(self._sessions)
        self._secret = self._sessions.setting("secret", secrets.token_hex(32))
        self._readers: dict[tuple[str, str | None], RecordReader] = {}
        self.apps = AppBook(folder / "apps.json", self._apps_changed)

    def open_store(self) -> Store:
        """Return a connection of the caller's own, for a thread of its own; it must be closed."""
        return Store(self._file)

    def close(self) -> None:
        """Finish what is being written and close the files."""
        self.save_usage()
        self._writer.shutdown()
        self._reader.shutdown()
        for store in (self._sessions, self._writes, self._reads):
            store.close()

    async def write(self, work: Callable[[Store], T]) -> T:
        """Run *work* on the writer's thread and return its result.

        It runs again, taken back, if it meets a row that another transaction holds.
        """

        async def run() -> T:
            context = contextvars.copy_context()  # the thread sees the request's hindrances
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._writer, lambda: context.run(work, self._writes))

        return await (run() if self.faults is None else self.faults.locks.patiently(run))

    async def read(self, work: Callable[[Store], T]) -> T:
        """Run *work* on the reader's thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, self._reads)

    def writer(self, store: Store, view: View, user: User) -> Writer:
        """Return the write path of one call."""
        key = (view.name, user.permission_set)
        reader = self._readers.get(key)
        if reader is None:
            reader = self._readers[key] = RecordReader(view)
        now, is_strict = int(time.time()), self.options.refuses_whole
        return Writer(store, view, reader, user, now, is_strict, hindrances())

    def login(self, request: TokenRequest) -> dict[str, str]:
        """Return the answer to a token request.

        Raises:
            OAuthError: The login is refused.

        """
        apps = self.apps.all()
        users = {row[0] for row in self._sessions.select("SELECT username FROM users")}
        now = datetime.now(UTC)
        app, username = verify(request, apps, users, self._audiences(), now)
        user = self._sessions.user(username)
        if user is None:
            error, text = "invalid_grant", "inactive user"
            raise OAuthError(error, text)
        minutes = self._minutes.get(app.name, DEFAULT_SESSION_MINUTES)
        token = open_session(self._sessions, self.id, user, app.name, minutes)
        return token_answer(token, self.url, self.identity(user), self._secret, now)

    def session(self, token: str) -> Session | None:
        """Return the session of *token* and keep it alive, or None if there is none."""
        key = digest(token)
        row = self._sessions.session(key)
        if row is None:
            return None
        user, name, idle_s, used_at = row
        app = self.apps.find(name)
        if name != CLI_APP and (app is None or app.blocked):
            return None
        now = int(time.time())
        if now - used_at > idle_s:
            return None
        if now - used_at >= TOUCH_EVERY_S:
            self._writer.submit(self._writes.touch_session, key, now)
        return Session(user, name, key, None if app is None else app.daily_calls)

    def end(self, session: Session) -> None:
        """End a session."""
        self._sessions.close_session(session.digest)

    def revoke(self, token: str) -> bool:
        """End the session of *token*; return whether there was one."""
        return self._sessions.close_session(digest(token))

    def expire_sessions(self, app: str | None) -> int:
        """End all sessions, or those of one app; return how many there were."""
        return self._sessions.close_sessions(app)

    def identity(self, user: User) -> str:
        """Return the user's identity URL."""
        return f"{self.url}/id/{self.id}/{record_id(USER_PREFIX, user.sequence)}"

    def save_usage(self) -> None:
        """Write down the API calls counted since the last time."""
        unsaved = self.usage.take_unsaved()
        if unsaved:
            self._writer.submit(self._writes.add_usage, unsaved)

    def _apps_changed(self, apps: tuple[RegisteredApp, ...]) -> None:
        """Let in the users of new apps, and end the sessions of those that are blocked."""
        if apps:
            self._sessions.sync_users((u, app.permission_set) for app in apps for u in app.users())
        for app in apps:
            if app.blocked:
                self._sessions.close_sessions(app.name)

    def _audiences(self) -> tuple[str, str]:
        return self.url, self.url.replace("127.0.0.1", "localhost")


def org_id(store: Store) -> str:
    """Return the org's id, 18 characters, chosen when the org was made."""
    return record_id(ORG_PREFIX, int(store.setting("sequence", str(secrets.randbits(48)))))


def open_session(store: Store, org: str, user: User, app: str, minutes: int) -> str:
    """Return the token of a new session of *user*."""
    token = new_token(org)
    store.open_session(digest(token), user, app, minutes * SECONDS_PER_MINUTE)
    return token
