"""Numbers, days and moments: how they are stored, and how they are written.

Source: Salesforce SOAP API, "Primitive Data Types".
"""

import re
import time
from datetime import UTC, date, datetime
from decimal import ROUND_DOWN, Decimal

_DATETIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def decimal_text(scaled: int, scale: int) -> str:
    """Return *scaled* / 10**scale as the API writes doubles: at least one decimal."""
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(scale + 1, "0")
    cut = len(digits) - scale
    return f"{sign}{digits[:cut]}.{digits[cut:].rstrip('0') or '0'}"


def render_datetime(seconds: str | int | None) -> str | None:
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


def parse_date(text: str) -> date | None:
    """Return the day in *text*, ``2013-05-07``, or None; a time of day after it is cut off.

    Source: SOAP API, "Primitive Data Types": a date field takes a dateTime's day.
    """
    if _DATE.fullmatch(text) is None:
        moment = parse_datetime(text)
        return None if moment is None else moment.date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def scaled(number: Decimal, scale: int) -> int:
    """Return *number* * 10**scale; digits beyond the scale are cut, as the org does."""
    return int(number.scaleb(scale).to_integral_value(ROUND_DOWN))
