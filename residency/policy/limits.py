"""What no row may exceed: special categories of data, and transfers that a law does not back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from residency.policy.destinations import Destination


class SetKind(StrEnum):
    """What a law says about the countries of a set.

    Attributes:
        ADEQUATE: Data may go there; some only to a recipient certified under a scheme.
        INTERNAL: The law's own territory: sending data there is no transfer.
        UNRESTRICTED: The law restricts no transfer; the set lists no country.
        BARRED: Nothing may go there, whatever the row's basis.

    """

    ADEQUATE = "adequate"
    INTERNAL = "internal"
    UNRESTRICTED = "unrestricted"
    BARRED = "barred"


def within(category: str, above: str) -> bool:
    """Say whether *category* is *above* or lies below it."""
    return category == above or category.startswith(above + ".")


def earliest(*days: date | None) -> date | None:
    """Return the earliest of the days; None means no end."""
    return min((day for day in days if day is not None), default=None)


def _holds(on: date, first: date | None, last: date | None) -> bool:
    return (first is None or first <= on) and (last is None or on <= last)


@dataclass(frozen=True, slots=True)
class Special:
    """A category that some laws single out.

    Attributes:
        category: Fides key; what lies below it is special too.
        laws: By pack: the text that names it.

    """

    category: str
    laws: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Override:
    """An explicit permission for one row to open one special category.

    Attributes:
        rule: Id of the row that it lets stand.
        category: The special category; what lies below it is covered too.
        law: The exception in the law, such as GDPR Art. 9(2)(a).
        why: What it is needed for, in a sentence.
        approved_by: Who answers for it.

    """

    id: str
    rule: str
    category: str
    law: str
    why: str
    approved_by: str
    valid_from: date
    valid_to: date


@dataclass(frozen=True, slots=True)
class Member:
    """A country of a set with conditions or dates of its own.

    Attributes:
        country: ISO 3166-1 alpha-2.
        requires: Scheme the recipient must be certified under, or None.

    """

    country: str
    source: str
    requires: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class TransferSet:
    """Countries that a law treats alike.

    Attributes:
        packs: The packs whose law this is.
        basis: The rows' transfer basis that it backs; None for `internal` and `barred`.
        as_of: The day on which somebody looked it up.
        countries: Those without a condition.

    """

    id: str
    kind: SetKind
    packs: tuple[str, ...]
    source: str
    as_of: date
    basis: str | None = None
    countries: tuple[str, ...] = ()
    member: tuple[Member, ...] = ()
    valid_from: date | None = None
    valid_to: date | None = None

    def members(self) -> Iterator[Member]:
        """Yield every country, those without a condition first."""
        for country in self.countries:
            yield Member(country, self.source)
        yield from self.member

    def entries(self, country: str, on: date) -> list[Member]:
        """Return what the set says about a country on a day; nothing if it does not name it."""
        if not _holds(on, self.valid_from, self.valid_to):
            return []
        return [
            m
            for m in self.members()
            if m.country == country and _holds(on, m.valid_from, m.valid_to)
        ]


@dataclass(frozen=True, slots=True)
class Backing:
    """Whether a law backs a transfer.

    Attributes:
        lack: What is missing; None if it is backed.
        until: Last day on which it is; None: no end is known.

    """

    lack: str | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that bounds the rows of every pack.

    Attributes:
        listed: The transfer bases that rest on a list of countries, whether there is a set
            for them or not; those that a set names are such, too.

    """

    special: tuple[Special, ...] = ()
    overrides: tuple[Override, ...] = ()
    sets: tuple[TransferSet, ...] = ()
    listed: frozenset[str] = frozenset()

    def special_law(self, pack: str, category: str) -> str | None:
        """Return the law under which *category* is special for a pack, or None.

        A pack that no entry names has not been read with special categories in mind, so
        for it every one that any law names is special.
        """
        is_read = any(pack in special.laws for special in self.special)
        for special in self.special:
            if within(category, special.category) and (pack in special.laws or not is_read):
                return special.laws.get(pack) or next(iter(special.laws.values()))
        return None

    def override(self, rule: str, category: str, on: date) -> Override | None:
        """Return what lets *rule* open *category* on a day: the one that lasts longest."""
        held = [
            o
            for o in self.overrides
            if o.rule == rule
            and within(category, o.category)
            and _holds(on, o.valid_from, o.valid_to)
        ]
        return max(held, key=lambda o: (o.valid_to, o.id), default=None)

    def backing(self, pack: str, basis: str | None, to: Destination, on: date) -> Backing:
        """Say whether a pack's law backs a transfer to a destination on a day."""
        country = to.hosting_country
        own = [s for s in self.sets if pack in s.packs]
        for barred in (s for s in own if s.kind is SetKind.BARRED):
            if barred.entries(country, on):
                return Backing(f"{barred.id} bars {country} ({barred.source})")
        until = _last_day_before_a_bar(own, country, on)
        named = [s for s in own if s.basis == basis]
        if (
            any(s.kind is SetKind.INTERNAL and s.entries(country, on) for s in own)
            or any(s.kind is SetKind.UNRESTRICTED for s in named)
            # clauses, rules, consent: it does not rest on a list of countries
            or basis not in self.listed | {s.basis for s in self.sets if s.basis is not None}
        ):
            return Backing(until=until)
        backing = _adequate(named, basis, to, on)
        return Backing(backing.lack, earliest(backing.until, until))


def _last_day_before_a_bar(sets: list[TransferSet], country: str, on: date) -> date | None:
    starts = (
        max(one.valid_from or date.min, member.valid_from or date.min)
        for one in sets
        if one.kind is SetKind.BARRED
        for member in one.members()
        if member.country == country
    )
    return earliest(*(start - timedelta(days=1) for start in starts if start > on))


def _adequate(sets: list[TransferSet], basis: str | None, to: Destination, on: date) -> Backing:
    found = [(s, m) for s in sets for m in s.entries(to.hosting_country, on)]
    if not found:
        names = ", ".join(s.id for s in sets) or "any transfer set: this pack has none"
        return Backing(f"{basis} to {to.hosting_country} is not backed by {names}")
    lacks, ends = [], []
    for one, member in found:
        certified = to.certified_until(member.requires, on) if member.requires else date.max
        if certified is None:
            lacks.append(
                f"{one.id} asks for a certificate in {member.requires!r}, {to.id} has none"
            )
        else:
            ends.append(earliest(one.valid_to, member.valid_to, certified) or date.max)
    if not ends:
        return Backing(f"{basis} to {to.hosting_country} is not backed: {'; '.join(lacks)}")
    return Backing(until=None if max(ends) == date.max else max(ends))
