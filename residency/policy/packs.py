"""Read policy packs and destinations from TOML, whole or not at all."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from residency.generalise import generaliser
from residency.policy.rules import Action, Rule
from schemas.errors import SetupError

PACKS_FOLDER = Path(__file__).with_name("packs")
DESTINATIONS_FILE = Path(__file__).parents[1] / "destinations.toml"
CENTRAL = "salesforce-central"
_STRICT = ConfigDict(extra="forbid")


class BadPolicyError(SetupError):
    """A policy file is not one we can enforce in full."""


@checked_dataclass(frozen=True, config=_STRICT)
class Certification:
    """A dated certificate that a destination holds."""

    scheme: str
    valid_from: date
    valid_to: date


@checked_dataclass(frozen=True, config=_STRICT)
class Destination:
    """A receiving org: where it is hosted, for whom, under which certificates."""

    id: str
    hosting_country: str
    entity: str
    certifications: tuple[Certification, ...] = ()


@dataclass(frozen=True, slots=True)
class Pack:
    """The rules of one jurisdiction."""

    pack: str
    title: str
    jurisdictions: tuple[str, ...]
    rule: tuple[Rule, ...]


def load_packs(names: tuple[str, ...], folder: Path = PACKS_FOLDER) -> tuple[Rule, ...]:
    """Return the rules of all the packs, in the files' order.

    Raises:
        BadPolicyError: A pack is missing or a row of it cannot be enforced.

    """
    return tuple(rule for name in names for rule in load_pack(folder / f"{name}.toml").rule)


def load_pack(path: Path) -> Pack:
    """Return one pack, checked.

    Raises:
        BadPolicyError: Names the file and every fault in it.

    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        pack = TypeAdapter(Pack).validate_python(raw)
    except FileNotFoundError as exc:
        msg = f"{path.name}: no such policy pack in {path.parent.name}/"
        raise BadPolicyError(msg) from exc
    except (tomllib.TOMLDecodeError, ValidationError) as exc:
        msg = f"{path.name}: {_plain(exc)}"
        raise BadPolicyError(msg) from exc
    faults = [*_unknown_keys(raw), *_row_faults(pack)]
    if faults:
        raise BadPolicyError(f"{path.name}: " + "; ".join(faults))
    return pack


def _plain(exc: Exception) -> str:
    if isinstance(exc, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
    return str(exc)


def _unknown_keys(raw: Mapping[str, object]) -> list[str]:
    rows = raw.get("rule", [])
    known = set(Rule.__dataclass_fields__)
    return [
        f"rule {n}: unknown key {key!r}"
        for n, row in enumerate(rows if isinstance(rows, list) else [], 1)
        for key in row
        if key not in known
    ]


def _row_faults(pack: Pack) -> list[str]:
    faults = []
    seen: set[str] = set()
    for rule in pack.rule:
        if rule.id in seen:
            faults.append(f"{rule.id}: id used twice")
        seen.add(rule.id)
        if (rule.action is Action.GENERALISE) != (rule.how is not None):
            faults.append(f"{rule.id}: `how` belongs to `generalise`, and only there")
        if rule.how is not None:
            try:
                generaliser(rule.how)
            except SetupError as exc:
                faults.append(f"{rule.id}: {exc}")
        if (rule.action is Action.DROP) == (rule.basis is not None):
            faults.append(f"{rule.id}: every action but `drop` needs a transfer `basis`")
    return faults


def load_destination(name: str = CENTRAL, path: Path = DESTINATIONS_FILE) -> Destination:
    """Return one destination.

    Raises:
        BadPolicyError: It is not in the file, or its row is not valid.

    """
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    if name not in rows:
        msg = f"{path.name}: no destination {name!r}"
        raise BadPolicyError(msg)
    try:
        return TypeAdapter(Destination).validate_python({"id": name, **rows[name]})
    except ValidationError as exc:
        msg = f"{path.name}: {_plain(exc)}"
        raise BadPolicyError(msg) from exc
