"""How long a record waits that the org could not take, and what is kept of it meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom

from connectors.postgres.parked import Parked
from connectors.salesforce.codes import NO_CODE
from connectors.salesforce.outcome import BEHIND, Outcome
from residency.ledger.log import Draft
from schemas.events import RecordId


@dataclass(frozen=True, slots=True)
class ParkPolicy:
    """When to try a parked record again, in seconds.

    Attributes:
        first_wait_s: After the first try; it doubles from try to try.
        max_wait_s: Bound of every wait.
        chance: From 0 to 1, anew at each call: half of a wait is drawn, so that rows which were
            locked together do not come back together.

    """

    first_wait_s: float = 10.0
    max_wait_s: float = 900.0
    chance: Callable[[], float] = SystemRandom().random

    def wait(self, attempts: int) -> timedelta:
        """Return how long to wait after try number *attempts*, from 1."""
        doubled = self.first_wait_s * 2 ** min(attempts - 1, 30)
        bound = min(self.max_wait_s, doubled)
        return timedelta(seconds=bound / 2 + self.chance() * bound / 2)


def parked(
    outcome: Outcome,
    draft: Draft,
    before: Mapping[RecordId, Parked],
    now: datetime,
    policy: ParkPolicy,
) -> Parked:
    """Return what is kept of a record that the org could not take.

    Args:
        outcome: Says why.
        draft: The record, as it arrived.
        before: Records that were parked already, by name.
        now: The time.
        policy: See `ParkPolicy`.

    """
    record = outcome.record.record
    known = before.get(record.id)
    is_behind = outcome.code == BEHIND
    attempts = (known.attempts if known else 0) + (not is_behind)
    return Parked(
        record,
        draft.basis,
        draft.release,
        draft.model,
        outcome.code or NO_CODE,
        attempts,
        None if is_behind else now + policy.wait(attempts),
        known.since if known else now,
    )
