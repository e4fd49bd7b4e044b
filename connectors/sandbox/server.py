"""The org's HTTP server: routes, certificates, start and stop."""

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.embedded.files import private_dir
from connectors.embedded.pki import ensure_ca, ensure_server_certificate
from connectors.sandbox.accesslog import AccessLog
from connectors.sandbox.bulk.runner import RUNNER, Runner
from connectors.sandbox.deploys.runner import DEPLOYER, Deployer
from connectors.sandbox.dispatch import DISPATCHER, Dispatcher
from connectors.sandbox.faults.control import add_routes, control_token
from connectors.sandbox.limits import LongCalls
from connectors.sandbox.org import Org, OrgOptions
from connectors.sandbox.protocol import MAX_LINE
from connectors.sandbox.routes import DATA, PARTS, ROUTES
from connectors.sandbox.rows.bin import purge_expired
from connectors.sandbox.running import announced
from connectors.sandbox.web import LOG, LONG_CALLS, ORG, api, middleware, refuse_unmatched
from connectors.weblog import web_log
from schemas.errors import SetupError

HOST = "127.0.0.1"
MAX_BODY = 50 * 2**20  # bytes, unpacked
SAVE_USAGE_EVERY_S = 1.0
EMPTY_BIN_EVERY_S = 3600.0
STOP_WITHIN_S = 2.0


async def serve(
    home: Path,
    port: int,
    options: OrgOptions,
    *,
    is_plain: bool,
    on_ready: Callable[[Mapping[str, Any]], None],
) -> signal.Signals:
    """Serve the home's org until SIGTERM or SIGINT, and return which it was.

    Args:
        home: The home folder; the org lies in ``<home>/sandbox``.
        port: Port on 127.0.0.1; 0 takes a free one.
        options: How the org behaves.
        is_plain: http instead of https.
        on_ready: Called once with ``instance_url``, ``port`` and ``ca_file``.

    Raises:
        SetupError: The port is taken.

    """
    folder = private_dir(home / "sandbox")
    context = None if is_plain else _tls(home)
    stop: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stop, number)
    with _listener(port) as listener:
        port = listener.getsockname()[1]
        url = f"{'http' if is_plain else 'https'}://{HOST}:{port}"
        async with _running(folder, url, options) as runner:
            await web.SockSite(runner, listener, ssl_context=context).start()
            with announced(home, port, url):
                ca_file = None if is_plain else str((home / "ca/ca.pem").resolve())
                on_ready({"instance_url": url, "port": port, "ca_file": ca_file})
                return await stop


def application(org: Org, log: AccessLog) -> web.Application:
    """Return the web application over *org*."""
    app = web.Application(middlewares=[middleware], client_max_size=MAX_BODY)
    app[ORG], app[LOG], app[LONG_CALLS] = (
        org,
        log,
        LongCalls(org.options.long_call_s, most=org.options.long_calls),
    )
    app[DISPATCHER] = Dispatcher.of(PARTS)
    app[RUNNER] = Runner(org)
    app[DEPLOYER] = Deployer(org)
    app.on_startup.append(_resume_jobs)
    app.on_cleanup.append(_stop_jobs)
    # the official CLI keeps `https://org/` as the org's address and sends `//services/data/...`
    for lead in ("", "/"):
        for method, path, handler in ROUTES:
            app.router.add_route(method, f"{lead}{path}{{slash:/?}}", handler)
        app.router.add_route("*", f"{lead}{DATA}{{rest:(/.*)?}}", api(refuse_unmatched))
    return app


async def _resume_jobs(app: web.Application) -> None:
    await app[RUNNER].resume()
    await app[DEPLOYER].resume()


async def _stop_jobs(app: web.Application) -> None:
    await app[RUNNER].close()
    await app[DEPLOYER].close()


@contextlib.asynccontextmanager
async def _running(folder: Path, url: str, options: OrgOptions) -> AsyncIterator[web.AppRunner]:
    """Yield a runner over the org in *folder*; afterwards all is written and closed."""
    org = Org(folder, url, options)
    log = AccessLog(folder / "access.log", org.is_deployed)
    app = application(org, log)
    if org.faults is not None:
        add_routes(app, org, org.faults, control_token(folder))
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=web_log("sandbox"),
        shutdown_timeout=STOP_WITHIN_S,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
    )
    await runner.setup()
    chores = [asyncio.create_task(_save_usage(org)), asyncio.create_task(_empty_bin(org))]
    try:
        yield runner
    finally:
        for chore in chores:
            chore.cancel()
        await runner.cleanup()
        org.close()
        log.close()


async def _save_usage(org: Org) -> None:
    while True:
        await asyncio.sleep(SAVE_USAGE_EVERY_S)
        org.save_usage()


async def _empty_bin(org: Org) -> None:
    while True:
        await purge_expired(org)
        await asyncio.sleep(EMPTY_BIN_EVERY_S)


def _listener(port: int) -> socket.socket:
    """Return a listening socket on this machine's own address only.

    Raises:
        SetupError: The port is taken.

    """
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as exc:
        msg = f"cannot listen on {HOST}:{port}: {exc.strerror}; choose another port with --port"
        raise SetupError(msg) from exc


def _tls(home: Path) -> ssl.SSLContext:
    ensure_ca(home)
    certificate, key = ensure_server_certificate(home)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def _stop(stop: "asyncio.Future[signal.Signals]", number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number)
