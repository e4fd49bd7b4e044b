"""Date words: ``TODAY``, ``LAST_N_DAYS:7`` and the others, as ranges of days in UTC. Pure.

A week begins on Monday, as in the locale of this org's users (en_GB), and the fiscal year is the
calendar's, as in an org where nobody has changed it.

Source: SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE".
"""

from datetime import date, timedelta
from typing import Literal

Unit = Literal["DAY", "WEEK", "MONTH", "QUARTER", "YEAR"]

_UNITS: tuple[Unit, ...] = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_MONTHS_A_YEAR = 12
_DAYS = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}
_NINETY = {"LAST_90_DAYS": "LAST_N_DAYS", "NEXT_90_DAYS": "NEXT_N_DAYS"}


def _known() -> dict[str, tuple[str, Unit]]:
    """Return (kind, unit) of every word but those for single days and for ninety."""
    known: dict[str, tuple[str, Unit]] = {}
    for unit in _UNITS:
        fiscal = ("FISCAL_",) if unit in {"QUARTER", "YEAR"} else ()
        for prefix in ("", *fiscal):
            if unit != "DAY":
                known |= {f"{w}_{prefix}{unit}": (w, unit) for w in ("LAST", "THIS", "NEXT")}
            known |= {f"{w}_N_{prefix}{unit}S": (f"{w}_N", unit) for w in ("LAST", "NEXT")}
            known[f"N_{prefix}{unit}S_AGO"] = ("AGO", unit)
    return known


_KNOWN = _known()
DATE_WORDS = frozenset({*_KNOWN, *_DAYS, *_NINETY})


def takes_number(word: str) -> bool:
    """Return whether a date word must be followed by a colon and a number."""
    return word in _KNOWN and _KNOWN[word][0] in {"LAST_N", "NEXT_N", "AGO"}


def days_of(word: str, number: int | None, today: date) -> tuple[date, date]:
    """Return the first day of the range that a date word names, and the first after it.

    Raises:
        OverflowError: It reaches beyond the calendar.

    """
    if word in _NINETY:
        word, number = _NINETY[word], 90
    if word in _DAYS:
        first = today + timedelta(_DAYS[word])
        return first, first + timedelta(1)
    kind, unit = _KNOWN[word]
    count = number or 0
    if kind == "LAST_N":
        # days reach back from today, which is one of them; greater units end before this one
        return _start(unit, today, -count), _start(unit, today, 1 if unit == "DAY" else 0)
    if kind == "NEXT_N":
        return _start(unit, today, 1), _start(unit, today, 1 + count)
    offset = {"LAST": -1, "THIS": 0, "NEXT": 1, "AGO": -count}[kind]
    return _start(unit, today, offset), _start(unit, today, offset + 1)


def _start(unit: Unit, today: date, offset: int) -> date:
    """Return the first day of the unit that is *offset* units after that of *today*."""
    if unit == "DAY":
        return today + timedelta(offset)
    if unit == "WEEK":
        return today - timedelta(today.weekday()) + timedelta(weeks=offset)
    size = _MONTHS[unit]
    months = today.year * _MONTHS_A_YEAR + (today.month - 1) // size * size + offset * size
    year, month = divmod(months, _MONTHS_A_YEAR)
    if not date.min.year <= year <= date.max.year:
        msg = "beyond the calendar"
        raise OverflowError(msg)
    return date(year, month + 1, 1)
