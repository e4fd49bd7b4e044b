"""The test org's pages, and the one redirect that they answer with."""

from pathlib import Path
from typing import Final

from aiohttp import web

from connectors.pages import HEADERS, Pages

PAGES: Final = Pages(Path(__file__).parent / "templates")
page = PAGES.page


def see_other(url: str) -> web.Response:
    """Return the answer that sends a browser to *url*."""
    return web.Response(status=303, headers={**HEADERS, "Location": url})
