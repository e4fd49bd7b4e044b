"""Carries deployments out in the background, one at a time, in the order they came."""

import asyncio
import time
from pathlib import Path

from aiohttp import web

from connectors.embedded.files import PRIVATE_FILE
from connectors.sandbox.access import User
from connectors.sandbox.deployed.changes import UnfitRowsError
from connectors.sandbox.deploys.components import Component, Problem, names_of
from connectors.sandbox.deploys.jobs import (
    Deployment,
    Outcome,
    State,
    add_deployment,
    begin,
    cancel,
    end,
    forget_old,
    is_cancelled,
    waiting_deployments,
)
from connectors.sandbox.deploys.messages import outcome
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.deploys.package import PackageError, read_packages
from connectors.sandbox.deploys.plan import Plan, make_plan, without
from connectors.sandbox.org import Org
from connectors.sandbox.store import Store
from connectors.sandbox.web import report


class Deployer:
    """The deployments that wait or run; all state that matters is in the org's tables."""

    def __init__(self, org: Org) -> None:
        """Deploy into *org*."""
        self._org = org
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._cancelled: set[int] = set()

    async def resume(self) -> None:
        """Forget what is old, and begin again what a stopped or killed org left."""
        await self._org.write(forget_old)
        waiting = await self._org.write(waiting_deployments)
        for file in self._org.packages.iterdir():
            if file.name not in {f"{number}.zip" for number in waiting}:
                file.unlink()
        for number in waiting:
            self._start(number)

    async def add(self, user: User, options: DeployOptions, content: bytes) -> Deployment:
        """Return a new deployment of a zip; it will begin when those before it are over."""

        def work(store: Store) -> Deployment:
            with store.transaction():
                one = add_deployment(store, user, options)
                file = self._file(one.number)
                file.touch(mode=PRIVATE_FILE)
                file.write_bytes(content)
                return one

        one = await self._org.write(work)
        self._start(one.number)
        return one

    async def cancel(self, number: int, user: User) -> Deployment | None:
        """Ask for a deployment's end and return it, or None if it was over already."""
        one = await self._org.write(lambda store: cancel(store, number, user))
        if one is not None and one.state is State.CANCELING:
            self._cancelled.add(number)
        return one

    async def close(self) -> None:
        """Stop; what is not over begins again at the next start."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self, number: int) -> None:
        task = asyncio.create_task(self._run(number))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, number: int) -> None:
        async with self._turn:
            try:
                await self._carry_out(number)
            except Exception as exc:  # noqa: BLE001 -- the outermost loop: the org must go on
                problem = Problem("", "", "", f"UNKNOWN_EXCEPTION: {report(exc)}")
                ended = outcome(State.FAILED, (), [problem], int(time.time()))
                await self._org.write(lambda store: _end(store, number, ended))
            self._cancelled.discard(number)
            self._file(number).unlink(missing_ok=True)

    async def _carry_out(self, number: int) -> None:
        one = await self._org.write(lambda store: begin(store, number))
        if one is None:
            return
        try:
            plan = await asyncio.to_thread(self._plan, one)
        except PackageError as exc:
            problem = Problem("", exc.file, exc.file, exc.text)
            ended = outcome(State.FAILED, (), [problem], int(time.time()))
            await self._org.write(lambda store: _end(store, number, ended))
            return
        left: Plan | None = plan
        while left is not None:
            left = await self._try(one, left)

    def _plan(self, one: Deployment) -> Plan:
        """Return what the deployment would do; beside the writer's thread, it takes its time."""
        content = self._file(one.number).read_bytes()
        packages = read_packages(content, is_single=one.options.single_package)
        return make_plan(
            self._org.source,
            self._org.metadata,
            packages,
            one.options,
            lambda: one.number in self._cancelled,
        )

    async def _try(self, one: Deployment, plan: Plan) -> Plan | None:
        """Carry *plan* out; return another one if the rows that are there do not fit it."""
        try:
            await self._org.write(lambda store: self._apply(store, one, plan))
        except UnfitRowsError as exc:
            culprit = _culprit(plan, exc)
            return await asyncio.to_thread(without, plan, culprit, self._org.source)
        return None

    def _apply(self, store: Store, one: Deployment, plan: Plan) -> None:
        """Change the org, or say why not, in one transaction; on the writer's thread."""
        now = int(time.time())
        if is_cancelled(store, one.number):
            end(store, one, Outcome(State.CANCELED, 0, 0, 0, {}))
            return
        ended = outcome(_state(one, plan), self._steps(plan), plan.problems, now)
        org = self._org

        def done() -> None:
            end(store, one, ended)

        if one.options.check_only:
            org.try_deploy(store, plan.metadata, done)
        elif ended.state is State.FAILED or plan.source == org.source:
            done()
        else:
            org.deploy(store, one.number, plan.source, plan.metadata, done)

    def _steps(self, plan: Plan) -> list[tuple[Component, bool, bool]]:
        """Return each step with whether it is new to the org, and whether it changes it."""
        files = self._org.source.files()
        there = names_of(files)
        return [
            (s, s.name not in there[s.kind], s.is_deletion or files.get(s.path) != s.content)
            for s in plan.steps
        ]

    def _file(self, number: int) -> Path:
        return self._org.packages / f"{number}.zip"


DEPLOYER: web.AppKey[Deployer] = web.AppKey("deployer", Deployer)


def _state(one: Deployment, plan: Plan) -> State:
    if not any(problem.fails for problem in plan.problems):
        return State.SUCCEEDED
    if one.options.rollback_on_error or one.options.check_only or not plan.steps:
        return State.FAILED
    return State.PARTIAL


def _culprit(plan: Plan, exc: UnfitRowsError) -> Problem:
    """Return the problem with the field whose rows do not fit."""
    name = f"{exc.sobject}.{exc.field}"
    file = next(s.file for s in plan.steps if (s.kind, s.name) == ("CustomField", name))
    text = f"Cannot make {exc.field} unique: there are records with duplicate values"
    return Problem("CustomField", name, file, text)


def _end(store: Store, number: int, ended: Outcome) -> None:
    with store.transaction():
        one = begin(store, number)
        if one is not None:
            end(store, one, ended)
