"""The resources that belong to no object: API versions, their resources, limits."""

from aiohttp import web

from connectors.sandbox.bulk.kept import (
    DAILY_BATCHES,
    DAILY_QUERIES,
    used_batches,
    used_queries,
)
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.protocol import FIRST_VERSION, LAST_VERSION

SEASONS = ("Summer", "Winter", "Spring")  # v31 is Summer '14; three releases a year


async def get_versions(request: web.Request) -> Answer:
    """List the API versions; the one data resource that needs no session."""
    del request
    return Answer([_release(number) for number in range(FIRST_VERSION, LAST_VERSION + 1)])


async def get_resources(call: Call) -> Answer:
    """List the resources of one API version."""
    base = f"/services/data/v{call.version}"
    names = ("composite", "jobs", "limits", "query", "queryAll", "recent", "sobjects")
    return Answer(
        {name: f"{base}/{name}" for name in names} | {"identity": call.org.identity(call.user)}
    )


async def get_recent(call: Call) -> Answer:
    """List what the caller has looked at on a page, which this org has none of: nothing."""
    del call
    return Answer([])


async def get_record_count(call: Call) -> Answer:
    """Count the live rows of the objects named, or of all; one that is not there is left out.

    Source: REST API, "Record Count".
    """
    call.since(40)
    asked = call.param("sObjects").lower()
    named = {name.strip() for name in asked.split(",")}
    counted = [
        view
        for view in call.org.views.all(call.user)
        if view.sobject.rows is None and (not asked or view.name.lower() in named)
    ]
    sql = [
        f'SELECT COUNT(*) FROM "{view.name}" WHERE IsDeleted = 0'  # noqa: S608 -- metadata names
        for view in counted
    ]
    rows = await call.read(lambda store: [store.select(one)[0][0] for one in sql])
    shown = [{"count": n, "name": v.name} for n, v in zip(rows, counted, strict=True)]
    return Answer({"sObjects": shown})


async def get_limits(call: Call) -> Answer:
    """Show what is left of the org's allowances."""
    tables = " UNION ALL ".join(
        f'SELECT COUNT(*) FROM "{view.name}"'  # noqa: S608 -- metadata names
        for view in call.org.views.all(call.user)
        if view.sobject.rows is None
    )
    counts = await call.org.read(lambda store: store.select(tables)) if tables else []
    rows_in_all = sum(row[0] for row in counts)
    left = DAILY_BATCHES - await call.org.read(used_batches)
    queries = DAILY_QUERIES - await call.org.read(used_queries)
    bulk = {
        "DailyBulkApiBatches": {"Max": DAILY_BATCHES, "Remaining": max(0, left)},
        "DailyBulkV2QueryJobs": {"Max": DAILY_QUERIES, "Remaining": max(0, queries)},
    }
    return Answer(call.org.usage.as_json(rows_in_all, call.org.apps.all()) | bulk)


def _release(number: int) -> dict[str, str]:
    since = number - FIRST_VERSION
    label = f"{SEASONS[since % 3]} '{14 + (since + 2) // 3}"
    return {"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
