"""How jobs are kept in the org's tables, and what of the day's allowances they use."""

import time
from typing import Any

from connectors.sandbox.access import User
from connectors.sandbox.bulk.jobs import ENDED, JOB_PREFIX, Job, Kind, Operation, Order, State
from connectors.sandbox.bulk.table import Format
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.ids import sequence_of
from connectors.sandbox.store import ADMIN, Store

KEEP_S = 7 * 86_400  # results and jobs are kept seven days
MAX_LISTED = 1000  # jobs per page
BATCH_ROWS = 10_000  # what counts as one batch against the daily allowance
DAILY_BATCHES = 15_000
DAILY_QUERIES = 10_000  # query jobs in 24 hours
MAX_OPEN_S = 86_400  # a job waits for its data no longer
DAY_S = 86_400


def add_job(store: Store, order: Order) -> Job:
    """Store a new job: ingest waits for its upload, a query for its turn."""
    state = State.OPEN if order.kind is Kind.INGEST else State.UPLOAD_COMPLETE
    now = int(time.time())
    number = store.add(
        "INSERT INTO bulk_jobs (user, sobject, operation, key, delimiter, ending, version, query,"
        " state, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order.user, order.sobject, order.operation, order.key, order.layout.delimiter,
            order.layout.ending, order.version, order.query, state, now, now,
        ),
    )  # fmt: skip
    return Job(number, order, state, now, now, False, 0, 0, 0, 0, None)  # noqa: FBT003 -- fields


def find_job(store: Store, number: int) -> Job | None:
    """Return the job of that number, or None if there is none or it was deleted."""
    sql = f"{_SELECT} WHERE number = ? AND state != ?"
    rows = store.select(sql, (number, State.DELETED))
    return _job(rows[0]) if rows else None


def get_job(store: Store, kind: Kind, text: str, user: User) -> Job:
    """Return the job with the id *text*, if it is *user*'s own; the administrator sees all.

    Raises:
        ApiError: 404, there is none of that kind.

    """
    number = sequence_of(JOB_PREFIX, text)
    job = None if number is None else find_job(store, number)
    if job is None or job.order.kind is not kind:
        raise not_found()
    if not (user.username == ADMIN or job.order.user == user.sequence):
        raise not_found()
    return job


def list_jobs(store: Store, kind: Kind, user: User, after: int) -> list[Job]:
    """Return one page of the jobs that *user* sees, oldest first, from number *after* + 1 on."""
    owner = None if user.username == ADMIN else user.sequence
    sql = (
        f"{_SELECT} WHERE state != ?1 AND number > ?2 AND (?3 IS NULL OR user = ?3)"
        f" AND (query IS NOT NULL) = ?4 ORDER BY number LIMIT {MAX_LISTED}"
    )
    return [
        _job(row) for row in store.select(sql, (State.DELETED, after, owner, kind is Kind.QUERY))
    ]


def waiting_jobs(store: Store) -> list[Job]:
    """Return the jobs that are to be carried out, oldest first."""
    sql = f"{_SELECT} WHERE state IN (?, ?) ORDER BY number"
    return [_job(row) for row in store.select(sql, (State.UPLOAD_COMPLETE, State.IN_PROGRESS))]


def used_batches(store: Store) -> int:
    """Return the batches of the last 24 hours; an ingest job that was closed is at least one."""
    sql = (
        "SELECT processed FROM bulk_jobs"
        " WHERE query IS NULL AND state NOT IN (?, ?) AND changed_at > ?"
    )
    rows = store.select(sql, (State.OPEN, State.ABORTED, int(time.time()) - DAY_S))
    return sum(max(1, -(-row[0] // BATCH_ROWS)) for row in rows)


def used_queries(store: Store) -> int:
    """Return how many query jobs were created in the last 24 hours."""
    sql = "SELECT COUNT(*) FROM bulk_jobs WHERE query IS NOT NULL AND created_at > ?"
    return int(store.select(sql, (int(time.time()) - DAY_S,))[0][0])


def drop_old_jobs(store: Store) -> None:
    """Remove jobs of more than seven days; abort those that wait a day for their data."""
    now = int(time.time())
    with store.transaction():
        old = "(SELECT number FROM bulk_jobs WHERE changed_at < ?)"
        store.run(f"DELETE FROM bulk_results WHERE job IN {old}", (now - KEEP_S,))  # noqa: S608 -- ours
        store.run("DELETE FROM bulk_jobs WHERE changed_at < ?", (now - KEEP_S,))
        store.run(
            "UPDATE bulk_jobs SET state = ?, changed_at = ? WHERE state = ? AND created_at < ?",
            (State.ABORTED, now, State.OPEN, now - MAX_OPEN_S),
        )


def known_jobs(store: Store) -> frozenset[str]:
    """Return the numbers of all jobs that are not deleted, as text: the names of their files."""
    rows = store.select("SELECT number FROM bulk_jobs WHERE state != ?", (State.DELETED,))
    return frozenset(str(row[0]) for row in rows)


def change_state(store: Store, job: Job, state: State, error: str | None = None) -> Job:
    """Put the job into *state* and return it."""
    store.run(
        "UPDATE bulk_jobs SET state = ?, error = ?, changed_at = ? WHERE number = ?",
        (state, error, int(time.time()), job.number),
    )
    return find_job(store, job.number) or job


def fail(store: Store, number: int, error: str) -> None:
    """Fail the job, if nobody has ended it meanwhile; what is committed stays."""
    with store.transaction():
        job = find_job(store, number)
        if job is not None and job.state not in ENDED:
            change_state(store, job, State.FAILED, error)


def complete_query(store: Store, number: int, rows: int, work_ms: int) -> bool:
    """Complete a query job that read *rows*, if nobody has ended it meanwhile; return whether."""
    with store.transaction():
        job = find_job(store, number)
        if job is None or job.state is not State.IN_PROGRESS:
            return False
        sql = "UPDATE bulk_jobs SET processed = ?, work_ms = ? WHERE number = ?"
        store.run(sql, (rows, work_ms, number))
        change_state(store, job, State.JOB_COMPLETE)
        return True


def drop_results(store: Store, number: int) -> None:
    """Forget what became of the job's rows."""
    store.run("DELETE FROM bulk_results WHERE job = ?", (number,))


def wrong_state(text: str) -> ApiError:
    """Return the refusal of what a job's state does not allow."""
    return refuse(400, "INVALIDJOBSTATE", text)


_COLUMNS = (
    "number, user, sobject, operation, key, delimiter, ending, version, query, state, created_at,"
    " changed_at, is_uploaded, next_byte, processed, failed, work_ms, error"
)
_SELECT = f"SELECT {_COLUMNS} FROM bulk_jobs"  # noqa: S608 -- our own names


def _job(row: tuple[Any, ...]) -> Job:
    number, user, sobject, operation, key, delimiter, ending, version, query, state, *rest = row
    layout = Format(delimiter, ending)
    order = Order(user, sobject, Operation(operation), key, layout, version, query)
    created_at, changed_at, is_uploaded, *counts = rest
    return Job(number, order, State(state), created_at, changed_at, bool(is_uploaded), *counts)
