"""A job's data on its way in: streamed to a file, and taken once."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from connectors.embedded.files import PRIVATE_FILE
from connectors.sandbox.bodies import read_parts, read_pieces
from connectors.sandbox.bulk.jobs import Job, Kind, State
from connectors.sandbox.bulk.kept import get_job, wrong_state
from connectors.sandbox.call import Call, parse_json
from connectors.sandbox.errors import refuse
from connectors.sandbox.store import Store

MAX_UPLOAD = 100 * 10**6  # bytes; 150 MB after base64
MAX_INLINE = 100_000  # characters of CSV in a multipart request
PIECE = 2**16  # bytes read at a time
_WITHIN = bytes(range(0x80, 0xC0))  # bytes of UTF-8 that begin no character


def data_file(call: Call, job: Job) -> Path:
    """Return where the job's data lies."""
    return call.org.uploads / f"{job.number}.csv"


def check_upload(job: Job) -> None:
    """Refuse data that the job does not wait for.

    Raises:
        ApiError: 400, it is not open, or has its data.

    """
    if job.state is not State.OPEN:
        text = f"Uploading to a Job that is {job.state} not allowed"
        raise wrong_state(text)
    if job.is_uploaded:
        text = (
            f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete'"
            " the current Job then create a new Job and make sure you only do 'PUT' once on a"
            " given Job."
        )  # spelt as the real org spells it
        raise refuse(400, "BULK_API_ERROR", text)


async def save_upload(
    call: Call, pieces: AsyncIterator[bytes], limit: int, measure: Callable[[bytes], int] = len
) -> Path:
    """Write an upload beside the jobs' data and return its file, which is no job's yet.

    Raises:
        ApiError: 413, it is larger than *limit*, of what *measure* says of its pieces.

    """
    scratch = call.org.uploads / f".{uuid.uuid4().hex}"
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    size = 0
    try:
        with os.fdopen(handle, "wb") as file:
            async for piece in pieces:
                size += measure(piece)
                if size > limit:
                    text = "The upload is larger than the maximum allowed"
                    raise refuse(413, "REQUEST_TOO_LARGE", text)  # noqa: TRY301
                file.write(piece)
    except BaseException:  # also a client that hangs up: its job stays open, without data
        scratch.unlink()
        raise
    return scratch


def accept_upload(store: Store, call: Call, job: Job, scratch: Path) -> None:
    """Make *scratch* the job's data, unless another upload was faster.

    The file takes its place before the transaction says so: killed in between, the org has an
    open job without data, and the next upload replaces the file.

    Raises:
        ApiError: 400, the job waits for no data any more.

    """
    try:
        with store.transaction():
            check_upload(get_job(store, Kind.INGEST, job.id, call.user))
            scratch.replace(data_file(call, job))
            store.run("UPDATE bulk_jobs SET is_uploaded = 1 WHERE number = ?", (job.number,))
    finally:
        scratch.unlink(missing_ok=True)


async def read_multipart(call: Call) -> tuple[object, Path]:
    """Return the job's JSON and the file of its data.

    Raises:
        ApiError: 400, the parts are not ``job`` and then ``content``.

    """
    document: object = None
    async for part in read_parts(call.request):
        if part.name == "job":
            order = b"".join([piece async for piece in read_pieces(part, PIECE)])
            document = parse_json(order.decode("utf-8", "replace"))
        elif part.name == "content":
            return document, await save_upload(
                call, read_pieces(part, PIECE), MAX_INLINE, _characters
            )
    text = "The request must have the parts job and content, in this order"
    raise refuse(400, "INVALID_INPUT", text)


def _characters(piece: bytes) -> int:
    """Return how many characters begin in a piece of UTF-8."""
    return len(piece.translate(None, _WITHIN))
