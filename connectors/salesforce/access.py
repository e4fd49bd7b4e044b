"""What all clients of one org share in a process: connections, token, breaker and budget."""

import threading
from collections.abc import Callable
from typing import Any

import requests

from connectors.salesforce.auth import Tokens, open_session
from connectors.salesforce.breaker import Breaker
from connectors.salesforce.budget import Budget
from connectors.salesforce.config import SalesforceConfig
from residency.telemetry.setup import Recorder

COUNTED = "/services/data/"  # logins are not API calls
LIMIT_INFO, RETRY_AFTER = "Sforce-Limit-Info", "Retry-After"
OUT = frozenset({420, 502, 503, 504})  # the edge finds no route, or nobody behind it
LONGEST_WAIT_S = 120.0


class Access:
    """One region's way into one org. Threads may share it."""

    def __init__(  # noqa: PLR0913 -- each optional, and by name
        self,
        config: SalesforceConfig,
        *,
        session: requests.Session | None = None,
        breaker: Breaker | None = None,
        budget: Budget | None = None,
        recorder: Recorder | None = None,
        licence: Callable[[str], None] = lambda _method: None,
    ) -> None:
        """Prepare; the first call logs in.

        Args:
            config: Where and as whom.
            session: Connections to use, or None for ones that follow *config*.
            breaker: Leaves an org alone that does not answer.
            budget: Counts API calls; None: one that *config* describes, from nothing.
            recorder: For metrics of calls, of what is left of them and of outages.
            licence: Asked right before each request, by its method; raises where none may go out.

        """
        self.session = session or open_session(config)
        self.session.hooks["response"].append(self.noted)
        self.breaker = breaker or Breaker()
        self.tokens = Tokens(config, self.session, lost=self.breaker.failed)
        self.budget = budget or Budget(config.api_share, None, config.limit_pause_s)
        self._recorder = recorder
        self.licence = licence
        self._asked = threading.local()

    def check(self) -> None:
        """Let a call pass.

        Raises:
            OrgUnavailableError: There are no calls left, or the org is left alone for a while;
                nothing was sent.

        """
        self._asked.wait_s = 0.0
        self.budget.check()
        self.breaker.check()

    @property
    def wait_s(self) -> float:
        """How long the last answer to this thread asked us to wait, in seconds."""
        return float(getattr(self._asked, "wait_s", 0.0))

    def lost(self) -> None:
        """Take note of a call without an answer; the org may have counted it."""
        self.breaker.failed()
        self._counted(None)

    def noted(self, response: requests.Response, **_: Any) -> None:  # noqa: ANN401, requests' own
        """Take note of an answer: that there is one, what it says of limits."""
        if response.status_code in OUT:
            self.breaker.failed()
        else:
            self.breaker.answered()
        asked = response.headers.get(RETRY_AFTER, "")
        if asked.isascii() and asked.isdigit():
            self._asked.wait_s = min(float(asked), LONGEST_WAIT_S)
        if COUNTED in (response.request.url or ""):
            self._counted(response.headers.get(LIMIT_INFO))

    def close(self) -> None:
        """Write down how many calls were made."""
        self.budget.close()

    def _counted(self, limits: str | None) -> None:
        self.budget.note(limits)
        if self._recorder is None:
            return
        self._recorder.add("homeport.salesforce.calls")
        self._recorder.set("homeport.salesforce.rested", float(self.breaker.is_open))
        left = self.budget.left
        if left is not None:
            self._recorder.set("homeport.salesforce.share", left)
