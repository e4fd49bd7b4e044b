"""Writing by Bulk API 2.0: jobs one after the other, each to its end, none forgotten by a crash.

A job is kept, with what its rows stand for, before its data goes up. So whoever starts after a
crash finds it, and nothing else is written before the org can do nothing more of it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from connectors.salesforce.bulk.ingest import ENDED, OURS, RUNNING, Info, Ingest, State
from connectors.salesforce.bulk.jobs import Job, Jobs
from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.results import LOST, read_sets
from connectors.salesforce.bulk.table import Table, tables
from connectors.salesforce.codes import NEXT_STEP, Handling
from connectors.salesforce.composite import Sender
from connectors.salesforce.errors import (
    BodyRefusedError,
    OrgUnavailableError,
    UnsendableValueError,
)
from connectors.salesforce.rows import RowResult
from connectors.salesforce.sink import Clock
from schemas.errors import HaltError, HomeportError
from schemas.events import RecordId

LOG = logging.getLogger("homeport.salesforce")
TAKEN: Final = "BULK_API_ERROR"  # said, among others, of a second upload to one job
UPLOADS: Final = 2  # a new job each; a first upload that was not answered may block its job
SLOWER: Final = 1.5  # each look at a running job waits so much longer than the last
# What another try of the same row would say again. All else is not worth keeping.
FINAL = frozenset({None, Handling.OLDER, Handling.REJECT})

_OPTIONS, _CLOCK = BulkOptions(), Clock()

Rows = Sequence[Mapping[str, Any]]
Ids = tuple[RecordId, ...]


class BulkWriter:
    """Upserts rows, or deletes them for good, by ingest jobs. For one thread."""

    def __init__(
        self,
        client: Sender,
        jobs: Jobs,
        options: BulkOptions = _OPTIONS,
        clock: Clock = _CLOCK,
    ) -> None:
        """Take a way into the org and where jobs are kept; nothing is sent yet."""
        self._ingest = Ingest(client)
        self._jobs = jobs
        self._options = options
        self._clock = clock
        self._is_settled = False
        self._has_swept = False
        self._known: dict[tuple[str, str], tuple[Ids, RowResult]] = {}

    def upsert(
        self,
        sobject: str,
        key_field: str,
        rows: Rows,
        record_ids: Sequence[Sequence[RecordId]],
    ) -> list[RowResult]:
        """Upsert *rows* by *key_field*; return a result each, in order, when all jobs have ended.

        No two rows have the same key, and each is one that `table.carries`. Rows that a job did
        not come to, or that its results lack, have a result that says to send them again. What
        a job of an earlier call or run said of a row with the same *record_ids* is its result.

        Raises:
            RetriableError: A job has not ended, or the org or the store does not answer; call
                again with the same rows: none is doubled.
            UnsendableValueError: A value that the org could not store as it is; none is sent.
            HaltError: The org's set-up or ours is wrong.

        """
        ids = dict(zip((row[key_field] for row in rows), map(tuple, record_ids), strict=True))
        if len(ids) != len(rows):
            msg = "two rows of one external id in one call"
            raise ValueError(msg)
        self.resume()
        results = self._recall(sobject, ids)
        left = [place for place, row in enumerate(rows) if row[key_field] not in results]
        for table in self._tables(key_field, rows, left):
            part = [rows[place][key_field] for place in left[table.start :][: table.rows]]
            found = self._run(sobject, "upsert", key_field, table, {key: ids[key] for key in part})
            self._remember(sobject, ids, found)  # for the next call, should a later job fail
            results |= found
        self._recall(sobject, ids)
        return [results[row[key_field]] for row in rows]

    def _tables(self, key_field: str, rows: Rows, places: Sequence[int]) -> list[Table]:
        """Return the rows at *places* as CSV; an error names the place among all of them."""
        try:
            return list(tables(key_field, [rows[place] for place in places], self._options))
        except UnsendableValueError as exc:
            raise UnsendableValueError(places[exc.row], exc.field, exc.problem) from None

    def hard_delete(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        """Delete the rows with these Ids so that nobody can restore them; results in order.

        Raises:
            RetriableError: As `upsert`; to delete what is gone does no harm.
            HaltError: The user may not: "Bulk API Hard Delete" is a permission of its own.

        """
        self.resume()
        results: dict[str, RowResult] = {}
        for table in tables("Id", [{"Id": one} for one in ids], self._options):
            part = ids[table.start :][: table.rows]
            results |= self._run(sobject, "hardDelete", "Id", table, dict.fromkeys(part, ()))
        return [results[one] for one in ids]

    def resume(self) -> None:
        """See to it that no job of an earlier run, or of a call that failed, is under way.

        A job without its data is aborted: nothing of it was written. One that is carried out is
        waited for, and its results are kept for the next `upsert` of the same records. Costs
        nothing when all is settled.

        Raises:
            RetriableError: A job has not ended, or the org or the store does not answer.

        """
        if self._is_settled:
            return
        for job in self._jobs.unfinished():
            info = self._ended(job)
            if info is not None:
                found = self._results(job, info)
                self._remember(job.sobject, job.rows, found)
            self._forget(job)
        self._is_settled = True

    def _run(
        self, sobject: str, operation: str, key_field: str, table: Table, rows: Mapping[str, Ids]
    ) -> dict[str, RowResult]:
        """Carry out one job to its end; return a result of each of its rows."""
        self._is_settled = False
        job = self._start(sobject, operation, key_field, table, rows)
        info = self._wait(job)
        results = {} if info is None else self._results(job, info)
        self._forget(job)
        self._is_settled = True
        if info is not None and info.failure in OURS:
            raise HaltError(_failed(job, info))
        missing = len(rows) - len(results)
        if missing:
            LOG.warning("job %s: no result of %d rows; they are sent again", job.id, missing)
        return {key: results.get(key, LOST) for key in rows}

    def _start(
        self, sobject: str, operation: str, key_field: str, table: Table, rows: Mapping[str, Ids]
    ) -> Job:
        """Return a new job that the org now carries out.

        Raises:
            OrgUnavailableError: Upload after upload was refused: perhaps each had arrived and only
                its answer was lost, so that the next try found it there. None is carried out.

        """
        for _ in range(UPLOADS):
            try:
                return self._open(sobject, operation, key_field, table, rows)
            except BodyRefusedError as exc:
                if exc.error.code != TAKEN:
                    raise
        msg = f"{operation} {sobject}: {UPLOADS} uploads were refused ({TAKEN})"
        raise OrgUnavailableError(msg)

    def _open(
        self, sobject: str, operation: str, key_field: str, table: Table, rows: Mapping[str, Ids]
    ) -> Job:
        created = self._ingest.create(sobject, operation, key_field)
        job = Job(created.id, sobject, operation, key_field, table.columns, rows)
        self._jobs.add(job)
        self._sweep(created.user, job)
        try:
            self._ingest.upload(job.id, sobject, table.body)
        except BodyRefusedError:  # perhaps because it is there: whole or not, nobody knows
            self._ingest.abort(job.id, sobject)
            self._forget(job)
            raise
        self._ingest.close(job.id, sobject)
        return job

    def _ended(self, job: Job) -> Info | None:
        """Return how an earlier job ended; None if nothing of it was or will be written."""
        info = self._ingest.info(job.id, job.sobject)
        is_open = info is not None and info.state is State.OPEN
        # a late "upload complete" may be faster: then it is not aborted
        if info is None or (is_open and self._ingest.abort(job.id, job.sobject)):
            return None
        return self._wait(job)

    def _wait(self, job: Job) -> Info | None:
        """Return the job when it has ended; None if the org has it no more."""
        ends = self._clock.now() + self._options.deadline_s
        wait = self._options.first_poll_s
        while True:
            info = self._ingest.info(job.id, job.sobject)
            if info is None or info.state in ENDED:
                break
            if info.state not in RUNNING or self._clock.now() >= ends:
                msg = f"job {job.id} for {job.sobject} is still {info.state}"
                raise OrgUnavailableError(msg, fate_unknown=True)
            self._clock.sleep(min(wait, self._options.max_poll_s))
            wait *= SLOWER
        if info is None:
            LOG.warning("job %s for %s: somebody removed it", job.id, job.sobject)
        else:
            counts = (len(job.rows), info.processed, info.failed)
            what = (job.id, job.sobject, info.state, info.failure or "no failure")
            LOG.info("job %s for %s: %s, %s; %d rows, %d processed, %d failed", *what, *counts)
        return info

    def _results(self, job: Job, info: Info) -> dict[str, RowResult]:
        """Return the results of the job's rows; reads again while some are missing."""
        by = job.key_field if job.operation == "upsert" else ""
        results: dict[str, RowResult] = {}
        for attempt in range(self._options.result_reads):
            if attempt:
                self._clock.sleep(self._options.first_poll_s)
            sets = self._ingest.results(job.id, job.sobject)
            results = read_sets(sets, job.key_field, job.columns, info.unprocessed, by)
            results = {key: result for key, result in results.items() if key in job.rows}
            if len(results) == len(job.rows):
                break
        return results

    def _forget(self, job: Job) -> None:
        """Remove the job from the org, if it lets us, and from what is kept."""
        try:
            self._ingest.delete(job.id, job.sobject)
        except HomeportError as exc:  # the org does so itself, after seven days
            LOG.warning("job %s stays in the org: %s", job.id, exc)
        self._jobs.remove(job.id)

    def _sweep(self, user: str, own: Job) -> None:
        """Abort what a crash left between a job's creation and its being kept, once."""
        if self._has_swept:
            return
        try:
            for job_id, sobject in self._ingest.open_jobs(user):
                if job_id != own.id and self._ingest.abort(job_id, sobject):
                    self._ingest.delete(job_id, sobject)
        except HomeportError as exc:  # they hold no data, and the next job is as good a time
            LOG.warning("open jobs are not looked for: %s", exc)
        else:
            self._has_swept = True

    def _remember(
        self, sobject: str, ids: Mapping[str, Ids], results: Mapping[str, RowResult]
    ) -> None:
        for key, result in results.items():
            if result.handling in FINAL:
                self._known[sobject, key] = (ids[key], result)

    def _recall(self, sobject: str, ids: Mapping[str, Ids]) -> dict[str, RowResult]:
        """Return what is known of rows of the same records; and know nothing of *ids* any more."""
        known = {key: self._known.pop((sobject, key), None) for key in ids}
        return {key: one[1] for key, one in known.items() if one is not None and one[0] == ids[key]}


def _failed(job: Job, info: Info) -> str:
    """Return the line that stops the worker."""
    column = info.unknown_field if info.unknown_field in job.columns else ""
    where = f"{job.sobject}.{column}" if column else job.sobject
    step = NEXT_STEP["INVALID_FIELD"] if info.unknown_field else "see the job in the org's Setup"
    return f"job {job.id} for {where}: Salesforce fails it with {info.failure}; {step}"
