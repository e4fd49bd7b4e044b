"""Bulk API jobs that the org may still carry out, and which records their rows stand for.

A job stands here from before its data goes up until its results are read, so that a crash in
between forgets none: see `connectors.salesforce.bulk.writer`.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from connectors.postgres.connection import Connection
from connectors.salesforce.bulk.jobs import Job
from schemas.events import RecordId

TABLES: Final = """
CREATE TABLE IF NOT EXISTS bulk_jobs (
  seq bigint GENERATED ALWAYS AS IDENTITY,
  id text PRIMARY KEY,
  object text NOT NULL,
  operation text NOT NULL,
  key_field text NOT NULL,
  columns text[] NOT NULL,
  since timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS bulk_job_rows (
  job text NOT NULL REFERENCES bulk_jobs ON DELETE CASCADE,
  key text NOT NULL,
  topic_ids text[] NOT NULL,
  records text[] NOT NULL,
  PRIMARY KEY (job, key)
);
"""


class BulkJobs:
    """Keeps jobs in the region's Postgres. One connection, one thread."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects and creates what is missing."""
        self._connection = Connection(dsn, TABLES)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def add(self, job: Job) -> None:
        """Keep *job*; it is durable when this returns.

        Raises:
            RetriableError: Postgres went away; whether it is kept is not known.

        """
        with self._connection.open() as connection, connection.transaction():
            connection.execute(
                "INSERT INTO bulk_jobs (id, object, operation, key_field, columns)"
                " VALUES (%s, %s, %s, %s, %s)",
                (job.id, job.sobject, job.operation, job.key_field, list(job.columns)),
            )
            with connection.cursor().copy("COPY bulk_job_rows FROM STDIN") as copy:
                for key, ids in job.rows.items():
                    copy.write_row((job.id, key, [i.topic_id for i in ids], [str(i) for i in ids]))

    def unfinished(self) -> Sequence[Job]:
        """Return the jobs that were added and not removed, oldest first.

        Raises:
            RetriableError: Postgres went away.

        """
        with self._connection.open() as connection:
            jobs = connection.execute(
                "SELECT id, object, operation, key_field, columns FROM bulk_jobs ORDER BY seq"
            ).fetchall()
            rows = connection.execute(
                "SELECT job, key, topic_ids, records FROM bulk_job_rows ORDER BY job, key"
            ).fetchall()
        found = {job: dict(map(_row, mine)) for job, mine in groupby(rows, key=itemgetter(0))}
        return [
            Job(job, sobject, operation, key_field, tuple(columns), found.get(job, {}))
            for job, sobject, operation, key_field, columns in jobs
        ]

    def remove(self, job_id: str) -> None:
        """Forget a job, if it is known.

        Raises:
            RetriableError: Postgres went away; whether it is forgotten is not known.

        """
        with self._connection.open() as connection:
            connection.execute("DELETE FROM bulk_jobs WHERE id = %s", (job_id,))


def _row(row: tuple[Any, ...]) -> tuple[str, tuple[RecordId, ...]]:
    _, key, topic_ids, records = row
    ids = (RecordId.parse(r, t) for t, r in zip(topic_ids, records, strict=True))
    return key, tuple(ids)
