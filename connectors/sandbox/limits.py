"""The org's daily allowance of API calls, really counted."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

DAILY_API_CALLS = 100_000  # what an Enterprise org has before licences add to it
WINDOW_H = 24
SECONDS_PER_HOUR = 3600
STORAGE_MB = 1024
ROW_KB = 2  # data storage is charged per row, whatever its width


class ApiUsage:
    """Calls of the last 24 hours, in hours; may be a second ahead of what is stored."""

    def __init__(self, maximum: int, stored: Mapping[int, int]) -> None:
        """Go on from what is *stored*, calls by hour since 1970."""
        self.maximum = maximum
        self._calls = Counter(stored)
        self._unsaved: Counter[int] = Counter()

    def used(self) -> int:
        """Return the calls of the last 24 hours."""
        first = _hour() - WINDOW_H + 1
        return sum(calls for hour, calls in self._calls.items() if hour >= first)

    def count(self) -> bool:
        """Count one call; return whether it is within the allowance."""
        if self.used() >= self.maximum:
            return False
        self._calls[_hour()] += 1
        self._unsaved[_hour()] += 1
        return True

    def take_unsaved(self) -> dict[int, int]:
        """Return the calls counted since the last time, by hour."""
        taken, self._unsaved = self._unsaved, Counter()
        return dict(taken)

    def header(self) -> str:
        """Return the value of ``Sforce-Limit-Info``."""
        return f"api-usage={self.used()}/{self.maximum}"

    def as_json(self, rows: int) -> dict[str, Any]:
        """Return the answer of ``/limits`` for an org with that many rows."""
        stored_mb = rows * ROW_KB // 1024
        return {
            "DailyApiRequests": {"Max": self.maximum, "Remaining": self.maximum - self.used()},
            "DataStorageMB": {"Max": STORAGE_MB, "Remaining": max(0, STORAGE_MB - stored_mb)},
        }


def _hour() -> int:
    return int(time.time()) // SECONDS_PER_HOUR
