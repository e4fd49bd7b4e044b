"""A query as SQL: what the compiler makes and the engine runs."""

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.soql.numbers import INT64
from connectors.sandbox.soql.operands import Operand
from connectors.sandbox.soql.scope import Place
from connectors.sandbox.soql.tree import Query


@dataclass(frozen=True, slots=True)
class Column:
    """One member of the answer's records.

    Attributes:
        name: What it is called within its record: the field's name, an alias or ``expr0``.

    """

    name: str
    operand: Operand

    @property
    def path(self) -> tuple[str, ...]:
        """The relationships that lead to its record; an aggregate's value has none."""
        return self.operand.reference.place.path

    @property
    def flat_name(self) -> str:
        """Its name in a table, such as ``Account.Name``."""
        return ".".join((*self.path, self.name))


@dataclass(frozen=True, slots=True)
class Child:
    """A subquery in the field list: rows that refer to the row selected.

    Attributes:
        position: How many columns stand before it.
        key: The field of *compiled*'s object that refers.

    """

    name: str
    position: int
    key: Field
    compiled: "Compiled"


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL with its values.

    Attributes:
        is_count: ``SELECT COUNT()``: the number of rows is the answer's totalSize.
        is_aggregate: Records are AggregateResults and have no id.
        source: FROM and its joins.
        where: From WHERE to HAVING; its values are *values*.
        order: ORDER BY.

    """

    query: Query
    root: Place
    columns: tuple[Column, ...]
    children: tuple[Child, ...]
    is_count: bool
    is_aggregate: bool
    source: str
    where: str
    order: str
    values: tuple[Any, ...]

    @property
    def view(self) -> View:
        """The object, as the user sees it."""
        return self.root.view

    @property
    def window(self) -> str:
        """LIMIT and OFFSET."""
        if self.query.limit is None and not self.query.offset:
            return ""
        limit = -1 if self.query.limit is None else min(self.query.limit, INT64 - 1)
        return f" LIMIT {limit} OFFSET {self.query.offset}"

    def select(self, columns: str) -> str:
        """Return the statement that reads *columns* of the query's rows."""
        return f"SELECT {columns} {self.source}{self.where}{self.order}{self.window}"
