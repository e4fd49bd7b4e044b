"""From steps to requests: which rows go together, over which of the org's interfaces.

The rows of one call are all different, so their order does not matter; they are sorted by
parent and key, so that requests of several writers lock the same rows in the same order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from math import ceil
from typing import Any, Protocol

from connectors.salesforce.bulk.table import carries
from connectors.salesforce.composite import MAX_COLLECTIONS, Sender, Upserter, groups
from connectors.salesforce.doubts import Doubts
from connectors.salesforce.errors import UnsendableValueError
from connectors.salesforce.merge import Step
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.rows import Request, RowResult, pack
from schemas.errors import HaltError, RetriableError
from schemas.events import RecordId


class Bulk(Protocol):
    """What the sink needs of `BulkWriter`."""

    def resume(self) -> None:
        """See to it that no job of an earlier run, or of a call that failed, is under way."""
        ...

    def upsert(
        self,
        sobject: str,
        key_field: str,
        rows: Sequence[Mapping[str, Any]],
        record_ids: Sequence[Sequence[RecordId]],
    ) -> list[RowResult]:
        """Write rows by one job or several; one result each, in order, when all have ended."""
        ...

    def hard_delete(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        """See `Purger.hard_delete`."""
        ...


class Writer:
    """Upserts the rows of steps."""

    def __init__(
        self,
        clients: Sequence[Sender],
        bulk: Bulk | None,
        options: SinkOptions,
        doubts: Doubts,
        is_tight: Callable[[], bool],
    ) -> None:
        """Take a client for each request that may be under way at once, at least one."""
        self._lanes = [Upserter(client, self._doubt) for client in clients]
        self._bulk = bulk
        self._options = options
        self._doubts = doubts
        self._is_tight = is_tight

    def upsert(self, steps: Sequence[Step], max_rows: int) -> list[RowResult]:
        """Write each step's row, in requests of *max_rows* at most; return results in order.

        No two steps are of one row. Nothing of an earlier job is under way any more when this
        starts to write, the requests over REST have ended when a Bulk job starts, and the job
        has when this returns. What CSV cannot hold goes over REST in any case.

        Raises:
            RetriableError: Rows may be in the org; their keys are in doubt.
            HaltError: The org's set-up or ours is wrong.

        """
        if self._bulk is not None:
            self._bulk.resume()
        places: list[int] = []
        requests: list[Request] = []
        jobs: list[tuple[Bulk, list[int]]] = []
        for mine in self._by_object(steps):
            by_rest = mine
            if self._bulk is not None and len(mine) >= self._options.bulk_from:
                by_job = [place for place in mine if carries(steps[place].fields)]
                by_rest = [place for place in mine if not carries(steps[place].fields)]
                jobs += [(self._bulk, by_job)] if by_job else []
            if by_rest:
                places += by_rest
                requests += self._pack([steps[place] for place in by_rest], max_rows)
        results = dict(zip(places, self._send(requests), strict=True))
        for bulk, mine in jobs:
            written = self._by_job(bulk, [steps[place] for place in mine])
            results |= zip(mine, written, strict=True)
        return [results[place] for place in range(len(steps))]

    def _by_object(self, steps: Sequence[Step]) -> Iterable[list[int]]:
        """Return the places of each object's steps, in the order to send them."""
        found: dict[str, list[int]] = {}
        for place, step in enumerate(steps):
            found.setdefault(step.key[0], []).append(place)
        for mine in found.values():
            mine.sort(key=lambda place: self._rank(steps[place]))
        return found.values()

    def _rank(self, step: Step) -> tuple[str, str]:
        return str(step.fields.get(self._options.parent_field) or ""), step.key[1]

    def _pack(self, steps: Sequence[Step], max_rows: int) -> list[Request]:
        rows = [step.fields for step in steps]
        key_field, max_bytes = self._options.external_id_field, self._options.max_bytes
        sobject = steps[0].key[0]
        try:
            return list(pack(sobject, key_field, rows, max_rows=max_rows, max_bytes=max_bytes))
        except UnsendableValueError as exc:
            raise _unsendable(steps[exc.row], exc) from None

    def _by_job(self, bulk: Bulk, steps: Sequence[Step]) -> list[RowResult]:
        sobject, key_field = steps[0].key[0], self._options.external_id_field
        rows, ids = [step.fields for step in steps], [step.ids for step in steps]
        try:
            return bulk.upsert(sobject, key_field, rows, ids)
        except UnsendableValueError as exc:
            raise _unsendable(steps[exc.row], exc) from None
        except RetriableError:
            self._doubts.note(step.key for step in steps)
            raise

    def _send(self, requests: Sequence[Request]) -> list[RowResult]:
        """Return the verdict on every row, in order.

        A composite saves calls, more clients save time: with several, each gets its share of
        the requests first, unless the daily allocation is running low.
        """
        count = len(self._lanes)
        share = ceil(len(requests) / count)
        most = MAX_COLLECTIONS if self._is_tight() else max(1, min(MAX_COLLECTIONS, share))
        calls = list(groups(requests, self._options.max_bytes, most))
        lanes = self._in_lanes([calls[lane::count] for lane in range(count)])
        in_turn = (lanes[n % count][n // count] for n in range(len(calls)))
        return list(chain.from_iterable(in_turn))

    def _in_lanes(self, calls: Sequence[Sequence[list[Request]]]) -> list[list[list[RowResult]]]:
        """Return each lane's verdicts, call by call; all have ended, also when one fails."""
        if len(self._lanes) == 1:
            return [_one_by_one(self._lanes[0], calls[0])]
        with ThreadPoolExecutor(len(self._lanes)) as pool:
            runs = [
                pool.submit(_one_by_one, *lane) for lane in zip(self._lanes, calls, strict=True)
            ]
        return [run.result() for run in runs]

    def _doubt(self, request: Request) -> None:
        self._doubts.note((request.sobject, row[request.key_field]) for row in request.rows)


def _one_by_one(lane: Upserter, calls: Iterable[list[Request]]) -> list[list[RowResult]]:
    return [list(chain.from_iterable(lane.send(call))) for call in calls]


def _unsendable(step: Step, exc: UnsendableValueError) -> HaltError:
    return HaltError(f"{step.name(exc.field)}.{exc.field}: {exc.problem}")
