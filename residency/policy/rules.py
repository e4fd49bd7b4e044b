"""Rules, and the one total function that decides by them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Action(StrEnum):
    """What is done with a field, strictest first."""

    DROP = "drop"
    TOKENISE = "tokenise"
    GENERALISE = "generalise"
    LABEL = "label"
    KEEP = "keep"


STRICTNESS = tuple(Action)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a pack.

    Attributes:
        id: Never reused; the plan and `explain` cite it.
        category: Fides key; matches itself and everything below it.
        destination: The receiving org the row speaks about.
        how: Generaliser, for `generalise` only.
        source: The text that requires it.
        basis: W3C DPV id of the transfer basis; None for `drop`.
        requires: Certification scheme the destination must hold, or None.

    """

    id: str
    category: str
    destination: str
    action: Action
    source: str
    valid_from: date
    how: str | None = None
    basis: str | None = None
    requires: str | None = None
    valid_to: date | None = None

    def covers(self, category: str) -> bool:
        """Say whether this rule speaks about *category*."""
        return category == self.category or category.startswith(self.category + ".")

    def in_force(self, on: date) -> bool:
        """Say whether the rule is valid on a day, both ends included."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and what determined it. ``rules`` is empty when no rule spoke."""

    action: Action
    how: str | None = None
    rules: tuple[Rule, ...] = ()


def decide(rules: Iterable[Rule], category: str, destination: str, on: date) -> Decision:
    """Return what to do with a field of *category* on its way to *destination*.

    The strictest matching rule wins, whatever the order of *rules*. If none matches, the
    field is dropped: silence is not permission. Two rules that generalise in different
    ways leave no common answer, so the field is dropped.
    """
    matches = [
        r for r in rules if r.destination == destination and r.covers(category) and r.in_force(on)
    ]
    if not matches:
        return Decision(Action.DROP)
    action = min((r.action for r in matches), key=STRICTNESS.index)
    because = tuple(sorted((r for r in matches if r.action is action), key=lambda r: r.id))
    ways = {r.how for r in because}
    if len(ways) > 1:
        return Decision(Action.DROP, None, because)
    return Decision(action, ways.pop(), because)
