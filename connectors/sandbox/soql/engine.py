"""Runs SOQL and pages through the answer.

A query's ids are fixed when it runs; its pages are read when they are asked for, as in the
real org.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from connectors.sandbox.access import User, Views
from connectors.sandbox.errors import refuse
from connectors.sandbox.soql import permissions
from connectors.sandbox.soql.answer import Records, Row, aggregates
from connectors.sandbox.soql.compiled import Child, Column, Compiled
from connectors.sandbox.soql.cursors import Cursors
from connectors.sandbox.soql.parser import parse
from connectors.sandbox.soql.scope import Reader
from connectors.sandbox.soql.sql import compile_query
from connectors.sandbox.store import Store

MIN_BATCH, MAX_BATCH = 200, 2000  # records per page; Salesforce's limits


class QueryEngine:
    """Answers queries, and keeps what does not fit one page."""

    def __init__(self, views: Views) -> None:
        """Show what *views* show."""
        self._views = views
        self._cursors = Cursors()

    def compile(self, text: str, user: User, *, with_deleted: bool) -> Compiled:
        """Return the query in *text* as SQL over what *user* sees.

        Raises:
            ApiError: 400, the query is malformed or names what the user cannot see.

        """
        return compile_query(parse(text), Reader(self._views, user, with_deleted))

    def run(  # noqa: PLR0913 -- who asks what, of which store
        self, store: Store, text: str, user: User, version: str, *, batch: int, with_deleted: bool
    ) -> dict[str, Any]:
        """Return the first page of the query's answer.

        Args:
            store: Where the rows are.
            text: SOQL.
            user: Who asks.
            version: Of the API, such as ``62.0``; part of the urls in the answer.
            batch: Records per page; taken into 200 to 2000.
            with_deleted: Also rows in the recycle bin.

        Raises:
            ApiError: 400, the query is malformed or names what the user cannot see.

        """
        query = parse(text)
        if permissions.is_asked(query):
            return permissions.answer(query, self._views, user)
        compiled = compile_query(query, Reader(self._views, user, with_deleted))
        batch = max(MIN_BATCH, min(batch, MAX_BATCH))
        with store.snapshot():
            if compiled.is_count:
                return {"totalSize": count(store, compiled), "done": True, "records": []}
            if compiled.is_aggregate:
                return _aggregate(store, compiled)
            return _Pages(store, self._cursors, user, version).first(compiled, batch)

    def more(self, store: Store, locator: str, user: User, version: str) -> dict[str, Any]:
        """Return the page that a ``nextRecordsUrl`` names, such as ``01g...-2000``.

        Raises:
            ApiError: 400, there is no such cursor of this user.

        """
        name, cursor, start = self._cursors.find(locator, user)
        end = start + cursor.batch
        pages = _Pages(store, self._cursors, user, version)
        with store.snapshot():
            records = pages.later(cursor.compiled, cursor.ids[start:end], cursor.batch)
        return pages.page(len(cursor.ids), records, name if end < len(cursor.ids) else None, end)

    def flat(self, text: str, user: User, *, with_deleted: bool) -> Compiled:
        """Return the query in *text* if Bulk API 2.0 takes it: its rows are flat.

        Raises:
            ApiError: 400: malformed, names what the user cannot see, or not to be had in Bulk:
                counts and groups, subqueries, OFFSET.

        """
        compiled = self.compile(text, user, with_deleted=with_deleted)
        refused = {
            "Aggregate Relationships": (
                bool(compiled.children) or compiled.is_count or compiled.is_aggregate
            ),
            "OFFSET": compiled.query.offset > 0,
        }
        for name, is_used in refused.items():
            if is_used:
                text = f"{name} not supported in Bulk V2 Query with CSV content type"
                raise refuse(400, "API_ERROR", text)
        return compiled

    def rows(
        self, store: Store, text: str, user: User, *, with_deleted: bool
    ) -> tuple[tuple[Column, ...], Iterator[Row]]:
        """Return a query's columns and its rows, flat, as Bulk API 2.0 gives them.

        The rows are read as they are taken, all of one state of the org. Each holds one stored
        value per column, None where there is no such parent; `Column.flat_name` is a column's
        header, ``operand.field`` its field, ``operand.render()`` the function that shows it.

        Raises:
            ApiError: 400, as `flat` says.

        """
        compiled = self.flat(text, user, with_deleted=with_deleted)
        columns = ", ".join(column.operand.selected for column in compiled.columns)
        return compiled.columns, store.stream(compiled.select(columns), compiled.values)


class _Pages:
    """Makes pages of answers to one user."""

    def __init__(self, store: Store, cursors: Cursors, user: User, version: str) -> None:
        self._store, self._cursors = store, cursors
        self._user, self._version = user, version

    def first(self, compiled: Compiled, batch: int) -> dict[str, Any]:
        shown = Records(compiled, self._version)
        stream = self._store.stream(compiled.select(shown.columns), compiled.values)
        rows = list(islice(stream, batch + 1))
        if len(rows) <= batch:
            return self.page(len(rows), self._records(shown, rows, batch), None, 0)
        del rows[batch:]
        ids_only = compiled.select(f"{compiled.root.table}.Id")
        ids = array("q", (row[0] for row in self._store.stream(ids_only, compiled.values)))
        name = self._cursors.keep(self._user, compiled, ids, batch)
        return self.page(len(ids), self._records(shown, rows, batch), name, batch)

    def page(
        self, total: int, records: Sequence[object], cursor: str | None, end: int
    ) -> dict[str, Any]:
        """Return a page; *cursor* names what is left after position *end*, if anything is."""
        page: dict[str, Any] = {"totalSize": total, "done": cursor is None}
        if cursor is not None:
            page["nextRecordsUrl"] = f"/services/data/v{self._version}/query/{cursor}-{end}"
        page["records"] = records
        return page

    def later(self, compiled: Compiled, ids: "array[int]", batch: int) -> list[object]:
        """Return the rows with those numbers, in that order, as far as they are still there."""
        shown, table = Records(compiled, self._version), compiled.root.table
        sql = f"SELECT {shown.columns} {compiled.source}"
        sql += f" WHERE {table}.Id IN (SELECT value FROM json_each(?))"  # noqa: S608 -- compiled
        found = {row[0]: row for row in self._store.select(sql, (json.dumps(ids.tolist()),))}
        return self._records(shown, [found[i] for i in ids if i in found], batch)

    def _records(self, shown: Records, rows: Sequence[Row], batch: int) -> list[object]:
        """Return the records of *rows*, with those of their children."""
        if shown.children:
            ids = [row[0] for row in rows]
            nested = [self._children(child, ids, batch) for child in shown.children]
            rows = [(*row, *(lists.get(row[0]) for lists in nested)) for row in rows]
        return shown.show(rows)

    def _children(self, child: Child, parents: list[int], batch: int) -> dict[int, dict[str, Any]]:
        """Return what the subquery *child* answers for each of *parents* that has children."""
        compiled, query = child.compiled, child.compiled.query
        shown, key = Records(compiled, self._version), f'{compiled.root.table}."{child.key.name}"'
        where = f"{compiled.where} AND" if compiled.where else " WHERE"
        sql = f"SELECT {shown.columns}, {key} {compiled.source}{where}"
        sql += f" {key} IN (SELECT value FROM json_each(?)){compiled.order}"  # noqa: S608 -- compiled
        end = None if query.limit is None else query.offset + query.limit
        found: dict[int, list[Row]] = {}
        for row in self._store.stream(sql, (*compiled.values, json.dumps(parents))):
            rows = found.setdefault(row[-1], [])
            if end is None or len(rows) < end:
                rows.append(row[:-1])
        answers = ((p, rows[query.offset :]) for p, rows in found.items())
        return {p: self._nested(compiled, shown, rows, batch) for p, rows in answers if rows}

    def _nested(
        self, compiled: Compiled, shown: Records, rows: list[Row], batch: int
    ) -> dict[str, Any]:
        records = self._records(shown, rows[:batch], batch)
        if len(rows) <= batch:
            return self.page(len(rows), records, None, 0)
        ids = array("q", (row[0] for row in rows))
        name = self._cursors.keep(self._user, compiled, ids, batch)
        return self.page(len(rows), records, name, batch)


def count(store: Store, compiled: Compiled) -> int:
    """Return how many rows, or groups of rows, a query has."""
    if not compiled.window and not compiled.query.group_by:
        return int(store.select(compiled.select("COUNT(*)"), compiled.values)[0][0])
    sql = f"SELECT COUNT(*) FROM ({compiled.select('1')})"  # noqa: S608 -- compiled
    return int(store.select(sql, compiled.values)[0][0])


def _aggregate(store: Store, compiled: Compiled) -> dict[str, Any]:
    columns = ", ".join(column.operand.selected for column in compiled.columns)
    rows = store.select(compiled.select(columns), compiled.values)
    if len(rows) > MAX_BATCH:
        text = "Aggregate query does not support queryMore(), use LIMIT to restrict the results"
        raise refuse(400, "EXCEEDED_ID_LIMIT", text)
    records = aggregates(compiled, rows)
    return {"totalSize": len(records), "done": True, "records": records}
