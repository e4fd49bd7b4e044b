"""Run a supervisor in this process: signals, and a health page on loopback."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import web

from inference.config import ServerConfig
from inference.process import alone
from inference.supervisor import State, Supervisor
from schemas.errors import SetupError

HOST = "127.0.0.1"


def page(region: str, state: State) -> Mapping[str, Any]:
    """Return what the health page says; nothing in it is of a request."""
    return {"ready": state.phase == "ready", "region": region, **asdict(state)}


async def serve(config: ServerConfig, supervisor: Supervisor) -> None:
    """Run *supervisor* until SIGTERM or SIGINT, its state at ``/health`` of the health port.

    Raises:
        ModelError: As of `Supervisor.run`.
        SetupError: Another supervisor has the server's folder, or something cannot be started.

    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    with alone(config):
        async with _health(config, supervisor):
            await supervisor.run()


@asynccontextmanager
async def _health(config: ServerConfig, supervisor: Supervisor) -> AsyncIterator[None]:
    if config.health_port is None:
        yield
        return

    async def health(request: web.Request) -> web.Response:
        del request
        document = page(config.region, supervisor.state)
        return web.json_response(document, status=200 if document["ready"] else 503)

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, config.health_port).start()
        yield
    except OSError as exc:
        msg = f"port {config.health_port} of {HOST}: {exc.strerror}; run `homeport up` again"
        raise SetupError(msg) from exc
    finally:
        await runner.cleanup()
