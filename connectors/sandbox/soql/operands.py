"""Fields and functions of fields, in SQL, and how their values are shown. Pure."""

from dataclasses import dataclass
from typing import Literal

from connectors.sandbox.deployed.metadata import NUMBER_TYPES, TEXT_TYPES, Field
from connectors.sandbox.rows.values import Render, Stored, renderer
from connectors.sandbox.soql.conditions import AGGREGATES
from connectors.sandbox.soql.scope import Reference, Scope
from connectors.sandbox.soql.tree import Item

Kind = Literal["field", "count", "sum", "mean"]
HALF = 10**9  # sums are added up in two parts, so that no part leaves 64 bits


@dataclass(frozen=True, slots=True)
class Operand:
    """Something that is selected, compared or ordered by.

    Attributes:
        sql: To compare and to order by.
        kind: Whether the value is one of the field's own, a count, a sum or a mean.

    """

    item: Item
    reference: Reference
    sql: str
    kind: Kind = "field"

    @property
    def field(self) -> Field:
        """The field that it is, or is a function of."""
        return self.reference.field

    @property
    def is_aggregate(self) -> bool:
        """Whether it stands for many rows."""
        return self.item.function in AGGREGATES

    @property
    def is_folded(self) -> bool:
        """Whether its values are compared without case."""
        is_text = self.kind == "field" and self.field.type in TEXT_TYPES
        return is_text and not self.field.is_case_sensitive

    @property
    def ordered(self) -> str:
        """The expression to order by."""
        return f"fold({self.sql})" if self.is_folded else self.sql

    @property
    def selected(self) -> str:
        """The expression to select; `render` shows its values."""
        if self.kind != "sum":
            return self.sql
        name = self.reference.sql
        halves = f"SUM({name} / {HALF}), SUM({name} % {HALF})"
        return f"CASE WHEN COUNT({name}) THEN printf('%d,%d', {halves}) END"

    def render(self) -> Render:
        """Return the function that shows a selected value in JSON."""
        shown = renderer(self.field, self.reference.place.view.prefix)
        if self.kind == "count":
            return _plain
        if self.kind == "mean":
            unit = 10**self.field.scale
            return lambda v: None if v is None else float(v) / unit
        if self.kind == "sum":
            return lambda v: None if v is None else shown(_joined(str(v)))
        return shown


def operand(scope: Scope, item: Item) -> Operand:
    """Return what *item* stands for.

    Raises:
        ApiError: 400, the user sees no such field, or the function does not take it.

    """
    reference = scope.field(item)
    function, name = item.function, reference.sql
    if function not in AGGREGATES:
        return Operand(item, reference, name)
    if function == "COUNT":
        return Operand(item, reference, f"COUNT({name})", "count")
    if function == "COUNT_DISTINCT":
        return Operand(item, reference, f"COUNT(DISTINCT {name})", "count")
    is_number = reference.field.type in NUMBER_TYPES
    if reference.field.type == "boolean" or (function in {"SUM", "AVG"} and not is_number):
        text = f"field {reference.field.name} does not support aggregate operator {function}"
        raise scope.refuse(item.at, "MALFORMED_QUERY", text)
    if function == "SUM":
        return Operand(item, reference, f"TOTAL({name})", "sum")
    if function == "AVG":
        return Operand(item, reference, f"AVG({name})", "mean")
    return Operand(item, reference, f"{function}({name})")


def _joined(halves: str) -> int:
    upper, lower = halves.split(",")
    return int(upper) * HALF + int(lower)


def _plain(value: Stored) -> object:
    return value
