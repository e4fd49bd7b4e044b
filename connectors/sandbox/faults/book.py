"""What goes wrong now: counts the calls, says which fault hits which, keeps the late requests.

Everything here runs on the event loop; the writer's thread gets a `Hindrances`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from connectors.sandbox.faults.hindrances import RowLocks
from connectors.sandbox.faults.plan import NEEDS, Fault, Kind, Plan, Surface, Trait


@dataclass(frozen=True, slots=True)
class Target:
    """A request, or a job that starts, as faults see it."""

    surface: Surface
    traits: frozenset[Trait]


A_JOB = Target(Surface.BULK, frozenset({Trait.JOB, Trait.ROWS, Trait.UPSERTS}))


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that hits this call.

    Attributes:
        seed: What all choices within the call follow from.

    """

    fault: Fault
    seed: str

    @property
    def kind(self) -> Kind:
        """What goes wrong."""
        return self.fault.kind


class _Trigger:
    """One fault of the plan and how often it matched and fired."""

    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = fault
        self.calls = self.fired = 0
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 -- repeatable on purpose
        self._is_owed = False

    def is_due(self, target: Target) -> bool:
        """Count a call, if it is one of this fault's, and return whether it shall hit it."""
        fault, when = self.fault, self.fault.when
        if fault.on not in {target.surface, Surface.ANY} or not _needed(fault) <= target.traits:
            return False
        if fault.on is Surface.ANY and target.surface is Surface.LOGIN:
            return False
        self.calls += 1
        if when.times is not None and self.fired >= when.times:
            return False
        if when.at is not None:
            return self.calls >= when.at
        if when.every is not None:
            self._is_owed = self._is_owed or self.calls % when.every == 0
            return self._is_owed
        return self._random.random() < (when.probability or 0)

    def fire(self) -> Fired:
        """Count a hit and return it."""
        self._is_owed = False
        self.fired += 1
        return Fired(self.fault, f"{self._seed}/{self.fired}")


class Faults:
    """The plan in force, and what is pending because of it."""

    def __init__(self) -> None:
        """Begin without a plan."""
        self.locks = RowLocks()
        self.is_over = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()
        self.set(Plan())

    def set(self, plan: Plan) -> None:
        """Replace the plan; counts begin anew, requests that are late already stay so."""
        self._plan = plan
        self._triggers = [
            _Trigger(fault, f"{plan.seed}/{number}") for number, fault in enumerate(plan.faults)
        ]
        self.locks.wait_s = plan.wait_s
        self._late_done = 0

    def clear(self) -> None:
        """Drop the plan and let go of every row that is held."""
        self.set(Plan())
        self.locks.release()

    def pick(self, target: Target) -> Fired | None:
        """Return the fault that hits this call, if one does.

        Every fault counts the call, one fires: the first in the plan that is due. Another that
        was due by its number (`once`, `at`, `every`) stays due for the next matching call.
        """
        due = [trigger for trigger in self._triggers if trigger.is_due(target)]
        return due[0].fire() if due else None

    def let_run(self, work: Callable[[], Awaitable[object]]) -> None:
        """Have *work*, which is late, come to its end whoever waits for it; lost at a stop."""

        async def late() -> None:
            await work()
            self._late_done += 1

        task = asyncio.get_running_loop().create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def stop(self) -> None:
        """Wake the connections that are held silent and forget the requests that are late."""
        self.is_over.set()
        for task in tuple(self._late):
            task.cancel()

    def as_json(self) -> dict[str, Any]:
        """Return the plan with, per fault, the matching calls and how many it hit."""
        return {
            "seed": self._plan.seed,
            "wait_s": self._plan.wait_s,
            "faults": [
                {**trigger.fault.said, "calls": trigger.calls, "fired": trigger.fired}
                for trigger in self._triggers
            ],
            "late": {"pending": len(self._late), "done": self._late_done},
        }


def _needed(fault: Fault) -> set[Trait]:
    return {NEEDS.get(fault.kind, Trait.HTTP)}
