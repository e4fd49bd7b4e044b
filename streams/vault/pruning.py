"""Retention, once a day, beside the vault's writer: a long deletion holds no record up."""

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

from connectors.postgres.vault.upkeep import Upkeep
from residency.vault.kinds import EventKind
from schemas.errors import RetriableError

LOG = logging.getLogger("homeport.vault")
DAY_S, AGAIN_S = 24 * 3_600.0, 600.0


class Pruning:
    """A thread of its own, with a connection of its own."""

    def __init__(self, dsn: str, kinds: Mapping[str, EventKind]) -> None:
        """Take the database and how long each event type is kept."""
        self._dsn = dsn
        self._kinds = kinds
        self._halt = threading.Event()
        self._pool = ThreadPoolExecutor(1, "retention")
        self._done: Future[None] | None = None

    def start(self) -> None:
        """Begin at once, and go on once a day."""
        self._done = self._pool.submit(self._run)

    def check(self) -> None:
        """Pass if it works; raise what ended it."""
        if self._done is not None and self._done.done():
            self._done.result()

    def close(self) -> None:
        """Stop, once what is under way is done."""
        self._halt.set()
        self._pool.shutdown()

    def _run(self) -> None:
        with closing(Upkeep(self._dsn)) as upkeep:
            wait_s = 0.0
            while not self._halt.wait(wait_s):
                try:
                    pruned = upkeep.prune(self._kinds, datetime.now(UTC))
                except RetriableError as error:
                    LOG.warning("retention waits: %s", error)  # a text of ours
                    wait_s = AGAIN_S
                    continue
                wait_s = DAY_S
                for event, count in pruned.events.items():
                    LOG.info("retention: %d events of type %s are gone", count, event)
                if pruned.subjects:
                    LOG.info("retention: %d subjects have no event left", pruned.subjects)
                if pruned.names:
                    LOG.info("retention: %d names of erased records are gone", pruned.names)
