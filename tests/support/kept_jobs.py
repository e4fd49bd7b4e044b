"""Bulk API jobs that are kept in memory, and rows to write by them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from org_process import KEY

from connectors.salesforce.bulk.jobs import Job, Jobs
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.composite import Sender
from connectors.salesforce.refusals import Call
from schemas.events import Coordinates, RecordId

FAST = BulkOptions(first_poll_s=0.01, max_poll_s=0.05, deadline_s=30)


class KeptJobs:
    """A store that lives as long as the test.

    Attributes:
        added: Every job that was ever added.

    """

    def __init__(self) -> None:
        self.added: list[Job] = []
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        self.added.append(job)
        self._jobs[job.id] = job

    def unfinished(self) -> list[Job]:
        return list(self._jobs.values())

    def remove(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)


def open_writer(
    client: Sender, jobs: Jobs | None = None, options: BulkOptions = FAST
) -> BulkWriter:
    """Return a writer that does not wait long."""
    return BulkWriter(client, KeptJobs() if jobs is None else jobs, options)


def row(key: str, version: int, **fields: Any) -> dict[str, Any]:
    return {KEY: key, "Base_Version__c": version, **fields}


def rows_of(name: str, count: int) -> list[dict[str, Any]]:
    return [row(f"{name}-{n}", 1) for n in range(count)]


def ids_of(rows: Iterable[Mapping[str, Any]]) -> list[tuple[RecordId, ...]]:
    """Return a record id for each row, the same whenever asked."""
    return [
        (RecordId(Coordinates(f"eu.{row[KEY]}", 0, int(row.get("Base_Version__c", 0)))),)
        for row in rows
    ]


def states(client: Sender) -> Sequence[str]:
    """Return the states of the jobs that the org has of ours."""
    found: dict[str, Any] = client.send(Call("list", "jobs", "GET", "jobs/ingest")).content
    return [one["state"] for one in found["records"]]
