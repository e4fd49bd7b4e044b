"""What is left of answers that do not fit one page.

A cursor holds the numbers of all rows of an answer, 8 bytes each, and lives in memory: a restart
ends it, as does age, and the oldest go when there are too many.
"""

import secrets
import threading
import time
from array import array  # noqa: TC003 -- as every annotation, it can be looked up
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from connectors.sandbox.access import User
from connectors.sandbox.errors import refuse
from connectors.sandbox.ids import record_id
from connectors.sandbox.soql.compiled import Compiled

LIFE_S = 2 * 24 * 60 * 60  # Salesforce keeps a cursor for two days
MAX_CURSORS = 1000
MAX_ROWS = 5_000_000  # in all cursors together: 40 MB; the newest one may be larger alone
CURSOR_PREFIX = "01g"


@dataclass(frozen=True, slots=True)
class Cursor:
    """An answer that does not fit one page.

    Attributes:
        user: Sequence number of who asked; nobody else may go on.
        ids: Sequence numbers of all rows, in order.
        batch: Rows per page.
        made_at: Seconds since 1970.

    """

    user: int
    compiled: Compiled
    ids: "array[int]"
    batch: int
    made_at: float


class Cursors:
    """All that is open; used by any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin without any; *clock* gives seconds since 1970."""
        self._clock = clock
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()

    def keep(self, user: User, compiled: Compiled, ids: "array[int]", batch: int) -> str:
        """Return the name of a new cursor."""
        now = self._clock()
        name = record_id(CURSOR_PREFIX, secrets.randbits(48))
        with self._lock:
            self._cursors[name] = Cursor(user.sequence, compiled, ids, batch, now)
            self._rows += len(ids)
            while len(self._cursors) > 1 and self._is_too_much(now):
                _, oldest = self._cursors.popitem(last=False)
                self._rows -= len(oldest.ids)
        return name

    def find(self, locator: str, user: User) -> tuple[str, Cursor, int]:
        """Return the name, the cursor and the position in a locator such as ``01g...-2000``.

        Raises:
            ApiError: 400 INVALID_QUERY_LOCATOR, there is no such cursor of this user.

        """
        name, _, start = locator.rpartition("-")
        with self._lock:
            cursor = self._cursors.get(name)
        is_alive = cursor is not None and self._clock() - cursor.made_at < LIFE_S
        if cursor is None or not is_alive or cursor.user != user.sequence or not _is_number(start):
            raise refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return name, cursor, int(start)

    def _is_too_much(self, now: float) -> bool:
        oldest = next(iter(self._cursors.values()))
        is_full = len(self._cursors) > MAX_CURSORS or self._rows > MAX_ROWS
        return is_full or now - oldest.made_at >= LIFE_S


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < len(str(MAX_ROWS)) + 4
