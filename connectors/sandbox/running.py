"""Finds the org that runs on a port, and hands out tokens to whoever owns its folder.

A running org leaves ``<home>/sandbox/running/<port>.json``. A token is a row written into the
org's own database: reading the home folder (0700) is the proof of being allowed to.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from connectors.embedded.files import read_json, write_json
from connectors.sandbox.deployed.source import DEFAULT_SESSION_MINUTES
from connectors.sandbox.logins.apps import CLI_APP, read_apps
from connectors.sandbox.logins.sessions import FULL_SCOPE, close_sessions, open_session
from connectors.sandbox.org import org_id
from connectors.sandbox.page.keys import new_link_key
from connectors.sandbox.store import Store
from connectors.sandbox.users import sync_users, user_named
from schemas.errors import HomeportError, SetupError


class UnknownUserError(HomeportError):
    """The org has no such user."""


@contextmanager
def announced(home: Path, port: int, url: str) -> Iterator[None]:
    """Say that this process serves the home's org at *port*, while the block runs."""
    file = _file(home, port)
    created = psutil.Process().create_time()
    write_json(file, {"pid": os.getpid(), "create_time": created, "instance_url": url})
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def instance_url(home: Path, port: int) -> str:
    """Return the URL of the org that runs on *port*.

    Raises:
        SetupError: None of this home does.

    """
    known = read_json(_file(home, port))
    if not known or not _is_alive(int(known["pid"]), float(known["create_time"])):
        msg = (
            f"no test org of {home} runs on port {port}; start it with"
            f" `homeport sandbox --port {port}`, or name its folder with --home"
        )
        raise SetupError(msg)
    return str(known["instance_url"])


def issue_token(home: Path, port: int, username: str) -> dict[str, str]:
    """Return ``access_token`` and ``instance_url`` for a user of the org on *port*.

    Raises:
        SetupError: No org of this home runs on that port.
        UnknownUserError: The org has no such user.

    """
    url = instance_url(home, port)
    store = Store(home / "sandbox/org.sqlite")
    try:
        apps = read_apps(home / "sandbox/apps.json")
        sync_users(store, ((u, app.permission_set) for app in apps for u in app.users()))
        user = user_named(store, username)
        if user is None:
            names = ", ".join(r[0] for r in store.select("SELECT username FROM users"))
            msg = f"the test org has no such user; it has {names}"
            raise UnknownUserError(msg)
        org, minutes = org_id(store), DEFAULT_SESSION_MINUTES
        token = open_session(store, org, user, CLI_APP, minutes, scope=FULL_SCOPE)
    finally:
        store.close()
    return {"access_token": token, "instance_url": url}


def page_link(home: Path, port: int) -> dict[str, str]:
    """Return ``url``, which opens the pages of the org on *port* once, and its ``key``.

    Raises:
        SetupError: No org of this home runs on that port.

    """
    url = instance_url(home, port)
    store = Store(home / "sandbox/org.sqlite")
    try:
        key = new_link_key(store)
    finally:
        store.close()
    return {"url": f"{url}/?key={key}", "key": key}


def end_sessions(home: Path, app: str) -> int:
    """End every session of the app, whether the org runs or not; return how many there were."""
    file = home / "sandbox/org.sqlite"
    if not file.exists():
        return 0
    store = Store(file)
    try:
        return close_sessions(store, app)
    finally:
        store.close()


def _file(home: Path, port: int) -> Path:
    return home / f"sandbox/running/{port}.json"


def _is_alive(pid: int, create_time: float) -> bool:
    """Return whether that very process lives: pids are used again."""
    try:
        return abs(psutil.Process(pid).create_time() - create_time) < 1
    except psutil.Error:
        return False
