"""Rules, and the one total function that decides by them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from residency.policy.destinations import Destination
from residency.policy.limits import Limits, earliest, within


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
        how: Generaliser with its argument, such as ``number-band:100``; for `generalise` only.
        source: The text that requires it.
        basis: W3C DPV id of the transfer basis; None for `drop`.
        requires: Certification scheme the destination must hold besides what the basis
            asks for, or None.
        exact: The row speaks about its category alone, not about what lies below.
        pack: The pack it stands in.

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
    exact: bool = False
    pack: str = ""

    def covers(self, category: str) -> bool:
        """Say whether this rule speaks about *category*."""
        return category == self.category or (not self.exact and within(category, self.category))

    def in_force(self, on: date) -> bool:
        """Say whether the rule is valid on a day, both ends included."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Decision:
    """An action and what determined it.

    Attributes:
        rules: A drop names the rows that drop. Anything else names, for every pack, the
            rows it rests on, since all of them must allow it. Each as the limits let it
            stand: a special category or a lack of backing turns it into a drop and an
            override is cited, both in its source, and it ends when the first of these does.
        silent: Packs without a row about this; one is enough for a drop.

    """

    action: Action
    how: str | None = None
    rules: tuple[Rule, ...] = ()
    silent: tuple[str, ...] = ()


def decide(
    rules: Iterable[Rule], category: str, destination: Destination, on: date, limits: Limits
) -> Decision:
    """Return what to do with a field of *category* on its way to *destination*.

    The strictest matching rule wins, whatever the order of *rules*. If none matches, the
    field is dropped: silence is not permission, and each pack must speak. No row opens a
    special category without an override, and none allows a transfer that its law does not
    back. Two rules that generalise in different ways leave no common answer: a drop, too.
    """
    rules = tuple(rules)
    matches = [
        _bounded(r, category, destination, on, limits)
        for r in rules
        if r.destination == destination.id and r.covers(category) and r.in_force(on)
    ]
    silent = tuple(sorted({r.pack for r in rules} - {r.pack for r in matches}))
    answers = _strictest_by_pack(matches)
    action = min((r.action for r in answers), key=STRICTNESS.index, default=Action.DROP)
    if action is Action.DROP or silent:
        drops = tuple(r for r in answers if r.action is Action.DROP)
        return Decision(Action.DROP, None, drops, silent)
    ways = {r.how for r in answers if r.action is action}
    if len(ways) > 1:
        return Decision(Action.DROP, None, tuple(r for r in answers if r.action is action))
    return Decision(action, ways.pop(), answers)


def _strictest_by_pack(matches: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the rules that are each pack's own answer, by id."""
    matches = tuple(matches)
    least: dict[str, int] = {}
    for rule in matches:
        rank = STRICTNESS.index(rule.action)
        least[rule.pack] = min(rank, least.get(rule.pack, rank))
    answers = (r for r in matches if STRICTNESS.index(r.action) == least[r.pack])
    return tuple(sorted(answers, key=lambda r: (r.id, r.pack)))


def _bounded(rule: Rule, category: str, to: Destination, on: date, limits: Limits) -> Rule:
    """Return the rule as far as the limits let it stand."""
    if rule.action is Action.DROP:
        return rule
    source, until = rule.source, rule.valid_to
    law = limits.special_law(rule.pack, category)
    if law is not None:
        override = limits.override(rule.id, category, on)
        if override is None:
            return _closed(rule, f"special category by {law}, and no override")
        source = f"{source}; override {override.id}: {override.law}"
        until = earliest(until, override.valid_to)
    backing = limits.backing(rule.pack, rule.basis, to, on)
    if backing.lack is not None:
        return _closed(rule, backing.lack)
    until = earliest(until, backing.until)
    if rule.requires is not None:
        certified = to.certified_until(rule.requires, on)
        if certified is None:
            return _closed(rule, f"{to.id} has no certificate in {rule.requires!r}")
        until = earliest(until, certified)
    return replace(rule, source=source, valid_to=until)


def _closed(rule: Rule, because: str) -> Rule:
    return replace(
        rule,
        action=Action.DROP,
        how=None,
        basis=None,
        source=f"{rule.source}; dropped: {because}",
    )
