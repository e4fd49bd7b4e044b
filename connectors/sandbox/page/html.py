"""Pages: the templates, and the headers that keep a browser from doing more than showing them."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (TEMPLATES / "style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_PAGES = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 -- our own file, and hashed below
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # stricter, and a form's Origin would be `null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page(
    name: str, values: Mapping[str, object], *, status: int = 200, form_target: str = ""
) -> web.Response:
    """Return the page that the template *name* makes of *values*, which it escapes.

    Args:
        name: File below `TEMPLATES`.
        values: What the template shows.
        status: HTTP status.
        form_target: Origin that a form of the page is sent on to, besides the org's own:
            browsers hold redirects to it, too.

    """
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:;"
        f" form-action 'self' {form_target}; base-uri 'none'; frame-ancestors 'none'"
    )
    text = _PAGES.get_template(name).render(values)
    headers = {**_HEADERS, "Content-Security-Policy": policy}
    return web.Response(
        text=text, status=status, headers=headers, content_type="text/html", charset="utf-8"
    )


def see_other(url: str) -> web.Response:
    """Return the answer that sends a browser to *url*."""
    return web.Response(status=303, headers={**_HEADERS, "Location": url})
