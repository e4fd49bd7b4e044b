"""Rows as the CSV of an ingest job. Pure.

Every text is quoted, so that no content of a value can look like structure; an empty cell leaves
the field as it is, ``#N/A`` clears it.

Source: Bulk API 2.0 guide, "Prepare CSV Files" and "Bulk API and Bulk API 2.0 Limits".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.errors import UnsendableValueError
from connectors.salesforce.rows import problem_of, utc_text
from schemas.errors import HaltError

NULL = "#N/A"
MAX_FIELD = 131_072  # characters
MAX_RECORD = 400_000  # characters
MAX_HEADER = 32_000  # characters
MAX_COLUMNS = 5_000
QUOTES = 3  # characters around a text: two quotes and what parts it from the next
OTHER = 40  # characters that a number, a date or a checkbox has at most, usually


@dataclass(frozen=True, slots=True)
class Table:
    """The CSV of one job.

    Attributes:
        start: Place of its first row among all rows.
        rows: How many it has.
        columns: What its header names.
        body: UTF-8, a header first, lines ended by LF.

    """

    start: int
    rows: int
    columns: tuple[str, ...]
    body: bytes = field(repr=False)


def carries(row: Mapping[str, Any]) -> bool:
    """Return whether CSV can hold *row* as it is; if not, it has to go over REST.

    A text that reads ``#N/A`` would clear its field, quoted or not; and fields and records
    have a size.
    """
    size = 0
    for value in row.values():
        if not isinstance(value, str):
            size += OTHER
            continue
        # compared without case: whether the org does so is not documented
        if len(value) > MAX_FIELD or value.upper() == NULL:
            return False
        size += len(value) + value.count('"') + QUOTES
    return size <= MAX_RECORD


def tables(
    key_field: str, rows: Sequence[Mapping[str, Any]], options: BulkOptions
) -> Iterator[Table]:
    """Yield *rows* as tables, in order, none larger than *options* let it be.

    All have the same columns: *key_field*, then every field that some row has, as first met.

    Raises:
        UnsendableValueError: A value that the org could not store as it is.
        HaltError: More columns than a job takes.

    """
    columns = tuple(dict.fromkeys([key_field, *(name for row in rows for name in row)]))
    header = f"{','.join(columns)}\n".encode()
    if len(columns) > MAX_COLUMNS or len(header) > MAX_HEADER:
        msg = f"rows with {len(columns)} different fields: more than a Bulk API job takes"
        raise HaltError(msg)
    start, lines, size = 0, [header], len(header)
    for place, row in enumerate(rows):
        line = _line(place, row, columns)
        is_full = len(lines) > options.max_rows or size + len(line) > options.max_bytes
        if len(lines) > 1 and is_full:
            yield Table(start, place - start, columns, b"".join(lines))
            start, lines, size = place, [header], len(header)
        lines.append(line)
        size += len(line)
    if len(lines) > 1:
        yield Table(start, len(rows) - start, columns, b"".join(lines))


def _line(place: int, row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    cells = (_cell(place, name, row[name]) if name in row else "" for name in columns)
    return f"{','.join(cells)}\n".encode()


def _cell(place: int, name: str, value: object) -> str:
    problem = problem_of(value)
    if problem is not None:
        raise UnsendableValueError(place, name, problem)
    match value:
        case None | "":
            text = NULL
        case bool():
            text = str(value).lower()
        case str():
            escaped = value.replace('"', '""')
            text = f'"{escaped}"'
        case float():
            text = format(Decimal(repr(value)), "f")
        case Decimal():
            text = format(value, "f")
        case datetime():
            text = utc_text(value)
        case date():
            text = value.isoformat()
        case _:
            text = str(value)
    return text
