"""HTML pages: templates, and the headers that keep a browser from doing more than showing them."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # stricter, and a form's Origin would be `null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Pages:
    """The pages of a folder of templates, with the one style sheet that lies beside them."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it holds ``style.css``, which a page shows as ``{{ style }}``."""
        style = (folder / "style.css").read_text("utf-8")
        self._hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
        self._templates = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["style"] = Markup(style)  # noqa: S704 -- our own file, and hashed

    def page(
        self, name: str, values: Mapping[str, object], *, status: int = 200, form_target: str = ""
    ) -> web.Response:
        """Return the page that the template *name* makes of *values*, which it escapes.

        Args:
            name: File in the folder.
            values: What the template shows.
            status: HTTP status.
            form_target: Origin that a form of the page is sent on to, besides the page's own:
                browsers hold redirects to it, too.

        """
        policy = (
            f"default-src 'none'; style-src 'sha256-{self._hash}'; img-src data:;"
            f" form-action 'self' {form_target}; base-uri 'none'; frame-ancestors 'none'"
        )
        text = self._templates.get_template(name).render(values)
        headers = {**HEADERS, "Content-Security-Policy": policy}
        return web.Response(
            text=text, status=status, headers=headers, content_type="text/html", charset="utf-8"
        )
