"""Carries query jobs out in the background, each on a thread of its own."""

import asyncio
import sqlite3
import threading
from functools import partial

from connectors.sandbox.bulk.extract import Extract, extract
from connectors.sandbox.bulk.jobs import ENDED, Job, State, StoppedError
from connectors.sandbox.bulk.kept import change_state, complete_query, fail, find_job
from connectors.sandbox.bulk.pages import remove_results
from connectors.sandbox.edition import check_edition, settled
from connectors.sandbox.errors import ApiError
from connectors.sandbox.org import Org
from connectors.sandbox.store import Store
from connectors.sandbox.web import report

MAX_READING = 2  # query jobs at a time


class QueryRunner:
    """The query jobs that wait or run; all state that matters is in the org's tables.

    A job's results are whole or there are none: one that was killed is carried out again, with
    the rows of that moment.
    """

    def __init__(self, org: Org, stop: threading.Event) -> None:
        """Carry out the query jobs of *org* until *stop* is set."""
        self._org, self._stop = org, stop
        self._slots = asyncio.Semaphore(MAX_READING)
        self._aborted: dict[int, threading.Event] = {}

    def abort(self, number: int) -> None:
        """Let a job that is being carried out end soon."""
        if number in self._aborted:
            self._aborted[number].set()

    async def run(self, number: int) -> None:
        """Carry out a job, when its turn comes."""
        self._aborted[number] = threading.Event()
        try:
            async with self._slots:
                job = await self._org.write(partial(_begin, number=number))
                if job is not None:
                    await self._read(job, self._aborted[number])
        except Exception as exc:  # noqa: BLE001 -- the outermost loop: the org must go on
            await self._fail(number, f"UnknownException : {report(exc)}")
        finally:
            del self._aborted[number]

    async def _read(self, job: Job, aborted: threading.Event) -> None:
        def is_stopped() -> bool:
            return self._stop.is_set() or aborted.is_set()

        async def read(edition: int) -> Extract:
            try:
                return await asyncio.to_thread(extract, self._org, job, is_stopped)
            except sqlite3.OperationalError:  # SQL of before met the tables of now
                check_edition(self._org, edition)
                raise

        try:
            found = await settled(self._org, read)
        except StoppedError:
            return
        except ApiError as exc:  # it fitted what the user saw when it was created
            problem = exc.problems[0]
            text = f"InvalidBatch : Failed to process query: {problem.code}: {problem.message}"
            await self._fail(job.number, text)
            return
        done = partial(complete_query, number=job.number, rows=found.rows, work_ms=found.work_ms)
        if not await self._org.write(done):
            remove_results(self._org.uploads, job.number)

    async def _fail(self, number: int, error: str) -> None:
        await self._org.write(partial(fail, number=number, error=error))


def _begin(store: Store, number: int) -> Job | None:
    """Put the job in progress and return it; None if it is not to be done."""
    with store.transaction():
        job = find_job(store, number)
        if job is None or job.state in ENDED:
            return None
        return change_state(store, job, State.IN_PROGRESS)
