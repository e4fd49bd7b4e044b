"""Turns a parsed SOQL query into SQLite's SQL, for one user's view. Pure.

SOQL knows no third truth value: ``x != 'a'`` holds for an empty x, and NOT turns false into
true. So every comparison is compiled to an expression that is never NULL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.sandbox.access import User, View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.ids import sequence_of
from connectors.sandbox.rows.values import parse_datetime
from connectors.sandbox.soql.numbers import INT64, ROUNDING, exactly
from connectors.sandbox.soql.parser import pointed
from connectors.sandbox.soql.tree import (
    Comparison,
    Condition,
    Item,
    Junction,
    Moment,
    Negation,
    Ordering,
    Query,
    Quoted,
    Value,
)

MAX_OFFSET = 2000  # rows; Salesforce's limit
_NO_ID = -1  # no row has this number


class _Misfit:
    """A literal that does not fit its field; None is a literal."""


_MISFIT = _Misfit()


@dataclass(frozen=True, slots=True)
class Column:
    """One member of the answer's records: its name, and the field whose form it takes.

    *field* is None for a count.
    """

    name: str
    field: Field | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL with its values.

    Attributes:
        columns: What the statement selects, in order.
        is_count: ``SELECT COUNT()``: the one value is the answer's totalSize.
        is_aggregate: Records are AggregateResults and have no id.
        select: ``SELECT columns FROM table``, to be narrowed by *tail* or by ids.
        tail: From WHERE on; its values are *values*.

    """

    view: View
    columns: tuple[Column, ...]
    is_count: bool
    is_aggregate: bool
    select: str
    tail: str
    values: tuple[Any, ...]


def compile_query(query: Query, view: View, user: User, *, with_deleted: bool) -> Compiled:
    """Return the SQL for *query* over the rows that *user* may see.

    Raises:
        ApiError: 400: unknown field, wrong kind of literal, or a clause that does not fit.

    """
    return _Compiler(query, view).compile(user, with_deleted=with_deleted)


class _Compiler:
    def __init__(self, query: Query, view: View) -> None:
        self._query, self._view = query, view
        self._values: list[Any] = []

    def compile(self, user: User, *, with_deleted: bool) -> Compiled:
        query = self._query
        is_count = not query.items
        is_aggregate = bool(query.group_by) or any(i.function for i in query.items)
        columns, selected = self._columns(is_aggregate=is_aggregate)
        tail = " WHERE " + self._where(user, with_deleted=with_deleted)
        if query.group_by:
            names = (_sql_name(self._field(i.field, i.at)) for i in query.group_by)
            tail += " GROUP BY " + ", ".join(names)
        if query.order_by:
            tail += " ORDER BY " + ", ".join(self._ordering(o) for o in query.order_by)
        elif not (is_aggregate or is_count):
            tail += " ORDER BY Id"
        tail += self._window()
        return Compiled(
            view=self._view,
            columns=columns,
            is_count=is_count,
            is_aggregate=is_aggregate,
            select=f'SELECT {selected} FROM "{self._view.name}"',  # noqa: S608 -- metadata names
            tail=tail,
            values=tuple(self._values),
        )

    def _columns(self, *, is_aggregate: bool) -> tuple[tuple[Column, ...], str]:
        if not self._query.items:
            return (Column("count", None),), "COUNT(*)"
        columns: list[Column] = []
        parts: list[str] = []
        grouped = {i.field.lower() for i in self._query.group_by}
        for item in self._query.items:
            field = self._field(item.field, item.at)
            if item.function is None:
                if is_aggregate and item.field.lower() not in grouped:
                    text = f"Field must be grouped or aggregated: {field.name}"
                    raise self._refuse(item.at, "MALFORMED_QUERY", text)
                columns.append(Column(field.name, field))
                parts.append(_sql_name(field))
            else:
                unnamed = sum(c.name.startswith("expr") for c in columns)
                counts = item.function.startswith("COUNT")
                name = item.alias or f"expr{unnamed}"
                columns.append(Column(name, None if counts else field))
                parts.append(self._aggregate(item, field))
        names = [c.name.lower() for c in columns]
        if len(set(names)) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            text = f"duplicate field selected: {twice}"
            raise self._refuse(self._query.items[0].at, "INVALID_FIELD", text)
        return tuple(columns), ", ".join(parts)

    def _aggregate(self, item: Item, field: Field) -> str:
        if item.function == "SUM" and field.type not in {"double", "currency"}:
            text = f"field {field.name} does not support aggregate operator SUM"
            raise self._refuse(item.at, "MALFORMED_QUERY", text)
        name = _sql_name(field)
        if item.function == "COUNT_DISTINCT":
            return f"COUNT(DISTINCT {name})"
        return f"{item.function}({name})"

    def _where(self, user: User, *, with_deleted: bool) -> str:
        terms: list[str] = [] if with_deleted else ["IsDeleted = 0"]
        if not self._view.may_see(_NO_ID, user):
            terms.append("OwnerId = ?")
            self._values.append(user.sequence)
        if self._query.where is not None:
            terms.append(self._condition(self._query.where))
        return " AND ".join(terms) or "1"

    def _condition(self, condition: Condition) -> str:
        if isinstance(condition, Negation):
            return f"NOT {self._condition(condition.term)}"
        if isinstance(condition, Junction):
            word = f" {condition.word} "
            return "(" + word.join(self._condition(t) for t in condition.terms) + ")"
        return self._comparison(condition)

    def _comparison(self, term: Comparison) -> str:
        field = self._field(term.field, term.at)
        name = _sql_name(field)
        if _compares_folded(field):
            name = f"fold({name})"
        if term.operator in {"IN", "NOT IN"}:
            return self._membership(term, field, name)
        value = term.values[0]
        if term.operator == "LIKE":
            if field.type not in {"string", "picklist"} or not isinstance(value, Quoted):
                text = f"invalid operator on {field.type} field"
                raise self._refuse(term.at, "INVALID_QUERY_FILTER_OPERATOR", text)
            self._values.append(value.pattern().casefold())
            return f"(coalesce(fold({_sql_name(field)}) LIKE ? ESCAPE '\\', 0))"
        self._values.append(self._value(field, value, term, ROUNDING[term.operator]))
        if term.operator in {"=", "!="}:
            return f"({name} IS {'NOT ' if term.operator == '!=' else ''}?)"
        return f"(coalesce({name} {term.operator} ?, 0))"

    def _membership(self, term: Comparison, field: Field, name: str) -> str:
        values = [self._value(field, v, term, exactly) for v in term.values]
        known = [v for v in values if v is not None]
        self._values += known
        marks = ",".join("?" * len(known))
        found = f"coalesce({name} IN ({marks}), 0)"
        if len(known) < len(values):
            found = f"({found} OR {name} IS NULL)"
        return f"NOT {found}" if term.operator == "NOT IN" else found

    def _value(
        self, field: Field, value: Value, term: Comparison, scale: Callable[[Decimal], int | str]
    ) -> int | str | None:
        """Return a literal in the form in which the field is stored.

        Raises:
            ApiError: 400, the field does not compare with such a literal.

        """
        if value is None:
            return None
        stored: int | str | _Misfit | None = _MISFIT
        if field.type in {"string", "picklist"} and isinstance(value, Quoted):
            text = value.plain()
            stored = (text.casefold() if _compares_folded(field) else text) or None
        elif field.type in {"id", "reference"} and isinstance(value, Quoted):
            prefix = self._view.prefix if field.type == "id" else field.key_prefix
            stored = sequence_of(prefix, value.plain())
            stored = _NO_ID if stored is None else stored
        elif field.type in {"double", "currency"} and isinstance(value, Decimal):
            stored = scale(value.scaleb(field.scale))
        elif field.type == "datetime" and isinstance(value, Moment):
            moment = parse_datetime(value.text)
            stored = _MISFIT if moment is None else scale(Decimal(moment.timestamp()))
        elif field.type == "boolean" and isinstance(value, bool):
            stored = int(value)
        if isinstance(stored, _Misfit):
            raise self._misfit(field, value, term)
        return stored

    def _misfit(self, field: Field, value: Value, term: Comparison) -> ApiError:
        hint = " and should not be enclosed in quotes" if isinstance(value, Quoted) else ""
        if field.type in {"string", "picklist", "id", "reference"}:
            hint = " and should be enclosed in quotes"
        text = (
            f"value of filter criterion for field '{field.name}' must be of type"
            f" {_SOQL_TYPES.get(field.type, field.type)}{hint}"
        )
        return self._refuse(term.at, "INVALID_FIELD", text)

    def _ordering(self, term: Ordering) -> str:
        name = _sql_name(self._field(term.field, term.at))
        name = f"fold({name})" if _compares_folded(self._field(term.field, term.at)) else name
        direction = "DESC" if term.is_descending else "ASC"
        return f"{name} {direction} NULLS {'LAST' if term.nulls_last else 'FIRST'}"

    def _window(self) -> str:
        if self._query.offset > MAX_OFFSET:
            text = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise refuse(400, "NUMBER_OUTSIDE_VALID_RANGE", text)
        if self._query.limit is None and not self._query.offset:
            return ""
        limit = -1 if self._query.limit is None else min(self._query.limit, INT64 - 1)
        return f" LIMIT {limit} OFFSET {self._query.offset}"

    def _field(self, name: str, at: int) -> Field:
        """Return a field of the view; ``Object.Field`` names it too."""
        head, _, tail = name.rpartition(".")
        field = self._view.field(tail) if head.lower() in {"", self._view.name.lower()} else None
        if field is not None:
            return field
        if head:
            text = (
                f"Didn't understand relationship '{head}' in field path. If you are attempting to"
                " use a custom relationship, be sure to append the '__r' after the custom"
                " relationship name. Please reference your WSDL or the describe call for the"
                " appropriate names."
            )
        else:
            text = (
                f"No such column '{name}' on entity '{self._view.name}'. If you are attempting to"
                " use a custom field, be sure to append the '__c' after the custom field name."
                " Please reference your WSDL or the describe call for the appropriate names."
            )
        raise self._refuse(at, "INVALID_FIELD", text)

    def _refuse(self, at: int, code: str, message: str) -> ApiError:
        return refuse(400, code, pointed(self._query.text, at, message))


_SOQL_TYPES = {"datetime": "dateTime", "picklist": "string", "id": "ID", "reference": "ID"}


def _sql_name(field: Field) -> str:
    return f'"{field.name}"'


def _compares_folded(field: Field) -> bool:
    return field.type in {"string", "picklist"} and not field.is_case_sensitive
