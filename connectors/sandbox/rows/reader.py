"""Reads one JSON record against one user's view of an object; prepared once per view."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import InvalidValueError, Problem, no_such_column, not_writable
from connectors.sandbox.rows.names import Names
from connectors.sandbox.rows.values import Coerce, Row, coercer


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    coerce: Coerce | None  # None: the user may read it, not write it


class RecordReader:
    """Turns JSON records into rows.

    Attributes:
        names: What the org itself writes into the rows.
        required: Names of the fields that may never be empty, in the object's order.

    """

    def __init__(self, view: View) -> None:
        """Prepare the rules of every field of *view*."""
        self._sobject = view.name
        self.names = Names(view.sobject)
        self._columns = {
            lower: _column(field, view.editable) for lower, field in view.fields.items()
        }
        # most clients write canonical names: one look-up instead of lower() and a look-up
        self._columns |= {c.name: c for c in self._columns.values()}
        self.required = tuple(f.name for f in view.sobject.fields if f.is_required)

    def read(self, record: Mapping[str, object], body: str) -> Row | list[Problem]:
        """Return the row that *record* sets, by canonical name, or what is wrong with it.

        What a JSON parser would refuse hides everything else, as in the real API. *body* is
        the request's text; such a refusal names the place in it.
        """
        row: Row = {}
        problems: list[Problem] = []
        locked: list[str] = []
        for name, value in record.items():
            column = self._columns.get(name) or self._columns.get(name.lower())
            if column is None:
                if name == "attributes":
                    continue
                return [no_such_column(name, self._sobject)]
            if column.coerce is None:
                locked.append(column.name)
                continue
            try:
                row[column.name] = column.coerce(value)
            except InvalidValueError as exc:
                if exc.problem.is_parse_error:
                    return [_placed(exc.problem, body, value)]
                problems.append(exc.problem)
        if locked:
            problems.insert(0, not_writable(locked))
        return problems or row

    def missing(self, row: Row, *, is_new: bool) -> Problem | None:
        """Return the refusal of a row that leaves a required field empty, or None."""
        empty = [
            name for name in self.required if row.get(name) is None and (is_new or name in row)
        ]
        if not empty:
            return None
        text = f"Required fields are missing: [{', '.join(empty)}]"
        return Problem("REQUIRED_FIELD_MISSING", text, tuple(empty))


def _column(field: Field, editable: frozenset[str]) -> _Column:
    return _Column(field.name, coercer(field) if field.name in editable else None)


def _placed(problem: Problem, body: str, value: object) -> Problem:
    """Return *problem* with the line and column where *body* first holds *value*."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    before = body[: max(body.find(text), 0)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return replace(problem, message=f"{problem.message} at [line:{line}, column:{column}]")
