"""The access log: one JSON line per request, never a body, a token, a key or a query's text."""

import json
import re
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.sandbox.faults.acts import FAULT_KEY

APP_KEY = "homeport.app"  # where a request keeps the app it came through
PAGE_APP = "page"  # the app of the org's pages, which do not show their own calls
KEPT_CALLS = 200  # of them the pages show the last
_SHOWN = frozenset({"version", "sobject", "field", "slash"})  # parts of a path that name metadata
# as a client may name itself in Sforce-Call-Options; a token or an address does not look like this
_CLIENT = re.compile(r"(?:^|,)\s*client\s*=\s*([\w./ -]{1,40}?)\s*(?:,|$)", re.ASCII)


class AccessLog:
    """Writes the lines.

    Attributes:
        recent: The last calls, oldest first, as they are written.

    """

    def __init__(self, file: Path) -> None:
        """Append to *file*."""
        self._out = file.open("a", buffering=1, encoding="utf-8")
        file.chmod(0o600)
        self.recent: deque[dict[str, Any]] = deque(maxlen=KEPT_CALLS)

    def close(self) -> None:
        """Close the file."""
        self._out.close()

    def add(self, request: web.Request, status: int, started: float) -> None:
        """Note a request that began at *started*, in `time.monotonic` seconds."""
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": request.method,
            "path": _shown_path(request),
            "status": status,
            "app": request.get(APP_KEY, "-"),
            "client": client_of(request.headers.get("Sforce-Call-Options", "")),
            "fault": request.get(FAULT_KEY),
            "ms": round((time.monotonic() - started) * 1000, 1),
        }
        self._out.write(json.dumps(line) + "\n")
        if line["app"] != PAGE_APP:
            self.recent.append(line)


def client_of(options: str) -> str | None:
    """Return how a client names itself in ``Sforce-Call-Options``, None if it does not.

    A name of more than 40 characters, or of others than letters, digits, ``. / - _`` and blank,
    is none: what is written down must not be what a client let slip.
    """
    match = _CLIENT.search(options)
    return match[1] if match else None


def _shown_path(request: web.Request) -> str:
    """Return the path with ids, keys and whatever matched no route as ``*``."""
    resource = request.match_info.route.resource
    if resource is None or "rest" in request.match_info:
        return "*"
    parts = {k: v if k in _SHOWN else "*" for k, v in request.match_info.items()}
    return str(resource.url_for(**parts)) if parts else resource.canonical
