"""Rows as the sObject Collections resource takes them, and its verdict on each."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from decimal import Decimal
from typing import Any, Self

import orjson

from connectors.salesforce.codes import Handling, OrgError, read_error
from connectors.salesforce.errors import OrgUnavailableError, UnsendableValueError

MAX_ROWS = 200  # rows per request; Salesforce's sObject Collections limit
MAX_BYTES = 1_000_000  # of rows per request, ours: what a slow line carries well in time
INT_RANGE = range(-(2**63), 2**64)  # what orjson writes


@dataclass(frozen=True, slots=True)
class RowResult:
    """What the org did with one row.

    Attributes:
        success: The row is in the org as sent, or is not in it where it was to be deleted.
        created: It was not there before. False after a retry whose first try did commit.
        code: The org's error code, or None on success.
        fields: Fields the error names, of those we sent.
        handling: What to do about the error, or None on success.

    """

    success: bool
    created: bool
    code: str | None = None
    fields: tuple[str, ...] = ()
    handling: Handling | None = None

    @classmethod
    def refused(cls, error: OrgError) -> Self:
        """Return the result of a row that the org refuses."""
        return cls(
            success=False,
            created=False,
            code=error.code,
            fields=error.fields,
            handling=error.handling,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """Rows of one object, encoded, that one collections request can hold."""

    sobject: str
    key_field: str
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    body: bytes = field(repr=False)

    def halves(self) -> tuple["Request", "Request"]:
        """Return its rows in two requests; there must be more than one row."""
        middle = len(self.rows) // 2
        parts = self.rows[:middle], self.rows[middle:]
        first, second = (
            Request(self.sobject, self.key_field, rows, encode_rows(self.sobject, rows))
            for rows in parts
        )
        return first, second


def pack(
    sobject: str,
    key_field: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Request]:
    """Yield *rows* in requests, in order, none with more than *max_rows* rows.

    None is larger than *max_bytes* either, but for a row that is so alone.

    Raises:
        UnsendableValueError: As `encode_rows`.

    """
    for start in range(0, len(rows), max_rows):
        chunk = rows[start : start + max_rows]
        try:
            body = encode_rows(sobject, chunk)
        except UnsendableValueError as exc:
            raise UnsendableValueError(start + exc.row, exc.field, exc.problem) from None
        yield from _fitting(Request(sobject, key_field, chunk, body), max_bytes)


def _fitting(request: Request, max_bytes: int) -> Iterator[Request]:
    if len(request.body) <= max_bytes or len(request.rows) == 1:
        yield request
        return
    for half in request.halves():
        yield from _fitting(half, max_bytes)


def encode_rows(sobject: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the body of a collections upsert; each row stands alone (no all-or-none).

    Decimals become JSON numbers digit for digit, datetimes UTC to the millisecond (finer
    digits are cut), None clears a field, an absent field stays as it is.

    Raises:
        UnsendableValueError: A value is not finite, out of range, of a type or in a form that
            the org could not store as it is.

    """
    records = [
        {"attributes": {"type": sobject}}
        | {name: _encode(number, name, value) for name, value in row.items()}
        for number, row in enumerate(rows)
    ]
    # Passing datetimes through makes one that slipped by _encode an error, not a local time.
    return orjson.dumps(
        {"allOrNone": False, "records": records}, option=orjson.OPT_PASSTHROUGH_DATETIME
    )


def _encode(row: int, name: str, value: object) -> object:
    problem = problem_of(value)
    if problem is not None:
        raise UnsendableValueError(row, name, problem)
    match value:
        case Decimal():
            return orjson.Fragment(format(value, "f"))
        case datetime():
            return utc_text(value)
        case date():
            return value.isoformat()
        case _:
            return value


def problem_of(value: object) -> str | None:
    """Return why the org could not store *value* as it is, without it; None if it could."""
    problem = None
    match value:
        case str() if not (value.isascii() or _is_unicode(value)):
            problem = "the text has a lone surrogate"
        case int() if value not in INT_RANGE:
            problem = "the whole number is too large"
        case Decimal() | float() if not _is_finite(value):
            problem = "the number is not finite"
        case datetime() if value.utcoffset() is None:
            problem = "the time has no zone"
        case datetime() if value.year in {MINYEAR, MAXYEAR}:
            problem = "the time may have no form in UTC"
        case None | str() | int() | Decimal() | float() | date():
            pass
        case _:
            problem = f"{type(value).__name__} is not a type the org stores"
    return problem


def _is_finite(value: Decimal | float) -> bool:
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def utc_text(moment: datetime) -> str:
    """Return the moment in UTC to the millisecond; finer digits are cut."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def read_results(
    answer: object, rows: Sequence[Mapping[str, Any]], key_field: str
) -> list[RowResult]:
    """Return the verdict on each of *rows*, in their order.

    Raises:
        OrgUnavailableError: The answer does not account for every row.

    """
    if not isinstance(answer, list) or len(answer) != len(rows):
        count = len(answer) if isinstance(answer, list) else 0
        msg = f"sent {len(rows)} rows, Salesforce answered for {count}"
        raise OrgUnavailableError(msg)
    return [_read(item, row, key_field) for item, row in zip(answer, rows, strict=True)]


def _read(item: object, row: Mapping[str, Any], key_field: str) -> RowResult:
    if not isinstance(item, Mapping) or not isinstance(item.get("success"), bool):
        msg = "Salesforce answered for a row without saying whether it succeeded"
        raise OrgUnavailableError(msg)
    if item["success"]:
        return RowResult(success=True, created=item.get("created") is True)
    return RowResult.refused(read_error(item.get("errors"), row.keys(), key_field))
