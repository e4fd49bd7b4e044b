"""The External Client Apps that the org knows, in ``<home>/sandbox/apps.json``.

The file is read anew whenever it changes, so that an administrator can add an app beside another
(the second certificate of a rotation), block one or give it a limit while the org runs.
"""

import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from connectors.embedded.files import exclusive, write_json
from schemas.errors import HomeportError, SetupError

CLI_APP = "homeport-cli"  # the app of sessions that `homeport sandbox token` opens
_KEY_CHARACTERS = 32  # hexadecimal digits of a consumer secret are twice as many


class UnknownAppError(HomeportError):
    """The org has no such app."""


class DuplicateAppError(HomeportError):
    """The org has an app of that name."""


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An External Client App with its one pre-authorised user.

    Attributes:
        consumer_key: The ``iss`` of its assertions, and its client id.
        username: The ``sub`` of its assertions. An app with one is for approved users only, and
            this is the one approved; without it every user of the org may authorise it.
        certificate: PEM of the certificate that verifies them; empty turns JWT bearer off.
        permission_set: What its users may do.
        blocked: Its sessions are over and it gets no new ones.
        daily_calls: API calls in 24 hours; None: only the org's own limit holds.
        has_client_credentials: Whether the client credentials flow is enabled.
        execution_user: Whom that flow runs as; None: nobody was chosen yet.
        secret_sha256: Digest of its consumer secret, hexadecimal; None: it has none.
        callback_url: Where the authorisation code flow may answer, one URL on each line; None
            turns the flow off.
        requires_pkce: The authorisation code flow needs a code challenge.

    """

    name: str
    consumer_key: str
    username: str
    certificate: str
    permission_set: str
    blocked: bool = False
    daily_calls: int | None = None
    has_client_credentials: bool = False
    execution_user: str | None = None
    secret_sha256: str | None = None
    callback_url: str | None = None
    requires_pkce: bool = True

    def knows(self, secret: str) -> bool:
        """Return whether *secret* is the consumer secret."""
        return hmac.compare_digest(_digest(secret), self.secret_sha256 or "")

    def users(self) -> tuple[str, ...]:
        """Return who may have a session through the app."""
        return tuple(u for u in (self.username, self.execution_user) if u)

    def admits(self, username: str) -> bool:
        """Return whether that user of the org may authorise the app."""
        return not self.username or username in self.users()

    def flows(self) -> tuple[str, ...]:
        """Return how it may log in, in people's words."""
        offered = {
            "JWT bearer": bool(self.certificate),
            "client credentials": self.has_client_credentials,
            "authorisation code": self.callback_url is not None,
        }
        return tuple(name for name, is_on in offered.items() if is_on)

    def callbacks(self) -> tuple[str, ...]:
        """Return the URLs that the authorisation code flow may answer to."""
        return tuple((self.callback_url or "").split())


# Every org knows the official command line's app; its callback is where that listens.
SALESFORCE_CLI = RegisteredApp(
    name="PlatformCLI",
    consumer_key="PlatformCLI",
    username="",
    certificate="",
    permission_set="",
    callback_url="http://localhost:1717/OauthRedirect",
)


class AppBook:
    """The apps as the file has them now.

    A file that cannot be read, while somebody edits it, leaves the last good state in force.
    """

    def __init__(self, file: Path, on_change: Callable[[tuple[RegisteredApp, ...]], None]) -> None:
        """Read *file*, and tell *on_change* whenever it holds something new.

        Raises:
            SetupError: The file is not a list of apps.

        """
        self._file = file
        self._on_change = on_change
        self._seen = _state(file)
        self._apps = {app.name: app for app in known_apps(file)}
        on_change(tuple(self._apps.values()))

    def all(self) -> tuple[RegisteredApp, ...]:
        """Return every app."""
        self._refresh()
        return tuple(self._apps.values())

    def find(self, name: str) -> RegisteredApp | None:
        """Return the app of that name; costs one look at the file's date."""
        self._refresh()
        return self._apps.get(name)

    def _refresh(self) -> None:
        seen = _state(self._file)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            apps = known_apps(self._file)
        except SetupError as exc:
            print(f"sandbox: {exc}; the apps read before stay in force", file=sys.stderr)  # noqa: T201
            return
        self._apps = {app.name: app for app in apps}
        self._on_change(apps)


def read_apps(file: Path) -> tuple[RegisteredApp, ...]:
    """Return the apps in *file*, none if there is no file.

    Raises:
        SetupError: The file is not a list of apps.

    """
    if not file.exists():
        return ()
    try:
        return tuple(RegisteredApp(**row) for row in json.loads(file.read_text("utf-8")))
    except (OSError, TypeError, ValueError) as exc:
        msg = f"{file} is not a list of apps; mend it, or remove it and register them again"
        raise SetupError(msg) from exc


def known_apps(file: Path) -> tuple[RegisteredApp, ...]:
    """Return the apps in *file*, and the one of every org unless the file changes it.

    Raises:
        SetupError: The file is not a list of apps.

    """
    apps = read_apps(file)
    is_changed = any(app.name == SALESFORCE_CLI.name for app in apps)
    return apps if is_changed else (*apps, SALESFORCE_CLI)


def add_app(home: Path, name: str, callback_url: str) -> RegisteredApp:
    """Register an app that every user of *home*'s org may authorise; return it.

    Raises:
        DuplicateAppError: The org has an app of that name.
        SetupError: The file is not a list of apps.

    """
    app = RegisteredApp(
        name=name,
        consumer_key=f"3MVG9{secrets.token_urlsafe(60)}",
        username="",
        certificate="",
        permission_set="",
        callback_url=callback_url,
    )
    file = home / "sandbox/apps.json"
    with exclusive(home / "ca/lock", wait=True, busy=""):
        apps = {one.name: one for one in known_apps(file)}
        if name in apps:
            msg = f"the test org of {home} has an app {name}; choose another name"
            raise DuplicateAppError(msg)
        _write(file, [*apps.values(), app])
    return app


def change_app(
    home: Path, name: str, change: Callable[[RegisteredApp], RegisteredApp]
) -> RegisteredApp:
    """Replace the app of that name in *home*'s org by what *change* makes of it, and return that.

    Raises:
        UnknownAppError: The org has no such app.
        SetupError: The file is not a list of apps.

    """
    file = home / "sandbox/apps.json"
    with exclusive(home / "ca/lock", wait=True, busy=""):  # as whoever registers apps holds it
        apps = {app.name: app for app in known_apps(file)}
        if name not in apps:
            names = ", ".join(apps)
            msg = f"the test org of {home} has no such app; it has {names}"
            raise UnknownAppError(msg)
        apps[name] = change(apps[name])
        _write(file, apps.values())
    return apps[name]


def new_secret(home: Path, name: str, user: str | None = None) -> tuple[str, str]:
    """Turn the app's client credentials flow on; return its client id and its new secret.

    Args:
        home: The org's home folder; only the secret's digest is kept there.
        name: The app.
        user: Whom the flow runs as; None: the user that its assertions name.

    Raises:
        UnknownAppError: The org has no such app.

    """
    secret = secrets.token_hex(_KEY_CHARACTERS).upper()
    app = change_app(
        home,
        name,
        lambda app: replace(
            app,
            has_client_credentials=True,
            execution_user=user or app.username,
            secret_sha256=_digest(secret),
        ),
    )
    return app.consumer_key, secret


def _write(file: Path, apps: Iterable[RegisteredApp]) -> None:
    """Write the apps down, but for the one of every org where it is as in every org."""
    write_json(file, [asdict(app) for app in apps if app != SALESFORCE_CLI])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _state(file: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever the file does; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
