"""What became of a job's rows, as CSV: in no order, as the real org answers."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from connectors.sandbox.access import View
from connectors.sandbox.bulk.columns import Column, columns_of, normalised
from connectors.sandbox.bulk.jobs import Job
from connectors.sandbox.bulk.table import Format, TableError, parse_line, read_lines
from connectors.sandbox.org import Org
from connectors.sandbox.store import Store

PIECE = 500  # rows per piece of the answer
RAW = 2**18  # bytes per piece of what is not CSV

Row = tuple[int, int, str, int, str | None]


async def outcome_lines(org: Org, view: View, job: Job, *, is_failed: bool) -> AsyncIterator[bytes]:
    """Yield the rows that were written, or that were refused; a header first.

    The order is not the upload's, and the same each time: a client that counts on an order
    fails here before it does in production.
    """
    path, layout = org.uploads / f"{job.number}.csv", job.order.layout
    columns = await org.read(lambda _: _columns(path, view, job))
    names = [column.name for column in columns]
    head = ("sf__Id", "sf__Error" if is_failed else "sf__Created")
    yield layout.line([*head, *names]).encode("utf-8")
    rows = await org.read(lambda store: shuffled_rows(store, job, is_failed=is_failed))
    for at in range(0, len(rows), PIECE):
        piece = rows[at : at + PIECE]
        yield await org.read(_rendering(path, layout, columns, piece))


async def unprocessed_lines(org: Org, job: Job) -> AsyncIterator[bytes]:
    """Yield the rows that were not reached, a header first; what is not CSV as it came."""
    path, layout = org.uploads / f"{job.number}.csv", job.order.layout
    if not path.exists():
        return
    start = 0
    try:
        while True:
            piece, start = await org.read(_rest(path, layout, job, start))
            if not piece:
                return
            yield piece
    except TableError:
        while piece := await org.read(_raw(path, start)):
            start += len(piece)
            yield piece


def shuffled_rows(store: Store, job: Job, *, is_failed: bool) -> list[Row]:
    """Return the results of the job's rows, of one kind, in an order of the job's own."""
    sql = (
        "SELECT start, length, id, created, error FROM bulk_results"
        " WHERE job = ? AND (error IS NOT NULL) = ? ORDER BY start"
    )
    rows: list[Any] = store.select(sql, (job.number, is_failed))
    random.Random(job.number).shuffle(rows)  # noqa: S311 -- an order, not a secret
    return rows


def _columns(path: Path, view: View, job: Job) -> tuple[Column, ...]:
    """Return the columns of the job's data; none if it failed for its header."""
    try:
        with path.open("rb") as file:
            header, _ = read_lines(file, 0, 1, job.order.layout)
        return columns_of(header[0].cells if header else (), view, job.order.operation)
    except (TableError, FileNotFoundError):
        return ()


def _rendering(
    path: Path, layout: Format, columns: Sequence[Column], rows: Sequence[Row]
) -> Callable[[Store], bytes]:
    def render(store: Store) -> bytes:
        del store
        with path.open("rb") as file:
            lines = [_line(file, layout, columns, row) for row in rows]
        return "".join(lines).encode("utf-8")

    return render


def _line(file: BinaryIO, layout: Format, columns: Sequence[Column], row: Row) -> str:
    start, length, identity, created, error = row
    file.seek(start)
    values = parse_line(file.read(length), layout)
    cells = (normalised(column, text) for column, text in zip(columns, values, strict=True))
    head = error if error is not None else str(bool(created)).lower()
    return layout.line([identity, head, *cells])


def _rest(path: Path, layout: Format, job: Job, start: int) -> Callable[[Store], tuple[bytes, int]]:
    """Return the reading of one piece from byte *start*, and where the next one begins."""

    def read(store: Store) -> tuple[bytes, int]:
        del store
        with path.open("rb") as file:
            if start:
                lines, end = read_lines(file, start, PIECE, layout)
            else:
                lines, end = read_lines(file, 0, 1, layout)
                end = job.next_byte or end
        return "".join(layout.line(line.cells) for line in lines).encode("utf-8"), end

    return read


def _raw(path: Path, start: int) -> Callable[[Store], bytes]:
    def read(store: Store) -> bytes:
        del store
        with path.open("rb") as file:
            file.seek(start)
            return file.read(RAW)

    return read
