"""Literals of SOQL in the form in which a field's values are stored. Pure."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from connectors.sandbox.deployed.metadata import NUMBER_TYPES, TEXT_TYPES
from connectors.sandbox.errors import ApiError
from connectors.sandbox.ids import is_id, sequence_of
from connectors.sandbox.rows.forms import parse_datetime
from connectors.sandbox.soql.operands import Operand
from connectors.sandbox.soql.scope import NOBODY, Scope
from connectors.sandbox.soql.tree import Day, Moment, Quoted, Value

Scale = Callable[[Decimal], int | str]
Literal = int | float | str | None


class _Misfit(Exception):  # noqa: N818 -- never leaves this module
    """The literal does not fit the field."""


def stored(scope: Scope, operand: Operand, value: Value, scale: Scale) -> Literal:
    """Return *value* as *operand*'s field would hold it.

    Args:
        scope: Of the statement, for the place of an error.
        operand: What it is compared with.
        value: The literal.
        scale: Brings a number to the precision that is stored.

    Raises:
        ApiError: 400, the field does not compare with such a literal.

    """
    if value is None:
        return None
    try:
        if operand.kind != "field":
            return _number(operand, value, scale)
        return _of_field(scope, operand, value, scale)
    except _Misfit as exc:
        raise misfit(scope, operand) from exc


def misfit(scope: Scope, operand: Operand) -> ApiError:
    """Return the refusal of a literal that is of another type than its field."""
    field = operand.field
    names = {"datetime": "dateTime", "id": "ID", "reference": "ID"}
    is_text = field.type in TEXT_TYPES or field.type in {"id", "reference"}
    name = "string" if field.type in TEXT_TYPES else names.get(field.type, field.type)
    text = (
        f"value of filter criterion for field '{field.name}' must be of type {name} and should"
        f"{'' if is_text else ' not'} be enclosed in quotes"
    )
    return scope.refuse(operand.item.at, "INVALID_FIELD", text)


def _of_field(scope: Scope, operand: Operand, value: Value, scale: Scale) -> Literal:
    kind = operand.field.type
    if kind in TEXT_TYPES and isinstance(value, Quoted):
        return (value.text.casefold() if operand.is_folded else value.text) or None
    if kind in {"id", "reference"} and isinstance(value, Quoted):
        return _id(scope, operand, value.text)
    if kind in NUMBER_TYPES:
        return _number(operand, value, scale)
    if kind == "datetime" and isinstance(value, Moment):
        moment = parse_datetime(value.text)
        if moment is not None:
            return scale(Decimal(moment.timestamp()))
    if kind == "date" and isinstance(value, Day):
        return _day(value.text)
    if kind == "boolean" and isinstance(value, bool):
        return int(value)
    raise _Misfit


def _number(operand: Operand, value: Value, scale: Scale) -> Literal:
    if not isinstance(value, Decimal):
        raise _Misfit
    if operand.kind == "count":
        return scale(value)
    scaled = value.scaleb(operand.field.scale)
    return float(scaled) if operand.kind == "mean" else scale(scaled)


def _id(scope: Scope, operand: Operand, text: str) -> Literal:
    """Return the number of the row with the id *text*; of another object's row `NOBODY`."""
    if not text:
        return None
    if not is_id(text):
        message = f"invalid ID field: {text}"
        raise scope.refuse(operand.item.at, "INVALID_QUERY_FILTER_OPERATOR", message)
    field, view = operand.field, operand.reference.place.view
    sequence = sequence_of(view.prefix if field.type == "id" else field.key_prefix, text)
    return NOBODY if sequence is None else sequence


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        raise _Misfit from exc
