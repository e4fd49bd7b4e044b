"""One field's rules: JSON value in, SQLite value stored, JSON value out.

Numbers are stored as integers scaled by the field's decimals and read with `Decimal`, so no
digit passes through a float. Times are stored as whole seconds, the precision that the real
org keeps.

Source: Salesforce SOAP API, "Primitive Data Types" and "Field Types".
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation

import orjson

from connectors.sandbox.access import USER_PREFIX
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import InvalidValueError, Problem
from connectors.sandbox.ids import record_id, sequence_of

Stored = str | int | None
Coerce = Callable[[object], Stored]
Render = Callable[[Stored], object]

_DATETIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII
)
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
        "picklist": _picklist,
        "double": _number,
        "currency": _number,
        "boolean": _boolean,
        "datetime": _datetime,
        "reference": _user,
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
        return lambda v: record_id(USER_PREFIX, int(v or 0))
    if field.type == "boolean":
        return bool
    if field.type == "datetime":
        return render_datetime
    if field.type in {"double", "currency"}:
        scale = field.scale
        return lambda v: None if v is None else orjson.Fragment(decimal_text(int(v), scale))
    return lambda v: v


def decimal_text(scaled: int, scale: int) -> str:
    """Return *scaled* / 10**scale as the API writes doubles: at least one decimal."""
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(scale + 1, "0")
    cut = len(digits) - scale
    return f"{sign}{digits[:cut]}.{digits[cut:].rstrip('0') or '0'}"


def render_datetime(seconds: Stored) -> str | None:
    """Return seconds since 1970 as ``2013-05-07T22:07:19.000+0000``."""
    if seconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(int(seconds)))


def parse_datetime(text: str) -> datetime | None:
    """Return the instant in *text*, which must name its offset, or None."""
    match = _DATETIME.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def scaled(number: Decimal, scale: int) -> int:
    """Return *number* * 10**scale; digits beyond the scale are cut, as the org does."""
    return int(number.scaleb(scale).to_integral_value(ROUND_DOWN))


def _text(field: Field) -> Coerce:
    label, name, limit = field.label, field.name, field.length

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise _wrong_json(value, "string")
        if len(value) > limit:
            text = f"{label}: data value too large: {value} (max length={limit})"
            raise InvalidValueError(Problem("STRING_TOO_LONG", text, (name,)))
        return _encodable(value)

    return coerce


def _picklist(field: Field) -> Coerce:
    label, name, values = field.label, field.name, frozenset(field.values)
    takes_any, is_restricted = _text(field), field.is_restricted

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise _wrong_json(value, "string")
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


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise _wrong_json(value, "double")
    if isinstance(value, str) and _NUMBER.fullmatch(value) is None:
        raise _wrong_json(value, "double")
    try:
        return Decimal(value)
    except InvalidOperation as exc:
        raise _wrong_json(value, "double") from exc


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
        raise _wrong_json(value, "boolean")

    return coerce


def _datetime(field: Field) -> Coerce:
    label, name = field.label, field.name

    def coerce(value: object) -> Stored:
        if value is None or value == "":
            return None
        moment = parse_datetime(value) if isinstance(value, str) else None
        if moment is None:
            raise _wrong_json(value, "datetime")
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            text = f"{label}: invalid date: {moment:%a %b %d %H:%M:%S} GMT {moment.year}"
            raise InvalidValueError(Problem("FIELD_INTEGRITY_EXCEPTION", text, (name,)))
        return int(moment.replace(microsecond=0).timestamp())

    return coerce


def _user(field: Field) -> Coerce:
    label, name = field.label, field.name

    def coerce(value: object) -> Stored:
        sequence = sequence_of(USER_PREFIX, value) if isinstance(value, str) else None
        if sequence is None:
            text = f"{label}: id value of incorrect type: {value or 'null'}"
            raise InvalidValueError(Problem("MALFORMED_ID", text, (name,)))
        return sequence

    return coerce


def _encodable(text: str) -> str:
    """Return *text* with lone surrogates as ``?``: JSON may escape them, UTF-8 has none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _wrong_json(value: object, wanted: str) -> InvalidValueError:
    """Return the refusal of a JSON value of the wrong type; the place is added by the reader."""
    text = (
        f"Cannot deserialize instance of {wanted} from {_token(value)} or request may be missing "
        "a required field"
    )
    return InvalidValueError(Problem("JSON_PARSER_ERROR", text, (), is_parse_error=True))


def _token(value: object) -> str:
    """Return a JSON value as the real API's parser names it."""
    if isinstance(value, bool):
        word = str(value).lower()
        return f"VALUE_{word.upper()} value {word}"
    if isinstance(value, int):
        return f"VALUE_NUMBER_INT value {value}"
    if isinstance(value, Decimal):
        return f"VALUE_NUMBER_FLOAT value {value}"
    if isinstance(value, str):
        return f"VALUE_STRING value {value}"
    return "START_ARRAY value [" if isinstance(value, list) else "START_OBJECT value {"
