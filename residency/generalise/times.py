"""Dates and times, made coarser."""

from datetime import date
from typing import TypeGuard

from residency.generalise.model import UNKNOWN, Context, Generaliser, no_argument

FIRST_YEAR, LAST_YEAR = 1900, 2030
OPEN_AGE = 90  # ages above 89 are one group: 45 CFR 164.514(b)(2)(i)(C)
AGE_BANDS = (5, 6, 9, 10, 15, 18, 30, 45)  # years; each divides 90
STEPS_MS = {"hour": 3_600_000, "day": 86_400_000}
DAY_MS = STEPS_MS["day"]
_EPOCH = date(1970, 1, 1)


def _day(year: int) -> int:
    return (date(year, 1, 1) - _EPOCH).days


FIRST_MS, END_MS = _day(2000) * DAY_MS, _day(2100) * DAY_MS
_YEAR_DAYS = range(_day(FIRST_YEAR), _day(LAST_YEAR + 1))
_AGED_DAYS = range(_day(1850), _day(2100))  # of births, and of events


def _within(value: object, allowed: range) -> TypeGuard[int]:
    return type(value) is int and value in allowed


def _date(days: int) -> date:
    return date.fromordinal(_EPOCH.toordinal() + days)


def year(argument: str | None) -> Generaliser:
    """Return the generaliser to the year of a date, 1900 to 2030."""
    no_argument(argument)
    return Generaliser(
        how="year",
        takes=("date",),
        output="long",
        told=LAST_YEAR - FIRST_YEAR + 1,
        apply=lambda value, _: _date(value).year if _within(value, _YEAR_DAYS) else None,
        says=f"the year of a date, {FIRST_YEAR} to {LAST_YEAR}",
        unknown=None,
        range=(FIRST_YEAR, LAST_YEAR),
    )


def age_band(argument: str | None) -> Generaliser:
    """Return the generaliser of a birth date to an age on the event's day, in bands."""
    width = int(argument) if argument in {str(w) for w in AGE_BANDS} else 0
    if not width:
        msg = f"the width is one of {', '.join(map(str, AGE_BANDS))} years"
        raise ValueError(msg)
    bands = tuple(f"{low}-{low + width - 1}" for low in range(0, OPEN_AGE, width))
    values = (*bands, f"{OPEN_AGE}+")

    def apply(value: object, context: Context) -> str:
        day = context.at // DAY_MS if type(context.at) is int else None
        if not _within(value, _AGED_DAYS) or not _within(day, _AGED_DAYS) or value > day:
            return UNKNOWN
        born, on = _date(value), _date(day)
        age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
        return values[min(age, OPEN_AGE) // width]

    return Generaliser(
        how=f"age-band:{width}",
        takes=("date",),
        output="string",
        told=len(values),
        apply=apply,
        says=f"the age on the event's day, in bands of {width} years; {OPEN_AGE} and more is one",
        values=(*values, UNKNOWN),
        needs=("at",),
    )


def timestamp(argument: str | None) -> Generaliser:
    """Return the generaliser that cuts a time to its hour or day in UTC, 2000 to 2099."""
    step = STEPS_MS.get(argument or "")
    if step is None:
        msg = f"cut to one of {', '.join(STEPS_MS)}"
        raise ValueError(msg)

    def apply(value: object, _: Context) -> int | None:
        return value - value % step if _within(value, range(FIRST_MS, END_MS)) else None

    return Generaliser(
        how=f"timestamp:{argument}",
        takes=("timestamp-millis",),
        output="timestamp-millis",
        told=(END_MS - FIRST_MS) // step,
        apply=apply,
        says=f"the start of the {argument} in UTC, 2000 to 2099",
        unknown=None,
        range=(FIRST_MS, END_MS - step),
    )
