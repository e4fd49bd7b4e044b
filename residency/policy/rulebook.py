"""A whole policy, read from its files: packs, regions, destinations and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from residency.policy.budgets import Budget
from residency.policy.destinations import Destination
from residency.policy.files import Finding, Placed, PolicyFile, PolicyFiles
from residency.policy.limits import Limits, Override, Special, TransferSet
from residency.policy.packs import (
    Basis,
    Pack,
    listed,
    read_destinations,
    read_pack,
    read_rows,
    refuse,
    with_id,
)
from residency.policy.rules import Decision, Rule, decide
from residency.regions import Region
from residency.vault.access import Role


@dataclass(frozen=True, slots=True)
class Retired:
    """The id of a row that is no more, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Rulebook:
    """Everything that decides about categories, each with the place it was read from."""

    packs: Mapping[str, Pack]
    regions: Mapping[str, Placed[Region]]
    destinations: Mapping[str, Placed[Destination]]
    special: tuple[Placed[Special], ...]
    overrides: tuple[Placed[Override], ...]
    sets: tuple[Placed[TransferSet], ...]
    bases: tuple[Placed[Basis], ...]
    retired: tuple[Placed[Retired], ...]
    budgets: tuple[Placed[Budget], ...]
    roles: tuple[Placed[Role], ...]

    @property
    def limits(self) -> Limits:
        """Return what bounds the rows."""
        return Limits(
            tuple(p.value for p in self.special),
            tuple(p.value for p in self.overrides),
            tuple(p.value for p in self.sets),
            listed(p.value for p in self.bases),
        )

    def rows(self) -> tuple[Placed[Rule], ...]:
        """Return every row of every pack."""
        return tuple(row for pack in self.packs.values() for row in pack.rows)

    def rules(self, region: str) -> tuple[Rule, ...]:
        """Return the rules that a region applies: those of all its packs."""
        names = self.regions[region].value.packs
        return tuple(r for name in names if name in self.packs for r in self.packs[name].rules)

    def decide(self, region: str, category: str, destination: str, on: date) -> Decision:
        """Return what happens to a category of a region on its way to a destination."""
        to = self.destinations[destination].value
        return decide(self.rules(region), category, to, on, self.limits)


def load_rulebook(files: PolicyFiles) -> Rulebook:
    """Return the policy in *files*.

    Raises:
        BadPolicyError: Something in them cannot be read; it names all of it.

    """
    findings: list[Finding] = []
    book = read_rulebook(files, findings)
    for region in book.regions.values():
        missing = [name for name in region.value.packs if name not in book.packs]
        told = f"{region.value.id}: no pack {', '.join(missing)}"
        findings += [region.finding("packs", "missing-pack", told)] if missing else []
    refuse(findings)
    return book


def read_rulebook(files: PolicyFiles, findings: list[Finding]) -> Rulebook:
    """Return what of a policy can be read; the rest becomes findings."""
    bases = read_rows(files.bases, "basis", Basis, findings)
    known = frozenset(base.value.id for base in bases)
    packs = {n: read_pack(file, n, known, findings) for n, file in files.packs.items()}
    return Rulebook(
        packs={name: pack for name, pack in packs.items() if pack is not None},
        regions=_regions(files.regions, findings),
        destinations=read_destinations(files.destinations, findings),
        special=read_rows(files.special, "special", Special, findings),
        overrides=read_rows(files.overrides, "override", Override, findings),
        sets=read_rows(files.sets, "set", TransferSet, findings),
        bases=bases,
        retired=read_rows(files.retired, "retired", Retired, findings),
        budgets=read_rows(files.budgets, "budget", Budget, findings),
        roles=read_rows(files.access, "role", Role, findings),
    )


def _regions(file: PolicyFile, findings: list[Finding]) -> Mapping[str, Placed[Region]]:
    found: dict[str, Placed[Region]] = {}
    for name, row in file.table(findings).items():
        value = file.row(with_id(row, name), (name,), Region, findings)
        if value is not None:
            found[name] = Placed(value, file, (name,))
    return found
