"""What the lint says about single rows of packs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from residency.policy.files import Finding, Placed, Severity
from residency.policy.limits import earliest
from residency.policy.packs import Pack
from residency.policy.rulebook import Retired, Rulebook
from residency.policy.rules import STRICTNESS, Action, Rule

Row = Placed[Rule]


@dataclass(frozen=True)
class RowLint:
    """Checks rows against the whole policy on a day.

    Attributes:
        known: Every category there is.
        used: The categories of the fields of all schemas.

    """

    book: Rulebook
    on: date
    known: frozenset[str]
    used: frozenset[str]

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the rows of every pack."""
        yield from self._reused()
        for pack in self.book.packs.values():
            for row in pack.rows:
                yield from self._row(row, pack.rows)
            for unread in pack.unread:
                category, to = unread.value.get("category"), unread.value.get("destination")
                yield from self._names(unread, unread.value.get("id"), category, to)
            yield from self._incomplete(pack)

    def _row(self, row: Row, beside: Iterable[Row]) -> Iterator[Finding]:
        rule = row.value
        yield from self._names(row, rule.id, rule.category, rule.destination)
        if rule.valid_to is not None and rule.valid_to < self.on:
            told = f"{rule.id}: ended on {rule.valid_to}; retire its id or renew it as a new row"
            yield row.finding("valid_to", "expired-row", told)
        elif rule.action is not Action.DROP:
            yield from self._unbacked(row)
            yield from self._opens_special(row, beside)
        if rule.category in self.known:
            yield from self._unused(row)
        yield from _dead(row, beside)

    def _names(
        self, row: Placed[Any], name: object, category: object, to: object
    ) -> Iterator[Finding]:
        """Yield what nothing is called; of a row that is no rule, too."""
        if isinstance(to, str) and to not in self.book.destinations:
            told = f"{name}: no destination {to!r} in destinations.toml"
            yield row.finding("destination", "unknown-destination", told)
        if isinstance(category, str) and category not in self.known:
            told = f"{name}: no category {category!r} in schemas/categories.toml"
            yield row.finding("category", "unknown-category", told)

    def _unused(self, row: Row) -> Iterator[Finding]:
        rule = row.value
        if any(rule.covers(category) for category in self.used):
            return
        told = f"{rule.id}: {rule.category} matches no field of any schema"
        if rule.action is Action.DROP:
            yield row.finding("category", "unused-row", told, Severity.NOTE)
        else:
            told += "; what nobody sends needs no permission: drop it until a schema has it"
            yield row.finding("category", "unused-row", told)

    def _unbacked(self, row: Row) -> Iterator[Finding]:
        rule = row.value
        to = self.book.destinations.get(rule.destination)
        if to is None:
            return
        day = max(self.on, rule.valid_from)
        backing = self.book.limits.backing(rule.pack, rule.basis, to.value, day)
        if backing.lack is not None:
            yield row.finding("basis", "unbacked-basis", f"{rule.id}: {backing.lack}; it drops")
        if rule.requires is not None and to.value.certified_until(rule.requires, day) is None:
            told = f"{rule.id}: {to.value.id} has no certificate in {rule.requires!r} on {day}"
            yield row.finding("requires", "unbacked-basis", f"{told}; it drops")

    def _opens_special(self, row: Row, beside: Iterable[Row]) -> Iterator[Finding]:
        rule, limits = row.value, self.book.limits
        day = max(self.on, rule.valid_from)
        closed = [
            r.value for r in beside if r.value.action is Action.DROP and _contains(r.value, rule)
        ]
        opened = sorted(
            f"{category} ({law})"
            for category in self.known
            if rule.covers(category)
            and (law := limits.special_law(rule.pack, category)) is not None
            and limits.override(rule.id, category, day) is None
            and not any(drop.covers(category) for drop in closed)
        )
        if opened:
            told = (
                f"{rule.id}: {rule.action} reaches special categories, which drop all the same: "
                f"{', '.join(opened)}; give each a `drop` row, or an override in overrides.toml"
            )
            yield row.finding("action", "special-opened", told)

    def _reused(self) -> Iterator[Finding]:
        retired = {r.value.id: r for r in self.book.retired}
        first: dict[str, Row] = {}
        for row in self.book.rows():
            name = row.value.id
            if name in retired:
                told = f"{name}: retired, {_place(retired[name])}; take a new id"
                yield row.finding("id", "id-reused", told)
            elif first.setdefault(name, row).value.pack != row.value.pack:
                told = f"{name}: stands in another pack, {_place(first[name])}; take a new id"
                yield row.finding("id", "id-reused", told)

    def _incomplete(self, pack: Pack) -> Iterator[Finding]:
        spoken = sorted({rule.destination for rule in pack.rules} & set(self.book.destinations))
        for to in spoken:
            rules = [r for r in pack.rules if r.destination == to and r.in_force(self.on)]
            for category in sorted(self.known):
                own = any(r.category == category for r in rules)
                if not own and not any(
                    r.action is Action.DROP and r.covers(category) for r in rules
                ):
                    told = (
                        f"nothing is said about {category} to {to}: give it a row of its own, "
                        "or one above it that drops"
                    )
                    yield pack.head.finding("pack", "incomplete-pack", told)


def _contains(other: Rule, rule: Rule) -> bool:
    """Say whether one rule is in force for the same destination whenever the other is."""
    return (
        other.destination == rule.destination
        and other.valid_from <= rule.valid_from
        and earliest(rule.valid_to, other.valid_to) == rule.valid_to
    )


def _dead(row: Row, beside: Iterable[Row]) -> Iterator[Finding]:
    """Yield the first row of its pack that leaves this one nothing to decide."""
    rule, is_before = row.value, True
    for other in beside:
        if other is row:
            is_before = False
            continue
        over = other.value
        reaches = over.covers(rule.category) and (rule.exact or not over.exact)
        if not reaches or not _contains(over, rule):
            continue
        told = f"{rule.id}: {over.id} ({_place(other)}), on {over.category}, "
        stricter = STRICTNESS.index(over.action) < STRICTNESS.index(rule.action)
        if stricter:
            told += f"says {over.action}, so this {rule.action} never decides; take one out"
            yield row.finding("category", "dead-row", told)
            return
        is_broader = over.category != rule.category or (over.exact, rule.exact) == (False, True)
        if over.action is rule.action and (is_broader or is_before):
            if over.how == rule.how:
                told += f"says {over.action}, too, so this row never decides; take one out"
                yield row.finding("category", "shadowed-row", told)
            else:
                told += f"generalises to {over.how}, this to {rule.how}: no common answer, it drops"
                yield row.finding("how", "two-ways", told)
            return


def _place(row: Row | Placed[Retired]) -> str:
    at = row.finding("", "", "")
    return f"{at.file}:{at.line}"
