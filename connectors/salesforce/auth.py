"""Logging in: one token shared until the org calls it dead, by the first app that lets us in."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from connectors.salesforce.config import App, SalesforceConfig
from connectors.salesforce.cutoff import Adapter
from connectors.salesforce.errors import LoginRefusedError, OrgUnavailableError
from connectors.salesforce.flows import TOKEN_PATH, Token, login, read_token
from connectors.salesforce.network import network_failure, within
from schemas.errors import HaltError, HomeportError

LOG = logging.getLogger("homeport.salesforce")


def open_session(config: SalesforceConfig) -> requests.Session:
    """Return a session that trusts only the configured authorities.

    It takes nothing from the environment: REQUESTS_CA_BUNDLE would override the authorities,
    a proxy variable or a ~/.netrc would change where requests go and with what.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = True if config.ca_file is None else str(config.ca_file)
    session.mount("https://", Adapter())
    return session


class Tokens:
    """Caches the token; threads may share one. Logs in when asked, never on its own."""

    def __init__(
        self,
        config: SalesforceConfig,
        session: requests.Session,
        now: Callable[[], float] = time.time,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the session to log in with.

        Args:
            config: Where and as whom.
            session: Connections to log in over.
            now: A clock that gives Unix seconds.
            lost: Called when a login gets no answer.

        """
        self._config = config
        self._session = session
        self._now = now
        self._lost = lost
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._working = 0  # the place of the app that let us in last

    def current(self, ends: float = math.inf) -> Token:
        """Return the cached token, logging in until *ends* (`time.monotonic`) if there is none.

        Raises:
            LoginRefusedError: The org refuses; the text says which setting to look at.
            OrgUnavailableError: The org could not be reached or is not ready.

        """
        with self._waiting(ends):
            if self._token is None:
                self._token = self._login(0, ends)
            return self._token

    def refresh(self, if_generation: int, ends: float = math.inf) -> Token:
        """Return a token newer than *if_generation*, logging in until *ends* if there is none.

        Callers whose requests failed together with the same dead token cause one login.

        Raises:
            LoginRefusedError: As `current`.
            OrgUnavailableError: As `current`.

        """
        with self._waiting(ends):
            if self._token is None or self._token.generation <= if_generation:
                self._token = self._login(if_generation + 1, ends)
            return self._token

    @contextmanager
    def _waiting(self, ends: float) -> Iterator[None]:
        """Hold the lock: another thread that logs in may take long, but not longer than we."""
        left_s = min(max(0.0, ends - time.monotonic()), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=left_s):
            msg = "log in: another call's login got no answer in time"
            raise OrgUnavailableError(msg)
        try:
            yield
        finally:
            self._lock.release()

    def _login(self, generation: int, ends: float) -> Token:
        """Log in by the app that worked last, or by the next one that the org takes."""
        apps = self._config.apps
        first: HaltError | None = None
        for step in range(len(apps)):
            place = (self._working + step) % len(apps)
            try:
                token = self._by(apps[place], generation, ends)
            except HaltError as exc:
                first = first or exc
                continue
            if place != self._working:
                text = "log in: app %d of %d lets us in; number %d does not: %s"
                LOG.warning(text, place + 1, len(apps), self._working + 1, first)
                self._working = place
            return token
        if len(apps) == 1 and first is not None:
            raise first
        msg = f"none of {len(apps)} apps lets us in; of number {self._working + 1}: {first}"
        raise LoginRefusedError(msg)

    def _by(self, app: App, generation: int, ends: float) -> Token:
        asked = login(self._config, app, self._now())
        url = self._config.instance_url + TOKEN_PATH
        failure: HomeportError
        try:
            response = self._session.post(
                url,
                data=asked.form,
                auth=asked.basic,
                timeout=within(self._config.timeout_s, ends - time.monotonic()),
                allow_redirects=False,
            )
        except OSError as exc:  # every error of requests is one
            failure = network_failure("log in", exc)
            if isinstance(failure, OrgUnavailableError):
                failure.fate_unknown = False  # what the login was for was not sent
            self._lost()
        else:
            return read_token(response.status_code, _json(response), generation)
        raise failure  # here, so that the caught error does not ride along with its texts


def _json(response: requests.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
