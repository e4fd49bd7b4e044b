"""The control path from outside, for tests and tools: faults, sessions and locks of a running org.

The org must have been started with ``--faults``; its token lies in its home folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from connectors.sandbox.faults.control import BASE, TOKEN_FILE, TOKEN_HEADER
from connectors.sandbox.running import instance_url
from schemas.errors import SetupError

TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Control:
    """The control path of one org; every method raises `SetupError` if the org refuses."""

    url: str
    session: requests.Session

    def set(
        self, faults: Sequence[Mapping[str, Any]], *, seed: int = 0, wait_s: float | None = None
    ) -> dict[str, Any]:
        """Replace the plan and return it, with all counts at zero.

        Args:
            faults: Faults, as docs/sandbox-faults.md says.
            seed: The same plan and seed hit the same calls and rows.
            wait_s: How long a write waits for a row that is held; None as the real org does.

        """
        plan: dict[str, Any] = {"seed": seed, "faults": list(faults)}
        return self._order("POST", "faults", plan if wait_s is None else plan | {"wait_s": wait_s})

    def state(self) -> dict[str, Any]:
        """Return the plan with how often each fault matched and fired, and the late requests."""
        return self._order("GET", "faults")

    def fired(self) -> dict[str, int]:
        """Return how often each kind of the plan fired."""
        counts: dict[str, int] = {}
        for fault in self.state()["faults"]:
            counts[fault["kind"]] = counts.get(fault["kind"], 0) + int(fault["fired"])
        return counts

    def clear(self) -> dict[str, Any]:
        """Drop the plan, let go of every held row and return what is left: late requests."""
        return self._order("DELETE", "faults")

    def expire_sessions(self, app: str | None = None) -> int:
        """End all sessions, or those of one app (consumer key or name); return how many."""
        order = {} if app is None else {"app": app}
        return int(self._order("POST", "expire-sessions", order)["ended"])

    def hold(self, sobject: str, external_id: str, seconds: float) -> list[str]:
        """Hold a row as another transaction would and return its id."""
        order = {"object": sobject, "external_id": external_id, "seconds": seconds}
        held: list[str] = self._order("POST", "locks", order)["held"]
        return held

    def _order(self, method: str, name: str, document: object = None) -> dict[str, Any]:
        try:
            response = self.session.request(
                method, f"{self.url}{BASE}/{name}", json=document, timeout=TIMEOUT_S
            )
            answer: dict[str, Any] = response.json()
        except (requests.RequestException, ValueError) as exc:
            msg = f"the test org at {self.url} does not answer on its control path; is it up?"
            raise SetupError(msg) from exc
        if response.status_code == requests.codes.bad_request:
            msg = f"the test org refuses the order: {answer['error']}"
            raise SetupError(msg)
        if not response.ok:
            msg = f"the test org at {self.url} has no control path; start it with --faults"
            raise SetupError(msg)
        return answer


def control(home: Path, port: int) -> Control:
    """Return the control path of the home's org on *port*.

    Raises:
        SetupError: No org of this home runs there, or none was ever started with ``--faults``.

    """
    url = instance_url(home, port)
    try:
        token = (home / "sandbox" / TOKEN_FILE).read_text("utf-8").strip()
    except OSError as exc:
        msg = f"the test org of {home} has no control path; start it with --faults"
        raise SetupError(msg) from exc
    session = requests.Session()
    session.trust_env = False
    session.headers[TOKEN_HEADER] = token
    if url.startswith("https:"):
        session.verify = str(home / "ca/ca.pem")
    return Control(url, session)
