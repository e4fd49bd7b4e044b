"""The query resources: a query's first page and the pages after it."""

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import refuse
from connectors.sandbox.soql.engine import MAX_BATCH


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
