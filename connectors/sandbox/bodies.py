"""Bodies that are forms or have parts: what is in them, or one refusal if they are broken.

aiohttp reads them, and fails in a way of its own on each thing that may be wrong.
"""

from collections.abc import AsyncIterator

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from connectors.sandbox.errors import ApiError, refuse

# not UTF-8 and no boundary; a charset that nobody knows; a part that does not end; bad headers
_BROKEN = (ValueError, LookupError, AssertionError, HttpProcessingError, web.RequestPayloadError)

_NO_FORM = "The form cannot be read"
_NO_PARTS = "The request is no multipart/form-data"


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the texts of a form by name, without its files; empty if the body is no form.

    Raises:
        ApiError: 400, it cannot be read.

    """
    try:
        sent = await request.post()
    except _BROKEN as exc:
        raise _broken(_NO_FORM) from exc
    return {name: value for name, value in sent.items() if isinstance(value, str)}


async def read_parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """Yield the parts of a request, to be read one after the other by `read_pieces`.

    Raises:
        ApiError: 400, it is broken.

    """
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                break
            yield part
    except _BROKEN as exc:
        raise _broken(_NO_PARTS) from exc


async def read_pieces(part: BodyPartReader, size: int) -> AsyncIterator[bytes]:
    """Yield what is in a part, at most *size* bytes at a time.

    Raises:
        ApiError: 400, the part is broken.

    """
    try:
        while piece := await part.read_chunk(size):
            yield piece
    except _BROKEN as exc:
        raise _broken(_NO_PARTS) from exc


def _broken(text: str) -> ApiError:
    refused = refuse(400, "INVALID_INPUT", text)
    refused.headers["Connection"] = "close"  # where the next request begins is unknown
    return refused
