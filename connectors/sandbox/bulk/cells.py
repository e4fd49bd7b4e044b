"""Stored values as the cells of a query job's CSV. Pure.

Not as JSON has them: ids, texts and dates are the same, but an instant ends in ``Z``, a number is
written as Java does it, and null is an empty cell.
"""

import time
from collections.abc import Callable
from functools import lru_cache

from connectors.sandbox.bulk.columns import java_double
from connectors.sandbox.deployed.metadata import NUMBER_TYPES, Field
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.forms import decimal_text
from connectors.sandbox.rows.values import Stored

Cell = Callable[[Stored], str]
_EXACT = 10**15  # below it no digit is lost in a double
_PLAIN = 10**7  # Java writes smaller numbers, from 10**-3 on, without an exponent


def cell_of(field: Field, prefix: str) -> Cell:
    """Return the function that writes a stored value of *field* as a cell.

    Args:
        field: The field.
        prefix: Key prefix of its object, for ids.

    """
    if field.type == "id":
        return lambda v: "" if v is None else record_id(prefix, int(v))
    if field.type == "reference":
        target = field.key_prefix
        # many rows point at few: an owner, a parent
        named = lru_cache(1024)(lambda v: record_id(target, int(v)))
        return lambda v: "" if v is None else named(v)
    if field.type == "boolean":
        return lambda v: "" if v is None else str(bool(v)).lower()
    if field.type == "datetime":
        return _instant
    if field.type in NUMBER_TYPES - {"int"}:
        return _double(field.scale)
    return plain


def plain(value: Stored) -> str:
    """Return a text, a date or a whole number as it is."""
    return "" if value is None else str(value)


def _instant(seconds: Stored) -> str:
    if seconds is None:
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(int(seconds)))


def _double(scale: int) -> Cell:
    one = 10**scale
    low, high = one / 1000, min(one * _PLAIN, _EXACT)

    def cell(value: Stored) -> str:
        if value is None:
            return ""
        scaled = int(value)
        if scaled == 0 or low <= abs(scaled) < high:
            return decimal_text(scaled, scale)
        return java_double(scaled / one)

    return cell
