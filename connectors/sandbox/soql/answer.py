"""Rows of SQLite as the records of an answer: nested parents, nested lists of children. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.ids import record_id
from connectors.sandbox.soql.compiled import Column, Compiled
from connectors.sandbox.soql.scope import Place

WHOLE_ROW = -1  # the position of a member that is made of more than one column

Row = Sequence[Any]
Member = tuple[str, int, Callable[[Any], object]]


class Records:
    """Shows the rows of one query.

    Attributes:
        children: The query's subqueries.
        columns: What the statement must select: the row's id, the ids of the parents that are
            shown, then the query's columns. The caller adds one value for each subquery.

    """

    def __init__(self, compiled: Compiled, version: str) -> None:
        """Prepare the members of the records of *compiled*, with urls of *version*."""
        self.children = compiled.children
        self._base = f"/services/data/v{version}/sobjects"
        self._parents = _shown_parents(compiled.columns)
        ids = (compiled.root.table, *(place.table for place in self._parents.values()))
        parts = [f"{table}.Id" for table in ids]
        parts += [column.operand.selected for column in compiled.columns]
        self.columns = ", ".join(parts)
        self._first = len(ids)
        entries = [
            (c.path, self._first + n, c.name, c.operand.render())
            for n, c in enumerate(compiled.columns)
        ]
        after = len(parts)
        for n, child in enumerate(compiled.children):
            entries.insert(child.position + n, ((), after + n, child.name, _same))
        self._show = self._record_of(compiled.view, 0, (), entries)

    def show(self, rows: Iterable[Row]) -> list[object]:
        """Return the records of *rows*."""
        show = self._show
        return [show(row) for row in rows]

    def _record_of(
        self, view: View, at: int, path: tuple[str, ...], entries: Sequence[Any]
    ) -> Callable[[Row], dict[str, object] | None]:
        """Return the function that makes a record of the object at *path*."""
        members: list[Member] = []
        depth = len(path)
        made: set[str] = set()
        for steps, position, name, render in entries:
            if len(steps) == depth:
                members.append((name, position, render))
            elif steps[depth] not in made:
                made.add(steps[depth])
                inner_path = steps[: depth + 1]
                place = self._parents[inner_path]
                inner = [e for e in entries if e[0][: depth + 1] == inner_path]
                index = 1 + list(self._parents).index(inner_path)
                shown = self._record_of(place.view, index, inner_path, inner)
                members.append((steps[depth], WHOLE_ROW, shown))
        return _recorder(view, at, f"{self._base}/{view.name}/", members)


def aggregates(compiled: Compiled, rows: Iterable[Row]) -> list[dict[str, object]]:
    """Return the records of a query that counts or groups; *rows* hold its columns."""
    shape = [(column.name, column.operand.render()) for column in compiled.columns]
    return [
        {"attributes": {"type": "AggregateResult"}}
        | {name: render(v) for (name, render), v in zip(shape, row, strict=True)}
        for row in rows
    ]


def _shown_parents(columns: Sequence[Column]) -> dict[tuple[str, ...], Place]:
    """Return the places that the records show, and those on the way to them, by their path."""
    parents: dict[tuple[str, ...], Place] = {}
    for column in columns:
        for place in column.operand.reference.place.line[1:]:
            parents.setdefault(place.path, place)
    return parents


def _recorder(
    view: View, at: int, base: str, members: Sequence[Member]
) -> Callable[[Row], dict[str, object] | None]:
    prefix, kind = view.prefix, view.name

    def show(row: Row) -> dict[str, object] | None:
        number = row[at]
        if number is None:  # there is no such parent, or none that the user sees
            return None
        record: dict[str, object] = {
            "attributes": {"type": kind, "url": base + record_id(prefix, number)}
        }
        for name, position, render in members:
            record[name] = render(row if position < 0 else row[position])
        return record

    return show


def _same(value: object) -> object:
    return value
