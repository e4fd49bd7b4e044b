"""Bodies that are forms or have parts: what is in them, or one refusal if they are broken."""

from collections.abc import AsyncIterator

from aiohttp import BodyPartReader, web

from connectors import forms
from connectors.forms import BROKEN, BrokenFormError
from connectors.sandbox.errors import ApiError, refuse

_NO_PARTS = "The request is no multipart/form-data"


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the texts of a form by name, without its files; empty if the body is no form.

    Raises:
        ApiError: 400, it cannot be read.

    """
    try:
        return await forms.read_form(request)
    except BrokenFormError as exc:
        raise _broken(str(exc)) from exc


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
    except BROKEN as exc:
        raise _broken(_NO_PARTS) from exc


async def read_pieces(part: BodyPartReader, size: int) -> AsyncIterator[bytes]:
    """Yield what is in a part, at most *size* bytes at a time.

    Raises:
        ApiError: 400, the part is broken.

    """
    try:
        while piece := await part.read_chunk(size):
            yield piece
    except BROKEN as exc:
        raise _broken(_NO_PARTS) from exc


def _broken(text: str) -> ApiError:
    refused = refuse(400, "INVALID_INPUT", text)
    refused.headers["Connection"] = "close"  # where the next request begins is unknown
    return refused
