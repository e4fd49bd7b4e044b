"""When a worker stops rather than drain its topic into quarantine.

A record that cannot be decided is the record's fault, until most of them cannot: then it is
ours (a bad release, a plan nobody approved, a wrong topic), and going on would empty the
topic into a place that a person has to clear by hand.

One customer cannot bring a region to a stop with a handful of records: the limit wants both
a share and a number. What a regulated field holds cannot move it at all, because no content
of such a field quarantines a record (promise 1).
"""

from collections import deque
from dataclasses import dataclass

from schemas.errors import HaltError


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """How much quarantine is too much; all three must hold before a worker halts.

    Attributes:
        window: Records looked back on, rounded up to whole batches.
        share: More than this part of them, 0 to 1, is too much.
        at_least: Records; fewer in quarantine never halt, whatever their share.

    """

    window: int = 2_000
    share: float = 0.5
    at_least: int = 500

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            ValueError: A share outside 0 to 1, or a count below 1.

        """
        if not 0 < self.share <= 1 or self.window < 1 or self.at_least < 1:
            msg = "share lies in 0 to 1, window and at_least are 1 or more"
            raise ValueError(msg)


class QuarantineLimit:
    """Counts one worker's last records against a `LimitPolicy`. Starts afresh with the worker."""

    def __init__(self, policy: LimitPolicy) -> None:
        """Start with nothing seen."""
        self._policy = policy
        self._batches: deque[tuple[int, int]] = deque()
        self._total = self._quarantined = 0

    def note(self, total: int, quarantined: int) -> None:
        """Take in a batch of *total* records of which *quarantined* go to quarantine.

        Call it once the batch is committed: a person can then look at what is wrong, and a
        worker that is started again does not meet the same batch.

        Raises:
            HaltError: More than the policy allows.

        """
        self._batches.append((total, quarantined))
        self._total += total
        self._quarantined += quarantined
        while self._total - self._batches[0][0] >= self._policy.window:
            old_total, old_quarantined = self._batches.popleft()
            self._total -= old_total
            self._quarantined -= old_quarantined
        policy, found = self._policy, self._quarantined
        if found > policy.at_least and found > policy.share * self._total:
            msg = (
                f"{found} of the last {self._total} records went to quarantine. See why with "
                "`homeport quarantine list`, mend the cause (often a plan to approve), then start "
                "the border with `homeport up`, egress with `homeport egress resume`: it goes on "
                "where it stopped, and `homeport quarantine retry` decides again what lies there"
            )
            raise HaltError(msg)
