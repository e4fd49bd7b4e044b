"""The org as a whole: what is deployed, its rows, its users, and the threads that touch them."""

import asyncio
import contextvars
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from connectors.embedded.files import private_dir
from connectors.sandbox.access import User, View, Views
from connectors.sandbox.deployed.metadata import Metadata
from connectors.sandbox.deployed.source import DEFAULT_SESSION_MINUTES
from connectors.sandbox.deploys.source import Source, tidy
from connectors.sandbox.faults.book import Faults
from connectors.sandbox.faults.hindrances import hindrances
from connectors.sandbox.ids import record_id
from connectors.sandbox.limits import (
    DAILY_API_CALLS,
    LONG_CALL_S,
    MAX_LONG_CALLS,
    ApiUsage,
    keep_usage,
    kept_usage,
)
from connectors.sandbox.logins import sessions
from connectors.sandbox.logins.apps import CLI_APP, AppBook, RegisteredApp
from connectors.sandbox.logins.desk import LoginDesk
from connectors.sandbox.logins.tokens import digest
from connectors.sandbox.page.keys import Visits
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.writer import Writer
from connectors.sandbox.settings import set_setting, setting
from connectors.sandbox.soql.engine import QueryEngine
from connectors.sandbox.store import ADMIN, Store
from connectors.sandbox.users import sync_users

T = TypeVar("T")
ORG_PREFIX = "00D"
TOUCH_EVERY_S = 60  # how often a session's last use is written down
_DEPLOYED = "deployed"  # the setting that names the deployment that counts


@dataclass(frozen=True, slots=True)
class OrgOptions:
    """How the org behaves where it is configured, or where the real one is not documented.

    Attributes:
        daily_api_calls: Calls in 24 hours; more are refused.
        refuses_whole: A record with an unknown field or a value of the wrong JSON type refuses
            the whole collections request (400) and not that record alone. The real org's
            documentation does not say which it does, so a client must survive both.
        long_call_s: Seconds after which a call counts as long, see `LongCalls`.
        long_calls: How many of those may go on at a time; 5 in a Developer edition or a trial.
        faults: There is a control path, by which faults can be asked for.

    """

    daily_api_calls: int = DAILY_API_CALLS
    refuses_whole: bool = False
    long_call_s: float = LONG_CALL_S
    faults: bool = False
    long_calls: int = MAX_LONG_CALLS


@dataclass(frozen=True, slots=True)
class Session:
    """Who is calling, and through which app.

    Attributes:
        has_api: It may be used with the REST API.
        daily_calls: The app's own limit of API calls, None if it has none.

    """

    user: User
    app: str
    digest: bytes
    has_api: bool = True
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
        self.packages = private_dir(folder / "packages")
        self._deployed = private_dir(folder / "deployed")
        number = int(setting(self._sessions, _DEPLOYED, "0"))
        tidy(self._deployed, number)
        source = Source.read(self._deployed, number)
        metadata = source.load()
        self.edition = 0  # see `connectors.sandbox.edition`
        self._show(source, metadata, Views(metadata, self._sessions.deploy(metadata)))
        self._writes, self._reads = Store(file), Store(file)
        self._writer = ThreadPoolExecutor(1, "org-writer")
        self._reader = ThreadPoolExecutor(1, "org-reader")
        self.usage = ApiUsage(options.daily_api_calls, kept_usage(self._sessions))
        self.id = org_id(self._sessions)
        self._readers: dict[tuple[str, str | None], tuple[View, RecordReader]] = {}
        self.apps = AppBook(folder / "apps.json", self._apps_changed)
        self.visits = Visits(self._sessions)
        self.logins = LoginDesk(self._sessions, self.id, url, self.idle_minutes, self.apps.all)

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
        seen, reader = self._readers.get(key, (None, None))
        if reader is None or seen is not view:  # a deployment changes what a user sees
            reader = RecordReader(view)
            self._readers[key] = view, reader
        now, is_strict = int(time.time()), self.options.refuses_whole
        dependents = self.views.dependents
        return Writer(store, view, reader, user, now, is_strict, hindrances(), dependents)

    def deploy(
        self,
        store: Store,
        number: int,
        source: Source,
        metadata: Metadata,
        done: Callable[[], None],
    ) -> None:
        """Make *source* what is deployed, in one transaction with *done*.

        Runs on the writer's thread; the next call sees the org as it is then.

        Args:
            store: The writer's.
            number: Of the deployment.
            source: What is deployed afterwards.
            metadata: What that makes.
            done: Writes down, in the same transaction, that it was done.

        Raises:
            UnfitRowsError: Rows do not fit the metadata; nothing has changed.

        """
        with store.transaction():
            views = Views(metadata, store.deploy(metadata, self.metadata))
            source.write(self._deployed, number)
            set_setting(store, _DEPLOYED, str(number))
            done()
            self.edition += 1  # from here on a call may see tables that its views do not fit
        self._show(source, metadata, views)
        tidy(self._deployed, number)

    def try_deploy(self, store: Store, metadata: Metadata, done: Callable[[], None]) -> None:
        """Do what `deploy` does and take it back, all but *done*.

        Raises:
            UnfitRowsError: Rows do not fit the metadata.

        """
        with store.transaction():
            with store.transaction() as change:
                store.deploy(metadata, self.metadata)
                change.take_back()
            done()

    def _show(self, source: Source, metadata: Metadata, views: Views) -> None:
        """Let every call from now on see *metadata*; cursors of queries end."""
        self.source, self.metadata = source, metadata
        self.views, self.queries = views, QueryEngine(views)
        self.edition += 1

    async def rest(self) -> None:
        """Return once what is being written now is written, a deployment that all see it."""
        await self.write(lambda _: None)

    def is_deployed(self, sobject: str, field: str | None) -> bool:
        """Return whether there is such an object, and unless it is None such a field of it."""
        view = self.views.find(User(1, ADMIN, None), sobject)
        return view is not None and (field is None or view.field(field) is not None)

    def session(self, token: str) -> Session | None:
        """Return the session of *token* and keep it alive, or None if there is none."""
        key = digest(token)
        found = sessions.find_session(self._sessions, key)
        if found is None:
            return None
        app = self.apps.find(found.app)
        if found.app != CLI_APP and (app is None or app.blocked):
            return None
        now = int(time.time())
        if found.is_over(now):
            return None
        if now - found.used_at >= TOUCH_EVERY_S:
            self._writer.submit(sessions.touch_session, self._writes, key, now)
        daily_calls = None if app is None else app.daily_calls
        return Session(found.user, found.app, key, found.has_api, daily_calls)

    def end(self, session: Session) -> None:
        """End a session."""
        sessions.close_session(self._sessions, session.digest)

    def idle_minutes(self, app: str) -> int:
        """Return how long a session of *app* lives without a call."""
        return self.metadata.session_minutes.get(app, DEFAULT_SESSION_MINUTES)

    def expire_sessions(self, app: str | None) -> int:
        """End all sessions, or those of one app; return how many there were."""
        return sessions.close_sessions(self._sessions, app)

    def identity(self, user: User) -> str:
        """Return the user's identity URL."""
        return self.logins.issuer.identity(user)

    def save_usage(self) -> None:
        """Write down the API calls counted since the last time."""
        unsaved = self.usage.take_unsaved()
        if unsaved:
            self._writer.submit(keep_usage, self._writes, unsaved)

    def _apps_changed(self, apps: tuple[RegisteredApp, ...]) -> None:
        """Let in the users of new apps, and end the sessions of those that are blocked."""
        if apps:
            sync_users(
                self._sessions, ((u, app.permission_set) for app in apps for u in app.users())
            )
        for app in apps:
            if app.blocked:
                sessions.close_sessions(self._sessions, app.name)


def org_id(store: Store) -> str:
    """Return the org's id, 18 characters, chosen when the org was made."""
    return record_id(ORG_PREFIX, int(setting(store, "sequence", str(secrets.randbits(48)))))
