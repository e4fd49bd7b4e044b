"""The sink: logged records become rows, or delete them, and every record gets an outcome.

Records of one external id keep their order: those that stand together go out as one row, and
nothing later of that id starts before it is settled. docs/salesforce-sink.md has the rules.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from random import SystemRandom

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.deletes import Deleter, Finder
from connectors.salesforce.doubts import Doubts
from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.merge import Key, Step, merge
from connectors.salesforce.options import SinkOptions
from connectors.salesforce.outcome import FATE_UNKNOWN, Outcome, Result
from connectors.salesforce.refusals import halt_text
from connectors.salesforce.row_queue import WAITS, RowQueue
from connectors.salesforce.rows import RowResult
from connectors.salesforce.writer import Bulk, Writer
from schemas.errors import HaltError, SetupError
from schemas.events import LoggedRecord

_DEFAULTS = SinkOptions()
AGAIN = frozenset({Handling.RACE, Handling.AGAIN, Handling.BUSY})
_RESULTS = {
    Handling.OLDER: Result.SUPERSEDED,
    Handling.RACE: Result.REJECTED,
    Handling.REJECT: Result.REJECTED,
    Handling.AGAIN: Result.PARKED,
    Handling.PARK: Result.PARKED,
}
_IN_DOUBT = RowResult.refused(OrgError(FATE_UNKNOWN, (), Handling.PARK))


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, in seconds: it never goes back."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class SalesforceSink:
    """Writes records of any objects as rows of the org. For one thread."""

    def __init__(  # noqa: PLR0913 -- each optional, and by name
        self,
        *clients: Finder,
        bulk: Bulk | None = None,
        options: SinkOptions = _DEFAULTS,
        clock: Clock = Clock(),
        is_tight: Callable[[], bool] = lambda: False,
        settled: bool = False,
        hard_deletes: Collection[tuple[str, str]] = (),
    ) -> None:
        """Take the ways into one org.

        Args:
            clients: One for each request that may be under way at once: one, usually.
            bulk: The Bulk API; without it, everything goes by REST.
            options: What the region decides.
            clock: Time.
            is_tight: Says whether the org's daily allocation of calls is running low.
            settled: No request of an earlier run can still be under way. Where that is not
                known, no row is deleted in the first *fate_s* seconds: the records are parked.
            hard_deletes: (digest, object) of the plans whose deletions of an object's rows are
                for good; all others are soft.

        Raises:
            SetupError: Rows are to be deleted for good, and there is no Bulk API to do it by.

        """
        if hard_deletes and bulk is None:
            msg = "hard deletes need the Bulk API: REST cannot empty the recycle bin"
            raise SetupError(msg)
        self._hard_deletes = frozenset(hard_deletes)
        self._options = options
        self._clock = clock
        self._chance = SystemRandom().random
        self._doubts = Doubts(options.fate_s, clock.now, settled=settled)
        self._writer = Writer(clients, bulk, options, self._doubts, is_tight)
        self._deleter = Deleter(clients[0], options.external_id_field, bulk)

    @property
    def is_settled(self) -> bool:
        """Whether no request of this run, or of one before, can still be under way."""
        return self._doubts.is_clear

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
        steps = merge(batch, self._options.external_id_field)
        queues = [RowQueue(of_row) for of_row in steps.values()]
        outcomes: dict[int, Outcome] = {}
        while queues:
            heads = [queue.head for queue in queues]
            for queue, result in zip(queues, self._settle(heads), strict=True):
                for step, end in queue.take(result):
                    outcomes |= zip(step.places, _outcomes(step, end), strict=True)
            queues = [queue for queue in queues if queue]
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
        deletes: dict[tuple[str, bool], list[Step]] = {}
        for step in steps:
            if step.deletes and self._doubts.holds(step.key):
                results[step.key] = _IN_DOUBT
            elif step.deletes:
                plan, sobject = step.records[0].record.plan, step.key[0]
                hard = (plan, sobject) in self._hard_deletes
                deletes.setdefault((sobject, hard), []).append(step)
        for (sobject, hard), mine in deletes.items():
            deleted = self._deleter.delete(sobject, [step.key[1] for step in mine], hard=hard)
            results |= {step.key: result for step, result in zip(mine, deleted, strict=True)}
        for step in steps:
            _halt_on_setup(step, results[step.key])
        return results


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
    together = step.ids if len(step.records) > 1 and result is not WAITS else ()
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
