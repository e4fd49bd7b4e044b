"""The erasures that the demo's events asked for: found in the regions, and waited for."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from connectors.kafka.topology import load_topics
from connectors.postgres.vault.erasures import Erasures
from residency.vault.erasure import STEPS, Erasure, Step, request_of
from schemas.events import RecordId
from streams.demo.erased import Taken
from streams.settings import database, load_settings

ASKS: Final = "commerce.customers.CustomerErasureRequested"
PATIENCE_S = 45.0  # no erasure moved for so long: whoever waits for a deletion does for minutes
LOOK_S = 1.0


class Requested:
    """The requests for erasure among the events that gateways took."""

    def __init__(self, home: Path, taken: Taken) -> None:
        """Take the events with their raw records' names."""
        self._home = home
        asking = [(event.region, record) for event, record in taken if event.type == ASKS]
        ids = {region: load_topics(home, region) for region, _ in asking}
        self._requests: dict[str, list[str]] = {region: [] for region in ids}
        for region, record in asking:
            topic_id = ids[region][RecordId.parse(f"{record}#0").at.topic].id
            self._requests[region].append(request_of(topic_id, record))

    def wait(self, say: Callable[[str], None]) -> list[tuple[str, str, Erasure | None]]:
        """Return region, request and erasure of each, once all are done or none goes on.

        Args:
            say: Told how many are at which step, whenever that changes.

        Raises:
            RetriableError: A region's Postgres does not answer.

        """
        with ExitStack() as stack:
            stores = {
                region: stack.enter_context(closing(self._open(region)))
                for region in self._requests
            }
            moved, last = time.monotonic(), ""
            while True:
                found = self._look(stores)
                steps = [one.step if one else None for _, _, one in found]
                now = _told(steps)
                if now != last:
                    moved, last = time.monotonic(), now
                    say(now)
                if set(steps) <= {Step.DONE} or time.monotonic() - moved > PATIENCE_S:
                    return found
                time.sleep(LOOK_S)

    def _open(self, region: str) -> Erasures:
        return Erasures(database(load_settings(self._home, region, "erase").postgres, "erase"))

    def _look(self, stores: Mapping[str, Erasures]) -> list[tuple[str, str, Erasure | None]]:
        found = []
        for region, requests in self._requests.items():
            known = {one.request: one for one in stores[region].some(requests)}
            found += [(region, request, known.get(request)) for request in requests]
        return found


def _told(steps: Sequence[Step | None]) -> str:
    if not steps:
        return "none was asked for"
    counts = Counter(steps)
    at = [f"{counts[one]} {one}" for one in STEPS if counts[one]]
    return ", ".join([f"{counts[None]} to be read"] * bool(counts[None]) + at)
