"""How many of the org's API calls a region may use, and how many it has used.

All regions, and everybody else, share one allowance of calls in a rolling 24 hours. The org
tells of it in the ``Sforce-Limit-Info`` header of each answer; it is a little behind. Where
the app has an allowance of its own, that says exactly what we used; else we count.

Source: REST API guide, "Limits" and "Sforce-Limit-Info"; Salesforce Developer Limits.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from connectors.salesforce.errors import OrgRestedError

SOFT, HARD = 0.80, 0.95  # of the share: save calls, make none
HOUR_S, HOURS = 3_600, 24
PAUSE_S = 300.0
LIMITS_EVERY_S = 300.0  # what /limits says is up to five minutes old
SAVE_S = 1.0
# In the region's folder: what egress has used, and what reconciliation has.
CALLS = ("salesforce-calls.json", "salesforce-calls-reconcile.json")
_USAGE = re.compile(r"(?:^|;\s*)api-usage=(\d{1,12})/(\d{1,12})")
_OURS = re.compile(r"(?:^|;\s*)per-app-api-usage=(\d{1,12})/(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls made, of those allowed, in 24 hours."""

    used: int
    allowed: int

    def reaches(self, share: float) -> bool:
        """Whether so much of the allowance is used."""
        return self.used >= share * self.allowed


class Budget:
    """One region's share; threads may share it."""

    def __init__(
        self,
        share: float = 1.0,
        file: Path | None = None,
        pause_s: float = PAUSE_S,
        now: Callable[[], float] = time.time,
        *,
        beside: Sequence[Path] = (),
    ) -> None:
        """Take the share, from 0 to 1, and where the count is kept over restarts.

        Args:
            share: Of the org's calls in 24 hours.
            file: Small, JSON, ours alone; None: the count starts at zero.
            pause_s: One call in so long while none are left, in seconds: only the org knows.
            now: Unix seconds.
            beside: Such files of the region's other processes: the share is theirs, too.

        """
        self._beside = beside
        self._others = sum(_count(path, now()) for path in beside)
        self._pause_s = pause_s
        self._share = share
        self._file = file
        self._now = now
        self._lock = threading.Lock()
        self._hours = _read(file)  # hours since 1970 -> calls
        self._org: Usage | None = None
        self._app: Usage | None = None
        self._limits_at = -LIMITS_EVERY_S
        self._next_probe = 0.0
        self._saved = now()

    @property
    def is_tight(self) -> bool:
        """Whether calls should be saved: the soft limit is reached."""
        with self._lock:
            return self._reaches(SOFT)

    @property
    def left(self) -> float | None:
        """The part of our share that is left, from 0 to 1; None before the org told."""
        with self._lock:
            if self._org is None:
                return None
            mine = self._mine(self._org)
            return max(0.0, 1 - mine.used / mine.allowed) if mine.allowed else 0.0

    def check(self) -> None:
        """Let a call pass, or one every while when the hard limit is reached.

        Raises:
            OrgRestedError: Nothing was sent.

        """
        with self._lock:
            if not self._reaches(HARD):
                return
            left = self._next_probe - self._now()
            if left <= 0:
                self._next_probe = self._now() + self._pause_s
                return
        msg = (
            f"this region has used {HARD:.0%} of its share of the org's API calls in 24 hours"
            f" (api_share {self._share}); asking again in {left:.0f} s"
        )
        raise OrgRestedError(msg, again_in_s=left)

    def refused(self) -> None:
        """Note that the org says that there are no calls left: as if the hard limit were met."""
        with self._lock:
            allowed = self._org.allowed if self._org else 1
            self._org = Usage(allowed, allowed)
            self._next_probe = self._now() + self._pause_s

    def note(self, header: str | None) -> None:
        """Count a call, and take in what its answer's ``Sforce-Limit-Info`` says."""
        with self._lock:
            hour = int(self._now()) // HOUR_S
            self._hours = {h: n for h, n in self._hours.items() if h > hour - HOURS}
            self._hours[hour] = self._hours.get(hour, 0) + 1
            if header is not None:
                self._app = _usage(_OURS, header)
                self._heard(_usage(_USAGE, header))
            if self._now() - self._saved >= SAVE_S:
                self._save()

    def wants_limits(self) -> bool:
        """Return whether to ask the org's ``/limits``: nothing has told of them for a while.

        Once asked, the answer is no for that while, whatever comes of it.
        """
        with self._lock:
            is_due = self._now() - self._limits_at >= LIMITS_EVERY_S
            if is_due:
                self._limits_at = self._now()
            return is_due

    def note_limits(self, limits: Mapping[str, Any]) -> None:
        """Take in what ``/limits`` says: Max and Remaining of DailyApiRequests."""
        calls = limits.get("DailyApiRequests")
        found = (
            [calls.get(name) for name in ("Max", "Remaining")] if isinstance(calls, dict) else []
        )
        whole = [n for n in found if isinstance(n, int)]
        if len(whole) == len(("Max", "Remaining")):
            with self._lock:
                self._heard(Usage(whole[0] - whole[1], whole[0]))

    def _heard(self, org: Usage | None) -> None:
        if org is not None:
            self._org, self._limits_at = org, self._now()

    def close(self) -> None:
        """Write the count down."""
        with self._lock:
            self._save()

    def _reaches(self, part: float) -> bool:
        if self._org is None:
            return False
        own = self._app is not None and self._app.reaches(part)
        return own or self._org.reaches(part) or self._mine(self._org).reaches(part)

    def _mine(self, org: Usage) -> Usage:
        allowed = int(org.allowed * self._share)
        if self._app is not None:
            return Usage(self._app.used, min(allowed, self._app.allowed))
        return Usage(sum(self._hours.values()) + self._others, allowed)

    def _save(self) -> None:
        self._saved = self._now()
        self._others = sum(_count(path, self._saved) for path in self._beside)
        if self._file is None:
            return
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(orjson.dumps({str(hour): n for hour, n in self._hours.items()}))
        fresh.replace(self._file)


def _usage(pattern: re.Pattern[str], header: str | None) -> Usage | None:
    found = pattern.search(header or "")
    return Usage(int(found[1]), int(found[2])) if found else None


def _count(file: Path, now: float) -> int:
    """Return how many calls another process wrote down for the last 24 hours."""
    oldest = int(now) // HOUR_S - HOURS
    return sum(n for hour, n in _read(file).items() if hour > oldest)


def _read(file: Path | None) -> dict[int, int]:
    """Return the count by hour; an unreadable file is an empty one: the org counts, too."""
    try:
        kept = orjson.loads(file.read_bytes()) if file is not None else {}
        return {int(hour): int(n) for hour, n in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
