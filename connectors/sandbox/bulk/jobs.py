"""A job, its states, and how it is kept in the org's tables."""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.sandbox.access import User
from connectors.sandbox.bulk.table import Format
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.ids import USER_PREFIX, record_id, sequence_of
from connectors.sandbox.rows.values import render_datetime
from connectors.sandbox.store import ADMIN, Store

JOB_PREFIX = "750"
KEEP_S = 7 * 86_400  # results and jobs are kept seven days
MAX_LISTED = 1000  # jobs per page
BATCH_ROWS = 10_000  # what counts as one batch against the daily allowance
DAILY_BATCHES = 15_000
DAY_S = 86_400


class State(StrEnum):
    """Where a job stands."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"
    DELETED = "Deleted"  # never shown: its batches still count for a day


ENDED = frozenset({State.JOB_COMPLETE, State.FAILED, State.ABORTED})
WAITING = frozenset({State.UPLOAD_COMPLETE, State.IN_PROGRESS})


class Operation(StrEnum):
    """What a job does with its rows."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


@dataclass(frozen=True, slots=True)
class Order:
    """What a job was created to do.

    Attributes:
        user: Number of the user whose rights it has.
        key: Name of the external id field, for upserts.
        version: API version it was created with.

    """

    user: int
    sobject: str
    operation: Operation
    key: str | None
    layout: Format
    version: str


@dataclass(frozen=True, slots=True)
class Job:
    """One ingest job.

    Attributes:
        number: Behind its id.
        created_at: Seconds since 1970.
        changed_at: Seconds since 1970.
        is_uploaded: Its data lies in the org's folder.
        next_byte: Where in its data the first row lies that is not processed; 0 if the header
            has not been checked.
        processed: Rows, the failed ones included.
        work_ms: Spent on rows.
        error: Why it failed.

    """

    number: int
    order: Order
    state: State
    created_at: int
    changed_at: int
    is_uploaded: bool
    next_byte: int
    processed: int
    failed: int
    work_ms: int
    error: str | None

    @property
    def id(self) -> str:
        """Its id, 18 characters."""
        return record_id(JOB_PREFIX, self.number)

    def as_json(self) -> dict[str, Any]:
        """Return what changing its state answers."""
        order = self.order
        key = {} if order.key is None else {"externalIdFieldName": order.key}
        return {
            "id": self.id,
            "operation": order.operation,
            "object": order.sobject,
            "createdById": record_id(USER_PREFIX, order.user),
            "createdDate": render_datetime(self.created_at),
            "systemModstamp": render_datetime(self.changed_at),
            "state": self.state,
            **key,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(order.version),
        }

    def as_new(self) -> dict[str, Any]:
        """Return what creating it answers."""
        version, layout = self.order.version, self.order.layout
        return {
            **self.as_json(),
            "contentUrl": f"services/data/v{version}/jobs/ingest/{self.id}/batches",
            "lineEnding": layout.ending,
            "columnDelimiter": layout.delimiter,
        }

    def as_info(self) -> dict[str, Any]:
        """Return what asking for it answers."""
        error = {} if self.error is None else {"errorMessage": self.error}
        return {
            **self.as_new(),
            "jobType": "V2Ingest",
            "retries": 0,
            "totalProcessingTime": self.work_ms,
            "apiActiveProcessingTime": self.work_ms,
            "apexProcessingTime": 0,
            "numberRecordsProcessed": self.processed,
            "numberRecordsFailed": self.failed,
            **error,
        }


def add_job(store: Store, order: Order) -> Job:
    """Store a new job, open for its upload."""
    now = int(time.time())
    number = store.add(
        "INSERT INTO bulk_jobs (user, sobject, operation, key, delimiter, ending, version, state,"
        " created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order.user, order.sobject, order.operation, order.key, order.layout.delimiter,
            order.layout.ending, order.version, State.OPEN, now, now,
        ),
    )  # fmt: skip
    return Job(number, order, State.OPEN, now, now, False, 0, 0, 0, 0, None)  # noqa: FBT003 -- fields


def find_job(store: Store, number: int) -> Job | None:
    """Return the job of that number, or None if there is none or it was deleted."""
    sql = f"{_SELECT} WHERE number = ? AND state != ?"
    rows = store.select(sql, (number, State.DELETED))
    return _job(rows[0]) if rows else None


def get_job(store: Store, text: str, user: User) -> Job:
    """Return the job with the id *text*, if it is *user*'s own; the administrator sees all.

    Raises:
        ApiError: 404, there is none.

    """
    number = sequence_of(JOB_PREFIX, text)
    job = None if number is None else find_job(store, number)
    if job is None or not (user.username == ADMIN or job.order.user == user.sequence):
        raise not_found()
    return job


def list_jobs(store: Store, user: User, after: int) -> list[Job]:
    """Return one page of the jobs that *user* sees, oldest first, from number *after* + 1 on."""
    owner = None if user.username == ADMIN else user.sequence
    sql = (
        f"{_SELECT} WHERE state != ?1 AND number > ?2 AND (?3 IS NULL OR user = ?3)"
        f" ORDER BY number LIMIT {MAX_LISTED}"
    )
    return [_job(row) for row in store.select(sql, (State.DELETED, after, owner))]


def waiting_jobs(store: Store) -> list[int]:
    """Return the numbers of the jobs that are to be carried out, oldest first."""
    sql = "SELECT number FROM bulk_jobs WHERE state IN (?, ?) ORDER BY number"
    return [row[0] for row in store.select(sql, (State.UPLOAD_COMPLETE, State.IN_PROGRESS))]


def used_batches(store: Store) -> int:
    """Return the batches of the last 24 hours; a job that was closed is at least one."""
    sql = "SELECT processed FROM bulk_jobs WHERE state NOT IN (?, ?) AND changed_at > ?"
    rows = store.select(sql, (State.OPEN, State.ABORTED, int(time.time()) - DAY_S))
    return sum(max(1, -(-row[0] // BATCH_ROWS)) for row in rows)


def change_state(store: Store, job: Job, state: State, error: str | None = None) -> Job:
    """Put the job into *state* and return it."""
    store.run(
        "UPDATE bulk_jobs SET state = ?, error = ?, changed_at = ? WHERE number = ?",
        (state, error, int(time.time()), job.number),
    )
    return find_job(store, job.number) or job


def drop_results(store: Store, number: int) -> None:
    """Forget what became of the job's rows."""
    store.run("DELETE FROM bulk_results WHERE job = ?", (number,))


def wrong_state(text: str) -> ApiError:
    """Return the refusal of what a job's state does not allow."""
    return refuse(400, "INVALIDJOBSTATE", text)


_COLUMNS = (
    "number, user, sobject, operation, key, delimiter, ending, version, state, created_at,"
    " changed_at, is_uploaded, next_byte, processed, failed, work_ms, error"
)
_SELECT = f"SELECT {_COLUMNS} FROM bulk_jobs"  # noqa: S608 -- our own names


def _job(row: tuple[Any, ...]) -> Job:
    number, user, sobject, operation, key, delimiter, ending, version, state, *rest = row
    layout = Format(delimiter, ending)
    order = Order(user, sobject, Operation(operation), key, layout, version)
    created_at, changed_at, is_uploaded, *counts = rest
    return Job(number, order, State(state), created_at, changed_at, bool(is_uploaded), *counts)
