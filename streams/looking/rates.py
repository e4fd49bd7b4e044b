"""How often each caller has looked, in a file that all processes of a region on a host share.

SQLite, because the service and the commands must count together and a count must outlive a
restart. A library's limiter would need a server of its own for that.
"""

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from residency.vault.access import Role
from residency.vault.looking import Refused, RefusedError
from schemas.errors import RetriableError
from streams.looking.callers import FOLDER, Caller

FILE: Final = "rates.sqlite"
WAIT_S: Final = 5.0
MINUTE_S: Final = 60
HOUR_S: Final = 3_600


class Rates:
    """Counts look-ups of each caller in the last minute and hour."""

    def __init__(self, region_folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Take the region's folder; *clock* is in epoch seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        path = region_folder / FOLDER / FILE
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._database = sqlite3.connect(
            path, timeout=WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            # what a power cut loses is the last counts: not worth a sync for each look-up
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = OFF")
            self._database.execute("CREATE TABLE IF NOT EXISTS looks (caller TEXT, at REAL)")
            self._database.execute("CREATE INDEX IF NOT EXISTS by_caller ON looks (caller, at)")
            # each look-up forgets those of an hour ago, of all callers
            self._database.execute("CREATE INDEX IF NOT EXISTS by_time ON looks (at)")
        except sqlite3.Error as exc:
            raise _broken(path, exc) from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def take(self, caller: Caller, role: Role) -> None:
        """Count one more look-up of *caller*.

        Raises:
            RefusedError: It would be one too many; says when to try again.
            RetriableError: The file is busy or broken.

        """
        now = self._clock()
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    wait = self._take(caller.name, now, role)
                finally:
                    self._database.execute("COMMIT")
            except sqlite3.Error as exc:
                raise _broken(Path(FOLDER) / FILE, exc) from None
        if wait is not None:
            msg = (
                f"{caller.name} may look {role.per_minute} times a minute, {role.per_hour} an hour"
            )
            raise RefusedError(Refused.RATE, msg, retry_after_s=wait)

    def _take(self, name: str, now: float, role: Role) -> int | None:
        """Count a look-up, or return in how many seconds there is room for one."""
        self._database.execute("DELETE FROM looks WHERE at <= ?", (now - HOUR_S,))
        for limit, window in ((role.per_minute, MINUTE_S), (role.per_hour, HOUR_S)):
            # the look-up that must leave the window before there is room for another
            query = (
                "SELECT at FROM looks WHERE caller = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?"
            )
            with closing(self._database.execute(query, (name, now - window, limit - 1))) as cursor:
                row = cursor.fetchone()
            if row is not None:
                return max(1, math.ceil(float(row[0]) + window - now))
        self._database.execute("INSERT INTO looks VALUES (?, ?)", (name, now))
        return None


def _broken(path: Path, exc: sqlite3.Error) -> RetriableError:
    msg = f"{path}: {type(exc).__name__}; look-ups are counted there: mend it, or remove the file"
    return RetriableError(msg)
