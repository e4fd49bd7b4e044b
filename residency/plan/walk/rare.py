"""What the walk needs now and then: calls that its loop can afford."""

from typing import Any

from residency.plan.walk import ops
from residency.plan.walk.accelerator import compiled
from residency.plan.walk.bits import read_unscaled

Ints = Any  # an int64 array
_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1
SUM, LEAST = ops.SUM, ops.LEAST
PLAIN, MALFORMED, ODD = ops.PLAIN, ops.MALFORMED, ops.ODD


@compiled
def is_within(data: Any, at: int, stop: int, limit: int) -> int:
    """Return a verdict on a decimal of any length; *limit* as in `ops.DECIMAL`."""
    value, is_wide = read_unscaled(data, at, stop)
    if is_wide:
        return MALFORMED if limit else ODD
    return PLAIN if limit == 0 or -limit < value < limit else MALFORMED


@compiled
def add(held: int, value: int, how: int) -> tuple[int, bool]:
    """Return the sum, the least or the most of two, and whether it fits 64 bits."""
    if how == SUM:
        if (value > 0 and held > _LONG_MAX - value) or (value < 0 and held < _LONG_MIN - value):
            return held, False
        return held + value, True
    return (value if (value < held) == (how == LEAST) else held), True


@compiled
def choose_key(
    table: Ints,
    place: int,
    number: int,
    keys: Any,
    key_ends: Ints,
    data: Any,
    start: int,
    stop: int,
    otherwise: int,
) -> int:
    """Return the body for the entry whose key lies from *start* to *stop*."""
    for row in range(number):
        key = table[place + 2 * row]
        first = key_ends[key]
        size = key_ends[key + 1] - first
        if size != stop - start:
            continue
        is_it = True
        for step in range(size):
            if keys[first + step] != data[start + step]:
                is_it = False
                break
        if is_it:
            return int(table[place + 2 * row + 1])
    return otherwise
