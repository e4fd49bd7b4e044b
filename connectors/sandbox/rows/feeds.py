"""The replication feeds of one object: which rows were deleted, which were made or changed.

Source: REST API, "sObject Get Deleted" and "sObject Get Updated"; SOAP API, "getDeleted()".
"""

import time
from dataclasses import dataclass

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.bin import KEPT_S
from connectors.sandbox.rows.forms import parse_datetime, render_datetime
from connectors.sandbox.store import Store

OLDEST_S = 30 * 24 * 3600  # how far back a span may begin
MAX_IDS = 600_000  # per answer
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time in seconds since 1970, *end* excluded."""

    start: int
    end: int
    now: int

    @property
    def covered(self) -> int:
        """Where the next span should begin: what changes later is not in this one."""
        return min(self.end, self.now)


async def get_deleted(call: Call) -> Answer:
    """List the rows that went into the recycle bin and are still there.

    ``earliestDateAvailable`` is when a row of the object was last removed for good. Such a row
    is in no list any more, so a client whose last span began before has to compare everything.
    """
    view, span = call.view(), _span(call)

    def work(store: Store) -> Answer:
        rows = _rows(store, view, span, call, is_deleted=True)
        purged = store.last_purge(view.name)
        return Answer(
            {
                "deletedRecords": [
                    {"id": record_id(view.prefix, at), "deletedDate": render_datetime(when)}
                    for at, when in rows
                ],
                "earliestDateAvailable": render_datetime(purged or span.now - OLDEST_S),
                "latestDateCovered": render_datetime(span.covered),
            }
        )

    return await call.read(work)


async def get_updated(call: Call) -> Answer:
    """List the live rows that were made or changed."""
    view, span = call.view(), _span(call)

    def work(store: Store) -> Answer:
        rows = _rows(store, view, span, call, is_deleted=False)
        ids = [record_id(view.prefix, at) for at, _ in rows]
        return Answer({"ids": ids, "latestDateCovered": render_datetime(span.covered)})

    return await call.read(work)


def _rows(
    store: Store, view: View, span: Span, call: Call, *, is_deleted: bool
) -> list[tuple[int, int]]:
    """Return (number, time of the last change) of the caller's rows that changed in *span*.

    Raises:
        ApiError: 400 EXCEEDED_ID_LIMIT.

    """
    earliest = max(span.start, span.now - KEPT_S) if is_deleted else span.start
    sql = (
        f'SELECT Id, SystemModstamp FROM "{view.name}" WHERE IsDeleted = {int(is_deleted)}'  # noqa: S608 -- metadata
        " AND SystemModstamp >= ?1 AND SystemModstamp < ?2 AND (?3 OR OwnerId = ?4)"
        " ORDER BY SystemModstamp, Id LIMIT ?5"
    )
    values = (earliest, span.end, view.sees_all, call.user.sequence, MAX_IDS + 1)
    rows = store.select(sql, values)
    if len(rows) > MAX_IDS:
        text = f"the span holds more than {MAX_IDS} ids; ask for a shorter one"
        raise refuse(400, "EXCEEDED_ID_LIMIT", text)
    return [(int(at), int(when)) for at, when in rows]


def _span(call: Call) -> Span:
    """Return the span in the URL; its seconds do not count.

    Raises:
        ApiError: 400 INVALID_REPLICATION_DATE.

    """
    start, end = _minute(call, "start"), _minute(call, "end")
    now = int(time.time())
    if start >= end:  # the real text has the two the wrong way round
        text = "startDate must be at least one minute greater than endDate"
        raise _invalid(text)
    if start < now - OLDEST_S - _MINUTE_S:
        text = "startDate cannot be more than 30 days ago"
        raise _invalid(text)
    return Span(start, end, now)


def _minute(call: Call, name: str) -> int:
    """Return the beginning of the minute that a parameter names."""
    text = call.param(name)
    moment = parse_datetime(text)
    if moment is None:
        text = f"{name} must be a date and time such as 2013-05-05T00:00:00+00:00"
        raise _invalid(text)
    return int(moment.timestamp()) // _MINUTE_S * _MINUTE_S


def _invalid(text: str) -> ApiError:
    return refuse(400, "INVALID_REPLICATION_DATE", text)
