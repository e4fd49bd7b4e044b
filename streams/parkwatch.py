"""Says how many records are parked and since when, and raises an alert when one is for long."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from connectors.postgres.parked import Waiting
from residency.telemetry.setup import Recorder

LOG = logging.getLogger("homeport.egress")
LOOK_S: Final = 5.0  # between two looks


class ParkWatch:
    """Remembers the last look, for the health page, and tells the metrics."""

    def __init__(self, recorder: Recorder, alarm_s: float) -> None:
        """Take the bound of a record's age, in seconds, beyond which a person should look."""
        self._recorder = recorder
        self._alarm_s = alarm_s
        self._alarmed: datetime | None = None
        self._last = Waiting()

    def health(self) -> Mapping[str, Any]:
        """Return how many are parked, and since when the oldest: ISO 8601, or None."""
        since = self._last.since
        return {
            "parked": self._last.count,
            "parked_since": None if since is None else since.isoformat(timespec="seconds"),
        }

    def look(self, waiting: Waiting, now: datetime) -> None:
        """Take in what is parked *now*; one alert for each oldest record that is past the bound."""
        self._last = waiting
        age_s = 0.0 if waiting.since is None else max(0.0, (now - waiting.since).total_seconds())
        self._recorder.set("homeport.parked", waiting.count)
        self._recorder.set("homeport.parked.age", age_s)
        if age_s > self._alarm_s and self._alarmed != waiting.since:
            self._alarmed = waiting.since
            self._recorder.add("homeport.alerts", kind="parked-too-long")
            LOG.warning(
                "%d records are parked, the oldest for %.0f s; docs/rejects.md says what to do",
                waiting.count,
                age_s,
            )
