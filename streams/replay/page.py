"""A replay's report as a page that a person reads: no script, nothing fetched."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(document: Mapping[str, Any], vkey: str, digest: str, leaf: int | None) -> str:
    """Return the page that shows a report.

    Args:
        document: The report.
        vkey: The key that signed it.
        digest: SHA-256 of the signed report, hex.
        leaf: Which of the ledger's leaves names that; None: it waits for egress.

    """
    template = _PAGES.get_template("report.html")
    return template.render(report=document, vkey=vkey, digest=digest, leaf=leaf)
