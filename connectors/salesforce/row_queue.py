"""What is left to do to one row, and what each answer of the org means for its records.

A batch that is sent again after a crash meets rows that hold what its own later records wrote.
Then the org finds an earlier record older than its row, and yet has accepted it before. So what
is found older waits for the next record that is accepted, and is sent once more together with
it: as one row, under that one's version. What the outcomes say is then what the org holds.
"""

from collections.abc import Iterable

from connectors.salesforce.codes import NO_CODE, Handling, OrgError
from connectors.salesforce.merge import Step, join
from connectors.salesforce.outcome import BEHIND
from connectors.salesforce.rows import RowResult

WAITS = RowResult.refused(OrgError(BEHIND, (), Handling.PARK))
PASSED = RowResult.refused(OrgError(NO_CODE, (), Handling.OLDER))

End = tuple[Step, RowResult]


class RowQueue:
    """The steps of one row, in order."""

    def __init__(self, steps: Iterable[Step]) -> None:
        """Take at least one step."""
        self._steps = list(steps)
        self._passed: list[Step] = []  # found older, and not decided yet
        self._written: End | None = None  # whose joint row with these is under way

    def __len__(self) -> int:
        """Return how many steps are left."""
        return len(self._steps)

    @property
    def head(self) -> Step:
        """Return what to do now."""
        return self._steps[0]

    def take(self, result: RowResult) -> list[End]:
        """Take what came of the head, and return the steps that are decided by it."""
        step = self._steps.pop(0)
        is_merged = len(step.records) > 1 and self._written is None
        if result.handling is Handling.AGAIN or (
            result.handling is Handling.PARK and not is_merged
        ):
            return self._park(step, result)
        if self._written is not None:
            return self._rejoined(step, result, self._written)
        if is_merged and not result.success:  # by one of them, perhaps
            self._steps = [*step.alone(), *self._steps]
            return []
        if result.handling is Handling.OLDER and not step.is_late and self._steps:
            self._passed.append(step)
            return []
        if result.success and self._passed and not step.deletes:
            self._written = step, result
            self._steps.insert(0, join([*self._passed, step]))
            return []
        is_last = step.deletes or not self._steps
        return [*(self._give_up() if is_last else []), (step, result)]

    def _park(self, step: Step, result: RowResult) -> list[End]:
        waiting = [*self._passed, *self._steps] if self._written is None else self._steps
        self._passed, self._steps, self._written = [], [], None
        return [(step, result), *((later, WAITS) for later in waiting)]

    def _rejoined(self, step: Step, result: RowResult, written: End) -> list[End]:
        self._written = None
        if not result.success:
            return [*self._give_up(), written]
        self._passed = []
        return [(step, result)]

    def _give_up(self) -> list[End]:
        passed, self._passed = self._passed, []
        return [(step, PASSED) for step in passed]
