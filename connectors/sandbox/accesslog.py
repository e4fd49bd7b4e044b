"""The access log: one JSON line per request, never a body, a token, a key or a query's text."""

import json
import re
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.sandbox.faults.acts import FAULT_KEY

APP_KEY = "homeport.app"  # where a request keeps the app it came through
PAGE_APP = "page"  # the app of the org's pages, which do not show their own calls
KEPT_CALLS = 200  # of them the pages show the last
_VERSION = re.compile(r"\d{1,3}\.\d", re.ASCII)
# as a client may name itself in Sforce-Call-Options; a token or an address does not look like this
_CLIENT = re.compile(r"(?:^|,)\s*client\s*=\s*([\w./ -]{1,40}?)\s*(?:,|$)", re.ASCII)


class AccessLog:
    """Writes the lines.

    Attributes:
        recent: The last calls, oldest first, as they are written.

    """

    def __init__(self, file: Path, is_deployed: Callable[[str, str | None], bool]) -> None:
        """Append to *file*; *is_deployed* says whether there is such an object, or such a field."""
        self._is_deployed = is_deployed
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
            "path": self._shown_path(request),
            "status": status,
            "app": request.get(APP_KEY, "-"),
            "client": client_of(request.headers.get("Sforce-Call-Options", "")),
            "fault": request.get(FAULT_KEY),
            "ms": round((time.monotonic() - started) * 1000, 1),
        }
        self._out.write(json.dumps(line) + "\n")
        if line["app"] != PAGE_APP:
            self.recent.append(line)

    def _shown_path(self, request: web.Request) -> str:
        """Return the path with ids, keys and whatever matched no route as ``*``.

        A client may send a value where a name belongs: of objects and fields are shown those
        that there are.
        """
        named = request.match_info
        resource = named.route.resource
        if resource is None or "rest" in named:
            return "*"
        sobject = named.get("sobject", "")
        is_shown = {
            "api": True,
            "slash": True,
            "version": _VERSION.fullmatch(named.get("version", "")),
            "sobject": self._is_deployed(sobject, None),
            "field": self._is_deployed(sobject, named.get("field")),
        }
        parts = {k: v if is_shown.get(k) or not v else "*" for k, v in named.items()}
        return str(resource.url_for(**parts)) if parts else resource.canonical


def client_of(options: str) -> str | None:
    """Return how a client names itself in ``Sforce-Call-Options``, None if it does not.

    A name of more than 40 characters, or of others than letters, digits, ``. / - _`` and blank,
    is none: what is written down must not be what a client let slip.
    """
    match = _CLIENT.search(options)
    return match[1] if match else None
