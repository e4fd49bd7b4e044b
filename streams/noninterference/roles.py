"""Which places of an event a plan looks at, and how: all the others are free to vary."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from residency.plan.model import FieldPlan, Plan
from residency.policy.rules import Action

ELEMENT = re.compile(r"\[\d*\]")
SOURCES_WITHOUT_LEAF = frozenset({"constant", "region", "clear"})
COUNT = "count"


@dataclass(frozen=True, slots=True)
class Roles:
    """What one plan reads.

    Attributes:
        mapped: The fields that are made of a place, by its path: ``items[0].sku``; for an
            aggregate over all elements, ``items[].quantity``.
        counted: Arrays whose length leaves.
        contexts: Paths that a generaliser reads besides its own value.

    """

    mapped: dict[str, tuple[FieldPlan, ...]]
    counted: frozenset[str]
    contexts: frozenset[str]

    def fields(self, path: str) -> tuple[FieldPlan, ...]:
        """Return the fields made of the place at *path*, aggregates over it included."""
        found = self.mapped.get(path, ())
        general = generic(path)
        return found if general == path else (*found, *self.mapped.get(general, ()))

    def is_mapped_below(self, path: str) -> bool:
        """Return whether something at or below *path* is made into a field, or counted."""
        made = (*self.mapped, *self.counted)
        return any(_is_below(m, path) or _is_below(m, generic(path)) for m in made)

    def is_read_below(self, path: str) -> bool:
        """Return whether a generaliser's context lies at or below *path*."""
        return any(_is_below(c, path) for c in self.contexts)

    def elements(self, path: str) -> int:
        """Return how many first elements of the array at *path* are mapped one by one."""
        numbers = (re.match(re.escape(path) + r"\[(\d+)\]", m) for m in self.mapped)
        return max((int(n[1]) + 1 for n in numbers if n), default=0)

    def is_aggregated(self, path: str) -> bool:
        """Return whether a field sums up or counts in all elements of the array at *path*."""
        made = (*self.mapped, *self.counted)
        return any(_is_below(m, generic(path) + "[]") for m in made)

    def keys(self, path: str) -> tuple[str, ...]:
        """Return the keys of the map at *path* that are mapped one by one."""
        named = (re.match(re.escape(path) + r"\{([^}]+)\}", m) for m in self.mapped)
        return tuple(sorted({n[1] for n in named if n}))


def roles_of(plan: Plan) -> Roles:
    """Return what *plan* reads of its events."""
    mapped: dict[str, list[FieldPlan]] = {}
    counted: set[str] = set()
    contexts: set[str] = set()
    for field in _fields(plan):
        if field.path is None or field.source in SOURCES_WITHOUT_LEAF:
            continue
        if field.source == COUNT:
            counted.add(field.path)
            continue
        mapped.setdefault(field.path, []).append(field)
        contexts |= set(context_paths(field)) - {None}  # type: ignore[arg-type]
    return Roles(
        {p: tuple(fs) for p, fs in mapped.items()}, frozenset(counted), frozenset(contexts)
    )


def context_paths(field: FieldPlan) -> tuple[str | None, ...]:
    """Return the paths that the field's generaliser reads besides the value, in its order."""
    return field.country, field.at


def _fields(plan: Plan) -> Iterator[FieldPlan]:
    for output in plan.outputs:
        yield output.external_id
        # what a model reads may differ: its labels are taken to be equal, the texts are not
        yield from (made for made in output.fields if made.action is not Action.LABEL)


def generic(path: str) -> str:
    """Return *path* without positions: ``items[0].sku`` is ``items[].sku``."""
    return ELEMENT.sub("[]", path)


def _is_below(path: str, around: str) -> bool:
    return path == around or (path.startswith(around) and path[len(around)] in ".[{")
