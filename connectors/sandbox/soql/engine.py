"""Runs SOQL and pages through the answer.

A query's ids are fixed when it runs; its pages are read when they are asked for, as in the
real org. Cursors live in memory: a restart ends them.
"""

import json
import secrets
import threading
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.access import User, Views
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.values import Render, Stored, renderer
from connectors.sandbox.soql.parser import parse, pointed
from connectors.sandbox.soql.sql import Compiled, compile_query
from connectors.sandbox.soql.tree import Query
from connectors.sandbox.store import Store

MIN_BATCH, MAX_BATCH = 200, 2000  # records per page; Salesforce's limits
MAX_CURSORS = 100
CURSOR_PREFIX = "01g"


@dataclass(frozen=True, slots=True)
class Cursor:
    """An answer that does not fit one page.

    Attributes:
        user: Sequence number of who asked; nobody else may go on.
        ids: Sequence numbers of all rows, in order; 8 bytes each.

    """

    user: int
    compiled: Compiled
    ids: "array[int]"
    batch: int


class QueryEngine:
    """Answers queries, and keeps what does not fit one page."""

    def __init__(self, views: Views) -> None:
        """Show what *views* show."""
        self._views = views
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._lock = threading.Lock()

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
        view = self._views.find(user, query.sobject)
        if view is None:
            raise _unsupported_type(query)
        compiled = compile_query(query, view, user, with_deleted=with_deleted)
        batch = max(MIN_BATCH, min(batch, MAX_BATCH))
        with store.snapshot():
            if compiled.is_count:
                return _count(store, compiled, query)
            if compiled.is_aggregate:
                return _aggregate(store, compiled)
            sql = f'SELECT Id FROM "{view.name}"{compiled.tail}'  # noqa: S608 -- compiled
            ids = array("q", (row[0] for row in store.select(sql, compiled.values)))
            cursor = Cursor(user.sequence, compiled, ids, batch)
            return self._page(store, cursor, None, 0, version)

    def more(self, store: Store, locator: str, user: User, version: str) -> dict[str, Any]:
        """Return the page that a ``nextRecordsUrl`` names, such as ``01g...-2000``.

        Raises:
            ApiError: 400, there is no such cursor of this user.

        """
        name, _, start = locator.rpartition("-")
        with self._lock:
            cursor = self._cursors.get(name)
        if cursor is None or cursor.user != user.sequence or not start.isdecimal():
            raise refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        with store.snapshot():
            return self._page(store, cursor, name, int(start), version)

    def _page(
        self, store: Store, cursor: Cursor, name: str | None, start: int, version: str
    ) -> dict[str, Any]:
        end = start + cursor.batch
        records = _records(store, cursor.compiled, cursor.ids[start:end], version)
        is_done = end >= len(cursor.ids)
        page: dict[str, Any] = {"totalSize": len(cursor.ids), "done": is_done}
        if not is_done:
            name = name or self._keep(cursor)
            page["nextRecordsUrl"] = f"/services/data/v{version}/query/{name}-{end}"
        page["records"] = records
        return page

    def _keep(self, cursor: Cursor) -> str:
        name = record_id(CURSOR_PREFIX, secrets.randbits(48))
        with self._lock:
            self._cursors[name] = cursor
            if len(self._cursors) > MAX_CURSORS:
                self._cursors.popitem(last=False)
        return name


def _records(
    store: Store, compiled: Compiled, ids: "array[int]", version: str
) -> list[dict[str, Any]]:
    view = compiled.view
    sql = compiled.select.replace("SELECT ", "SELECT Id, ", 1)
    sql += " WHERE Id IN (SELECT value FROM json_each(?))"
    found = {r[0]: r[1:] for r in store.select(sql, (json.dumps(ids.tolist()),))}
    shape = _shape(compiled)
    base = f"/services/data/v{version}/sobjects/{view.name}/"
    return [
        {"attributes": {"type": view.name, "url": base + record_id(view.prefix, i)}}
        | {name: render(v) for (name, render), v in zip(shape, found[i], strict=True)}
        for i in ids
        if i in found
    ]


def _count(store: Store, compiled: Compiled, query: Query) -> dict[str, Any]:
    sql = f'SELECT 1 FROM "{compiled.view.name}"{compiled.tail}'  # noqa: S608 -- compiled
    if query.limit is None and not query.offset:
        total = store.select(compiled.select + compiled.tail, compiled.values)[0][0]
    else:
        total = len(store.select(sql, compiled.values))
    return {"totalSize": total, "done": True, "records": []}


def _aggregate(store: Store, compiled: Compiled) -> dict[str, Any]:
    shape = _shape(compiled)
    rows = store.select(compiled.select + compiled.tail, compiled.values)
    if len(rows) > MAX_BATCH:
        text = "Aggregate query does not support queryMore(), use LIMIT to restrict the results"
        raise refuse(400, "EXCEEDED_ID_LIMIT", text)
    records = [
        {"attributes": {"type": "AggregateResult"}}
        | {name: render(v) for (name, render), v in zip(shape, row, strict=True)}
        for row in rows
    ]
    return {"totalSize": len(records), "done": True, "records": records}


def _shape(compiled: Compiled) -> list[tuple[str, Render]]:
    """Return each column's name and how its values are written."""
    prefix = compiled.view.prefix
    return [
        (c.name, _plain if c.field is None else renderer(c.field, prefix)) for c in compiled.columns
    ]


def _plain(value: Stored) -> object:
    return value


def _unsupported_type(query: Query) -> ApiError:
    """Return the refusal of a query over an object that the user cannot see."""
    text = (
        f"sObject type '{query.sobject}' is not supported. If you are attempting to use a custom"
        " object, be sure to append the '__c' after the entity name. Please reference your WSDL"
        " or the describe call for the appropriate names."
    )
    return refuse(400, "INVALID_TYPE", pointed(query.text, query.sobject_at, text))
