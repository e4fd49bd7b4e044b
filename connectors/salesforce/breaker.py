"""A circuit breaker: leaves an org that does not answer alone for a while.

Source: M. Nygard, Release It!, "Circuit Breaker". Our own, because the library for it
(pybreaker 1.4.1) holds its lock during the call, so that requests side by side would queue.
"""

import threading
import time
from collections.abc import Callable

from connectors.salesforce.errors import OrgRestedError

AFTER = 8  # calls in a row without an answer
REST_S = 30.0


class Breaker:
    """Counts outages of one org; threads may share it."""

    def __init__(
        self,
        after: int = AFTER,
        rest_s: float = REST_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open after so many outages in a row; ask again every *rest_s* seconds."""
        self._after = after
        self._rest_s = rest_s
        self._now = now
        self._lock = threading.Lock()
        self._outages = 0
        self._next_probe = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are kept back."""
        return self._outages >= self._after

    def check(self) -> None:
        """Let a call pass, or one every while if the org is thought to be out.

        Raises:
            OrgRestedError: The org is left alone; nothing was sent.

        """
        with self._lock:
            left = self._next_probe - self._now()
            if not self.is_open:
                return
            if left <= 0:
                self._next_probe = self._now() + self._rest_s  # this call asks; others wait
                return
        msg = (
            f"Salesforce did not answer {self._outages} calls in a row; the next one is in "
            f"{left:.0f} s"
        )
        raise OrgRestedError(msg, again_in_s=left)

    def answered(self) -> None:
        """Note that the org is there, whatever it said."""
        with self._lock:
            self._outages = 0

    def failed(self) -> None:
        """Note that it did not answer, or could not work."""
        with self._lock:
            self._outages += 1
            self._next_probe = self._now() + self._rest_s
