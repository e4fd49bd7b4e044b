"""A headless Chromium for tests, driven over the DevTools protocol: what no parser of HTML shows.

Debian's package will do: ``apt-get install chromium``.
"""

import asyncio
import base64
import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
START_S, WAIT_S = 60.0, 30.0
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--no-proxy-server",
    "--ignore-certificate-errors", "--remote-debugging-port=0",
)  # fmt: skip


class MovedError(Exception):
    """The page went away while it was asked."""


class Page:
    """One tab."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse) -> None:
        self._line = line
        self._number = 0
        self.refused: list[str] = []  # what the browser kept the page from doing

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        self._number += 1
        await self._line.send_json({"id": self._number, "method": method, "params": params})
        while True:
            told = await self._line.receive_json(timeout=WAIT_S)
            if (
                told.get("method") == "Log.entryAdded"
                and told["params"]["entry"]["level"] != "info"
            ):
                self.refused.append(told["params"]["entry"]["text"])
            if told.get("id") == self._number:
                if "navigated" in told.get("error", {}).get("message", ""):
                    raise MovedError
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result

    async def ask(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    async def size(self, width: int, height: int) -> None:
        """Show the page as a screen of that size does, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )

    async def open(self, url: str) -> None:
        """Go to *url* and wait until it is there."""
        await self.ask("window.isOld = true")  # the page before may be shown as loaded still
        await self.call("Page.navigate", url=url)
        await self.settle("!window.isOld")

    async def click(self, selector: str) -> None:
        """Click what *selector* finds first, and wait for the page that follows."""
        await self.ask("window.isOld = true")
        with contextlib.suppress(MovedError):
            await self.ask(f"document.querySelector({selector!r}).click()")
        await self.settle("!window.isOld")

    async def settle(self, also: str = "true") -> None:
        """Wait until the page is loaded and *also* holds."""
        deadline = time.monotonic() + WAIT_S
        while not await self._holds(f"document.readyState === 'complete' && ({also})"):
            assert time.monotonic() < deadline, await self.ask("location.href")
            await asyncio.sleep(0.05)

    async def _holds(self, expression: str) -> bool:
        try:
            return bool(await self.ask(expression))
        except MovedError:
            return False

    async def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        told = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """Yield a tab of a fresh browser whose profile lies in *folder*."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_S):
            port = await _port(process.stderr)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tab = next(t for t in await answer.json() if t["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as line:
                page = Page(line)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _port(stderr: asyncio.StreamReader) -> int:
    """Return the port of the protocol, of which the browser tells on stderr."""
    async for line in stderr:
        told = re.search(rb"DevTools listening on ws://[^:]+:(\d+)/", line)
        if told is not None:
            return int(told[1])
    msg = "the browser does not start"
    raise AssertionError(msg)
