"""The ``/jobs/ingest`` resources.

Source: Bulk API 2.0 guide, "Create a Job" to "Delete a Job". Every call counts as an API call.
"""

from connectors.sandbox.bulk.handlers import (
    SINCE,
    answer_info,
    answer_list,
    change,
    check_since,
    find,
    invalid_value,
    moved,
    not_available,
    remove,
)
from connectors.sandbox.bulk.jobs import ENDED, Job, Kind, State
from connectors.sandbox.bulk.kept import add_job
from connectors.sandbox.bulk.orders import parse_order
from connectors.sandbox.bulk.results import outcome_lines, unprocessed_lines
from connectors.sandbox.bulk.runner import RUNNER
from connectors.sandbox.bulk.uploads import (
    MAX_UPLOAD,
    PIECE,
    accept_upload,
    check_upload,
    read_multipart,
    save_upload,
)
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.store import Store


async def post_job(call: Call) -> Answer:
    """Create a job; a multipart request brings its data along and closes it."""
    check_since(call, SINCE[Kind.INGEST])
    if call.header("Content-Type").lower().startswith("multipart/"):
        return await _post_multipart(call)
    order = parse_order(call, call.document(await call.body()))
    job = await call.write(lambda store: add_job(store, order))
    return Answer(job.as_new())


async def list_all(call: Call) -> Answer:
    """List the caller's jobs."""
    return await answer_list(call, Kind.INGEST)


async def get_info(call: Call) -> Answer:
    """Show where a job stands."""
    return await answer_info(call, Kind.INGEST)


async def put_data(call: Call) -> Answer:
    """Take a job's data: once, and only while it is open."""
    job = await find(call, Kind.INGEST)
    check_upload(job)
    content_type = call.header("Content-Type").partition(";")[0].strip().lower()
    if content_type != "text/csv":
        text = "Content-Type must be text/csv"
        raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", text)
    scratch = await save_upload(call, call.request.content.iter_chunked(PIECE), MAX_UPLOAD)
    await call.org.write(lambda store: accept_upload(store, call, job, scratch))
    return Answer(status=201)


async def patch_job(call: Call) -> Answer:
    """Close a job's upload, so that it is carried out, or abort it."""
    wanted = call.record(await call.body()).get("state")
    if wanted not in (State.UPLOAD_COMPLETE, State.ABORTED):
        raise invalid_value(wanted, "state")
    job = await change(call, Kind.INGEST, State(wanted))
    if job.state is State.UPLOAD_COMPLETE:
        call.request.app[RUNNER].start(job)
    return Answer(job.as_json())


async def delete_job(call: Call) -> Answer:
    """Remove a job that is not open or in progress, with its data and results."""
    return await remove(call, Kind.INGEST)


async def get_results(call: Call) -> Answer:
    """Answer one of the three result sets of a job that has ended."""
    kind = call.part("results").lower()
    if kind not in {"successfulresults", "failedresults", "unprocessedrecords"}:
        raise not_found()
    job = await find(call, Kind.INGEST)
    if job.state not in ENDED:
        raise not_available(job)
    if kind == "unprocessedrecords":
        return Answer(lines=unprocessed_lines(call.org, job))
    view = call.org.views.get(call.user, job.order.sobject)
    is_failed = kind == "failedresults"
    return Answer(lines=outcome_lines(call.org, view, job, is_failed=is_failed))


async def _post_multipart(call: Call) -> Answer:
    """Create a job with its data, ready to be carried out."""
    document, scratch = await read_multipart(call)
    try:
        order = parse_order(call, document)
    except ApiError:
        scratch.unlink()
        raise

    def work(store: Store) -> Job:
        with store.transaction():
            job = add_job(store, order)
            accept_upload(store, call, job, scratch)
            return moved(store, job, State.UPLOAD_COMPLETE)

    job = await call.org.write(work)
    call.request.app[RUNNER].start(job)
    return Answer(job.as_json())
