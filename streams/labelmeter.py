"""What enrichment says of itself: how long, how full, and how many labels; never which."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from residency.plan.tasks import UNKNOWN, WITHHELD
from residency.telemetry.setup import Telemetry

if TYPE_CHECKING:
    from residency.decisions import Decision
    from streams.labels import Asked


class LabelMeter:
    """Measures requests to the model, from any thread, and batches."""

    def __init__(self, signals: Telemetry, room: int) -> None:
        """Take how many texts a request to the model has room for."""
        self._signals = signals
        self._room = room

    @contextmanager
    def request(self, texts: int) -> Iterator[None]:
        """Stand around a request of so many texts; one that fails has a span alone."""
        recorder, started = self._signals.recorder, time.monotonic()
        with self._signals.span("enrich.request"):
            yield
        recorder.record("homeport.enrich.request", time.monotonic() - started)
        recorder.record("homeport.enrich.fill", texts / self._room)

    def batch(
        self, times_ms: Sequence[int], told: "Sequence[tuple[Asked, Decision]]", seconds: float
    ) -> None:
        """Count a batch that is committed.

        Args:
            times_ms: When its requests came, since 1970.
            told: What went out of those that were not dropped.
            seconds: From the first request polled to the commit.

        """
        recorder, now_ms = self._signals.recorder, time.time() * 1_000
        recorder.add("homeport.transactions", 1, stage="enrich", end="committed")
        recorder.record("homeport.batch.duration", seconds, stage="enrich")
        recorder.record("homeport.batch.records", len(times_ms), stage="enrich")
        recorder.add("homeport.records", len(told), stage="enrich", outcome="minimal")
        dropped = len(times_ms) - len(told)
        recorder.add("homeport.records", dropped, stage="enrich", outcome="nothing")
        for came_ms in times_ms:
            recorder.record("homeport.enrich.latency", max(0.0, now_ms - came_ms) / 1_000)
        counts = Counter(
            (label.task, _outcome(decision.labels()[label.field]))
            for asked, decision in told
            for label in asked.output.labels
        )
        for (task, outcome), n in counts.items():
            recorder.add("homeport.labels", n, task=task, label=outcome)


def _outcome(label: str) -> str:
    """Return what may be said of a label: an unread text and a poisoned one look alike."""
    return label if label in {UNKNOWN, WITHHELD} else "answered"
