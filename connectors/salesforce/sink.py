"""The sink: logged records become rows, or delete them, and every record gets an outcome.

Records of one external id keep their order: those that stand together go out as one row, and
nothing later of that id starts before it is settled. docs/salesforce-sink.md has the rules.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import SystemRandom

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.deletes import Deleter, Finder
from connectors.salesforce.doubts import Doubts
from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.merge import Key, Step, merge
from connectors.salesforce.outcome import BEHIND, FATE_UNKNOWN, Outcome, Result
from connectors.salesforce.refusals import halt_text
from connectors.salesforce.rows import MAX_ROWS, RowResult
from connectors.salesforce.writer import Bulk, Routes, Writer
from schemas.errors import HaltError, SetupError
from schemas.events import LoggedRecord

FATE_S = 600.0  # Salesforce ends a call after ten minutes; until then it may still commit
AGAIN = frozenset({Handling.RACE, Handling.AGAIN, Handling.BUSY})
_RESULTS = {
    Handling.OLDER: Result.SUPERSEDED,
    Handling.RACE: Result.REJECTED,
    Handling.REJECT: Result.REJECTED,
    Handling.AGAIN: Result.PARKED,
    Handling.PARK: Result.PARKED,
}
PARKS = frozenset(h for h, result in _RESULTS.items() if result is Result.PARKED)
_IN_DOUBT = RowResult.refused(OrgError(FATE_UNKNOWN, (), Handling.PARK))
_BEHIND = RowResult.refused(OrgError(BEHIND, (), Handling.PARK))


@dataclass(frozen=True, slots=True)
class RowRetry:
    """How often to send a row again that the org could not take, and how long to wait between.

    Attributes:
        sizes: Rows per request, try by try. Smaller requests hold fewer locks, for less time.
        first_wait_s: Longest wait after the first try, in seconds; it doubles from try to try.
        max_wait_s: Bound of every wait, in seconds.

    """

    sizes: tuple[int, ...] = (MAX_ROWS, MAX_ROWS, 50, 50, 1)
    first_wait_s: float = 1.0
    max_wait_s: float = 30.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Return the wait after try number *attempt* (from 1); *chance* is in [0, 1).

        Half of it is fixed, as a lock's holder needs time; half keeps rivals out of step.
        """
        bound: float = min(self.max_wait_s, self.first_wait_s * 2 ** (attempt - 1))
        return bound / 2 + chance * bound / 2


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What is decided per region or object.

    Attributes:
        external_id_field: On every object an external id, unique and case-sensitive.
        hard_delete: Objects whose deleted rows also leave the recycle bin.
        fate_s: How long a request that was not answered may still be carried out, in seconds.
        settled: No request of an earlier run can still be under way. If it is not known, rows
            are not deleted in the first *fate_s* seconds: those records are parked.
        retry: For rows.
        routes: Which interface of the org rows go by.

    """

    external_id_field: str = "External_Id__c"
    hard_delete: frozenset[str] = frozenset()
    fate_s: float = FATE_S
    settled: bool = False
    retry: RowRetry = field(default_factory=RowRetry)
    routes: Routes = field(default_factory=Routes)


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, in seconds: it never goes back."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class SalesforceSink:
    """Writes records of any objects as rows of the org. For one thread."""

    def __init__(
        self,
        *clients: Finder,
        bulk: Bulk | None = None,
        options: SinkOptions = SinkOptions(),
        clock: Clock = Clock(),
    ) -> None:
        """Take a client for each request that may be under way at once: one, usually.

        Raises:
            SetupError: Rows are to leave the recycle bin, and there is no Bulk API to do it by.

        """
        if options.hard_delete and bulk is None:
            msg = "hard_delete needs the Bulk API: REST cannot empty the recycle bin"
            raise SetupError(msg)
        self._options = options
        self._clock = clock
        self._chance = SystemRandom().random
        self._doubts = Doubts(options.fate_s, clock.now, settled=options.settled)
        key_field = options.external_id_field
        self._writer = Writer(clients, key_field, self._doubts, bulk, options.routes)
        self._deleter = Deleter(clients[0], key_field, bulk)

    def doubt(self, keys: Iterable[Key]) -> None:
        """Take it that requests for these rows (object, external id) may still be under way."""
        self._doubts.note(keys)

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        """Write *batch* and return an outcome per record, in its order.

        Sending the same batch again is always safe: rows are upserted, and found to be
        deleted, by a unique id. Outcomes that are parked say that nothing of the record is in
        the org, or that it may be: send it again later, before any later record of its row.

        Raises:
            RetriableError: Nothing is known of any record; send the same batch again.
            HaltError: The org's set-up or ours is wrong; names object, field and next step.

        """
        queues = merge(batch, self._options.external_id_field)
        outcomes: dict[int, Outcome] = {}
        while queues:
            steps = [queue[0] for queue in queues.values()]
            for step, result in zip(steps, self._settle(steps), strict=True):
                queue = queues[step.key]
                queue.popleft()
                if _mixes(step, result):
                    queue.extendleft(reversed(step.alone()))
                    continue
                outcomes |= zip(step.places, _outcomes(step, result), strict=True)
                if result.handling in PARKS:
                    behind = [outcome for later in queue for outcome in _outcomes(later, _BEHIND)]
                    places = chain.from_iterable(later.places for later in queue)
                    outcomes |= zip(places, behind, strict=True)
                    queue.clear()
            queues = {key: queue for key, queue in queues.items() if queue}
        return [outcomes[place] for place in range(len(batch))]

    def _settle(self, steps: Sequence[Step]) -> list[RowResult]:
        """Do each step, all of different rows, until its result is final; return these."""
        results: dict[Key, RowResult] = {}
        again = steps
        retry = self._options.retry
        for attempt, max_rows in enumerate(retry.sizes):
            if attempt:
                self._clock.sleep(retry.wait_s(attempt, self._chance()))
            results |= self._try(again, max_rows)
            again = [step for step in again if results[step.key].handling in AGAIN]
            if not again:
                break
        for step in again:
            if results[step.key].handling is Handling.BUSY:
                msg = f"{step.name()} is still {results[step.key].code}"
                raise OrgUnavailableError(msg)
        return [results[step.key] for step in steps]

    def _try(self, steps: Sequence[Step], max_rows: int) -> dict[Key, RowResult]:
        writes = [step for step in steps if not step.deletes]
        written = self._writer.upsert(writes, max_rows)
        results = {step.key: result for step, result in zip(writes, written, strict=True)}
        deletes: dict[str, list[Step]] = {}
        for step in steps:
            if step.deletes and self._doubts.holds(step.key):
                results[step.key] = _IN_DOUBT
            elif step.deletes:
                deletes.setdefault(step.key[0], []).append(step)
        for sobject, mine in deletes.items():
            hard = sobject in self._options.hard_delete
            deleted = self._deleter.delete(sobject, [step.key[1] for step in mine], hard=hard)
            results |= {step.key: result for step, result in zip(mine, deleted, strict=True)}
        for step in steps:
            _halt_on_setup(step, results[step.key])
        return results


def _mixes(step: Step, result: RowResult) -> bool:
    """Return whether one of several records may have spoilt the row for the others.

    What the org could not take for now it could not take of each record alone either.
    """
    return len(step.records) > 1 and not result.success and result.handling is not Handling.AGAIN


def _halt_on_setup(step: Step, result: RowResult) -> None:
    if result.handling is Handling.HALT and result.code is not None:
        error = OrgError(result.code, result.fields, result.handling)
        raise HaltError(halt_text(step.name(*result.fields), error))


def _outcomes(step: Step, result: RowResult) -> list[Outcome]:
    """Return an outcome for each of the step's records; only the oldest can have created it."""
    end = Result.ACCEPTED
    if result.handling is not None:
        end = _RESULTS[result.handling]
    explained = end in {Result.REJECTED, Result.PARKED}
    together = step.ids if len(step.records) > 1 and result is not _BEHIND else ()
    return [
        Outcome(
            record,
            end,
            result.code if explained else None,
            created=result.created and number == 0,
            fields=result.fields if explained else (),
            sent_with=together,
        )
        for number, record in enumerate(step.records)
    ]
