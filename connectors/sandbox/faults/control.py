"""The control path: sets faults, ends sessions, holds rows. Only with ``--faults``.

Who may read the home folder may use it: the token lies there. To everybody else the path
answers as one that does not exist.
"""

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.embedded.files import write_private
from connectors.sandbox.access import User
from connectors.sandbox.errors import ApiError
from connectors.sandbox.faults.book import Faults
from connectors.sandbox.faults.document import PlanError, members, number
from connectors.sandbox.faults.plan import DEFAULT_SECONDS, MAX_WAIT_S, read_plan
from connectors.sandbox.ids import record_id
from connectors.sandbox.logins.apps import CLI_APP
from connectors.sandbox.org import Org
from connectors.sandbox.store import ADMIN, key_of

TOKEN_HEADER = "X-Sandbox-Control"  # noqa: S105 -- a header's name
TOKEN_FILE = "control"  # noqa: S105 -- a file's name
BASE = "/__sandbox__"
_ADMIN = User(1, ADMIN, None)

Handler = Callable[[Org, Faults, Any], Awaitable[object]]


def control_token(folder: Path) -> str:
    """Return the token in the org's *folder*, made on first use, readable by the owner alone."""
    file = folder / TOKEN_FILE
    if not file.exists():
        write_private(file, secrets.token_urlsafe(32))
    return file.read_text("utf-8").strip()


def add_routes(app: web.Application, org: Org, faults: Faults, token: str) -> None:
    """Add the control path of *org* to *app*."""
    routes: tuple[tuple[str, str, Handler], ...] = (
        ("GET", "faults", _get_faults),
        ("POST", "faults", _post_faults),
        ("DELETE", "faults", _delete_faults),
        ("POST", "expire-sessions", _expire_sessions),
        ("POST", "locks", _post_lock),
    )
    for method, name, handler in routes:
        app.router.add_route(method, f"{BASE}/{name}", _guarded(handler, org, faults, token))

    async def stop(_: web.Application) -> None:
        await faults.stop()

    app.on_shutdown.append(stop)


def _guarded(
    handler: Handler, org: Org, faults: Faults, token: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        given = request.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise web.HTTPNotFound
        try:
            text = await request.text()
            return web.json_response(await handler(org, faults, json.loads(text or "{}")))
        except (PlanError, ValueError) as exc:
            why = str(exc) if isinstance(exc, PlanError) else "the body is not JSON"
            return web.json_response({"error": why}, status=400)

    return answer


async def _get_faults(org: Org, faults: Faults, document: object) -> object:
    del org, document
    return faults.as_json()


async def _post_faults(org: Org, faults: Faults, document: object) -> object:
    del org
    faults.set(read_plan(document))
    return faults.as_json()


async def _delete_faults(org: Org, faults: Faults, document: object) -> object:
    del org, document
    faults.clear()
    return faults.as_json()


async def _expire_sessions(org: Org, faults: Faults, document: object) -> object:
    del faults
    name = members(document, "the order", ("app",)).get("app")
    apps = {text: app.name for app in org.apps.all() for text in (app.name, app.consumer_key)}
    apps[CLI_APP] = CLI_APP
    if name is None:
        return {"ended": org.expire_sessions(None)}
    if name not in apps:
        msg = "app: no registered app has this consumer key or name"
        raise PlanError(msg)
    return {"ended": org.expire_sessions(apps[name])}


async def _post_lock(org: Org, faults: Faults, document: object) -> object:
    """Hold one row, named by its external id, as a transaction of somebody else would."""
    order = members(document, "the order", ("object", "external_id", "seconds"))
    seconds = number(order, "seconds", DEFAULT_SECONDS, most=MAX_WAIT_S)
    try:
        view = org.views.get(_ADMIN, str(order.get("object")))
    except ApiError as exc:
        msg = "object: the org has no such object"
        raise PlanError(msg) from exc
    key = next((f for f in view.fields.values() if f.is_external_id), None)
    if key is None:
        msg = "object: it has no external id"
        raise PlanError(msg)
    value = str(order.get("external_id"))
    found = await org.read(lambda store: store.find_keys(view.name, key, [value]))
    rows = found.get(key_of(key, value), [])
    if not rows:
        msg = f"external_id: {view.name} has no such row"
        raise PlanError(msg)
    for sequence, _ in rows:
        faults.locks.hold((view.name, sequence), seconds)
    return {"held": [record_id(view.prefix, sequence) for sequence, _ in rows]}
