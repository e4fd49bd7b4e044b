"""A ledger over HTTP, on loopback: the paths and types of C2SP tlog-tiles, read-only.

Nothing is served that no signed checkpoint covers, and nothing by a path that is not the one
way to write a tile's name: there is no walk through the file system.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from aiohttp import web

from connectors.weblog import web_log
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.note import Verifier
from residency.ledger.reader import CHECKPOINT, TILES, VKEY, Reader, open_head
from residency.ledger.tiles import ENTRIES, TILE_WIDTH, level_width, parse_path
from schemas.errors import SetupError

HOST: Final = "127.0.0.1"
BINARY, TEXT = "application/octet-stream", "text/plain; charset=utf-8"
STOP_WITHIN_S = 2.0
_YEAR_S = 31_536_000
FRESH: Final = "no-cache"  # the checkpoint grows, and a partial tile gives way to a wider one
FOREVER: Final = f"public, max-age={_YEAR_S}, immutable"
FOREVER_PRIVATE: Final = f"private, max-age={_YEAR_S}, immutable"  # entries: no shared cache


class LedgerPages:
    """What the server answers."""

    def __init__(self, reader: Reader, log: Verifier, *, with_entries: bool) -> None:
        """Serve the ledger of *log* that *reader* reads; its entries only if told."""
        self._reader = reader
        self._log = log
        self._with_entries = with_entries

    def application(self) -> web.Application:
        """Return the web application: GET and HEAD of three kinds of path."""
        app = web.Application()
        app.router.add_get(f"/{CHECKPOINT}", self.checkpoint)
        app.router.add_get(f"/{VKEY}", self.vkey)
        app.router.add_get(f"/{TILES}/{{rest:.+}}", self.tile)
        return app

    async def checkpoint(self, request: web.Request) -> web.Response:
        """Return the checkpoint, verbatim."""
        del request
        return _answer(self._reader.checkpoint(), TEXT, FRESH)

    async def vkey(self, request: web.Request) -> web.Response:
        """Return the key that the ledger was opened with, which a reader should have already."""
        del request
        return _answer(f"{self._log}\n".encode(), TEXT, FRESH)

    async def tile(self, request: web.Request) -> web.Response:
        """Return one tile or bundle that the signed checkpoint covers; else 404."""
        try:
            tile = parse_path(request.path.removeprefix("/"))
        except FormatError:
            raise web.HTTPNotFound from None
        try:
            covered = level_width(tile.level, open_head(self._reader, self._log).size)
            is_shown = tile.level != ENTRIES or self._with_entries
            if not is_shown or tile.n * TILE_WIDTH + tile.width > covered:
                raise web.HTTPNotFound
            data = self._reader.tile(tile)
        except LedgerError as exc:
            raise web.HTTPServiceUnavailable from exc
        if tile.width < TILE_WIDTH:
            return _answer(data, BINARY, FRESH)
        return _answer(data, BINARY, FOREVER_PRIVATE if tile.level == ENTRIES else FOREVER)


def _answer(data: bytes, kind: str, cache: str) -> web.Response:
    headers = {
        "Content-Type": kind,
        "Cache-Control": cache,
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=data, headers=headers)


async def serve(
    reader: Reader,
    log: Verifier,
    port: int,
    *,
    with_entries: bool,
    on_ready: Callable[[str], None],
) -> signal.Signals:
    """Serve until SIGTERM or SIGINT, and return which it was.

    Args:
        reader: The ledger.
        log: Its key.
        port: On 127.0.0.1; 0 takes a free one.
        with_entries: Whether entries are served.
        on_ready: Called once, with the address.

    Raises:
        SetupError: The port is taken.

    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop, number)
    pages = LedgerPages(reader, log, with_entries=with_entries)
    runner = web.AppRunner(
        pages.application(),
        access_log=None,
        logger=web_log("ledger"),
        shutdown_timeout=STOP_WITHIN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        on_ready(f"http://{HOST}:{runner.addresses[0][1]}")
        return await stop
    except OSError as exc:
        msg = f"cannot listen on {HOST}:{port}: {exc.strerror}; choose another port with --port"
        raise SetupError(msg) from exc
    finally:
        await runner.cleanup()


def _stop(stop: "asyncio.Future[signal.Signals]", number: signal.Signals) -> None:
    if not stop.done():
        stop.set_result(number)
