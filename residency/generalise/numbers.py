"""Numbers and amounts, made coarser. A decimal is its two's-complement bytes, scale 2."""

import math
import re

from residency.generalise.model import UNKNOWN, Context, Generaliser

SCALE = 2  # of the decimals, raw and minimal
UNIT: int = 10**SCALE  # unscaled units in one
MAX_AMOUNT = 999_999_999_99  # unscaled: what the minimal schemas' amounts may reach
BANDS = 100
MAX_WIDTH = 1_000_000
# Degrees -> hundredths. The finest is 11 km from south to north, and from east to west
# more than California's 1,850 feet of "precise" (Civ. Code 1798.140(w)) up to 87 degrees.
GRIDS = {"0.1": 10, "0.5": 50, "1": 100, "5": 500, "10": 1000}
MAX_BYTES = 32  # of a decimal; the widest that Avro's precisions of use need
_WHOLE = re.compile(r"[1-9][0-9]{0,6}")


def _whole(argument: str | None) -> int:
    if argument is None or not _WHOLE.fullmatch(argument) or int(argument) > MAX_WIDTH:
        msg = f"give a whole number from 1 to {MAX_WIDTH}, such as 100"
        raise ValueError(msg)
    return int(argument)


def number_band(argument: str | None) -> Generaliser:
    """Return the generaliser of a number to one of 100 bands, open below and above."""
    width = _whole(argument)
    top = BANDS * width
    bands = tuple(f"{low} to {low + width}" for low in range(0, top, width))
    below, above = "below 0", f"{top} and more"

    def apply(value: object, _: Context) -> str:
        number = _floor(value)
        if number is None:
            return UNKNOWN
        if number < 0:
            return below
        return bands[number // width] if number < top else above

    return Generaliser(
        how=f"number-band:{width}",
        takes=("long", "decimal", "float", "double"),
        output="string",
        told=BANDS + 2,
        apply=apply,
        says=f"a band of {width} that the number lies in, its upper end excluded",
        values=(*bands, below, above, UNKNOWN),
    )


def _floor(value: object) -> int | None:
    """Return the greatest integer not above a number, or None where *value* is none."""
    if type(value) is int:
        return value
    if isinstance(value, bytes) and len(value) <= MAX_BYTES:
        return int.from_bytes(value, "big", signed=True) // UNIT
    if isinstance(value, float) and not math.isnan(value):
        # The ends are beyond every band, and an infinity has no floor.
        return math.floor(min(max(value, -1.0), float(BANDS * MAX_WIDTH)))
    return None


def rounded(argument: str | None) -> Generaliser:
    """Return the generaliser of an amount to the nearest multiple, in the same currency."""
    step = _whole(argument)
    most = MAX_AMOUNT // (step * UNIT)  # multiples, on either side of zero

    def apply(value: object, _: Context) -> bytes | None:
        if not isinstance(value, bytes) or len(value) > MAX_BYTES:
            return None
        unscaled = int.from_bytes(value, "big", signed=True)
        # Halves go away from zero, so that a refund rounds as its payment did.
        multiple = (abs(unscaled) + step * UNIT // 2) // (step * UNIT)
        if multiple > most:
            return None
        return _decimal((multiple if unscaled >= 0 else -multiple) * step * UNIT)

    return Generaliser(
        how=f"rounded:{step}",
        takes=("decimal",),
        output="decimal",
        told=2 * most + 1,
        apply=apply,
        says=f"the nearest multiple of {step} in the amount's own currency",
        unknown=None,
        range=(-most * step * UNIT, most * step * UNIT),
    )


def coordinate(argument: str | None) -> Generaliser:
    """Return the generaliser of a latitude or longitude to the nearest line of a grid."""
    step = GRIDS.get(argument or "")
    if step is None:
        msg = f"the grid is one of {', '.join(GRIDS)} degrees"
        raise ValueError(msg)
    most = 180 * UNIT // step  # lines, on either side of zero

    def apply(value: object, _: Context) -> bytes | None:
        if not isinstance(value, float) or not -180 <= value <= 180:  # noqa: PLR2004, degrees
            return None  # NaN is not between the two either
        return _decimal(math.floor(value * UNIT / step + 0.5) * step)

    return Generaliser(
        how=f"coordinate:{argument}",
        takes=("double", "float"),
        output="decimal",
        told=2 * most + 1,
        apply=apply,
        says=f"the nearest line of a grid of {argument} degrees; 0.1 degrees are up to 11 km",
        unknown=None,
        range=(-most * step, most * step),
    )


def _decimal(unscaled: int) -> bytes:
    """Return the fewest bytes that hold *unscaled*: Avro's canonical decimal."""
    width = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return unscaled.to_bytes(width, "big", signed=True)
