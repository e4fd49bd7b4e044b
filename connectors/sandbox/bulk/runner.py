"""Carries jobs out in the background, chunk by chunk, between other calls' writes."""

import asyncio
import threading
import time
from pathlib import Path

from aiohttp import web

from connectors.sandbox.access import User
from connectors.sandbox.bulk.chunk import CHUNK, Task, carry_out, count_rows, inspect
from connectors.sandbox.bulk.jobs import (
    DAILY_BATCHES,
    ENDED,
    KEEP_S,
    Job,
    State,
    change_state,
    find_job,
    used_batches,
    waiting_jobs,
)
from connectors.sandbox.bulk.table import TableError
from connectors.sandbox.faults.book import A_JOB, Fired
from connectors.sandbox.faults.hindrances import hit_by
from connectors.sandbox.faults.plan import Kind
from connectors.sandbox.org import Org
from connectors.sandbox.store import Store
from connectors.sandbox.web import report

MAX_RUNNING = 5  # jobs at a time; between two chunks of one, every waiting write gets its turn


class Runner:
    """The jobs that wait or run; all state that matters is in the org's tables."""

    def __init__(self, org: Org) -> None:
        """Carry out the jobs of *org*."""
        self._org = org
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._running: set[asyncio.Task[None]] = set()
        self._stop = threading.Event()

    async def resume(self) -> None:
        """Tidy up, and go on with what a stopped or killed org left."""
        for number in await self._org.write(lambda store: _tidy(store, self._org.uploads)):
            self.start(number)

    def start(self, number: int) -> None:
        """Carry out a job whose upload is complete."""
        task = asyncio.create_task(self._run(number))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

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
                await self._org.write(lambda store: _fail(store, number, text))

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
            await self._org.write(lambda store: _fail(store, task.number, text))
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
            await self._org.write(lambda store: _fail(store, number, text))
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
        return change_state(store, job, State.IN_PROGRESS), store.user_of(job.order.user)


def _fail(store: Store, number: int, error: str) -> None:
    """Fail the job, if nobody has ended it meanwhile; what is committed stays."""
    with store.transaction():
        job = find_job(store, number)
        if job is not None and job.state not in ENDED:
            change_state(store, job, State.FAILED, error)


def _tidy(store: Store, uploads: Path) -> list[int]:
    """Remove jobs of more than seven days and uploads of none; return the waiting jobs."""
    before = (int(time.time()) - KEEP_S,)
    with store.transaction():
        old = "(SELECT number FROM bulk_jobs WHERE changed_at < ?)"
        store.run(f"DELETE FROM bulk_results WHERE job IN {old}", before)  # noqa: S608 -- ours
        store.run("DELETE FROM bulk_jobs WHERE changed_at < ?", before)
    kept = store.select("SELECT number FROM bulk_jobs WHERE state != ?", (State.DELETED,))
    known = {f"{row[0]}.csv" for row in kept}
    for path in uploads.iterdir():
        if path.name not in known:
            path.unlink()
    return waiting_jobs(store)
