"""What the resources of both kinds of jobs answer alike: listing, asking, ending, removing."""

from collections.abc import Mapping
from urllib.parse import urlencode

from connectors.sandbox.bulk.jobs import ENDED, WAITING, Job, Kind, State
from connectors.sandbox.bulk.kept import (
    MAX_LISTED,
    change_state,
    drop_results,
    get_job,
    list_jobs,
    wrong_state,
)
from connectors.sandbox.bulk.pages import remove_results
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import ApiError, not_found, refuse
from connectors.sandbox.store import Store

SINCE = {Kind.INGEST: 41, Kind.QUERY: 47}  # API versions that have these resources
_FILTERS = ("isPkChunkingEnabled", "jobType", "concurrencyMode")
_ELSEWHERE = ("Classic", "BigObjectIngest")  # job types that this API does not make
_CLOSED_ENDS: Mapping[Kind, frozenset[State]] = {
    Kind.INGEST: ENDED | {State.UPLOAD_COMPLETE},
    Kind.QUERY: ENDED,
}  # states in which a job may be removed
_MAY_ABORT: Mapping[Kind, frozenset[State]] = {
    Kind.INGEST: WAITING | {State.OPEN},
    Kind.QUERY: WAITING,
}


def check_since(call: Call, version: int) -> None:
    """Refuse a resource that came with a later API version.

    Raises:
        ApiError: 404.

    """
    if float(call.version) < version:
        raise not_found()


async def find(call: Call, kind: Kind) -> Job:
    """Return the job named in the path.

    Raises:
        ApiError: 404, the caller has none of that kind.

    """
    check_since(call, SINCE[kind])
    return await call.read(lambda store: get_job(store, kind, call.part("id"), call.user))


async def answer_list(call: Call, kind: Kind) -> Answer:
    """List the caller's jobs, a page at a time; the administrator sees everybody's.

    ``jobType`` asks for jobs of the other kind, too. Chunks by key and serial jobs are Bulk
    API 1.0's, which this org has not.
    """
    check_since(call, SINCE[kind])
    wanted = call.param("jobType") or kind
    if wanted not in {*Kind, *_ELSEWHERE}:
        raise invalid_value(wanted, "jobType")
    after = call.param("queryLocator", "0")
    if not after.isdecimal():
        raise refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    is_elsewhere = (
        wanted in _ELSEWHERE
        or call.param("isPkChunkingEnabled").lower() == "true"
        or call.param("concurrencyMode").lower() == "serial"
    )
    jobs: list[Job] = []
    if not is_elsewhere:
        jobs = await call.read(lambda store: list_jobs(store, Kind(wanted), call.user, int(after)))
    url = _next_url(call, kind, jobs[-1].number) if len(jobs) == MAX_LISTED else None
    records = [job.as_listed() for job in jobs]
    return Answer({"done": url is None, "records": records, "nextRecordsUrl": url})


async def answer_info(call: Call, kind: Kind) -> Answer:
    """Show where a job stands."""
    return Answer((await find(call, kind)).as_info())


async def change(call: Call, kind: Kind, wanted: State) -> Job:
    """Put the job named in the path into the state that its owner wants, and return it.

    Raises:
        ApiError: 404; 400 INVALIDJOBSTATE.

    """
    check_since(call, SINCE[kind])

    def work(store: Store) -> Job:
        with store.transaction():
            return moved(store, get_job(store, kind, call.part("id"), call.user), wanted)

    return await call.write(work)


def moved(store: Store, job: Job, wanted: State) -> Job:
    """Put the job into the state that its owner wants, and return it.

    Raises:
        ApiError: 400 INVALIDJOBSTATE.

    """
    is_close = wanted is State.UPLOAD_COMPLETE
    if job.state in ({State.OPEN} if is_close else _MAY_ABORT[job.order.kind]):
        return change_state(store, job, wanted)
    doing = "Closing" if is_close else "Aborting"
    was = "Completed" if job.state is State.JOB_COMPLETE else job.state
    text = f"{doing} already {was} Job not allowed"
    raise wrong_state(text)


async def remove(call: Call, kind: Kind) -> Answer:
    """Remove a job that is neither open nor in progress, with its data and results."""
    check_since(call, SINCE[kind])

    def work(store: Store) -> Job:
        with store.transaction():
            job = get_job(store, kind, call.part("id"), call.user)
            if job.state not in _CLOSED_ENDS[kind]:
                text = f"Deleting a Job that is {job.state} not allowed"
                raise wrong_state(text)
            drop_results(store, job.number)
            return change_state(store, job, State.DELETED)

    job = await call.write(work)
    remove_results(call.org.uploads, job.number)  # or the upload, which has such a name, too
    return Answer(status=204)


def not_available(job: Job) -> ApiError:
    """Return the refusal of results that the job has not got, in the state it is in."""
    return wrong_state(f"Results of a Job that is {job.state} are not available")


def invalid_value(value: object, name: str) -> ApiError:
    """Return the refusal of a member that takes other values."""
    return refuse(400, "API_ERROR", f"Invalid value: '{value}' supplied for property: '{name}'")


def _next_url(call: Call, kind: Kind, last: int) -> str:
    filters = {name: call.param(name) for name in _FILTERS if call.param(name)}
    query = urlencode({**filters, "queryLocator": last})
    return f"/services/data/v{call.version}/jobs/{kind.path}?{query}"
