"""The gateway's memory of what it took: a repeated delivery is acknowledged and dropped."""

import asyncio
import hashlib
import json
from collections import OrderedDict

REPEAT_WINDOW_S = 600  # a repeated source + id within this is acknowledged and dropped
MAX_REMEMBERED = 200_000  # ids; the oldest go first


class Repeats:
    """Remembers which events were taken, for a while. State of the gateway, in memory."""

    def __init__(self, window_s: float = REPEAT_WINDOW_S, limit: int = MAX_REMEMBERED) -> None:
        """Forget after *window_s*, or when there are more than *limit*."""
        self._window_s = window_s
        self._limit = limit
        self._taken: OrderedDict[bytes, tuple[float, asyncio.Future[str]]] = OrderedDict()

    def claim(self, source: str, event_id: str, now: float) -> tuple[asyncio.Future[str], bool]:
        """Return the future record of an event, and whether this caller must publish it."""
        while self._taken:
            oldest = next(iter(self._taken.values()))[0]
            if now - oldest <= self._window_s and len(self._taken) <= self._limit:
                break
            self._taken.popitem(last=False)
        # as JSON: no separator that an id could hold itself
        key = hashlib.sha256(json.dumps([source, event_id]).encode()).digest()
        found = self._taken.get(key)
        if found is not None and not _failed(found[1]):
            return found[1], False
        future = asyncio.get_running_loop().create_future()
        self._taken[key] = now, future
        self._taken.move_to_end(key)
        return future, True


def _failed(future: "asyncio.Future[str]") -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
