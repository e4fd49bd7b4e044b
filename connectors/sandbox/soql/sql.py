"""Turns a parsed SOQL query into SQLite's SQL, for one user. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.soql.compiled import Child, Column, Compiled
from connectors.sandbox.soql.fields import groupable, selected_items
from connectors.sandbox.soql.lexer import pointed
from connectors.sandbox.soql.operands import Operand, operand
from connectors.sandbox.soql.scope import Reader, Scope
from connectors.sandbox.soql.tree import Item, Membership, Ordering, Query
from connectors.sandbox.soql.where import Conditions, Operands, SemiJoin

MAX_OFFSET = 2000  # rows; Salesforce's limit
TABLE = "t"  # what a statement calls the object that it reads


def compile_query(query: Query, reader: Reader) -> Compiled:
    """Return the SQL for *query* over the rows that the reader may see.

    Raises:
        ApiError: 400: an object or a field that the user cannot see, a wrong kind of literal, or
            a clause that does not fit.

    """
    view = reader.views.find(reader.user, query.source)
    if view is None:
        raise unsupported_type(query)
    return _Compiler(query, reader, view, TABLE).compile()


def unsupported_type(query: Query) -> ApiError:
    """Return the refusal of a query over an object that the user cannot see."""
    text = (
        f"sObject type '{query.source}' is not supported. If you are attempting to use a custom"
        " object, be sure to append the '__c' after the entity name. Please reference your WSDL"
        " or the describe call for the appropriate names."
    )
    return refuse(400, "INVALID_TYPE", pointed(query.text, query.source_at, text))


@dataclass
class _Compiler:
    query: Query
    reader: Reader
    view: View
    table: str
    values: list[Any] = field(default_factory=list)
    semi_joins: int = 0

    def __post_init__(self) -> None:
        self.scope = Scope(self.reader, self.query, self.view, self.table)

    def compile(self) -> Compiled:
        query = self.query
        items = selected_items(query, self.view, self.scope)
        is_aggregate = bool(query.group_by) or any(
            isinstance(i, Item) and i.function is not None and i.function != "TOLABEL"
            for i in items
        )
        columns, children = self._columns(items, is_aggregate=is_aggregate)
        where = self._where() + self._grouping()
        order = self._order(is_sorted=bool(query.items) and not is_aggregate)
        self._check_window()
        return Compiled(
            query=query,
            root=self.scope.root,
            columns=columns,
            children=children,
            is_count=not query.items,
            is_aggregate=is_aggregate,
            source=self.scope.source,
            where=where,
            order=order,
            values=tuple(self.values),
        )

    def _columns(
        self, items: Sequence[Item | Query], *, is_aggregate: bool
    ) -> tuple[tuple[Column, ...], tuple[Child, ...]]:
        columns: list[Column] = []
        children: list[Child] = []
        grouped = {operand(self.scope, i).reference.name for i in self.query.group_by}
        for item in items:
            if isinstance(item, Query):
                children.append(self._child(item, len(columns), is_aggregate=is_aggregate))
                continue
            found = operand(self.scope, item)
            if is_aggregate:
                columns.append(self._aggregate(found, columns, grouped))
                continue
            if item.alias is not None and item.function is None:
                text = "only aggregate expressions use field aliasing"
                raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
            columns.append(Column(item.alias or found.field.name, found))
        seen: set[str] = set()
        for name in (
            *(c.flat_name for c in columns if not is_aggregate),
            *(c.name for c in children),
        ):
            if name in seen:
                text = f"duplicate field selected: {name}"
                raise self.scope.refuse(self.query.source_at, "INVALID_FIELD", text)
            seen.add(name)
        return tuple(columns), tuple(children)

    def _aggregate(self, found: Operand, before: Sequence[Column], grouped: set[str]) -> Column:
        item = found.item
        if not found.is_aggregate and found.reference.name not in grouped:
            text = f"Field must be grouped or aggregated: {found.field.name}"
            raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
        unnamed = sum(c.operand.is_aggregate and c.operand.item.alias is None for c in before)
        default = f"expr{unnamed}" if found.is_aggregate else found.field.name
        name = item.alias or default
        if any(c.name.lower() == name.lower() for c in before):
            raise self.scope.refuse(item.at, "MALFORMED_QUERY", f"duplicate alias: {name}")
        return Column(name, found)

    def _child(self, query: Query, position: int, *, is_aggregate: bool) -> Child:
        if is_aggregate:
            text = "Grouped queries cannot hold subqueries"
            raise self.scope.refuse(query.source_at, "MALFORMED_QUERY", text)
        name = query.source.rpartition(".")[2]
        found = self.reader.views.child(self.reader.user, self.view, name)
        if found is None:
            text = (
                f"Didn't understand relationship '{name}' in FROM part of query call. If you are"
                " attempting to use a custom relationship, be sure to append the '__r' after the"
                " custom relationship name. Please reference your WSDL or the describe call for"
                " the appropriate names."
            )
            raise self.scope.refuse(query.source_at, "INVALID_TYPE", text)
        view, key = found
        compiled = _Compiler(query, self.reader, view, TABLE).compile()
        if compiled.is_count or compiled.is_aggregate:
            text = "Subqueries cannot count, group or aggregate"
            raise self.scope.refuse(query.source_at, "MALFORMED_QUERY", text)
        return Child(key.child_relationship or name, position, key, compiled)

    def _where(self) -> str:
        terms = self.scope.visible(self.scope.root)
        if self.query.is_mine:
            terms.append(f"{self.table}.OwnerId = {self.reader.user.sequence:d}")
        if self.query.where is not None:
            terms.append(self._conditions(self._plain, self._semi_join).sql(self.query.where))
        return f" WHERE {' AND '.join(terms)}" if terms else ""

    def _grouping(self) -> str:
        if not self.query.group_by:
            return ""
        names: list[str] = []
        for item in self.query.group_by:
            found = self._plain(item)
            if not groupable(found.field):
                text = f"field '{found.field.name}' can not be grouped in a query call"
                raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
            names.append(found.sql)
        sql = " GROUP BY " + ", ".join(names)
        if self.query.having is not None:
            conditions = self._conditions(self._grouped, self._no_semi_join)
            sql += " HAVING " + conditions.sql(self.query.having)
        return sql

    def _order(self, *, is_sorted: bool) -> str:
        terms = [self._ordering(o) for o in self.query.order_by]
        if is_sorted:  # by rows' ids at last, so that an answer always has one order
            terms.append(f"{self.table}.Id")
        return " ORDER BY " + ", ".join(terms) if terms else ""

    def _ordering(self, term: Ordering) -> str:
        is_grouped = bool(self.query.group_by)
        name = (self._grouped if is_grouped else self._plain)(term.item).ordered
        direction = "DESC" if term.is_descending else "ASC"
        return f"{name} {direction} NULLS {'LAST' if term.nulls_last else 'FIRST'}"

    def _plain(self, item: Item) -> Operand:
        found = operand(self.scope, item)
        if found.is_aggregate:
            text = f"Aggregate functions are not supported here: {item.function}"
            raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
        return found

    def _grouped(self, item: Item) -> Operand:
        found = operand(self.scope, item)
        grouped = {operand(self.scope, i).reference.name for i in self.query.group_by}
        if not found.is_aggregate and found.reference.name not in grouped:
            text = f"Field must be grouped or aggregated: {found.field.name}"
            raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
        return found

    def _conditions(self, operands: Operands, semi_join: SemiJoin) -> Conditions:
        return Conditions(self.scope, operands, semi_join, self.values)

    def _semi_join(self, term: Membership, is_top: bool) -> str:  # noqa: FBT001 -- a callback
        if not is_top:
            text = (
                "Semi join sub-selects are only allowed at the top level WHERE expressions and not"
                " in nested WHERE expressions."
            )
            raise self.scope.refuse(term.item.at, "MALFORMED_QUERY", text)
        if self.table != TABLE:
            text = "Nesting of semi join sub-selects is not supported"
            raise self.scope.refuse(term.item.at, "MALFORMED_QUERY", text)
        left, query = self._plain(term.item), term.query
        view = self.reader.views.find(self.reader.user, query.source)
        if view is None:
            raise unsupported_type(query)
        self.semi_joins += 1
        inner = _Compiler(query, self.reader, view, f"s{self.semi_joins}", self.values)
        selected = inner._selected_id(left)
        where = inner._where() or " WHERE 1"
        found = f"{left.sql} IN (SELECT {selected} {inner.scope.source}{where}"
        found += f" AND {selected} IS NOT NULL)"
        return f"NOT coalesce({found}, 0)" if term.is_negated else found

    def _selected_id(self, left: Operand) -> str:
        """Return what a semi-join selects, if it is an id of the object that *left* names."""
        (item,) = self.query.items
        if not isinstance(item, Item):
            raise TypeError
        found = self._plain(item)
        if _named_by(left) != _named_by(found) or _named_by(found) is None:
            text = (
                f"The selected field '{found.field.name}' in the subquery and the left operand"
                f" field '{left.field.name}' in the where expression in the outer query should"
                " point to the same object type"
            )
            raise self.scope.refuse(item.at, "MALFORMED_QUERY", text)
        return found.sql

    def _no_semi_join(self, term: Membership, is_top: bool) -> str:  # noqa: FBT001 -- a callback
        del is_top
        text = "Semi join sub-selects are not supported in HAVING"
        raise self.scope.refuse(term.item.at, "MALFORMED_QUERY", text)

    def _check_window(self) -> None:
        if self.query.offset > MAX_OFFSET:
            text = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise refuse(400, "NUMBER_OUTSIDE_VALID_RANGE", text)


def _named_by(found: Operand) -> str | None:
    """Return the key prefix of the object whose ids the field holds, or None if it holds none."""
    if found.field.type == "id":
        return found.reference.place.view.prefix
    return found.field.key_prefix if found.field.type == "reference" else None
