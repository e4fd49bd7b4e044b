"""Who may look into the vault, for what, and what they then see: the rows of ``access.toml``.

What no row names is not seen. A new event or category is closed to every role until somebody
writes it down.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from residency.ledger.accesses import Purpose
from residency.policy.files import ROOT, SINGLE, Finding, Placed, PolicyFile, shown, text_of
from residency.policy.limits import within
from residency.policy.packs import read_rows, refuse
from schemas.fieldcheck import categories as known_categories
from schemas.registry import Registry, load_registry

OPERATOR_ROLE: Final = "privacy"  # of a command in the region's home: it can read the keys anyway
MAX_PER_HOUR: Final = 100_000  # a limit above it limits nothing


@dataclass(frozen=True, slots=True)
class Role:
    """What callers of a role may do.

    Attributes:
        purposes: For what they may look.
        categories: Fides prefixes of what they may see.
        events: Avro full names of the events that they may see anything of.
        per_minute: Look-ups of one caller in any minute.
        per_hour: Likewise.
        source: The text that requires these bounds, or allows what is within.
        exports: Whether they may have all that is held of a person.

    """

    id: str
    purposes: tuple[Purpose, ...]
    categories: tuple[str, ...]
    events: tuple[str, ...]
    per_minute: int
    per_hour: int
    source: str
    exports: bool = False

    def sees(self, category: str) -> bool:
        """Return whether fields of *category* may be seen."""
        return any(within(category, prefix) for prefix in self.categories)


@cache
def load_roles() -> Mapping[str, Role]:
    """Return the roles by their ids.

    Raises:
        BadPolicyError: Names the file, the line and every fault in it.

    """
    path, findings = ROOT / SINGLE["access"], list[Finding]()
    rows = read_rows(PolicyFile(shown(path), text_of(path)), "role", Role, findings)
    findings += role_findings(rows, known_categories(), event_names(load_registry()))
    refuse(findings)
    return {row.value.id: row.value for row in rows}


def event_names(registry: Registry) -> frozenset[str]:
    """Return the full names of all events."""
    return frozenset(schema.subject for schema in registry.raw())


def role_findings(
    rows: Iterable[Placed[Role]], categories: Collection[str], events: Collection[str]
) -> Iterator[Finding]:
    """Yield what is wrong with the roles.

    Args:
        rows: As they were read.
        categories: All that a field may be tagged with.
        events: All that there are.

    """
    rows = tuple(rows)
    ids = Counter(row.value.id for row in rows)
    for row in rows:
        if ids[row.value.id] > 1:
            yield row.finding("id", "id-reused", f"{row.value.id}: id used twice")
        yield from _row_faults(row)
        yield from _name_faults(row, categories, events)
    if rows and OPERATOR_ROLE not in ids:
        told = f"no role {OPERATOR_ROLE!r}: the region's own commands look with its rights"
        yield rows[0].finding((), "bad-role", told)


def _row_faults(row: Placed[Role]) -> Iterator[Finding]:
    """Yield what of a role means nothing."""
    role = row.value
    for key in ("purposes", "categories", "events"):
        if not getattr(role, key):
            told = f"{role.id}: no {key}: the role may see nothing; take it out"
            yield row.finding(key, "bad-role", told)
    if not 0 < role.per_minute <= role.per_hour <= MAX_PER_HOUR:
        told = f"{role.id}: 0 < per_minute <= per_hour <= {MAX_PER_HOUR}"
        yield row.finding("per_minute", "bad-role", told)


def _name_faults(
    row: Placed[Role], categories: Collection[str], events: Collection[str]
) -> Iterator[Finding]:
    """Yield the names that nothing has, and those that another one covers."""
    role = row.value
    for n, prefix in enumerate(role.categories):
        if prefix not in categories:
            told = f"{role.id}: no category {prefix!r} in schemas/categories.toml"
            yield row.finding(("categories", n), "unknown-category", told)
        if any(within(prefix, other) for m, other in enumerate(role.categories) if m != n):
            told = f"{role.id}: {prefix!r} stands below another one; take it out"
            yield row.finding(("categories", n), "bad-role", told)
    for n, name in enumerate(role.events):
        if name not in events:
            told = f"{role.id}: no event {name!r} in schemas/ids.toml"
            yield row.finding(("events", n), "unknown-event", told)
