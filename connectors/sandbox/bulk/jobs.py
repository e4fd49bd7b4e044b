"""A job, its states, and how the API shows it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connectors.sandbox.bulk.table import Format
from connectors.sandbox.ids import USER_PREFIX, record_id
from connectors.sandbox.rows.forms import render_datetime

JOB_PREFIX = "750"


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
    """What a job does: with its rows, or to find them."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"
    QUERY = "query"
    QUERY_ALL = "queryAll"


QUERIES = frozenset({Operation.QUERY, Operation.QUERY_ALL})


class Kind(StrEnum):
    """What a job is for; the value is its ``jobType``."""

    INGEST = "V2Ingest"
    QUERY = "V2Query"

    @property
    def path(self) -> str:
        """Where its resources lie, below ``jobs/``."""
        return "query" if self is Kind.QUERY else "ingest"


class StoppedError(Exception):
    """The org stops, or the job was aborted: what was begun is of no use."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a job was created to do.

    Attributes:
        user: Number of the user whose rights it has.
        sobject: Whose rows it writes, or reads.
        key: Name of the external id field, for upserts.
        version: API version it was created with.
        query: SOQL, for query jobs.

    """

    user: int
    sobject: str
    operation: Operation
    key: str | None
    layout: Format
    version: str
    query: str | None = None

    @property
    def kind(self) -> Kind:
        """What the job is for."""
        return Kind.QUERY if self.operation in QUERIES else Kind.INGEST


@dataclass(frozen=True, slots=True)
class Job:
    """One job, of ingest or of a query.

    Attributes:
        number: Behind its id.
        created_at: Seconds since 1970.
        changed_at: Seconds since 1970.
        is_uploaded: An ingest job's data lies in the org's folder.
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
        return {**self.as_json(), **self._content_url(), **self._layout()}

    def as_listed(self) -> dict[str, Any]:
        """Return how it stands in a list of jobs."""
        kind = {"jobType": self.order.kind}
        return {**self.as_json(), **kind, **self._content_url(), **self._layout()}

    def as_info(self) -> dict[str, Any]:
        """Return what asking for it answers."""
        is_query = self.order.kind is Kind.QUERY
        counts = {"numberRecordsProcessed": self.processed}
        if not is_query:
            counts["numberRecordsFailed"] = self.failed
        times = {"retries": 0, "totalProcessingTime": self.work_ms}
        if not is_query:
            times |= {"apiActiveProcessingTime": self.work_ms, "apexProcessingTime": 0}
        chunks = {"isPkChunkingSupported": True} if is_query else {}
        error = {} if self.error is None else {"errorMessage": self.error}
        return {**self.as_listed(), **counts, **times, **chunks, **error}

    def _content_url(self) -> dict[str, str]:
        if self.order.kind is Kind.QUERY:
            return {}
        url = f"services/data/v{self.order.version}/jobs/ingest/{self.id}/batches"
        return {"contentUrl": url}

    def _layout(self) -> dict[str, str]:
        layout = self.order.layout
        return {"lineEnding": layout.ending, "columnDelimiter": layout.delimiter}
