"""One field's rules: JSON value in, SQLite value stored, JSON value out.

Numbers are stored as integers scaled by the field's decimals and read with `Decimal`, so no
digit passes through a float. Times are stored as whole seconds, the precision that the real
org keeps.

Source: Salesforce SOAP API, "Primitive Data Types" and "Field Types".
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation

import orjson

from connectors.sandbox.deployed.metadata import NUMBER_TYPES, Field
from connectors.sandbox.errors import InvalidValueError, Problem, wrong_json
from connectors.sandbox.ids import is_id, record_id, sequence_of
from connectors.sandbox.rows.forms import (
    decimal_text,
    parse_date,
    parse_datetime,
    render_datetime,
    scaled,
)
from connectors.sandbox.texts import encodable

Stored = str | int | None
Row = dict[str, Stored]
Coerce = Callable[[object], Stored]
Render = Callable[[Stored], object]

# a local part and a domain of two labels or more; neither starts or ends with a dot
_EMAIL = re.compile(
    r"[\w!#$%&'*/=?^+`{|}~-]+(\.[\w!#$%&'*/=?^+`{|}~-]+)*"
    r"@([^\W_]([\w-]*[^\W_])?\.)+[^\W_]([\w-]*[^\W_])?"
)
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1700, 4000  # what a DateTime field holds
_MAX_EXPONENT = 400  # beyond any field; keeps a hostile 1e999999 from becoming digits


def coercer(field: Field) -> Coerce:
    """Return the function that turns a JSON value into what is stored.

    It raises `InvalidValueError` with the real org's text. An empty string counts as null.
    Whether the field may be empty is not its business: that depends on create or update.
    """
    makers: dict[str, Callable[[Field], Coerce]] = {
        "string": _text,
        "textarea": _text,
        "phone": _text,
        "url": _text,
        "email": _email,
        "picklist": _picklist,
        "int": _whole,
        "double": _number,
        "currency": _number,
        "percent": _number,
        "boolean": _boolean,
        "date": _date,
        "datetime": _datetime,
        "reference": _reference,
    }
    return makers[field.type](field)


def renderer(field: Field, prefix: str) -> Render:
    """Return the function that turns a stored value into its JSON form.

    Args:
        field: The field.
        prefix: Key prefix of its object, for ids.

    """
    if field.type == "id":
        return lambda v: record_id(prefix, int(v or 0))
    if field.type == "reference":
        target = field.key_prefix
        return lambda v: None if v is None else record_id(target, int(v))
    if field.type == "boolean":
        return bool
    if field.type == "datetime":
        return render_datetime
    if field.type in NUMBER_TYPES - {"int"}:
        scale = field.scale
        return lambda v: None if v is None else orjson.Fragment(decimal_text(int(v), scale))
    return lambda v: v


def _text(field: Field) -> Coerce:
    label, name, limit = field.label, field.name, field.length

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise wrong_json(value, "string")
        if len(value) > limit:
            text = f"{label}: data value too large: {value} (max length={limit})"
            raise InvalidValueError(Problem("STRING_TOO_LONG", text, (name,)))
        return encodable(value)

    return coerce


def _picklist(field: Field) -> Coerce:
    label, name, values = field.label, field.name, frozenset(field.values)
    takes_any, is_restricted = _text(field), field.is_restricted

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise wrong_json(value, "string")
        if value not in values:
            if not is_restricted:
                return takes_any(value)
            text = f"{label}: bad value for restricted picklist field: {value}"
            raise InvalidValueError(
                Problem("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text, (name,))
            )
        return value

    return coerce


def _number(field: Field) -> Coerce:
    label, name, scale = field.label, field.name, field.scale
    limit = 10**field.precision

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        number = _decimal(value)
        is_small = number.is_zero() or number.adjusted() < _MAX_EXPONENT
        stored = scaled(number, scale) if is_small else limit
        if abs(stored) >= limit:
            text = f"{label}: value outside of valid range on numeric field: {value}"
            raise InvalidValueError(Problem("NUMBER_OUTSIDE_VALID_RANGE", text, (name,)))
        return stored

    return coerce


def _whole(field: Field) -> Coerce:
    takes = _number(field)

    def coerce(value: object) -> Stored:
        is_digits = isinstance(value, str) and _WHOLE.fullmatch(value) is not None
        if value is None or value == "" or is_digits or type(value) is int:
            return takes(value)
        raise wrong_json(value, "int")

    return coerce


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise wrong_json(value, "double")
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        raise wrong_json(value, "double")
    try:
        return Decimal(value)
    except InvalidOperation as exc:
        raise wrong_json(value, "double") from exc


def _boolean(field: Field) -> Coerce:
    label, name = field.label, field.name

    def coerce(value: object) -> Stored:
        if value is True or value is False:
            return int(value)
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return int(value.lower() == "true")
        if value is None or value == "":
            text = f"{label}: value not of required type: {value or 'null'}"
            raise InvalidValueError(Problem("INVALID_TYPE_ON_FIELD_IN_RECORD", text, (name,)))
        raise wrong_json(value, "boolean")

    return coerce


def _datetime(field: Field) -> Coerce:
    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        moment = parse_datetime(value) if isinstance(value, str) else None
        if moment is None:
            raise wrong_json(value, "datetime")
        _check_year(field, moment)
        return int(moment.replace(microsecond=0).timestamp())

    return coerce


def _date(field: Field) -> Coerce:
    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        day = parse_date(value) if isinstance(value, str) else None
        if day is None:
            raise wrong_json(value, "date")
        _check_year(field, day)
        return day.isoformat()

    return coerce


def _check_year(field: Field, day: date) -> None:
    """Refuse a day, or a moment in UTC, that no field holds; a day is its first moment."""
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        text = f"{field.label}: invalid date: {day:%a %b %d %H:%M:%S} GMT {day.year}"
        raise InvalidValueError(Problem("FIELD_INTEGRITY_EXCEPTION", text, (field.name,)))


def _email(field: Field) -> Coerce:
    label, name, takes = field.label, field.name, _text(field)

    def coerce(value: object) -> Stored:
        text = takes(value)
        if text is not None and _EMAIL.fullmatch(str(text)) is None:
            message = f"{label}: invalid email address: {text}"
            raise InvalidValueError(Problem("INVALID_EMAIL_ADDRESS", message, (name,)))
        return text

    return coerce


def _reference(field: Field) -> Coerce:
    label, name, prefix = field.label, field.name, field.key_prefix
    is_owner = name == "OwnerId"

    def coerce(value: object) -> Stored:
        if (value is None or value == "") and not is_owner:
            return None
        sequence = sequence_of(prefix, value) if isinstance(value, str) else None
        if sequence is None:
            if isinstance(value, dict | list):
                raise wrong_json(value, "reference")
            text = f"{label}: id value of incorrect type: {value or 'null'}"
            is_other = isinstance(value, str) and is_id(value) and not value.startswith(prefix)
            code = "FIELD_INTEGRITY_EXCEPTION" if is_other else "MALFORMED_ID"
            raise InvalidValueError(Problem(code, text, (name,)))
        return sequence

    return coerce
