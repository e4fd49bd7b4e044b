"""The ``/jobs/query`` resources.

Source: Bulk API 2.0 guide, "Create a Query Job" to "Delete a Query Job". Every call counts as an
API call; a query job uses no batches.
"""

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.bulk.handlers import (
    SINCE,
    answer_info,
    answer_list,
    change,
    check_since,
    find,
    invalid_value,
    not_available,
    remove,
)
from connectors.sandbox.bulk.jobs import QUERIES, Job, Kind, Operation, Order, State
from connectors.sandbox.bulk.kept import DAILY_QUERIES, add_job, used_queries
from connectors.sandbox.bulk.orders import one_of, parse_layout
from connectors.sandbox.bulk.pages import LAST, PAGE, find_page, locator_of, page_pieces
from connectors.sandbox.bulk.runner import RUNNER
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import not_found, refuse
from connectors.sandbox.store import Store

PARALLEL_SINCE = 58  # API version that lists the pages of results
MAX_LINKS = 5  # pages listed in one answer


async def post_job(call: Call) -> Answer:
    """Create a query job and put it in the queue."""
    check_since(call, SINCE[Kind.QUERY])
    order = _order(call, call.record(await call.body()))

    def work(store: Store) -> Job:
        with store.transaction():
            if used_queries(store) >= DAILY_QUERIES:
                text = f"Max bulk v2 query jobs ({DAILY_QUERIES}) per 24 hrs has been reached"
                raise refuse(400, "LIMIT_EXCEEDED", text)
            return add_job(store, order)

    job = await call.write(work)
    call.request.app[RUNNER].start(job)
    return Answer(job.as_new())


async def list_all(call: Call) -> Answer:
    """List the caller's query jobs."""
    return await answer_list(call, Kind.QUERY)


async def get_info(call: Call) -> Answer:
    """Show where a query job stands."""
    return await answer_info(call, Kind.QUERY)


async def patch_job(call: Call) -> Answer:
    """Abort a query job."""
    wanted = call.record(await call.body()).get("state")
    if wanted != State.ABORTED:
        raise invalid_value(wanted, "state")
    job = await change(call, Kind.QUERY, State.ABORTED)
    call.request.app[RUNNER].abort(job)
    return Answer(job.as_json())


async def delete_job(call: Call) -> Answer:
    """Remove a query job that has ended, with its results."""
    return await remove(call, Kind.QUERY)


async def get_results(call: Call) -> Answer:
    """Answer a page of a query job's results, as CSV."""
    job = await _complete(call)
    most = call.param("maxRecords", str(PAGE))
    if not (most.isdecimal() and int(most)):
        raise invalid_value(most, "maxRecords")
    try:
        page = find_page(call.org.uploads, job.number, call.param("locator"), int(most))
        file = (call.org.uploads / f"{job.number}.csv").open("rb")
    except FileNotFoundError:  # removed since it was looked up
        raise not_found() from None
    headers = {"Sforce-NumberOfRecords": str(page.rows), "Sforce-Locator": page.locator}
    return Answer(headers=headers, lines=page_pieces(file, page))


async def get_result_pages(call: Call) -> Answer:
    """Link up to five pages of a query job's results, to be fetched side by side."""
    check_since(call, PARALLEL_SINCE)
    job = await _complete(call)
    base = f"/services/data/v{call.version}/jobs/query/{job.id}"
    locator = call.param("locator") or locator_of(0)
    links: list[dict[str, str]] = []
    while locator != LAST and len(links) < MAX_LINKS:
        links.append({"resultUrl": f"{base}/results?locator={locator}"})
        try:
            locator = find_page(call.org.uploads, job.number, locator, PAGE).locator
        except FileNotFoundError:
            raise not_found() from None
    is_done = locator == LAST
    more = None if is_done else f"{base}/resultPages?locator={locator}"
    return Answer({"resultPages": links, "nextRecordsUrl": more, "done": is_done})


async def _complete(call: Call) -> Job:
    """Return the job named in the path, if its results can be had.

    Raises:
        ApiError: 404; 400, it is not complete; 409, it was created with another API version.

    """
    job = await find(call, Kind.QUERY)
    if job.order.version != call.version:
        text = f"The job was created with API version {job.order.version}"
        raise refuse(409, "API_ERROR", text)
    if job.state is not State.JOB_COMPLETE:
        raise not_available(job)
    return job


def _order(call: Call, document: Mapping[str, Any]) -> Order:
    """Return what a query job's JSON asks for.

    Raises:
        ApiError: 400, the org does not do that.

    """
    operation = Operation(one_of(document, "operation", [*QUERIES]))
    layout = parse_layout(document)
    query = document.get("query")
    if not isinstance(query, str) or not query.strip():
        raise invalid_value(query, "query")
    is_all = operation is Operation.QUERY_ALL
    view = call.org.queries.flat(query, call.user, with_deleted=is_all).view
    return Order(call.user.sequence, view.name, operation, None, layout, call.version, query)
