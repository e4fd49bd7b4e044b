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
from connectors.sandbox.access import USER_PREFIX
from connectors.sandbox.bulk import resources
from connectors.sandbox.bulk.jobs import DAILY_BATCHES, used_batches
from connectors.sandbox.bulk.runner import RUNNER, Runner
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.composite import post_composite
from connectors.sandbox.control import add_routes, control_token
from connectors.sandbox.dispatch import DISPATCHER, Dispatcher
from connectors.sandbox.errors import not_found
from connectors.sandbox.ids import record_id
from connectors.sandbox.oauth import OAuthError, TokenRequest
from connectors.sandbox.org import Org, OrgOptions
from connectors.sandbox.routes import PARTS
from connectors.sandbox.running import announced
from connectors.sandbox.soap import post_login
from connectors.sandbox.web import (
    FIRST_VERSION,
    LAST_VERSION,
    LOG,
    ORG,
    AccessLog,
    api,
    authenticate,
    middleware,
    open_to_all,
)
from schemas.errors import SetupError

HOST = "127.0.0.1"
MAX_BODY = 50 * 2**20  # bytes, unpacked
SAVE_USAGE_EVERY_S = 1.0
STOP_WITHIN_S = 2.0
SEASONS = ("Summer", "Winter", "Spring")  # v31 is Summer '14; three releases a year

_DATA = r"/services/data/v{version:\d+\.\d}"
_JOBS = f"{_DATA}/jobs/ingest"


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
    app[ORG], app[LOG] = org, log
    app[DISPATCHER] = Dispatcher.of(PARTS)
    app[RUNNER] = Runner(org)
    app.on_startup.append(_resume_jobs)
    app.on_cleanup.append(_stop_jobs)
    for method, path, handler in _ROUTES:
        app.router.add_route(method, path + "{slash:/?}", handler)
    return app


async def _resume_jobs(app: web.Application) -> None:
    await app[RUNNER].resume()


async def _stop_jobs(app: web.Application) -> None:
    await app[RUNNER].close()


async def get_versions(request: web.Request) -> Answer:
    """List the API versions; the one data resource that needs no session."""
    del request
    return Answer([_release(number) for number in range(FIRST_VERSION, LAST_VERSION + 1)])


async def get_resources(call: Call) -> Answer:
    """List the resources of one API version."""
    base = f"/services/data/v{call.version}"
    names = ("composite", "jobs", "limits", "query", "queryAll", "sobjects")
    return Answer(
        {name: f"{base}/{name}" for name in names} | {"identity": call.org.identity(call.user)}
    )


async def get_limits(call: Call) -> Answer:
    """Show what is left of the org's allowances."""
    tables = " UNION ALL ".join(
        f'SELECT COUNT(*) FROM "{view.name}"'  # noqa: S608 -- metadata names
        for view in call.org.views.all(call.user)
    )
    counts = await call.org.read(lambda store: store.select(tables)) if tables else []
    rows_in_all = sum(row[0] for row in counts)
    left = DAILY_BATCHES - await call.org.read(used_batches)
    batches = {"DailyBulkApiBatches": {"Max": DAILY_BATCHES, "Remaining": max(0, left)}}
    return Answer(call.org.usage.as_json(rows_in_all, call.org.apps.all()) | batches)


async def post_token(request: web.Request) -> Answer:
    """Log in by JWT bearer or client credentials."""
    form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    try:
        asked = TokenRequest(form, request.headers.get("Authorization", ""), request.host)
        return Answer(request.app[ORG].login(asked), headers=headers)
    except OAuthError as exc:
        body = {"error": exc.error, "error_description": exc.description}
        return Answer(body, 400, headers)


async def post_revoke(request: web.Request) -> Answer:
    """End a session."""
    token = (await request.post()).get("token") or request.query.get("token")
    if isinstance(token, str) and request.app[ORG].revoke(token):
        return Answer()
    body = {"error": "unsupported_token_type", "error_description": "this token is not supported"}
    return Answer(body, 400)


async def get_userinfo(request: web.Request) -> Answer:
    """Say who is calling."""
    org, user = request.app[ORG], authenticate(request).user
    return Answer(
        {
            "sub": org.identity(user),
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "preferred_username": user.username,
            "urls": _urls(org),
        }
    )


async def get_identity(request: web.Request) -> Answer:
    """Show the user that an identity URL names; users see only themselves."""
    org, user = request.app[ORG], authenticate(request).user
    if not org.identity(user).endswith(request.path.rstrip("/")):
        raise not_found()
    return Answer(
        {
            "id": org.identity(user),
            "user_id": record_id(USER_PREFIX, user.sequence),
            "organization_id": org.id,
            "username": user.username,
            "display_name": user.username,
            "active": True,
            "urls": _urls(org),
        }
    )


_ROUTES = (
    ("GET", "/services/data", open_to_all(get_versions)),
    ("POST", "/services/oauth2/token", open_to_all(post_token, has_faults=True)),
    ("POST", "/services/oauth2/revoke", open_to_all(post_revoke)),
    ("POST", "/services/Soap/{api:[cu]}/{version}", post_login),
    ("GET", "/services/oauth2/userinfo", open_to_all(get_userinfo)),
    ("GET", "/id/{org}/{user}", open_to_all(get_identity)),
    ("GET", _DATA, api(get_resources)),
    ("GET", f"{_DATA}/limits", api(get_limits)),
    ("POST", f"{_DATA}/composite", api(post_composite)),
    ("GET", _JOBS, api(resources.list_all)),
    ("POST", _JOBS, api(resources.post_job)),
    ("GET", f"{_JOBS}/{{id}}", api(resources.get_info)),
    ("PATCH", f"{_JOBS}/{{id}}", api(resources.patch_job)),
    ("DELETE", f"{_JOBS}/{{id}}", api(resources.delete_job)),
    ("PUT", f"{_JOBS}/{{id}}/batches", api(resources.put_data)),
    ("GET", f"{_JOBS}/{{id}}/{{results}}", api(resources.get_results)),
    *((r.method, _DATA + r.path, api(r.handler)) for r in PARTS),
)


@contextlib.asynccontextmanager
async def _running(folder: Path, url: str, options: OrgOptions) -> AsyncIterator[web.AppRunner]:
    """Yield a runner over the org in *folder*; afterwards all is written and closed."""
    org, log = Org(folder, url, options), AccessLog(folder / "access.log")
    app = application(org, log)
    if org.faults is not None:
        add_routes(app, org, org.faults, control_token(folder))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    saver = asyncio.create_task(_save_usage(org))
    try:
        yield runner
    finally:
        saver.cancel()
        await runner.cleanup()
        org.close()
        log.close()


async def _save_usage(org: Org) -> None:
    while True:
        await asyncio.sleep(SAVE_USAGE_EVERY_S)
        org.save_usage()


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


def _release(number: int) -> dict[str, str]:
    since = number - FIRST_VERSION
    label = f"{SEASONS[since % 3]} '{14 + (since + 2) // 3}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}


def _urls(org: Org) -> dict[str, str]:
    rest = f"{org.url}/services/data/v{{version}}/"
    return {"rest": rest, "sobjects": f"{rest}sobjects/", "query": f"{rest}query/"}
