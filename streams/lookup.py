"""The look-up: in-region tools and people see fields of the vault, each look in the ledger.

``POST /find`` is the API, ``/`` and ``/<token>`` the page; `streams.looking` does the work. The
process reads the vault and opens its keys; it has no Kafka rights and no way out of the region.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from aiohttp import web

from connectors.weblog import web_log
from residency.telemetry.setup import Telemetry, telemetry
from schemas.errors import HaltError
from streams.looking import page
from streams.looking.callers import Callers
from streams.looking.desk import Desk
from streams.looking.web import MAX_BODY_BYTES, Service, post_find
from streams.settings import Settings

STOP_TIMEOUT_S = 8
THREADS = 32  # look-ups at once; the others wait

Answer = Callable[[Service, web.Request], Awaitable[web.Response]]


def application(service: Service) -> web.Application:
    """Return the routes of *service*."""

    def route(answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await answer(service, request)

        return handle

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_post("/find", route(post_find))
    app.router.add_get("/", route(page.get_page))
    app.router.add_post("/page", route(page.post_page))
    app.router.add_get(r"/{token:tok_[a-z0-9]+_[a-z2-7]+}", route(page.get_page))
    return app


class Lookup:
    """One region's look-up. ``run`` blocks, as the shell wants it."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take the look-up's own settings; opens keys and database in `run`."""
        self._settings = settings
        self._signals = signals
        self._service: Service | None = None

    def health(self) -> Mapping[str, Any]:
        """Return how many look-ups ended how since start."""
        counts = {} if self._service is None else self._service.counter.counts
        return {"ready": self._service is not None, **counts}

    def run(self, halt: threading.Event) -> None:
        """Serve until *halt*; answers what is in flight before it ends."""
        if self._settings.http_port is None:
            msg = "the look-up's settings name no http_port; run `homeport up` again"
            raise HaltError(msg)
        try:
            with closing(Desk(self._settings)) as desk:
                service = Service(desk, Callers(self._settings.folder), self._signals.recorder)
                asyncio.run(self._serve(service, self._settings.http_port, halt))
        finally:
            self._signals.shutdown()

    async def _serve(self, service: Service, port: int, halt: threading.Event) -> None:
        runner = web.AppRunner(
            application(service),
            access_log=None,
            logger=web_log("lookup"),
            shutdown_timeout=STOP_TIMEOUT_S,
        )
        # each look-up waits in a thread of its own, for the database and then for egress
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        await runner.setup()
        await web.TCPSite(runner, self._settings.http_host, port).start()
        self._service = service
        await asyncio.to_thread(halt.wait)
        await runner.cleanup()


def build(settings: Settings) -> Lookup:
    """Return the look-up of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Lookup(settings, telemetry("lookup", settings.region, folder, os.environ))
