"""What changes between two policies: per region, category and destination, from which day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from residency.generalise import generaliser
from residency.policy.rulebook import Rulebook
from residency.policy.rules import STRICTNESS, Action, Decision, Rule


class Direction(StrEnum):
    """How a change moves the policy, what a reviewer must see first on top.

    Attributes:
        LOOSENED: More may leave than before, or somebody is served elsewhere than before.
        TIGHTENED: Less may leave.
        GROUNDS: The same leaves, by other rows, laws or bases.

    """

    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    GROUNDS = "grounds"


@dataclass(frozen=True, slots=True)
class Change:
    """One decision that differs.

    Attributes:
        since: The first day on which it does.
        before: Action with its generaliser, such as ``generalise (year)``.
        rules_before: Ids of the rows that determined it.

    """

    direction: Direction
    region: str
    category: str
    destination: str
    since: date
    before: str
    after: str
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A jurisdiction that is served elsewhere than before; None: nowhere, its data is refused."""

    direction: Direction
    jurisdiction: str
    before: str | None
    after: str | None


def words(decision: Decision) -> str:
    """Return a decision in words: the action and how."""
    return f"{decision.action} ({decision.how})" if decision.how else str(decision.action)


def changes(
    before: Rulebook, after: Rulebook, on: date, categories: frozenset[str]
) -> tuple[Change, ...]:
    """Return every decision that differs on a day or on any later one, loosened ones first.

    A decision is looked at on *on* and on each later day on which a row, a set, an override
    or a certificate of either policy begins or has ended; each further difference is a
    change of its own.
    """
    days = sorted({on} | {d for book in (before, after) for d in _turns(book) if d > on})
    found = [
        change
        for region in {**before.regions, **after.regions}
        for destination in {**before.destinations, **after.destinations}
        for category in sorted(categories)
        for change in _changes_of(before, after, (region, category, destination), days)
    ]
    order = tuple(Direction)
    return tuple(
        sorted(found, key=lambda c: (order.index(c.direction), c.region, c.category, c.since))
    )


def moves(before: Rulebook, after: Rulebook) -> tuple[Move, ...]:
    """Return every jurisdiction whose home differs, loosened ones first."""
    old, new = _homes(before), _homes(after)
    found = [
        Move(Direction.TIGHTENED if to is None else Direction.LOOSENED, code, home, to)
        for code in sorted(old.keys() | new.keys())
        if (home := old.get(code)) != (to := new.get(code))
    ]
    return tuple(sorted(found, key=lambda m: tuple(Direction).index(m.direction)))


def id_faults(before: Rulebook, after: Rulebook) -> tuple[str, ...]:
    """Return each id that ledgers cite and that is gone or means something else now."""
    old, new = ({r.value.id: r.value for r in book.rows()} for book in (before, after))
    retired = {row.value.id for row in after.retired}
    faults = []
    for name, rule in sorted(old.items()):
        now = new.get(name)
        if now is None and name not in retired:
            faults.append(
                f"{name}: gone; put it into retired_ids.toml, so that none takes it again"
            )
        elif now is not None and _meaning(now) != _meaning(rule):
            faults.append(
                f"{name}: spoke about {rule.category}; ids are never reused, take a new one"
            )
    return tuple(faults)


def _meaning(rule: Rule) -> tuple[str, str, str]:
    return rule.pack, rule.category, rule.destination


def _homes(book: Rulebook) -> dict[str, str]:
    regions = (placed.value for placed in book.regions.values())
    return {code: region.id for region in regions for code in region.jurisdictions}


def _changes_of(
    before: Rulebook, after: Rulebook, key: tuple[str, str, str], days: list[date]
) -> Iterator[Change]:
    told: tuple[Direction | None, str, str] | None = None
    for day in days:
        pair = _decided(before, key, day), _decided(after, key, day)
        direction = _direction(*pair)
        difference = direction, words(pair[0]), words(pair[1])
        if direction is not None and told != difference:
            region, category, destination = key
            yield Change(
                direction,
                region,
                category,
                destination,
                day,
                *difference[1:],
                tuple(rule.id for rule in pair[0].rules),
                tuple(rule.id for rule in pair[1].rules),
            )
        told = difference


def _decided(book: Rulebook, key: tuple[str, str, str], day: date) -> Decision:
    region, category, destination = key
    if region not in book.regions or destination not in book.destinations:
        return Decision(Action.DROP)
    return book.decide(region, category, destination, day)


def _direction(before: Decision, after: Decision) -> Direction | None:
    old, new = (STRICTNESS.index(d.action) for d in (before, after))
    if (old, before.how) != (new, after.how):
        return Direction.TIGHTENED if _is_less(before, after) else Direction.LOOSENED
    same = [tuple((r.id, r.source, r.basis) for r in d.rules) for d in (before, after)]
    return None if same[0] == same[1] else Direction.GROUNDS


def _is_less(before: Decision, after: Decision) -> bool:
    """Say whether *after* lets less out; not of two generalisers as wide as each other."""
    if before.how and after.how:
        return generaliser(after.how).alphabet < generaliser(before.how).alphabet
    return STRICTNESS.index(after.action) < STRICTNESS.index(before.action)


def _turns(book: Rulebook) -> Iterator[date]:
    """Yield each day on which something begins, and the day after each on which it ends."""
    limits = book.limits
    held = [c for d in book.destinations.values() for c in d.value.certifications]
    members = [member for one in limits.sets for member in one.member]
    spans: list[tuple[date | None, date | None]] = [
        *((c.valid_from, c.valid_to) for c in held),
        *((m.valid_from, m.valid_to) for m in members),
        *((s.valid_from, s.valid_to) for s in limits.sets),
        *((o.valid_from, o.valid_to) for o in limits.overrides),
        *((row.value.valid_from, row.value.valid_to) for row in book.rows()),
    ]
    for first, last in spans:
        if first is not None:
            yield first
        if last is not None and last < date.max:
            yield last + timedelta(days=1)
