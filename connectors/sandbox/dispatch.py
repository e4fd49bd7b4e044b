"""Which handler answers which resource below the API version: over HTTP, or in a composite."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from connectors.sandbox.call import Handler
from connectors.sandbox.errors import not_found
from connectors.sandbox.protocol import not_allowed

_URL = re.compile(r"/services/data/v([1-9]\d*\.0)(/.*)", re.ASCII)


class Kind(Enum):
    """What a resource counts as within another request."""

    ROW = "row"
    COLLECTION = "collection"  # of these and the queries together a composite takes only five
    QUERY = "query"
    LIMITS = "limits"  # may stand in a batch only


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one resource; the path begins below the API version."""

    method: str
    path: str
    handler: Handler
    kind: Kind


@dataclass(frozen=True, slots=True)
class Found:
    """A route and what of it a URL names."""

    route: Route
    version: str
    parts: Mapping[str, str]
    query: Mapping[str, str]


class Dispatcher:
    """Finds the route of a URL without HTTP."""

    def __init__(self, routes: Sequence[tuple[re.Pattern[str], Route]]) -> None:
        """Look in *routes*; the first pattern that matches wins."""
        self._routes = tuple(routes)

    @classmethod
    def of(cls, routes: Sequence[Route]) -> Self:
        """Return a dispatcher over *routes*."""
        return cls([(re.compile(_pattern(route.path)), route) for route in routes])

    def find(self, method: str, url: str) -> Found:
        """Return what answers *method* on *url*, a path below the server's name.

        Raises:
            ApiError: 404 or 405, nothing does.

        """
        try:
            split = urlsplit(url)
        except ValueError as exc:
            raise not_found() from exc
        match = _URL.fullmatch(split.path)
        if match is None:
            raise not_found()
        version, path = match.groups()
        allowed: list[str] = []
        for pattern, route in self._routes:
            named = pattern.fullmatch(path)
            if named is None:
                continue
            if route.method != method:
                allowed.append(route.method)
                continue
            parts = {name: unquote(text) for name, text in named.groupdict().items()}
            query = dict(parse_qsl(split.query, keep_blank_values=True))
            return Found(route, version, parts, query)
        if not allowed:
            raise not_found()
        raise not_allowed(method, allowed)


DISPATCHER: web.AppKey[Dispatcher] = web.AppKey("dispatcher", Dispatcher)


def _pattern(path: str) -> str:
    """Return the regular expression of a path such as ``/sobjects/{sobject}``."""
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?"
