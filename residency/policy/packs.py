"""Read policy packs and destinations from TOML, whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from residency.policy.destinations import Destination
from residency.policy.faults import repeated, row_faults, unread_faults
from residency.policy.files import (
    PACKS,
    ROOT,
    SINGLE,
    BadPolicyError,
    Finding,
    Placed,
    PolicyFile,
    shown,
    text_of,
)
from residency.policy.limits import Limits, Override, Special, TransferSet
from residency.policy.lines import Path as Keys
from residency.policy.rules import Rule

PACKS_FOLDER = ROOT / PACKS
DESTINATIONS_FILE = ROOT / SINGLE["destinations"]
CENTRAL = "salesforce-central"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Head:
    """What a pack says about itself."""

    pack: str
    title: str
    jurisdictions: tuple[str, ...]


@dataclass(frozen=True)
class Pack:
    """The rules of one jurisdiction or of several with the same law.

    Attributes:
        unread: Rows that are no rules, as they stand, for the lint to say all it can of them.

    """

    head: Placed[Head]
    rows: tuple[Placed[Rule], ...] = field(default=())
    unread: tuple[Placed[Mapping[str, object]], ...] = field(default=())

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in the file's order."""
        return tuple(row.value for row in self.rows)


@dataclass(frozen=True, slots=True)
class Basis:
    """A transfer basis that a row may name: the id of a term of the W3C's DPV.

    Attributes:
        listed: It rests on a list of countries, so a transfer set has to back it.

    """

    id: str
    title: str
    listed: bool = False


def load_packs(names: tuple[str, ...], folder: Path = PACKS_FOLDER) -> tuple[Rule, ...]:
    """Return the rules of all the packs, in the files' order.

    Raises:
        BadPolicyError: A pack is missing or a row of it cannot be enforced.

    """
    return tuple(rule for name in names for rule in load_pack(folder / f"{name}.toml").rules)


def load_pack(path: Path) -> Pack:
    """Return one pack, checked.

    Raises:
        BadPolicyError: Names the file, the line and every fault in it.

    """
    if not path.exists():
        msg = f"{path.name}: no such policy pack in {path.parent.name}/"
        raise BadPolicyError(msg)
    findings: list[Finding] = []
    known = frozenset(basis.id for basis in load_bases())
    pack = read_pack(PolicyFile(shown(path), text_of(path)), path.stem, known, findings)
    refuse(findings)
    if pack is None or not pack.rows:
        msg = f"{path.name}: no [[rule]]; a pack without one would say nothing, and unseen"
        raise BadPolicyError(msg)
    return pack


def refuse(findings: list[Finding]) -> None:
    """Raise BadPolicyError with every finding, if there is one."""
    if findings:
        raise BadPolicyError("; ".join(str(finding) for finding in sorted(findings)))


def read_pack(
    file: PolicyFile, name: str, bases: frozenset[str], findings: list[Finding]
) -> Pack | None:
    """Return what of a pack can be read; the rest becomes findings. None: not even its head."""
    already = len(findings)
    table = dict(file.table(findings))
    if not table and len(findings) > already:
        return None  # not TOML, and said so
    rows = table.pop("rule", [])
    head = file.row(table, (), Head, findings)
    if head is None:
        return None
    if head.pack != name:
        told = f"says it is pack {head.pack!r}; a pack has the name of its file"
        findings.append(file.finding(("pack",), "bad-row", told))
    read = tuple(placed_rows(file, rows, "rule", Rule, findings))
    told = "`pack` is not a row's to say: the pack is its file's"
    findings += [row.finding("pack", "unknown-key", told) for row in read if row.value.pack]
    placed = tuple(Placed(replace(row.value, pack=name), file, row.at) for row in read)
    findings += [finding for row in placed for finding in row_faults(row, bases)]
    findings += repeated(placed)
    unread = tuple(_others(file, rows, {row.at for row in read}))
    findings += [f for row in unread for f in unread_faults(row, bases)]
    return Pack(Placed(head, file, ()), placed, unread)


def _others(
    file: PolicyFile, rows: object, read: set[Keys]
) -> Iterator[Placed[Mapping[str, object]]]:
    """Yield the rows that could not be read."""
    for position, row in enumerate(rows if isinstance(rows, list) else ()):
        at: Keys = ("rule", position)
        if at not in read and isinstance(row, dict):
            yield Placed(row, file, at)


def placed_rows(
    file: PolicyFile, rows: object, key: str, kind: type[T], findings: list[Finding]
) -> Iterator[Placed[T]]:
    """Yield every row under *key* that can be read; the others become findings."""
    if not isinstance(rows, list):
        findings.append(file.finding((key,), "bad-row", f"write [[{key}]] before each row"))
        return
    for position, row in enumerate(rows):
        at: Keys = (key, position)
        value = file.row(row, at, kind, findings)
        if value is not None:
            yield Placed(value, file, at)


def load_destination(name: str = CENTRAL, path: Path = DESTINATIONS_FILE) -> Destination:
    """Return one destination.

    Raises:
        BadPolicyError: It is not in the file, or a row of the file is not valid.

    """
    findings: list[Finding] = []
    found = read_destinations(PolicyFile(shown(path), text_of(path)), findings)
    refuse(findings)
    if name not in found:
        msg = f"{path.name}: no destination {name!r}"
        raise BadPolicyError(msg)
    return found[name].value


def read_destinations(
    file: PolicyFile, findings: list[Finding]
) -> Mapping[str, Placed[Destination]]:
    """Return every destination by id; what cannot be read becomes findings."""
    found: dict[str, Placed[Destination]] = {}
    for name, row in file.table(findings).items():
        value = file.row(with_id(row, name), (name,), Destination, findings)
        if value is not None:
            found[name] = Placed(value, file, (name,))
    return found


def with_id(row: object, name: str) -> object:
    """Return a row that has its table's name as its id."""
    return {**row, "id": name} if isinstance(row, dict) else row


@cache
def load_bases() -> tuple[Basis, ...]:
    """Return every transfer basis that a row may name."""
    return tuple(p.value for p in _load("bases", "basis", Basis))


@cache
def load_limits() -> Limits:
    """Return the limits that this checkout ships.

    Raises:
        BadPolicyError: A row of them cannot be read: none may be passed over.

    """
    special = _load("special", "special", Special)
    if not special:
        msg = f"{SINGLE['special']}: no [[special]]; without one nothing would be closed"
        raise BadPolicyError(msg)
    return Limits(
        tuple(p.value for p in special),
        tuple(p.value for p in _load("overrides", "override", Override)),
        tuple(p.value for p in _load("sets", "set", TransferSet)),
        listed(load_bases()),
    )


def listed(bases: Iterable[Basis]) -> frozenset[str]:
    """Return the ids of the bases that rest on a list of countries."""
    return frozenset(basis.id for basis in bases if basis.listed)


def _load(name: str, key: str, kind: type[T]) -> tuple[Placed[T], ...]:
    path, findings = ROOT / SINGLE[name], list[Finding]()
    placed = read_rows(PolicyFile(shown(path), text_of(path)), key, kind, findings)
    refuse(findings)
    return placed


def read_rows(
    file: PolicyFile, key: str, kind: type[T], findings: list[Finding]
) -> tuple[Placed[T], ...]:
    """Return the rows of a file that holds nothing but ``[[key]]`` rows."""
    table = dict(file.table(findings))
    rows = table.pop(key, [])
    told = f"only [[{key}]] rows stand here"
    findings += [file.finding((other,), "unknown-key", told) for other in table]
    return tuple(placed_rows(file, rows, key, kind, findings))
