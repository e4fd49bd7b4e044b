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


def page(document: Mapping[str, Any], vkey: str) -> str:
    """Return the page that shows a report and the key that signed it."""
    return _PAGES.get_template("report.html").render(report=document, vkey=vkey)
