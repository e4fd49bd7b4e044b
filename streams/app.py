"""Faust, the shell operators know: signals, health page, supervision. Imported only here.

The data path is not Faust's: agents are 30 to 100 times slower than a confluent-kafka
batch loop, and its exactly-once is none. So each of our services is a blocking loop in a
thread inside one Faust service. While no agent is defined Faust needs no Kafka itself,
and is not given any: one principal less.

``homeport worker`` runs it; so does ``faust -A streams.app worker`` with HOMEPORT_REGION
and HOMEPORT_SERVICE (and HOMEPORT_HOME) in the environment.
"""

import asyncio
import logging
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from connectors.embedded.processes import HALTED
from schemas.errors import HaltError, HomeportError, SetupError
from streams.services import Loop, build_loop
from streams.settings import Settings, load_settings

LOG = logging.getLogger("homeport")
STOP_TIMEOUT_S = 20


class WorkerCrashError(HaltError):
    """The loop died. Says only what may be logged; never chained to its cause."""


def describe(exc: BaseException) -> str:
    """Return what may be said of an error: our own texts whole, others by class name."""
    return str(exc) if isinstance(exc, HomeportError) else type(exc).__name__


class _Boot(BootStrategy):
    def _should_enable_kafka_consumer(self) -> bool:
        return bool(self.app.agents)

    def _should_enable_kafka_producer(self) -> bool:
        return bool(self.app.agents)


class _App(faust.App):
    BootStrategy = _Boot


@dataclass(slots=True)
class Ending:
    """How a loop ended.

    Attributes:
        error: What it raised; None while it runs, and if it was told to stop.

    """

    error: BaseException | None = None


def build_app(settings: Settings, loop: Loop, ending: Ending) -> Any:  # noqa: ANN401, untyped
    """Return the Faust app that runs *loop* as *settings* say, and tells *ending* how it went."""
    if settings.health_port is None:
        msg = f"{settings.service}: no health_port in its settings; run `homeport up` again"
        raise SetupError(msg)
    data = settings.folder / "faust" / settings.service
    data.mkdir(parents=True, exist_ok=True)
    app = _App(
        f"homeport-{settings.region}-{settings.service}",
        broker=f"kafka://{settings.kafka.bootstrap}",
        store="memory://",
        datadir=data,
        web_host="127.0.0.1",
        web_port=settings.health_port,
        web_tables_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        reply_create_topic=False,
    )

    @app.service
    class LoopService(Service):
        """Runs the loop in a thread and crashes the worker when the loop crashes."""

        async def on_start(self) -> None:
            self._halt = threading.Event()
            running = asyncio.get_running_loop()
            self._done = running.run_in_executor(None, loop.run, self._halt)

        @Service.task
        async def _watch(self) -> None:
            done, _ = await asyncio.wait([self._done])
            error = ending.error = next(iter(done)).exception()
            if error is not None:  # a fresh error: a chained one would be logged with its text
                LOG.critical("stopped: %s", describe(error))
                await self.crash(WorkerCrashError(describe(error)))

        async def on_stop(self) -> None:
            self._halt.set()
            await asyncio.wait([self._done], timeout=STOP_TIMEOUT_S)

    @app.page("/health")
    async def health(web: Any, request: Any) -> Any:  # noqa: ANN401
        del request
        state = dict(loop.health())
        return web.json(state, status=200 if state.get("ready") else 503)

    return app


def run(settings: Settings, loop: Loop) -> None:
    """Run *loop* in this process until SIGTERM or SIGINT.

    Raises:
        SystemExit: 0 if told to stop, 1 if the loop crashed and may be started again, 4 if
            it halted: then nobody but a person may start it.

    """
    # At debug level Faust logs keys and values of what it sends; its spinner turns debug on.
    # urllib3 would log URLs, queries with tokens in them included, and warns with them, too.
    logging.getLogger("faust.topics").setLevel(logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    ending = Ending()
    app = build_app(settings, loop, ending)
    worker = faust.Worker(app, loglevel="INFO", redirect_stdouts=False, quiet=True)
    try:
        worker.execute_from_commandline()
    finally:
        if isinstance(ending.error, HaltError):
            sys.exit(HALTED)


def __getattr__(name: str) -> Any:  # noqa: ANN401, faust is untyped
    """Make ``app`` on demand, for ``faust -A streams.app``."""
    if name != "app":
        raise AttributeError(name)
    home = Path(os.environ.get("HOMEPORT_HOME", ".homeport"))
    settings = load_settings(home, os.environ["HOMEPORT_REGION"], os.environ["HOMEPORT_SERVICE"])
    return build_app(settings, build_loop(settings), Ending())
