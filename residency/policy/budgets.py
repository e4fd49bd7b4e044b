"""Leak budgets: how much the labels of one person's texts may tell, as a law has it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from residency.policy.files import (
    ROOT,
    SINGLE,
    BadPolicyError,
    Finding,
    Placed,
    PolicyFile,
    shown,
    text_of,
)
from residency.policy.packs import read_rows, refuse
from residency.regions import Region

MAX_WINDOW_DAYS = 3_660  # ten years: no law we know lets a memory of persons grow longer


@dataclass(frozen=True, slots=True)
class Budget:
    """What labels may tell of one person outside of a region.

    Attributes:
        cap_bits: At most, in any window; 0: nothing, so that every label is withheld.
        window_days: Length of the sliding window.
        source: The text that requires it.

    """

    id: str
    region: str
    cap_bits: int
    window_days: int
    source: str


@cache
def load_budget(region: str) -> Budget:
    """Return the budget of *region*.

    Raises:
        BadPolicyError: It has none, or more than one, or the file cannot be read.

    """
    path, findings = ROOT / SINGLE["budgets"], list[Finding]()
    file = PolicyFile(shown(path), text_of(path))
    rows = read_rows(file, "budget", Budget, findings)
    refuse([*findings, *(finding for row in rows for finding in _faults(row))])
    found = [row.value for row in rows if row.value.region == region]
    if len(found) != 1:
        msg = f"{path.name}: {region} has {len(found)} rows [[budget]]; it needs one"
        raise BadPolicyError(msg)
    return found[0]


def budget_findings(
    rows: Iterable[Placed[Budget]], regions: Mapping[str, Placed[Region]]
) -> Iterator[Finding]:
    """Yield what is wrong with the budgets of a policy."""
    rows = tuple(rows)
    owners = Counter(row.value.region for row in rows)
    ids = Counter(row.value.id for row in rows)
    for row in rows:
        yield from _faults(row)
        if row.value.region not in regions:
            told = f"{row.value.id}: no region {row.value.region!r} in regions.toml"
            yield row.finding("region", "bad-budget", told)
        if owners[row.value.region] > 1:
            told = f"{row.value.id}: {row.value.region} has more than one budget; which holds?"
            yield row.finding("region", "bad-budget", told)
        if ids[row.value.id] > 1:
            yield row.finding("id", "id-reused", f"{row.value.id}: id used twice")
    for name, region in regions.items():
        if name not in owners:
            told = f"{name}: no leak budget; write a [[budget]] in {SINGLE['budgets']}"
            yield region.finding((), "bad-budget", told)


def _faults(row: Placed[Budget]) -> Iterator[Finding]:
    """Yield what is wrong with one row by itself."""
    one = row.value
    if one.cap_bits < 0:
        told = f"{one.id}: a cap is 0 bits or more"
        yield row.finding("cap_bits", "bad-budget", told)
    if not 0 < one.window_days <= MAX_WINDOW_DAYS:
        told = f"{one.id}: a window is 1 to {MAX_WINDOW_DAYS} days"
        yield row.finding("window_days", "bad-budget", told)
