"""How often one user may log in: 3,600 times an hour, whatever the app and the flow.

Source: SOAP API Developer Guide, ``login()``.
"""

import time
from collections import deque
from collections.abc import Callable

LOGINS_PER_HOUR = 3_600
HOUR_S = 3600.0


class LoginRate:
    """The logins of the last hour, by user."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Count from now on; *clock* gives seconds."""
        self._clock = clock
        self._logins: dict[str, deque[float]] = {}

    def admit(self, username: str) -> bool:
        """Count a login of the user; return whether it is within the hour's allowance."""
        now = self._clock()
        logins = self._logins.setdefault(username, deque())
        while logins and logins[0] <= now - HOUR_S:
            logins.popleft()
        if len(logins) >= LOGINS_PER_HOUR:
            return False
        logins.append(now)
        return True
