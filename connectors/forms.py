"""Forms that come over HTTP: what is in them, or one error if they cannot be read.

aiohttp reads them, and fails in a way of its own on each thing that may be wrong.
"""

from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

# not UTF-8 and no boundary; a charset that nobody knows; a part that does not end; bad headers
BROKEN: Final = (
    ValueError, LookupError, AssertionError, HttpProcessingError, web.RequestPayloadError,
)  # fmt: skip


class BrokenFormError(Exception):
    """A body says that it is a form and is none; the text quotes nothing of it."""


async def read_form(request: web.Request) -> dict[str, str]:
    """Return the texts of a form by name, without its files; empty if the body is no form.

    Raises:
        BrokenFormError: It cannot be read.

    """
    try:
        sent = await request.post()
    except BROKEN as exc:
        msg = "The form cannot be read"
        raise BrokenFormError(msg) from exc
    return {name: value for name, value in sent.items() if isinstance(value, str)}
