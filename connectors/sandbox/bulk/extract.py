"""Carries out a query job: all rows of one moment into its results."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from connectors.sandbox.bulk.cells import cell_of
from connectors.sandbox.bulk.jobs import Job, Operation
from connectors.sandbox.bulk.pages import write_results
from connectors.sandbox.errors import not_found
from connectors.sandbox.org import Org
from connectors.sandbox.users import user_of

NAMED_IN_ORDER_SINCE = 50  # API version; before it, columns came by name


@dataclass(frozen=True, slots=True)
class Extract:
    """What a query job read: how many rows, in how many milliseconds."""

    rows: int
    work_ms: int


def extract(org: Org, job: Job, is_stopped: Callable[[], bool]) -> Extract:
    """Write the results of a query job from one state of the org, and return what they are.

    It reads beside the org's own threads, on a connection of its own: writers do not wait for it,
    and what they write meanwhile it does not see. A row is in memory only while it is written.

    Raises:
        ApiError: The query no longer fits what the user sees.
        StoppedError: *is_stopped* said so.

    """
    started, order = time.monotonic(), job.order
    with contextlib.closing(org.open_store()) as store:
        user = user_of(store, order.user)
        if user is None:
            raise not_found()
        is_all = order.operation is Operation.QUERY_ALL
        columns, rows = org.queries.rows(store, order.query or "", user, with_deleted=is_all)
        places = list(range(len(columns)))
        if float(order.version) < NAMED_IN_ORDER_SINCE:
            places.sort(key=lambda place: columns[place].flat_name.lower())
        operands = [columns[place].operand for place in places]
        writers = [cell_of(o.field, o.reference.place.view.prefix) for o in operands]
        cells = list(zip(places, writers, strict=True))

        def table() -> Iterator[list[str]]:
            for row in rows:
                yield [write(row[place]) for place, write in cells]

        names = [columns[place].flat_name for place in places]
        count = write_results(org.uploads, job.number, order.layout, (names, table()), is_stopped)
    return Extract(count, int((time.monotonic() - started) * 1000))
