"""A query job's results in the org's folder, and pages of them.

``<job>.csv`` holds a header and the rows, ``<job>.rows`` the byte at which each row begins and
then where the last one ends, eight bytes each, little-endian: so any page is found at once, however
many rows there are, and they survive a restart.

Source: Bulk API 2.0 guide, "Get Results for a Query Job".
"""

import base64
import binascii
import os
import re
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO

from connectors.embedded.files import PRIVATE_FILE
from connectors.sandbox.bulk.jobs import StoppedError
from connectors.sandbox.bulk.table import Format
from connectors.sandbox.errors import refuse

PAGE = 50_000  # rows, where nobody asks for fewer
LAST = "null"  # the locator behind the last page, as Salesforce spells it
_BATCH = 1000  # rows written in one go
_PIECE = 2**18  # bytes per piece of an answer
_OFFSET = struct.Struct("<Q")
_ROW = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a job's rows.

    Attributes:
        rows: How many.
        locator: Names the page behind it.
        header: Bytes of the header.
        start: First byte of the rows.
        end: The byte behind them.

    """

    rows: int
    locator: str
    header: int
    start: int
    end: int


def write_results(
    folder: Path,
    number: int,
    layout: Format,
    table: tuple[Sequence[str], Iterable[Sequence[str]]],
    is_stopped: Callable[[], bool],
) -> int:
    """Write a job's results, a header and rows of cells, and return how many rows they are.

    The files take their place when they are whole and on the disk: a job killed before has none,
    and begins again.

    Raises:
        StoppedError: *is_stopped* said so, between some thousand rows.

    """
    names, rows = table
    parts = [folder / f".{number}.{suffix}" for suffix in ("csv", "rows")]
    try:
        with _create(parts[0]) as lines, _create(parts[1]) as starts:
            at = lines.write(layout.line(names).encode("utf-8"))
            left, count = iter(rows), 0
            while batch := [layout.line(row).encode("utf-8") for row in islice(left, _BATCH)]:
                if is_stopped():
                    raise StoppedError
                *begins, at = accumulate(map(len, batch), initial=at)
                lines.writelines(batch)
                starts.writelines(map(_OFFSET.pack, begins))
                count += len(batch)
            starts.write(_OFFSET.pack(at))
            for file in (lines, starts):
                file.flush()
                os.fsync(file.fileno())
        for part in parts:
            part.replace(folder / part.name[1:])
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return count


def remove_results(folder: Path, number: int) -> None:
    """Remove a job's results, if it has any."""
    for suffix in ("csv", "rows"):
        (folder / f"{number}.{suffix}").unlink(missing_ok=True)


def find_page(folder: Path, number: int, locator: str, most: int) -> Page:
    """Return the page of up to *most* rows that *locator* names; the first one if it is empty.

    Raises:
        ApiError: 400, it names none.
        FileNotFoundError: The job has no results.

    """
    with (folder / f"{number}.rows").open("rb") as starts:
        rows = starts.seek(0, os.SEEK_END) // _OFFSET.size - 1
        first = 0 if not locator else _first_row(locator)
        if first is None or first >= max(rows, 1):
            raise refuse(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        end = min(first + most, rows)
        header, start, stop = (_offset(starts, row) for row in (0, first, end))
    return Page(end - first, LAST if end == rows else locator_of(end), header, start, stop)


async def page_pieces(file: BinaryIO, page: Page) -> AsyncIterator[bytes]:
    """Yield the header and the rows of a page of the results in *file*, and close it."""
    with file:
        yield file.read(page.header)
        file.seek(page.start)
        for at in range(page.start, page.end, _PIECE):
            yield file.read(min(_PIECE, page.end - at))


def locator_of(row: int) -> str:
    """Return the locator of the page that begins with that row: ``MTAwMDA`` for 10000."""
    return base64.urlsafe_b64encode(str(row).encode("ascii")).decode("ascii").rstrip("=")


def _first_row(locator: str) -> int | None:
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return int(text) if _ROW.fullmatch(text) and locator_of(int(text)) == locator else None


def _offset(starts: BinaryIO, row: int) -> int:
    starts.seek(row * _OFFSET.size)
    offset: int = _OFFSET.unpack(starts.read(_OFFSET.size))[0]
    return offset


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE), "wb")
