"""The pages in a real browser: nothing is refused, nothing sticks out, and an app is let in."""

import asyncio
import http.server
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import CHROMIUM, browser
from org_person import authorize_path, link, sandbox_cli, token_form

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install it")
ORDER, KEY = "Commerce_Order__c", "External_Id__c"
PAGES = {
    "overview": "/",
    "calls": "/calls",
    "records": f"/objects/{ORDER}",
    "users": "/objects/User",
    "nothing": "/objects/Commerce_Case__c",
}
SCHEMES = ("light", "dark")
SCREENS = {"desk": (1280, 900), "tablet": (768, 1024), "phone": (390, 844)}
# How far the page itself can be scrolled sideways, and which texts are wider than what holds them.
STICKS_OUT = """JSON.stringify([
  document.documentElement.scrollWidth - document.documentElement.clientWidth,
  [...document.querySelectorAll('main *')].filter(e => !e.closest('.table') &&
    e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)])"""
# What of a page is not seen without scrolling: calls, the tab of the page, a type on one line.
HIDDEN = """JSON.stringify([
  [...document.querySelectorAll('.calls, .fields')].filter(e =>
    e.scrollWidth > e.clientWidth).length,
  [...document.querySelectorAll('nav .on')].filter(e =>
    e.getBoundingClientRect().right > innerWidth).length,
  [...document.querySelectorAll('.fields td:nth-child(2)')].filter(e => {
    const text = document.createRange(); text.selectNodeContents(e);
    return text.getClientRects().length > 1 }).length])"""


@pytest.fixture(scope="module")
def seen(module_org: Any) -> Any:
    """Put enough into the module's org for a page and a half."""
    rows = [{KEY: f"row-{n:02d}", "Total__c": n, "Customer_Key__c": "k" * 128} for n in range(40)]
    module_org.login().upsert(rows)
    return module_org


@pytest.fixture(scope="module")
def called(seen: Any) -> Any:
    """Make calls with long paths, so that their table has to break them."""
    path = f"composite/sobjects/{ORDER}/{KEY}/{'not-there/' * 8}"
    assert seen.login().call("GET", path).status_code == 404
    return seen


def keep(name: str, png: bytes) -> None:
    """Leave a screenshot to look at where ``HOMEPORT_SCREENSHOTS`` says."""
    folder = os.environ.get("HOMEPORT_SCREENSHOTS")
    if folder:
        (Path(folder) / f"{name}.png").write_bytes(png)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_the_screen_shows_what_one_comes_for_and_is_refused_nothing(
    called: Any, tmp_path: Path, screen: str
) -> None:
    width, height = SCREENS[screen]
    pages = {f"{name}-{scheme}": path for name, path in PAGES.items() for scheme in SCHEMES}

    async def look() -> tuple[dict[str, Any], dict[str, Any], list[str], list[tuple[int, ...]]]:
        wide, hidden, sizes = {}, {}, []
        async with browser(tmp_path / "profile") as page:
            await page.size(width, height)
            await page.open(link(called)["url"])
            for name, path in pages.items():
                scheme = {"name": "prefers-color-scheme", "value": name.rpartition("-")[2]}
                await page.call("Emulation.setEmulatedMedia", features=[scheme])
                await page.open(called.url + path)
                wide[name], hidden[name] = await page.ask(STICKS_OUT), await page.ask(HIDDEN)
                png = await page.screenshot()
                sizes.append(struct.unpack(">II", png[16:24]))
                keep(f"{name}-{screen}", png)
            return wide, hidden, page.refused, sizes

    wide, hidden, refused, sizes = asyncio.run(look())

    assert wide == dict.fromkeys(pages, "[0,[]]")
    assert hidden == dict.fromkeys(pages, "[0,0,0]")
    assert refused == []
    assert sizes == [(width, height)] * len(pages)


def test_the_link_leaves_no_key_in_the_address_bar_and_scripts_see_no_cookie(
    seen: Any, tmp_path: Path
) -> None:
    async def look() -> tuple[Any, ...]:
        async with browser(tmp_path / "profile") as page:
            await page.open(link(seen)["url"])
            return await page.ask("location.href"), await page.ask("document.cookie")

    assert asyncio.run(look()) == (f"{seen.url}/", "")


def test_a_person_walks_from_the_overview_to_the_oldest_row(seen: Any, tmp_path: Path) -> None:
    async def walk() -> str:
        async with browser(tmp_path / "profile") as page:
            await page.open(link(seen)["url"])
            await page.click(f"main a[href='/objects/{ORDER}']")
            await page.click("a[rel=last]")
            return str(await page.ask("document.querySelector('main').innerText"))

    text = asyncio.run(walk())

    assert "page 2 of 2" in text
    assert "row-00" in text


class _App(http.server.BaseHTTPRequestHandler):
    """The callback of somebody's app."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"thank you")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def callback() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _App)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/callback"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_person_who_types_the_key_in_lets_an_app_in(
    seen: Any, tmp_path: Path, callback: str
) -> None:
    client_id = sandbox_cli(seen, "app", "add", "Mine", callback).stdout.strip()
    asked = authorize_path(client_id=client_id, redirect_uri=callback, state="s")
    key = link(seen)["key"]

    async def allow() -> tuple[str, list[str]]:
        async with browser(tmp_path / "profile") as page:
            await page.size(390, 844)
            await page.open(seen.url + asked)
            keep("closed-phone", await page.screenshot())
            await page.ask(f"document.querySelector('#key').value = '{key}'")
            await page.click("button")
            keep("authorize-phone", await page.screenshot())
            await page.click("button[value=allow]")
            return str(await page.ask("location.href")), page.refused

    url, refused = asyncio.run(allow())

    told = parse_qs(urlsplit(url).query)
    assert url.startswith(f"{callback}?")
    assert told["state"] == ["s"]
    form = token_form(told["code"][0], client_id=client_id, redirect_uri=callback)
    assert seen.post_token(form).status_code == 200
    assert [text for text in refused if "Security Policy" in text] == []
