"""What the org checks once a row's own fields are right: validation rules, then unique values.

Source: Salesforce, "Triggers and Order of Execution": system validation comes first, then custom
validation rules, then saving to the database.
"""

from collections.abc import Mapping, Sequence

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field, SObject
from connectors.sandbox.errors import Problem, duplicate_value
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.values import Row
from connectors.sandbox.rules.rule import Rule
from connectors.sandbox.store import Store, key_of

_Mark = tuple[str, str | int]  # a unique field and a value of it


def checked(
    store: Store,
    view: View,
    plans: Sequence[Row | list[Problem]],
    key: Field | None,
) -> list[Row | list[Problem]]:
    """Return *plans*, with those that break a rule or a unique field replaced by the refusals.

    Runs inside the transaction that writes the rows, and asks for what is stored once.

    Args:
        store: Where the rows are.
        view: Their object; what the user may see of it does not matter here.
        plans: Rows to write, with an ``Id`` if they exist, or what is wrong with them.
        key: The external id they were matched by, which cannot clash.

    """
    sobject = view.sobject
    stored = _stored(store, sobject, plans)
    unique = [field for field in sobject.fields if field.is_unique and field != key]
    taken: set[_Mark] = set()
    result: list[Row | list[Problem]] = []
    for plan in plans:
        if isinstance(plan, list):
            result.append(plan)
            continue
        problems = _broken(sobject.rules, plan, stored)
        marks = [(f, key_of(f, v)) for f in unique if (v := plan.get(f.name)) is not None]
        if not problems:
            clashes = (_clash(store, view, plan, mark, taken) for mark in marks)
            problems = [clash for clash in clashes if clash is not None]
        if not problems:
            taken.update((field.name, value) for field, value in marks)
        result.append(problems or plan)
    return result


def clashes(store: Store, view: View, sequence: int) -> list[Problem]:
    """Return the refusals of a deleted row's unique values that live rows have taken since."""
    unique = [field for field in view.sobject.fields if field.is_unique]
    if not unique:
        return []
    row = store.find_rows(view.name, [field.name for field in unique], [sequence])[sequence]
    marks = [(f, key_of(f, v)) for f in unique if (v := row[f.name]) is not None]
    found = (_clash(store, view, row, mark, set()) for mark in marks)
    return [clash for clash in found if clash is not None]


def _stored(
    store: Store, sobject: SObject, plans: Sequence[Row | list[Problem]]
) -> Mapping[int, Row]:
    """Return what the rules read of the rows that *plans* change, by number."""
    columns = sorted({name for rule in sobject.rules for name in rule.condition.fields})
    changed = [int(plan["Id"] or 0) for plan in plans if isinstance(plan, dict) and "Id" in plan]
    return store.find_rows(sobject.name, columns, changed) if columns and changed else {}


def _broken(rules: Sequence[Rule], row: Row, stored: Mapping[int, Row]) -> list[Problem]:
    """Return a refusal for each of *rules* that the row breaks: all of them, as the org does."""
    old = stored.get(int(row["Id"] or 0), {}) if "Id" in row else None
    new = {**old, **row} if old else row
    return [
        Problem("FIELD_CUSTOM_VALIDATION_EXCEPTION", r.message, (r.field,) if r.field else ())
        for r in rules
        if r.condition.run(new, old)
    ]


def _clash(
    store: Store, view: View, row: Row, mark: tuple[Field, str | int], taken: set[_Mark]
) -> Problem | None:
    """Return the refusal of a unique value that another row holds, stored or about to be."""
    field, value = mark
    holders = store.find_keys(view.name, field, [value]).get(value, [])
    others = [sequence for sequence, _ in holders if sequence != row.get("Id")]
    if not others and (field.name, value) not in taken:
        return None
    other = record_id(view.prefix, others[0]) if others else "<unknown>"
    return duplicate_value(field.name, other)
