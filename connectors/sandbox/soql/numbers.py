"""Numbers in SOQL comparisons, against values stored as whole numbers. Pure."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

INT64 = 2**63  # SQLite's integers end below it


def exactly(number: Decimal) -> int | str:
    """Return *number* as an integer, or a text that equals no stored number."""
    whole = int(number)
    return whole if whole == number and abs(whole) < INT64 else "no such number"


def _rounded(rounding: str) -> Callable[[Decimal], int | str]:
    """Return the function that rounds a bound to the stored precision, within 64 bits."""

    def scale(number: Decimal) -> int | str:
        whole = int(number.to_integral_value(rounding))
        return max(-INT64, min(whole, INT64 - 1))

    return scale


# x > 1.5 is x > 1 and x >= 1.5 is x >= 2 where x is stored whole
ROUNDING = {
    "=": exactly,
    "!=": exactly,
    ">": _rounded(ROUND_FLOOR),
    "<=": _rounded(ROUND_FLOOR),
    ">=": _rounded(ROUND_CEILING),
    "<": _rounded(ROUND_CEILING),
}
