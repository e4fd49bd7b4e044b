"""Carries jobs out in the background, chunk by chunk, between other calls' writes."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.sandbox.access import User
from connectors.sandbox.bulk.chunk import CHUNK, Task, carry_out, count_rows, inspect
from connectors.sandbox.bulk.jobs import ENDED, Job, State
from connectors.sandbox.bulk.jobs import Kind as JobKind
from connectors.sandbox.bulk.kept import (
    DAILY_BATCHES,
    change_state,
    drop_old_jobs,
    fail,
    find_job,
    known_jobs,
    used_batches,
    waiting_jobs,
)
from connectors.sandbox.bulk.reading import QueryRunner
from connectors.sandbox.bulk.table import TableError
from connectors.sandbox.faults.book import A_JOB, Fired
from connectors.sandbox.faults.hindrances import hit_by
from connectors.sandbox.faults.plan import Kind
from connectors.sandbox.org import Org
from connectors.sandbox.store import Store
from connectors.sandbox.users import user_of
from connectors.sandbox.web import report

MAX_RUNNING = (
    5  # ingest jobs at a time; between two chunks of one, every waiting write gets its turn
)
TIDY_EVERY_S = 3600


class Runner:
    """The jobs that wait or run; all state that matters is in the org's tables."""

    def __init__(self, org: Org) -> None:
        """Carry out the jobs of *org*."""
        self._org = org
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._running: set[asyncio.Task[None]] = set()
        self._stop = threading.Event()
        self._queries = QueryRunner(org, self._stop)

    async def resume(self) -> None:
        """Tidy up, and go on with what a stopped or killed org left."""
        uploads = self._org.uploads
        for job in await self._org.write(lambda store: _tidy(store, uploads, is_start=True)):
            self.start(job)
        self._add(self._keep_tidy())

    def start(self, job: Job) -> None:
        """Carry out a query job, or one whose upload is complete."""
        is_query = job.order.kind is JobKind.QUERY
        self._add((self._queries.run if is_query else self._run)(job.number))

    def abort(self, job: Job) -> None:
        """Let a query job that is being carried out end soon; ingest looks after each chunk."""
        self._queries.abort(job.number)

    def _add(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _keep_tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_EVERY_S)
            await self._org.write(lambda store: _tidy(store, self._org.uploads, is_start=False))

    async def close(self) -> None:
        """Stop after the chunks that are being written; the next start goes on."""
        self._stop.set()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, number: int) -> None:
        faults = self._org.faults
        async with self._slots:
            fired = None if faults is None else faults.pick(A_JOB)
            try:
                task = await self._begin(number)
                if task is not None and fired is not None:
                    await self._run_hit(task, fired)
                elif task is not None:
                    await self._run_whole(task)
            except Exception as exc:  # noqa: BLE001 -- the outermost loop: the org must go on
                text = f"UnknownException : {report(exc)}"
                await self._org.write(lambda store: fail(store, number, text))

    async def step(self, task: Task, most: int = CHUNK) -> bool:
        """Carry out one chunk; return whether there is more to do."""
        return await self._org.write(lambda store: carry_out(self._org, store, task, most))

    async def _run_whole(self, task: Task) -> None:
        while await self.step(task):
            pass

    async def _run_hit(self, task: Task, fired: Fired) -> None:
        """Carry out a job that a fault of the plan hits."""
        if fired.kind is Kind.JOB_FAILED:
            left = round(await asyncio.to_thread(count_rows, task) * fired.fault.share)
            while left and await self.step(task, min(left, CHUNK)):
                left -= min(left, CHUNK)
            text = "TooManyLockFailure : Too many lock failures"
            await self._org.write(lambda store: fail(store, task.number, text))
            return
        if fired.kind is Kind.JOB_STUCK:
            await asyncio.sleep(fired.fault.seconds)
        with hit_by(fired.fault, fired.seed):
            await self._run_whole(task)

    async def _begin(self, number: int) -> Task | None:
        """Return the job's task, or None if it failed or was aborted."""
        job, user = await self._org.write(lambda store: _begin(store, number))
        if job is None:
            return None
        try:
            # beside the writer's thread: it may be 100 MB to look through
            return await asyncio.to_thread(inspect, self._org, user, job, self._stop)
        except TableError as exc:
            text = exc.text
            await self._org.write(lambda store: fail(store, number, text))
            return None


RUNNER: web.AppKey[Runner] = web.AppKey("runner", Runner)


def _begin(store: Store, number: int) -> tuple[Job | None, User | None]:
    """Put the job in progress and return it with its user; no job if it is not to be done."""
    with store.transaction():
        job = find_job(store, number)
        if job is None or job.state in ENDED:
            return None, None
        error = None
        if not job.is_uploaded:
            error = "InvalidBatch : No data was uploaded"
        elif job.state is State.UPLOAD_COMPLETE and used_batches(store) > DAILY_BATCHES:
            error = "ExceededQuota : Daily batch limit exceeded"
        if error is not None:
            change_state(store, job, State.FAILED, error)
            return None, None
        return change_state(store, job, State.IN_PROGRESS), user_of(store, job.order.user)


def _tidy(store: Store, uploads: Path, *, is_start: bool) -> list[Job]:
    """Remove old jobs and the files of none; return the waiting jobs.

    Uploads that are not complete have names that begin with a point: at the start none of them
    will ever be, later they may.
    """
    drop_old_jobs(store)
    known = known_jobs(store)
    for path in uploads.iterdir():
        is_unfinished = path.name.startswith(".")
        if is_start if is_unfinished else path.stem not in known:
            path.unlink()
    return waiting_jobs(store)
