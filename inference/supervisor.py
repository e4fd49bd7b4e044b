"""Keeps one region's model server answering: checked before it starts, watched, started again.

The server is well while it answers a canary in time; a 200 from /health only says that no part of
it has died. Whatever ends it is a failure unless we ended it: vLLM exits with 0 when its engine is
killed. Its processes lead a session of their own on a leash (`leash`), which ends them with us.
"""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from inference import engine, lock
from inference.canary import Probe
from inference.config import InferenceConfig, ServerConfig
from inference.process import KILL_S, Server, end_leftovers, log_path

T = TypeVar("T")
Phase = Literal["stopped", "waiting", "checking", "starting", "ready", "failed"]
Cause = Literal["ended", "hung", "not-ready"]

LOG = logging.getLogger("homeport.inference")
CAUSES: tuple[Cause, ...] = get_args(Cause)
FIRST_WAIT_S, MOST_WAIT_S = 0.5, 30.0  # before a new start, doubled after each failure in a row
MAX_DOUBLINGS = 16  # far above the most
STEADY_S = 60.0  # a server that answered for so long starts its waits anew
POLL_S = 0.2
# what vLLM logs on its way up, in order, and our words for what it does then
STEPS = (
    ("non-default args", "reading the model's settings"),
    ("Initializing a V1 LLM engine", "starting the engine"),
    ("Starting to load model", "loading the weights"),
    ("Starting vLLM server", "waiting for its first answer"),
)


@dataclass(slots=True)
class State:
    """What the supervisor can say of its server.

    Attributes:
        model: The name it serves.
        digest: What that name is short for.
        phase: What happens now.
        step: More about that, for people; may be empty.
        session: What all processes of the server belong to, or None.
        restarts: How often it failed and was started again, by cause.
        start_s: How long the last start took, or None.
        canary_s: How long the last canary's answer took, or None.

    """

    model: str
    digest: str
    phase: Phase = "stopped"
    step: str = ""
    session: int | None = None
    restarts: dict[Cause, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    start_s: float | None = None
    canary_s: float | None = None


class Supervisor:
    """One region's model server, started and watched until it is told to stop.

    Args:
        config: The server.
        on_state: Told after each change of phase or step.
        on_restart: Told why a server failed, before it is started again.

    """

    def __init__(
        self,
        config: ServerConfig,
        on_state: Callable[[State], None] = lambda _state: None,
        on_restart: Callable[[Cause], None] = lambda _cause: None,
    ) -> None:
        """Read the lock; start nothing yet.

        Raises:
            SetupError: The lock does not have the model.

        """
        self._config = config
        self._model = lock.locked(config.model, config.lock_file)
        digest = lock.model_digest(self._model, lock.task_digests())
        self.state = State(lock.served_name(config.model, digest), digest)
        self._on_state, self._on_restart = on_state, on_restart
        self._probe = Probe(
            InferenceConfig(
                self._model.engine,
                self.state.model,
                uds=config.uds,
                deadline_s=config.canary_deadline_s,
            )
        )
        self._halt = asyncio.Event()
        self._server: Server | None = None
        self._steady_since: float | None = None  # monotonic: when it first answered

    def stop(self) -> None:
        """Let `run` end, after the requests in flight are answered."""
        self._halt.set()

    async def run(self) -> None:
        """Keep the server running until `stop`; the folder must be ours alone (`process.alone`).

        Raises:
            ModelError: The model's files, or the server's version, are not those of the lock.
            SetupError: Something cannot be started.

        """
        if found := end_leftovers(self._config):
            LOG.warning("ended %d processes that a killed supervisor had left", found)
        failures = 0
        while (cause := await self._run_once()) is not None:
            failures = 0 if self._was_steady() else failures
            wait_s = min(FIRST_WAIT_S * (1 << min(failures, MAX_DOUBLINGS)), MOST_WAIT_S)
            failures += 1
            self.state.restarts[cause] += 1
            self._on_restart(cause)
            LOG.warning("the model server failed: %s; it starts again in %.1f s", cause, wait_s)
            self._say("failed", cause)
            await self._pause(wait_s)
        self._say("stopped")

    async def _run_once(self) -> Cause | None:
        """Start the server and watch it; return why it failed, None if it was told to stop."""
        self.state.canary_s = self.state.start_s = None
        self._steady_since = None
        try:
            async with self._turn():
                folder = await asyncio.to_thread(self._verified)
                cause = None if self._halt.is_set() else await self._start(folder)
            if cause is None and not self._halt.is_set():
                cause = await self._watch()
            return None if self._halt.is_set() else cause
        finally:
            await self._end()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until no other region's server starts on this machine."""
        if self._config.start_lock is None:
            yield
            return
        with self._config.start_lock.open("a+b") as file:
            while not self._halt.is_set():
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._say("waiting", "another region's server starts first")
                    await self._pause(POLL_S)
            yield

    def _verified(self) -> Path:
        """Return the model's folder, each file as locked; the server reads it next."""
        self._say("checking", "each byte of the model")
        lock.verify_server(self._model, self._config.python)
        folder = lock.model_folder(self._model, self._config.python, self._config.model_folder)
        lock.verify_model(self._model, folder)
        return folder

    async def _start(self, folder: Path) -> Cause | None:
        """Start the server; return None once it answers, else why it will not."""
        config, began = self._config, time.monotonic()
        command = engine.arguments(config, self._model, folder, self.state.model)
        path = log_path(config)
        position = path.stat().st_size if path.exists() else 0
        self._server = await Server.start(config, command, engine.environment(config, os.environ))
        self.state.session = self._server.session
        model, session = self.state.model, self._server.session
        LOG.info("the model server starts: session %d, model %s", session, model)
        self._say("starting", "importing vLLM")
        while not self._halt.is_set():
            if self._server.code is not None:
                return "ended"
            if time.monotonic() - began > config.ready_s:
                return "not-ready"
            if config.uds.exists() and await self._ask(self._probe.answers()):
                self._steady_since = time.monotonic()
                self.state.start_s = self._steady_since - began
                LOG.info("the model server answers after %.1f s", self.state.start_s)
                self._say("ready")
                return None
            self._show_step(path, position)
            await self._pause(POLL_S)
        return None

    def _show_step(self, path: Path, position: int) -> None:
        with path.open("rb") as file:
            file.seek(position)
            text = file.read().decode("utf-8", "replace")
        reached = [ours for theirs, ours in STEPS if theirs in text]
        if reached and reached[-1] != self.state.step:
            self._say("starting", reached[-1])

    async def _watch(self) -> Cause | None:
        """Ask the canary again and again; return what became of the server."""
        misses, finished = 0, await self._ask(self._probe.finished())
        while not self._halt.is_set():
            # after a miss, too: a server that loses a part answers 500 at once, and is about to end
            await self._pause(self._config.canary_every_s)
            asked = time.monotonic()
            is_well = await self._ask(self._probe.answers())
            if self._halt.is_set():
                return None
            if self._server is None or self._server.code is not None:
                return "ended"
            if is_well:
                misses, self.state.canary_s = 0, time.monotonic() - asked
                finished = await self._ask(self._probe.finished())
                continue
            # a long queue is no hang: others are answered meanwhile
            before, finished = finished, await self._ask(self._probe.finished())
            misses = 0 if (finished or 0.0) > (before or 0.0) else misses + 1
            LOG.warning("the model server did not answer the canary (%d in a row)", misses)
            if misses >= self._config.canary_misses:
                return "hung"
        return None

    async def _ask(self, question: Coroutine[Any, Any, T]) -> T | None:
        """Return the answer, or None as soon as the server has ended or we are to stop."""
        task = asyncio.ensure_future(question)
        while not task.done() and self._is_live():
            await asyncio.wait({task}, timeout=POLL_S)
        if task.done():
            return task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return None

    async def _pause(self, wait_s: float) -> None:
        """Wait, but no longer than the server lives and we are not to stop."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0 and self._is_live():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), min(left, POLL_S))

    def _is_live(self) -> bool:
        ended = self._server is not None and self._server.code is not None
        return not ended and not self._halt.is_set()

    def _was_steady(self) -> bool:
        return self._steady_since is not None and time.monotonic() - self._steady_since > STEADY_S

    async def _end(self) -> None:
        """End the server: with time to answer what is in flight if we are told to stop."""
        if self._server is None:
            return
        is_asked = self._halt.is_set() and self._server.code is None
        if is_asked:
            self._say(self.state.phase, "stopping")
            await self._drain(self._server)
        await self._server.end(KILL_S if is_asked else 0.0)
        self._server = self.state.session = None
        self._config.uds.unlink(missing_ok=True)

    async def _drain(self, server: Server) -> None:
        """Let nobody new in and wait until all is answered, no longer than `shutdown_s`.

        vLLM's own --shutdown-timeout fails what waits for its turn: 0.32.0 answers embeddings with
        500 (`assert req_state.detokenizer`), so it must have nothing to do when it is told.
        """
        if self._steady_since is None:
            return  # it never answered anybody
        closed = server.close_door(self._config.uds)
        probe = Probe(replace(self._probe.config, uds=closed))
        until = time.monotonic() + self._config.shutdown_s
        while server.code is None and time.monotonic() < until:
            if await probe.in_flight() == 0:
                return
            await asyncio.sleep(POLL_S / 2)

    def _say(self, phase: Phase, step: str = "") -> None:
        self.state.phase, self.state.step = phase, step
        self._on_state(self.state)
