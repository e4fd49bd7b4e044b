"""What became of a job's rows: three CSV files, in no order, matched by key. Pure.

``sf__Error`` reads ``CODE:message:Field1__c,Field2__c --``. Its message echoes values: it is read
to tell apart what shares a code, and goes no further.

Source: Bulk API 2.0 guide, "Get Job Successful, Failed and Unprocessed Record Results".
"""

import csv
import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from connectors.salesforce.codes import Handling, OrgError, read_error
from connectors.salesforce.rows import RowResult

UNPROCESSED, NO_RESULT = "UNPROCESSED", "NO_RESULT"  # codes of our own
MAX_CELL = 2_000_000  # characters; an error's text may echo a whole field
# Nothing is known of the row, so it is sent again; nothing of the job is under way any more.
LOST = RowResult.refused(OrgError(NO_RESULT, (), Handling.BUSY))


@dataclass(frozen=True, slots=True)
class ResultSets:
    """The three files, as bytes: whatever charset the answers name, they are UTF-8."""

    successful: bytes = field(repr=False)
    failed: bytes = field(repr=False)
    unprocessed: bytes = field(repr=False)


def read_sets(
    sets: ResultSets,
    key_field: str,
    sent: Collection[str],
    unprocessed: Handling,
    upserts_by: str = "",
) -> dict[str, RowResult]:
    """Return the result of each row that is in exactly one of the files, by key.

    Files may be cut short, even within a row: what is not whole is left out.

    Args:
        sets: The files.
        key_field: The column that rows are matched by.
        sent: Names of the columns that were uploaded.
        unprocessed: How to handle rows that the job did not come to.
        upserts_by: The external id field, if the job upserts.

    """
    rows: list[tuple[str, RowResult]] = []
    for key, cell in _cells(sets.successful, key_field, "sf__Created"):
        rows.append((key, RowResult(success=True, created=cell.lower() == "true")))
    for key, cell in _cells(sets.failed, key_field, "sf__Error"):
        rows.append((key, RowResult.refused(read_row_error(cell, sent, upserts_by))))
    left = RowResult.refused(OrgError(UNPROCESSED, (), unprocessed))
    rows += ((key, left) for key, _ in _cells(sets.unprocessed, key_field, key_field))
    found: dict[str, RowResult] = {}
    contradicted: set[str] = set()
    for key, result in rows:
        if found.setdefault(key, result) != result:
            contradicted.add(key)
    return {key: result for key, result in found.items() if key not in contradicted}


def read_row_error(text: str, sent: Collection[str], upserts_by: str) -> OrgError:
    """Return what an ``sf__Error`` says, by its first error.

    Only by the first: where a second begins cannot be told from a value that the first echoes,
    and no value may decide what is done about its row.
    """
    code, _, rest = text.partition(":")
    message, _, names = rest.rpartition(":")
    fields = [name.strip() for name in names.strip().removesuffix("--").split(",")]
    entry = {"statusCode": code.strip(), "message": message, "fields": fields}
    return read_error(entry, sent, upserts_by)


def _cells(content: bytes, key_field: str, column: str) -> Iterator[tuple[str, str]]:
    """Yield each whole line's key and its cell of *column*."""
    csv.field_size_limit(MAX_CELL)
    text = content.decode("utf-8-sig", "replace")  # a key that was cut matches none
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.lower() for name in next(lines, [])]
        if not {key_field.lower(), column.lower()} <= set(header):
            return  # of a job that failed for its header, say
        key_at, cell_at = header.index(key_field.lower()), header.index(column.lower())
        for line in lines:
            if len(line) == len(header):
                yield line[key_at], line[cell_at]
    except csv.Error:  # cut within a quoted cell
        return
