"""The ``/jobs/ingest`` resources.

Source: Bulk API 2.0 guide, "Create a Job" to "Delete a Job". Every call counts as an API call.
"""

from connectors.sandbox.bulk.jobs import (
    ENDED,
    MAX_LISTED,
    WAITING,
    Job,
    State,
    add_job,
    change_state,
    drop_results,
    get_job,
    list_jobs,
    wrong_state,
)
from connectors.sandbox.bulk.orders import parse_order
from connectors.sandbox.bulk.results import outcome_lines, unprocessed_lines
from connectors.sandbox.bulk.runner import RUNNER
from connectors.sandbox.bulk.uploads import (
    MAX_UPLOAD,
    PIECE,
    accept_upload,
    check_upload,
    data_file,
    read_multipart,
    save_upload,
)
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.store import Store


async def post_job(call: Call) -> Answer:
    """Create a job; a multipart request brings its data along and closes it."""
    if call.header("Content-Type").lower().startswith("multipart/"):
        return await _post_multipart(call)
    order = parse_order(call, call.document(await call.body()))
    job = await call.write(lambda store: add_job(store, order))
    return Answer(job.as_new())


async def list_all(call: Call) -> Answer:
    """List the caller's jobs, a page at a time; the administrator sees everybody's."""
    after = call.param("queryLocator", "0")
    if not after.isdecimal():
        raise refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    jobs = await call.read(lambda store: list_jobs(store, call.user, int(after)))
    url = None
    if len(jobs) == MAX_LISTED:
        base = f"/services/data/v{call.version}/jobs/ingest"
        url = f"{base}?queryLocator={jobs[-1].number}"
    records = [job.as_info() for job in jobs]
    return Answer({"done": url is None, "records": records, "nextRecordsUrl": url})


async def get_info(call: Call) -> Answer:
    """Show where a job stands."""
    return Answer((await _job(call)).as_info())


async def put_data(call: Call) -> Answer:
    """Take a job's data: once, and only while it is open."""
    job = await _job(call)
    check_upload(job)
    content_type = call.header("Content-Type").partition(";")[0].strip().lower()
    if content_type != "text/csv":
        text = "Content-Type must be text/csv"
        raise refuse(415, "UNSUPPORTED_MEDIA_TYPE", text)
    scratch = await save_upload(call, call.request.content.iter_chunked(PIECE), MAX_UPLOAD)
    await call.write(lambda store: accept_upload(store, call, job, scratch))
    return Answer(status=201)


async def patch_job(call: Call) -> Answer:
    """Close a job's upload, so that it is carried out, or abort it."""
    wanted = call.record(await call.body()).get("state")
    if wanted not in (State.UPLOAD_COMPLETE, State.ABORTED):
        text = f"Invalid value: '{wanted}' supplied for property: 'state'"
        raise refuse(400, "API_ERROR", text)

    def work(store: Store) -> Job:
        with store.transaction():
            return _moved(store, get_job(store, call.part("id"), call.user), State(wanted))

    job = await call.write(work)
    if job.state is State.UPLOAD_COMPLETE:
        call.request.app[RUNNER].start(job.number)
    return Answer(job.as_json())


async def delete_job(call: Call) -> Answer:
    """Remove a job that is not open or in progress, with its data and results."""

    def work(store: Store) -> Job:
        with store.transaction():
            job = get_job(store, call.part("id"), call.user)
            if job.state in {State.OPEN, State.IN_PROGRESS}:
                text = f"Deleting a Job that is {job.state} not allowed"
                raise wrong_state(text)
            drop_results(store, job.number)
            return change_state(store, job, State.DELETED)

    job = await call.write(work)
    data_file(call, job).unlink(missing_ok=True)
    return Answer(status=204)


async def get_results(call: Call) -> Answer:
    """Answer one of the three result sets of a job that has ended."""
    kind = call.part("results").lower()
    if kind not in {"successfulresults", "failedresults", "unprocessedrecords"}:
        raise not_found()
    job = await _job(call)
    if job.state not in ENDED:
        text = f"Results of a Job that is {job.state} are not available"
        raise wrong_state(text)
    if kind == "unprocessedrecords":
        return Answer(lines=unprocessed_lines(call.org, job))
    view = call.org.views.get(call.user, job.order.sobject)
    is_failed = kind == "failedresults"
    return Answer(lines=outcome_lines(call.org, view, job, is_failed=is_failed))


async def _job(call: Call) -> Job:
    return await call.read(lambda store: get_job(store, call.part("id"), call.user))


def _moved(store: Store, job: Job, wanted: State) -> Job:
    """Put the job into the state that its owner wants.

    Raises:
        ApiError: 400 INVALIDJOBSTATE.

    """
    allowed = {State.OPEN} if wanted is State.UPLOAD_COMPLETE else {State.OPEN, *WAITING}
    if job.state in allowed:
        return change_state(store, job, wanted)
    doing = "Closing" if wanted is State.UPLOAD_COMPLETE else "Aborting"
    was = "Completed" if job.state is State.JOB_COMPLETE else job.state
    text = f"{doing} already {was} Job not allowed"
    raise wrong_state(text)


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
            return _moved(store, job, State.UPLOAD_COMPLETE)

    job = await call.write(work)
    call.request.app[RUNNER].start(job.number)
    return Answer(job.as_json())
