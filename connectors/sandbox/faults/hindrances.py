"""Rows that cannot be written now, though nothing is wrong with them.

A write asks its `Hindrances` about the rows that passed every check. They are those of the
request, or of the job, that the running task serves: a context variable carries them past the
handlers, which need not know of faults, to the writer's thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from random import Random
from typing import TypeVar

from connectors.sandbox.access import View
from connectors.sandbox.errors import Problem, duplicate_value, unexpected
from connectors.sandbox.faults.plan import Fault, Kind
from connectors.sandbox.faults.refusals import of_row
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.values import Row

T = TypeVar("T")
RowKey = tuple[str, int]  # object, sequence number
ROW_KINDS = frozenset({Kind.LOCK, Kind.PARTIAL, Kind.DUPLICATE_RACE, Kind.ROWS_REFUSED})


class RowHeldError(Exception):
    """A write meets a row that another transaction holds; it is taken back and tried again.

    Attributes:
        free_at: When that transaction ends, in `time.monotonic` seconds.

    """

    def __init__(self, free_at: float) -> None:
        """Say when to try again."""
        super().__init__("a row is held")
        self.free_at = free_at


class Delay:
    """How long the first write of a request is put off; what it wrote first came late enough."""

    def __init__(self, seconds: float) -> None:
        """Put off by so many seconds."""
        self._left_s = seconds

    async def pass_once(self) -> None:
        """Wait, the first time."""
        seconds, self._left_s = self._left_s, 0.0
        await asyncio.sleep(seconds)


class RowLocks:
    """Rows held by other transactions, of which there is nothing but the locks.

    Attributes:
        wait_s: How long a write waits for such a row.

    """

    def __init__(self) -> None:
        """Hold none."""
        self.wait_s = 0.0
        self._held: dict[RowKey, float] = {}

    def hold(self, row: RowKey, seconds: float) -> None:
        """Hold *row* for so long from now."""
        now = time.monotonic()
        # replaced, never changed: the writer's thread reads it meanwhile
        self._held = {k: at for k, at in self._held.items() if at > now} | {row: now + seconds}

    def release(self) -> None:
        """Let go of all rows."""
        self._held = {}

    def free_at(self, row: RowKey) -> float | None:
        """Return when *row* is let go, None if nobody holds it."""
        at = self._held.get(row)
        return at if at is not None and at > time.monotonic() else None

    async def patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """Return what *write* does, once the rows it needs are free or its patience is over."""
        if (delay := _CURRENT.get().delay) is not None:
            await delay.pass_once()
        give_up_at = time.monotonic() + self.wait_s
        while True:
            is_patient = time.monotonic() < give_up_at
            try:
                with _current(replace(_CURRENT.get(), locks=self, is_patient=is_patient)):
                    return await write()
            except RowHeldError as exc:
                await asyncio.sleep(max(min(exc.free_at, give_up_at) - time.monotonic(), 0))


@dataclass(frozen=True, slots=True)
class Hindrances:
    """What keeps rows of one request from being written.

    Attributes:
        fault: A fault of the plan that hits rows of the request.
        seed: What the choice of rows follows from.
        is_patient: Whether the write may still wait for a row that is held.
        delay: What puts the whole request off, if anything does.

    """

    fault: Fault | None = None
    seed: str = ""
    locks: RowLocks | None = None
    is_patient: bool = False
    delay: Delay | None = None

    def applied(
        self, view: View, plans: Sequence[Row | list[Problem]]
    ) -> list[Row | list[Problem]]:
        """Return *plans*, each that cannot be carried out now replaced by the problem.

        Raises:
            RowHeldError: Wait for a row, then ask again.

        """
        good = {at: plan for at, plan in enumerate(plans) if isinstance(plan, dict)}
        problems = self.of(view, [_sequence(plan) for plan in good.values()])
        if self.locks is not None:
            pairs = zip(problems, good.values(), strict=True)
            problems = [problem or self._parent_held(view, plan) for problem, plan in pairs]
        hindered = {at: [p] for at, p in zip(good, problems, strict=True) if p is not None}
        return [hindered.get(at, plan) for at, plan in enumerate(plans)]

    def of(self, view: View, rows: Sequence[int | None]) -> list[Problem | None]:
        """Return, in order, what keeps each row from being written, None if nothing does.

        Args:
            view: Their object.
            rows: Sequence numbers; None for a row that would be new.

        Raises:
            RowHeldError: Wait for a row, then ask again.

        """
        problems = [self._held(view, row) for row in rows]
        if self.fault is None:
            return problems
        for at in self._chosen(len(rows)):
            problems[at] = _problem(self.fault, view, rows[at])
        return problems

    def spread(self, rows: int) -> "list[Hindrances]":
        """Return what each of so many rows meets when it is written on its own, in order."""
        chosen = self._chosen(rows)
        spared = replace(self, fault=None)
        return [self if at in chosen else spared for at in range(rows)]

    def _parent_held(self, view: View, plan: Row) -> Problem | None:
        """Return the refusal of a row that names a held parent: writing it locks that, too."""
        for field in view.sobject.fields:
            number = plan.get(field.name) if field.on_delete is not None else None
            if number is None or self.locks is None:
                continue
            free_at = self.locks.free_at((field.references[0], int(number)))
            if free_at is not None and self.is_patient:
                raise RowHeldError(free_at)
            if free_at is not None:
                return _locked_row(record_id(field.key_prefix, int(number)))
        return None

    def _held(self, view: View, row: int | None) -> Problem | None:
        if self.locks is None or row is None:
            return None
        free_at = self.locks.free_at((view.name, row))
        if free_at is None:
            return None
        if self.is_patient:
            raise RowHeldError(free_at)
        return _locked(view, row)

    def _chosen(self, rows: int) -> list[int]:
        """Return the rows that the fault hits: its share of them, and one at least."""
        if self.fault is None:
            return []
        random = Random(self.seed)  # noqa: S311 -- repeatable on purpose
        return random.sample(range(rows), min(rows, max(1, round(rows * self.fault.share))))


UNHINDERED: Hindrances = Hindrances()
_CURRENT: ContextVar[Hindrances] = ContextVar("hindrances", default=UNHINDERED)


def hindrances() -> Hindrances:
    """Return those of the request that the running task, or its writer's thread, serves."""
    return _CURRENT.get()


@contextmanager
def hit_by(fault: Fault | None, seed: str) -> Iterator[None]:
    """Have *fault*, if it is one of rows or comes late, hit what is written within the block."""
    if fault is None or fault.kind not in {*ROW_KINDS, Kind.LATE_COMMIT}:
        found = UNHINDERED
    elif fault.kind is Kind.LATE_COMMIT:
        found = Hindrances(delay=Delay(fault.seconds))
    else:
        found = Hindrances(fault, seed)
    with _current(found):
        yield


@contextmanager
def _current(value: Hindrances) -> Iterator[None]:
    token = _CURRENT.set(value)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _sequence(plan: Row) -> int | None:
    """Return the number of the row that *plan* changes, None if it makes a new one."""
    return int(plan["Id"] or 0) if "Id" in plan else None


def _problem(fault: Fault, view: View, row: int | None) -> Problem:
    if fault.kind is Kind.LOCK:
        return _locked(view, row)
    if fault.kind is Kind.PARTIAL:
        return unexpected()
    if fault.kind is Kind.ROWS_REFUSED:
        return of_row(fault.code, view, row)
    other = record_id(view.prefix, row or 0)  # of a row whose transaction is not over, if it is new
    return duplicate_value("External_Id__c", other)


def _locked(view: View, row: int | None) -> Problem:
    """Return the refusal of a row that is locked; a new one waits for no row of its own."""
    return _locked_row(None if row is None else record_id(view.prefix, row))


def _locked_row(row_id: str | None) -> Problem:
    text = "unable to obtain exclusive access to this record"
    if row_id is not None:
        text += f" or 1 records: {row_id}"
    return Problem("UNABLE_TO_LOCK_ROW", text)
