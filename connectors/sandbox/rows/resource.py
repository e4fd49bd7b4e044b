"""The sObject resources, one row at a time, and queries.

Source: REST API, "sObject Basic Information", "sObject Describe" and "sObject Rows".
"""

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.deployed.describe import describe, describe_global, summary
from connectors.sandbox.errors import refuse
from connectors.sandbox.rows.conditions import State, check_read, check_write, state_of
from connectors.sandbox.rows.single import accepted, created, delete, find_row, show, without
from connectors.sandbox.rows.writer import Outcome
from connectors.sandbox.soql.engine import MAX_BATCH
from connectors.sandbox.store import Store


async def get_sobjects(call: Call) -> Answer:
    """List the objects, unless the client has what there is."""
    state = State(call.org.views.made_at)
    document = describe_global(call.org.views.all(call.user), call.version)
    return check_read(call, state) or Answer(document, headers=state.headers())


async def get_sobject(call: Call) -> Answer:
    """Show one object's flags; nothing was looked at on a page, so there is nothing recent."""
    return Answer({"objectDescribe": summary(call.view(), call.version), "recentItems": []})


async def get_describe(call: Call) -> Answer:
    """Describe one object, unless the client has what there is."""
    view, state = call.view(), State(call.org.views.made_at)
    document = describe(view, call.org.views.children(call.user, view), call.version)
    return check_read(call, state) or Answer(document, headers=state.headers())


async def post_row(call: Call) -> Answer:
    """Create one row."""
    view, body = call.view(), await call.body()
    outcome = await call.write(
        lambda store: call.org.writer(store, view, call.user).create(call.record(body), body)
    )
    return created(call, view, accepted(outcome), with_flag=False)


async def get_row(call: Call) -> Answer:
    """Read one row by its id."""
    view = call.view()
    sequence, _ = await call.read(lambda store: find_row(store, view, call, call.part("id")))
    return await show(call, view, sequence)


async def patch_row(call: Call) -> Answer:
    """Update one row by its id."""
    view, body = call.view(), await call.body()

    def work(store: Store) -> Outcome:
        sequence, owner = find_row(store, view, call, call.part("id"))
        check_write(call, state_of(store, view, sequence))
        record = without(call.record(body), view.field("Id"))
        writer = call.org.writer(store, view, call.user)
        return writer.update(sequence, owner, record, body)

    accepted(await call.write(work))
    return Answer(status=204)


async def delete_row(call: Call) -> Answer:
    """Put one row into the recycle bin."""
    view = call.view()

    def work(store: Store) -> None:
        sequence, _ = find_row(store, view, call, call.part("id"))
        delete(store, call, view, sequence)

    await call.write(work)
    return Answer(status=204)


async def get_query(call: Call) -> Answer:
    """Run a query over live rows."""
    return await _query(call, with_deleted=False)


async def get_query_all(call: Call) -> Answer:
    """Run a query over live and deleted rows."""
    return await _query(call, with_deleted=True)


async def get_query_page(call: Call) -> Answer:
    """Go on with a query."""
    locator = call.part("locator")
    return Answer(
        await call.read(
            lambda store: call.org.queries.more(store, locator, call.user, call.version)
        )
    )


async def _query(call: Call, *, with_deleted: bool) -> Answer:
    text = call.param("q")
    if not text.strip():
        raise refuse(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    batch = _batch_size(call.header("Sforce-Query-Options"))
    return Answer(
        await call.read(
            lambda store: call.org.queries.run(
                store, text, call.user, call.version, batch=batch, with_deleted=with_deleted
            )
        )
    )


def _batch_size(header: str) -> int:
    for option in header.split(","):
        name, _, value = option.partition("=")
        if name.strip().lower() == "batchsize" and value.strip().isdecimal():
            return int(value)
    return MAX_BATCH
