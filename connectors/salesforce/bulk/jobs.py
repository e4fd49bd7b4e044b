"""What is kept of a job while the org may still carry it out, so that a crash forgets none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.events import RecordId


@dataclass(frozen=True, slots=True)
class Job:
    """One ingest job of ours.

    Attributes:
        id: The org's.
        operation: ``upsert`` or ``hardDelete``.
        key_field: The column that its results are matched by.
        columns: What was uploaded; errors may name these fields.
        rows: Which records each key stands for, oldest first.

    """

    id: str
    sobject: str
    operation: str
    key_field: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[RecordId, ...]] = field(repr=False)


class Jobs(Protocol):
    """Where they are kept: `connectors.postgres.bulk_jobs.BulkJobs`."""

    def add(self, job: Job) -> None:
        """Keep *job*; it is durable when this returns."""
        ...

    def unfinished(self) -> Sequence[Job]:
        """Return the jobs that were added and not removed, oldest first."""
        ...

    def remove(self, job_id: str) -> None:
        """Forget a job, if it is known."""
        ...
