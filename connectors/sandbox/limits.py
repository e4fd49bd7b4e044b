"""The allowances of API calls, the org's and each app's, really counted over 24 hours."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from connectors.sandbox.errors import refuse
from connectors.sandbox.logins.apps import RegisteredApp
from connectors.sandbox.store import Store

DAILY_API_CALLS = 100_000  # what an Enterprise org has before licences add to it
WINDOW_MIN = 24 * 60
SECONDS_PER_MINUTE = 60
STORAGE_MB = 1024
MAX_LONG_CALLS, LONG_CALL_S = 25, 20
# what an Enterprise org may use of that which this org has none of, or does not count
UNCOUNTED = {
    "DailyAsyncApexExecutions": 250_000,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyDeliveredPlatformEvents": 25_000,
    "DailyDurableStreamingApiEvents": 200_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyStreamingApiEvents": 200_000,
    "DailyWorkflowEmails": 1_000,
    "DurableStreamingApiConcurrentClients": 1_000,
    "FileStorageMB": 10_240,
    "HourlyODataCallout": 20_000,
    "HourlyPublishedPlatformEvents": 250_000,
    "HourlyPublishedStandardVolumePlatformEvents": 100_000,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 5_000,
    "SingleEmail": 5_000,
    "StreamingApiConcurrentClients": 1_000,
}
ROW_KB = 2  # data storage is charged per row, whatever its width


class _Window:
    """Calls of the last 24 hours, by the minute."""

    def __init__(self) -> None:
        self._minutes: deque[list[int]] = deque()  # [minute, calls], oldest first
        self._total = 0

    def add(self, minute: int, calls: int) -> None:
        """Count *calls*; minutes come in order."""
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append([minute, 0])
        self._minutes[-1][1] += calls
        self._total += calls

    def total(self, now: int) -> int:
        """Return the calls of the 24 hours before the minute *now*, and of that minute."""
        while self._minutes and self._minutes[0][0] < now - WINDOW_MIN:
            self._total -= self._minutes.popleft()[1]
        return self._total


class LongCalls:
    """Calls that go on for long, 20 seconds or more: only so many at a time, others are free.

    Source: Salesforce Developer Limits, "Concurrent API Request Limits".
    """

    def __init__(
        self,
        long_s: float = LONG_CALL_S,
        clock: Callable[[], float] = time.monotonic,
        most: int = MAX_LONG_CALLS,
    ) -> None:
        """Call long what goes on for *long_s* seconds of *clock*, and allow *most* of them."""
        self._long_s, self._clock, self._most = long_s, clock, most
        self._began: dict[int, float] = {}  # oldest first
        self._next = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count a call for as long as the block runs.

        Raises:
            ApiError: 403, there are as many long ones as are allowed.

        """
        now = self._clock()
        last = next(islice(self._began.values(), self._most - 1, None), now)
        if now - last >= self._long_s:
            text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
            raise refuse(403, "REQUEST_LIMIT_EXCEEDED", text)
        self._next += 1
        number, self._began[self._next] = self._next, now
        try:
            yield
        finally:
            del self._began[number]


class ApiUsage:
    """Calls of the last 24 hours, by app; may be a second ahead of what is stored."""

    def __init__(
        self,
        maximum: int,
        stored: Iterable[tuple[str, int, int]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Go on from what is stored.

        Args:
            maximum: The org's allowance.
            stored: (app, minute since 1970, calls), in any order.
            clock: Seconds since 1970.

        """
        self.maximum = maximum
        self._clock = clock
        self._org = _Window()
        self._apps: dict[str, _Window] = {}
        self._unsaved: Counter[tuple[str, int]] = Counter()
        for app, minute, calls in sorted(stored, key=lambda row: row[1]):
            self._add(app, minute, calls)

    def used(self, app: str | None = None) -> int:
        """Return the calls of the last 24 hours, of all or of one app."""
        window = self._org if app is None else self._apps.get(app)
        return 0 if window is None else window.total(self._minute())

    def count(self, app: str, app_maximum: int | None = None) -> bool:
        """Count one call of *app*; return whether it is within the allowances."""
        if self.used() >= self.maximum:
            return False
        if app_maximum is not None and self.used(app) >= app_maximum:
            return False
        self._add(app, self._minute(), 1)
        self._unsaved[app, self._minute()] += 1
        return True

    def take_unsaved(self) -> dict[tuple[str, int], int]:
        """Return the calls counted since the last time, by app and minute since 1970."""
        taken, self._unsaved = self._unsaved, Counter()
        return dict(taken)

    def header(self, app: str, app_maximum: int | None = None) -> str:
        """Return the value of ``Sforce-Limit-Info`` for a call of *app*."""
        org = f"api-usage={self.used()}/{self.maximum}"
        if app_maximum is None:
            return org
        return f"{org}; per-app-api-usage={self.used(app)}/{app_maximum}(appName={app})"

    def as_json(self, rows: int, apps: Iterable[RegisteredApp]) -> dict[str, Any]:
        """Return the answer of ``/limits`` for an org with that many rows.

        An app with a limit of its own is nested in the entry, as the real answer does it.
        """
        stored_mb = rows * ROW_KB // 1024
        calls: dict[str, Any] = dict(_left(self.maximum, self.used()))
        for app in apps:
            if app.daily_calls is not None:
                calls[app.name] = _left(app.daily_calls, self.used(app.name))
        unused = {name: _left(maximum, 0) for name, maximum in UNCOUNTED.items()}
        counted = {"DailyApiRequests": calls, "DataStorageMB": _left(STORAGE_MB, stored_mb)}
        return counted | unused

    def _add(self, app: str, minute: int, calls: int) -> None:
        self._org.add(minute, calls)
        self._apps.setdefault(app, _Window()).add(minute, calls)

    def _minute(self) -> int:
        return int(self._clock()) // SECONDS_PER_MINUTE


def _left(maximum: int, used: int) -> Mapping[str, int]:
    return {"Max": maximum, "Remaining": max(0, maximum - used)}


def keep_usage(store: Store, calls: Mapping[tuple[str, int], int]) -> None:
    """Add to what is stored API calls, by app and minute since 1970."""
    with store.transaction():
        store.run_all(
            "INSERT INTO api_calls VALUES (?, ?, ?)"
            " ON CONFLICT (app, minute) DO UPDATE SET calls = calls + excluded.calls",
            ((app, minute, count) for (app, minute), count in calls.items()),
        )


def kept_usage(store: Store) -> list[tuple[str, int, int]]:
    """Return (app, minute, API calls) of the last 24 hours, and forget the earlier."""
    since = int(time.time()) // SECONDS_PER_MINUTE - WINDOW_MIN
    store.run("DELETE FROM api_calls WHERE minute < ?", (since,))
    return [(a, m, c) for a, m, c in store.select("SELECT app, minute, calls FROM api_calls")]
