"""A job's header against its object: which cell is which field, and what its text means."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from connectors.sandbox.access import View
from connectors.sandbox.bulk.jobs import Operation
from connectors.sandbox.bulk.table import TableError
from connectors.sandbox.deployed.metadata import NUMBER_TYPES, Field
from connectors.sandbox.errors import InvalidValueError, Problem
from connectors.sandbox.rows.values import coercer

NULL = "#N/A"
MAX_HEADER, MAX_COLUMNS = 32_000, 5_000  # characters, and names; Salesforce's limits
_XSD: Mapping[str, str] = {
    "int": "int",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "date": "date",
    "datetime": "dateTime",
    "boolean": "boolean",
}
_DOUBLES = NUMBER_TYPES - {"int"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN, _PLAIN_DIGITS = 3, 7  # Java writes 10**-3 to 10**7 without an exponent

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the CSV.

    Attributes:
        name: The field's canonical name.
        type: The field's type.
        check: Takes a JSON value of a typed field, or refuses it; None where any text is right.

    """

    name: str
    type: str
    check: Callable[[object], object] | None


def columns_of(header: Sequence[str], view: View, operation: Operation) -> tuple[Column, ...]:
    """Return the columns that *header* names.

    Raises:
        TableError: A name is not a field that the user sees, or comes twice; or a delete names
            more than the id; or it is too long.

    """
    if len(header) > MAX_COLUMNS or len(",".join(header)) > MAX_HEADER:
        text = (
            f"InvalidBatch : The header is longer than {MAX_HEADER} characters or names more than"
            f" {MAX_COLUMNS} fields"
        )
        raise TableError(text)
    columns: list[Column] = []
    is_delete = operation in {Operation.DELETE, Operation.HARD_DELETE}
    for name in header:
        field = view.field(name)
        if field is None or (is_delete and field.name != "Id"):
            # also Parent__r.Ext__c: none of these objects has a lookup
            text = f"InvalidBatch : Field name not found : {name}"
            raise TableError(text)
        if any(column.name == field.name for column in columns):
            text = f"InvalidBatch : Duplicate field name found : {name}"
            raise TableError(text)
        columns.append(Column(field.name, field.type, _check(field)))
    if not columns:
        text = "InvalidBatch : The data has no header"
        raise TableError(text)
    return tuple(columns)


def read_record(columns: Sequence[Column], cells: Sequence[str]) -> Record | list[Problem]:
    """Return the values that *cells* set, or what is wrong with them.

    An empty cell sets nothing; ``#N/A`` sets null.
    """
    record: Record = {}
    for at, (column, text) in enumerate(zip(columns, cells, strict=True)):
        if not text:
            continue
        value = None if text == NULL else _value(column, text)
        if column.check is not None and value is not None:
            try:
                column.check(value)
            except InvalidValueError as exc:
                if exc.problem.is_parse_error:
                    return [_unreadable(column, text, at)]
        record[column.name] = value
    return record


def normalised(column: Column, text: str) -> str:
    """Return a cell as results repeat it: numbers as Java writes a double."""
    if column.type not in _DOUBLES or _NUMBER.fullmatch(text) is None:
        return text
    value = float(text)
    return java_double(value) if math.isfinite(value) else text


def java_double(value: float) -> str:
    """Return a finite number as Java's ``Double.toString`` writes it, and with it the Bulk API.

    Source: Java SE API, "Double.toString".
    """
    number = Decimal(repr(value))
    if number.is_zero() or -_PLAIN <= number.adjusted() < _PLAIN_DIGITS:
        plain = f"{number:f}"
        return plain if "." in plain else f"{plain}.0"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    sign = "-" if number < 0 else ""
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"


def _check(field: Field) -> Callable[[object], object] | None:
    return coercer(field) if field.type in _XSD else None


def _value(column: Column, text: str) -> object:
    """Return the JSON value that a cell stands for; a checkbox may also be 1 or 0."""
    if column.type == "boolean":
        return {"1": True, "0": False}.get(text, text)
    return text


def _unreadable(column: Column, text: str, at: int) -> Problem:
    message = (
        f"Failed to deserialize field at col {at}. Due to, '{text}' is not a valid value for the"
        f" type xsd:{_XSD[column.type]}"
    )
    return Problem("INVALID_FIELD", message, (column.name,))
