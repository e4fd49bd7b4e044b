"""The values that hold no others, in plain JSON and in Python."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from schemas.errors import QuarantineError, Reason

INT_RANGE = (-(2**31), 2**31 - 1)
LONG_RANGE = (-(2**63), 2**63 - 1)

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class PlainJsonError(QuarantineError):
    """The JSON is not an event of its schema.

    Attributes:
        path: The field's path in the schema, or None for the whole event.
        problem: What is wrong with it, in words that hold nothing of the event.

    """

    def __init__(self, path: str | None, problem: str) -> None:
        """Name the field and the problem, not the field's value."""
        super().__init__(Reason.MALFORMED, path)
        self.problem = problem
        self.args = (f"{path or 'the event'}: {problem}",)


def of_type(data: object, kind: type, words: str, path: str) -> Any:  # noqa: ANN401
    """Return *data*, which must be of a Python type that *words* name."""
    if not isinstance(data, kind):
        raise PlainJsonError(path or None, f"is not {words}")
    return data


def text_of(data: object, path: str) -> str:
    """Return *data*, which must be a string that UTF-8 can hold."""
    text: str = of_type(data, str, "a string", path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PlainJsonError(path, "is not valid Unicode") from None
    return text


def bytes_of(data: object, path: str) -> bytes:
    """Return the bytes that a base64 string writes."""
    try:
        return base64.b64decode(text_of(data, path), validate=True)
    except (binascii.Error, ValueError):
        raise PlainJsonError(path, "is not base64") from None


def _integer(data: object, bounds: tuple[int, int], path: str) -> int:
    if not isinstance(data, int) or isinstance(data, bool):
        raise PlainJsonError(path, "is not an integer")
    if not bounds[0] <= data <= bounds[1]:
        raise PlainJsonError(path, "is out of range")
    return data


def _number(data: object, path: str) -> float:
    if not isinstance(data, int | float) or isinstance(data, bool):
        raise PlainJsonError(path, "is not a number")
    try:
        number = float(data)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PlainJsonError(path, "is out of range")
    return number


_PRIMITIVES: Mapping[str, Callable[[object, str], Any]] = {
    "null": lambda data, path: of_type(data, type(None), "null", path),
    "boolean": lambda data, path: of_type(data, bool, "true or false", path),
    "int": lambda data, path: _integer(data, INT_RANGE, path),
    "long": lambda data, path: _integer(data, LONG_RANGE, path),
    "float": _number,
    "double": _number,
    "bytes": bytes_of,
    "string": text_of,
}


def from_primitive(kind: str, data: object, path: str) -> Any:  # noqa: ANN401
    """Return the value of a primitive type."""
    return _PRIMITIVES[kind](data, path)


def from_scalar(avro: Mapping[str, Any], data: object, path: str) -> Any:  # noqa: ANN401
    """Return the value of an annotated type; an unknown annotation means nothing."""
    match avro.get("logicalType"):
        case "decimal":
            return _decimal(text_of(data, path), avro["precision"], avro.get("scale", 0), path)
        case "date":
            return _date(text_of(data, path), path)
        case "timestamp-millis":
            return _timestamp(text_of(data, path), 1000, path)
        case "timestamp-micros":
            return _timestamp(text_of(data, path), 1, path)
        case "uuid":
            if _UUID.fullmatch(text := text_of(data, path)) is None:
                raise PlainJsonError(path, "is not a uuid")
            return UUID(text)
        case _:
            return from_primitive(avro["type"], data, path)


def _decimal(text: str, precision: int, scale: int, path: str) -> Decimal:
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise PlainJsonError(path, "is not a decimal, such as 12.50")
    whole, fraction = match.groups()
    if len(fraction or ".") - 1 > scale:
        raise PlainJsonError(path, f"has more than {scale} decimals")
    if len(whole.lstrip("0")) > precision - scale:
        raise PlainJsonError(path, f"has more than {precision - scale} digits before the point")
    digits = whole + (fraction or ".")[1:].ljust(scale, "0")
    sign = 1 if text.startswith("-") else 0
    return Decimal((sign, tuple(map(int, digits)), -scale))


def _date(text: str, path: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise PlainJsonError(path, "is not a date, such as 2026-01-31")


def _timestamp(text: str, unit_us: int, path: str) -> datetime:
    match = _TIMESTAMP.fullmatch(text)
    try:
        if match is not None:
            day, clock, fraction, zone = match.groups()
            micros = int((fraction or "0").ljust(6, "0")[:6])
            stamp = datetime.fromisoformat(f"{day}T{clock}{zone.upper()}")
            return stamp.replace(microsecond=micros - micros % unit_us).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PlainJsonError(path, "is not an RFC 3339 time, such as 2026-01-31T08:00:00Z")


def to_scalar(avro: Any, value: Any) -> Any:  # noqa: ANN401
    """Return the plain JSON of a value of type *avro*."""
    if isinstance(value, datetime):
        micros = isinstance(avro, Mapping) and avro.get("logicalType") == "timestamp-micros"
        text = value.astimezone(UTC).isoformat(
            timespec="microseconds" if micros else "milliseconds"
        )
        return text.replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
