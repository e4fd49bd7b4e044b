"""What the lint says about everything that is not a row of a pack."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from residency.policy.budgets import budget_findings
from residency.policy.destinations import Destination
from residency.policy.files import Finding, Placed, PolicyFiles, Severity
from residency.policy.limits import Override, SetKind, TransferSet
from residency.policy.packs import Pack
from residency.policy.rulebook import Rulebook
from residency.regions import Region
from residency.vault.access import event_names, role_findings
from schemas.registry import load_registry

_COUNTRY = re.compile(r"[A-Z]{2}")
_JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_TERM = re.compile(r"[a-z][a-z-]*:[A-Za-z0-9-]+")
_HAS_BASIS = {SetKind.ADEQUATE, SetKind.UNRESTRICTED}


@dataclass(frozen=True)
class LimitLint:
    """Checks everything but the rows of packs, on a day."""

    files: PolicyFiles
    book: Rulebook
    on: date
    known: frozenset[str]

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with what bounds the rows."""
        yield from self._regions()
        for pack in self.book.packs.values():
            yield from self._jurisdictions(pack)
        for destination in self.book.destinations.values():
            yield from self._destination(destination)
        for one in self.book.sets:
            yield from self._set(one)
        yield from self._special()
        for override in self.book.overrides:
            yield from self._override(override)
        yield from budget_findings(self.book.budgets, self.book.regions)
        yield from role_findings(self.book.roles, self.known, event_names(load_registry()))
        for base in self.book.bases:
            if not _TERM.fullmatch(base.value.id):
                told = f"{base.value.id!r} is no term of DPV; one reads eu-gdpr:A45-3"
                yield base.finding("id", "bad-basis", told)

    def _special(self) -> Iterator[Finding]:
        if not self.book.special:
            told = "no [[special]]; without one nothing would be closed"
            yield self.files.special.finding((), "bad-row", told)
        for special in self.book.special:
            if special.value.category not in self.known:
                told = f"no category {special.value.category!r} in schemas/categories.toml"
                yield special.finding("category", "unknown-category", told)
            for name in special.value.laws.keys() - self.book.packs.keys():
                told = f"{special.value.category}: no pack {name!r}"
                yield special.finding(("laws", name), "missing-pack", told)

    def _regions(self) -> Iterator[Finding]:
        owner: dict[str, str] = {}
        for region in self.book.regions.values():
            name = region.value.id
            missing = [p for p in region.value.packs if p not in self.book.packs]
            for pack in missing:
                told = f"{name}: no pack {pack!r} in packs/ that can be read"
                yield region.finding("packs", "missing-pack", told)
            if not region.value.packs:
                yield region.finding("packs", "missing-pack", f"{name}: no pack, so all is dropped")
            yield from self._unspoken(region, is_whole=not missing)
            for position, code in enumerate(region.value.jurisdictions):
                at = ("jurisdictions", position)
                if not _JURISDICTION.fullmatch(code):
                    told = f"{name}: {code!r} is no ISO 3166 code; one reads DE or US-CA"
                    yield region.finding(at, "bad-code", told)
                if code in owner:
                    told = f"{code} is mapped to {owner[code]} and to {name}; it has one home"
                    yield region.finding(at, "mapped-twice", told)
                owner.setdefault(code, name)

    def _unspoken(self, region: Placed[Region], *, is_whole: bool) -> Iterator[Finding]:
        """Yield the jurisdictions of a region about which no pack of it speaks."""
        if not is_whole:
            return
        packs = [self.book.packs[name].head.value for name in region.value.packs]
        spoken = {code for head in packs for code in head.jurisdictions}
        for position, code in enumerate(region.value.jurisdictions):
            if code not in spoken:
                told = (
                    f"{region.value.id}: none of its packs is for {code}; add the pack of its law"
                )
                yield region.finding(("jurisdictions", position), "missing-pack", told)

    def _jurisdictions(self, pack: Pack) -> Iterator[Finding]:
        name = pack.head.value.pack
        for position, code in enumerate(pack.head.value.jurisdictions):
            at = ("jurisdictions", position)
            homes = [r for r in self.book.regions.values() if code in r.value.jurisdictions]
            if not homes:
                told = f"{name}: {code} has no region in regions.toml, so nobody there is served"
                yield pack.head.finding(at, "unmapped-jurisdiction", told)
            for home in homes:
                if name not in home.value.packs:
                    told = (
                        f"{name}: region {home.value.id} serves {code} but does not apply this pack"
                    )
                    yield pack.head.finding(at, "missing-pack", told)
        if not pack.rows:
            yield pack.head.finding("pack", "incomplete-pack", f"{name}: no row can be read")

    def _destination(self, row: Placed[Destination]) -> Iterator[Finding]:
        to = row.value
        if not _COUNTRY.fullmatch(to.hosting_country):
            told = f"{to.id}: {to.hosting_country!r} is no ISO 3166 country; one reads US"
            yield row.finding("hosting_country", "bad-code", told)
        for position, held in enumerate(to.certifications):
            at = ("certifications", position, "valid_to")
            if held.valid_to < held.valid_from:
                yield row.finding(at, "bad-row", f"{to.id}: {held.scheme} ends before it begins")
            elif held.valid_to < self.on and to.certified_until(held.scheme, self.on) is None:
                told = f"{to.id}: {held.scheme} ended on {held.valid_to} and no row renews it"
                yield row.finding(at, "expired-certificate", told)

    def _set(self, row: Placed[TransferSet]) -> Iterator[Finding]:
        one = row.value
        if (one.kind in _HAS_BASIS) != (one.basis is not None):
            told = f"{one.id}: adequate and unrestricted sets name a `basis`, the others none"
            yield row.finding("kind", "bad-basis", told)
        if one.basis is not None and one.basis not in {b.value.id for b in self.book.bases}:
            told = f"{one.id}: {one.basis!r} is no transfer basis we know; have bases.toml"
            yield row.finding("basis", "bad-basis", told)
        if not set(one.packs) & self.book.packs.keys():
            told = f"{one.id}: for {', '.join(one.packs) or 'no pack'}, which is not there yet"
            yield row.finding("packs", "unused-set", told, Severity.NOTE)
        places = [("countries", n) for n in range(len(one.countries))]
        places += [("member", n) for n in range(len(one.member))]
        ends = [one.valid_to for _ in one.countries]
        ends += [m.valid_to if m.valid_to is not None else one.valid_to for m in one.member]
        seen: set[str] = set()
        for at, member, end in zip(places, one.members(), ends, strict=True):
            if not _COUNTRY.fullmatch(member.country):
                told = f"{one.id}: {member.country!r} is no ISO 3166 country; one reads NO"
                yield row.finding(at, "bad-code", told)
            if member.country in seen and at[0] == "countries":
                yield row.finding(at, "bad-code", f"{one.id}: names {member.country} twice")
            if end is not None and end < self.on:
                told = f"{one.id}: what it says about {member.country} ended on {end}"
                yield row.finding(at, "expired-basis", told)
            seen.add(member.country)

    def _override(self, row: Placed[Override]) -> Iterator[Finding]:
        one = row.value
        rules = {r.value.id: r.value for r in self.book.rows()}
        rule = rules.get(one.rule)
        if rule is None:
            yield row.finding(
                "rule", "unused-override", f"{one.id}: no row {one.rule!r} in any pack"
            )
        elif not rule.covers(one.category):
            told = f"{one.id}: {rule.id} does not speak about {one.category}"
            yield row.finding("category", "unused-override", told)
        elif self.book.limits.special_law(rule.pack, one.category) is None:
            told = f"{one.id}: {one.category} is not special for {rule.pack}; it needs no override"
            yield row.finding("category", "unused-override", told)
        if one.category not in self.known:
            told = f"{one.id}: no category {one.category!r} in schemas/categories.toml"
            yield row.finding("category", "unknown-category", told)
        if one.valid_to < self.on:
            told = f"{one.id}: ended on {one.valid_to}; take it out, or have it approved again"
            yield row.finding("valid_to", "expired-override", told)
