"""What the API asks of every request's HTTP, and does with every answer's.

Source: REST API, "Status Codes and Error Responses", "Compression", "Warning Header", "API
End-of-Life Policy"; the texts are what clients have reported.
"""

import gzip
import zlib
from collections.abc import Iterable

from aiohttp import web

from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.texts import encodable

FIRST_VERSION, LAST_VERSION = 31, 67
LAST_DEPRECATED = 40
MAX_URI = 16_384  # bytes; and so many with the headers
COMPRESS_FROM = 1000  # bytes; below it compression costs more than it saves
# longer lines are refused by the HTTP parser, without the API's form
MAX_LINE = 65_536  # bytes

_METHODS = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE")  # in the order of the real texts
_JSON = frozenset({"application/json", "application/*", "*/*"})
_XML = frozenset({"application/xml", "text/xml"})
_WARNING = '299 - "This API is deprecated and will be removed by Summer \'28."'


def check_size(request: web.Request) -> None:
    """Refuse a request whose URI, or URI and headers, are too long.

    Raises:
        ApiError: 414 or 431.

    """
    uri = len(request.raw_path)
    if uri > MAX_URI:
        raise refuse(414, "URI_TOO_LONG", "Maximum length for URI exceeded")
    # each header line has a colon, a blank and a line end
    if uri + sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > MAX_URI:
        text = "Maximum length for URI and headers exceeded"
        raise refuse(431, "REQUEST_HEADER_FIELDS_TOO_LARGE", text)


def check_accept(accept: str) -> None:
    """Refuse a client that takes nothing but XML, which this org does not write.

    Raises:
        ApiError: 406.

    """
    wanted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if wanted & _XML and not wanted & _JSON:
        raise refuse(406, "NOT_ACCEPTABLE", "This org answers application/json")


def check_media_type(header: str) -> None:
    """Refuse a body that does not say it is JSON; saying nothing is allowed.

    Raises:
        ApiError: 415.

    """
    kind = encodable(header.partition(";")[0].strip().lower())
    if kind not in {"", "application/json"}:
        text = f"MediaType of '{kind}' is not supported by this resource"
        raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", text)


def check_version(version: str) -> str:
    """Return the API version of a path, such as ``62.0``, if there is such a one.

    Raises:
        ApiError: 410 for a retired one, 404 for one that does not exist yet.

    """
    number = int(version.partition(".")[0])
    if number < FIRST_VERSION:
        text = f"The requested API version {version} has been retired"
        raise refuse(410, "GONE", text)
    if number > LAST_VERSION:
        raise not_found()
    return version


def warning(version: str) -> dict[str, str]:
    """Return the header of an answer in a version that will be retired, or none."""
    is_old = int(version.partition(".")[0]) <= LAST_DEPRECATED
    return {"Warning": _WARNING} if is_old else {}


def not_allowed(method: str, allowed: Iterable[str]) -> ApiError:
    """Return the 405 of a resource that knows only the *allowed* methods."""
    known = set(allowed)
    listed = ",".join(name for name in _METHODS if name in known)
    text = f"HTTP Method '{method}' not allowed. Allowed are {listed}"
    refused = refuse(405, "METHOD_NOT_ALLOWED", text)
    refused.headers["Allow"] = listed
    return refused


def compressed(body: bytes, accept: str) -> tuple[bytes, dict[str, str]]:
    """Return *body* as a client with that ``Accept-Encoding`` takes it, and the headers."""
    if len(body) < COMPRESS_FROM:
        return body, {}
    wanted = {
        name.strip().lower()
        for name, _, weight in (part.partition(";") for part in accept.split(","))
        if weight.replace(" ", "").rstrip("0").rstrip(".") != "q="
    }
    if "gzip" in wanted:
        return gzip.compress(body, compresslevel=1, mtime=0), {"Content-Encoding": "gzip"}
    if "deflate" in wanted:
        return zlib.compress(body, 1), {"Content-Encoding": "deflate"}
    return body, {}


def over_the_limit() -> ApiError:
    """Return the refusal of a call beyond the allowance, the org's or the app's."""
    return refuse(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
