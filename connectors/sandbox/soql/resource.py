"""The query resources: a query's first page and the pages after it."""

from typing import Any

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import refuse
from connectors.sandbox.soql.engine import MAX_BATCH
from connectors.sandbox.soql.explain import plans
from connectors.sandbox.soql.metadata import answer_columns
from connectors.sandbox.store import Store

MAX_DIGITS = 9  # of a batch size that is read at all; a greater one is cut down anyway


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
    explained, text = call.param("explain"), call.param("q")
    if not (explained or text).strip():
        raise refuse(400, "MALFORMED_QUERY", "A query string has to be specified")
    batch = _batch_size(call.header("Sforce-Query-Options"))
    is_about_columns = call.param("columns").lower() == "true"
    queries = call.org.queries

    def work(store: Store) -> dict[str, Any]:
        if explained:
            compiled = queries.compile(explained, call.user, with_deleted=with_deleted)
            every = f"SELECT COUNT() FROM {compiled.view.name}"  # noqa: S608 -- SOQL
            every_row = queries.compile(every, call.user, with_deleted=with_deleted)
            return plans(store, compiled, every_row)
        if is_about_columns:
            return answer_columns(queries.compile(text, call.user, with_deleted=with_deleted))
        return queries.run(
            store, text, call.user, call.version, batch=batch, with_deleted=with_deleted
        )

    return Answer(await call.read(work))


def _batch_size(header: str) -> int:
    for option in header.split(","):
        name, _, value = option.partition("=")
        digits = value.strip()
        if name.strip().lower() == "batchsize" and digits.isascii() and digits.isdecimal():
            return int(digits[:MAX_DIGITS])
    return MAX_BATCH
