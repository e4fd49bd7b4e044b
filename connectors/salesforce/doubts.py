"""Rows that a request of ours may still change, because nobody knows what became of it.

A connection that was reset, or silent for too long, says nothing of the request: the org may
carry it out later, within its own limit of a call. To send an upsert again does no harm. But a
late upsert would bring back a row that was deleted meanwhile, so deletions wait.
"""

import threading
from collections.abc import Callable, Iterable

from connectors.salesforce.merge import Key


class Doubts:
    """Remembers rows, each while an old request could still reach it. Threads may share it."""

    def __init__(self, fate_s: float, now: Callable[[], float], *, settled: bool) -> None:
        """Start in doubt of every row, as nothing is known of an earlier run.

        Args:
            fate_s: How long the org may take to carry out a request, in seconds.
            now: A clock that never goes back, in seconds.
            settled: No request of an earlier run can still be under way.

        """
        self._fate_s = fate_s
        self._now = now
        self._all_until = now() if settled else now() + fate_s
        self._until: dict[Key, float] = {}
        self._lock = threading.Lock()

    def note(self, keys: Iterable[Key]) -> None:
        """Doubt these rows from now on."""
        now = self._now()
        with self._lock:
            self._until = {key: end for key, end in self._until.items() if end > now}
            self._until |= dict.fromkeys(keys, now + self._fate_s)

    def __len__(self) -> int:
        """Return how many rows are remembered, those of before the start aside."""
        return len(self._until)

    @property
    def is_clear(self) -> bool:
        """Whether no old request could still reach any row."""
        now = self._now()
        with self._lock:
            return now >= self._all_until and all(end <= now for end in self._until.values())

    def holds(self, key: Key) -> bool:
        """Return whether an old request could still reach the row."""
        return self._now() < max(self._all_until, self._until.get(key, self._all_until))
