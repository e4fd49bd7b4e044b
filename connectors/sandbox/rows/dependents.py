"""What a delete does to the rows that point at the deleted one.

Source: Metadata API, "CustomField": deleteConstraint; Salesforce help, "Object Relationships":
a master takes its details with it; Object Reference, "Account": contacts go with it.
"""

from collections.abc import Iterable, Mapping, Sequence

from connectors.sandbox.access import Link
from connectors.sandbox.errors import Problem
from connectors.sandbox.store import Store

Dependents = Mapping[str, Sequence[Link]]  # by the object that is pointed at
SHOWN = 5  # rows that a refusal names


def blocker(store: Store, dependents: Dependents, sobject: str, sequence: int) -> Problem | None:
    """Return the refusal of a delete that a row forbids, of this row or of one it takes along."""
    for view, field in dependents.get(sobject, ()):
        if field.on_delete == "SetNull":
            continue
        children = _children(store, view.name, field.name, sequence)
        if field.on_delete == "Restrict" and children:
            return _associated(store, sobject, sequence, (view.sobject.plural, view.name, children))
        for child in children:
            problem = blocker(store, dependents, view.name, child)
            if problem is not None:
                return problem
    return None


def release(
    store: Store, dependents: Dependents, sobject: str, sequence: int, now: int
) -> list[tuple[str, int]]:
    """Empty the lookups at a row about to be deleted; return the (object, number) it takes along.

    The deepest come last. *now* is in seconds since 1970.
    """
    taken: list[tuple[str, int]] = []
    for view, field in dependents.get(sobject, ()):
        children = _children(store, view.name, field.name, sequence)
        if field.on_delete == "SetNull":
            store.update(
                view.name, [{"Id": c, field.name: None, "SystemModstamp": now} for c in children]
            )
            continue
        for child in children:
            taken.append((view.name, child))
            taken += release(store, dependents, view.name, child, now)
    return taken


def _children(store: Store, sobject: str, field: str, sequence: int) -> list[int]:
    sql = f'SELECT Id FROM "{sobject}" WHERE IsDeleted = 0 AND "{field}" = ?'  # noqa: S608 -- metadata
    return [int(row[0]) for row in store.select(sql, (sequence,))]


def _associated(
    store: Store, sobject: str, sequence: int, children: tuple[str, str, Sequence[int]]
) -> Problem:
    plural, child, numbers = children
    (name,) = _names(store, sobject, [sequence])
    listed = ", ".join(_names(store, child, numbers[:SHOWN]))
    text = (
        f"Your attempt to delete {name} could not be completed because it is associated with the"
        f" following {plural.lower()}.: {listed}\n"
    )
    return Problem("DELETE_FAILED", text)


def _names(store: Store, sobject: str, numbers: Iterable[int]) -> list[str]:
    return [str(row["Name"]) for row in store.find_rows(sobject, ["Name"], numbers).values()]
