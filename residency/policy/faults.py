"""What is wrong with a row of a pack by itself, whatever the rest of the policy says."""

from collections.abc import Iterator, Mapping
from typing import Any

from residency.generalise import generaliser
from residency.policy.files import Finding, Placed
from residency.policy.rules import Action, Rule
from schemas.errors import SetupError


def row_faults(row: Placed[Rule], known: frozenset[str]) -> Iterator[Finding]:
    """Yield what keeps a rule from being carried out; *known* are the bases there are."""
    rule = row.value
    if rule.action is Action.GENERALISE and rule.how is None:
        yield row.finding("action", "missing-how", f"{rule.id}: `generalise` needs a `how`")
    if rule.how is not None:
        if rule.action is not Action.GENERALISE:
            told = f"{rule.id}: `how` belongs to `generalise`, and only there"
            yield row.finding("how", "bad-how", told)
        yield from _unknown_how(row, rule.id, rule.how)
    if rule.action is Action.DROP:
        if rule.basis is not None:
            told = f"{rule.id}: a drop is no transfer; take its `basis` out"
            yield row.finding("basis", "bad-basis", told)
    elif rule.basis is None:
        told = f"{rule.id}: every action but `drop` needs a transfer `basis`"
        yield row.finding("action", "bad-basis", told)
    else:
        yield from _unknown_basis(row, rule.id, rule.basis, known)
    if rule.valid_to is not None and rule.valid_to < rule.valid_from:
        yield row.finding("valid_to", "bad-row", f"{rule.id}: ends before it begins")


def unread_faults(row: Placed[Mapping[str, object]], known: frozenset[str]) -> Iterator[Finding]:
    """Yield what is wrong with the names in a row that is no rule."""
    name, how, basis = row.value.get("id"), row.value.get("how"), row.value.get("basis")
    if isinstance(how, str):
        yield from _unknown_how(row, name, how)
    if isinstance(basis, str):
        yield from _unknown_basis(row, name, basis, known)


def _unknown_how(row: Placed[Any], name: object, how: str) -> Iterator[Finding]:
    try:
        generaliser(how)
    except SetupError as exc:
        yield row.finding("how", "bad-how", f"{name}: {exc}")


def _unknown_basis(
    row: Placed[Any], name: object, basis: str, known: frozenset[str]
) -> Iterator[Finding]:
    if basis not in known:
        told = f"{name}: {basis!r} is no transfer basis we know; have bases.toml"
        yield row.finding("basis", "bad-basis", told)


def repeated(rows: tuple[Placed[Rule], ...]) -> Iterator[Finding]:
    """Yield the rows whose id another row of the pack has."""
    seen: set[str] = set()
    for row in rows:
        if row.value.id in seen:
            told = f"{row.value.id}: id used twice; ledgers cite ids, so none stands for two rows"
            yield row.finding("id", "id-reused", told)
        seen.add(row.value.id)
