"""Values of every Avro type, encoded once: extremes first, then whatever chance gives."""

import math
import random
import struct
import uuid
from collections.abc import Mapping
from typing import Any, Final

from streams.noninterference.texts import atoms
from streams.noninterference.wire import encode_value

POOL = 512  # random values beside the special ones
INT, LONG = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
# days and milliseconds: the ends of the calendar, leap days, the epoch, two-digit-year borders
DAYS: Final = (-719_162, 2_932_896, 2_932_897, -719_163, 0, -1, 11_016, 19_782, -25_567, 22_279)
NUMBERS: Final = (0, 1, -1, 9, 10, 99, 100, 127, 128, 255, 256, 2**24, 2**31, 2**53, 2**53 + 1)
FLOATS: Final = (0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324, 1.7e308, -1e-7)


class Pools:
    """The pools of one run, made of one seed."""

    def __init__(self, rng: random.Random) -> None:
        """Make the texts; the others are made when first asked for."""
        self._rng = rng
        self.texts = tuple(atoms(rng, POOL))
        self.raw_texts = tuple(text.encode() for text in self.texts)
        self._made: dict[str, tuple[bytes, ...]] = {}

    def of(self, avro: Any) -> tuple[bytes, ...]:  # noqa: ANN401, an Avro schema is JSON
        """Return encoded values of a leaf's type, which may be any that it allows."""
        name = repr(avro)
        if name not in self._made:
            self._made[name] = tuple(encode_value(avro, value) for value in self.values(avro))
        return self._made[name]

    def values(self, avro: Any) -> list[Any]:  # noqa: ANN401, as above
        """Return the same values as Python has them."""
        kind, logical = avro, None
        if isinstance(avro, Mapping):
            kind, logical = avro["type"], avro.get("logicalType")
        if logical == "uuid":
            return self._uuids()
        if logical == "decimal":
            return self._decimals(avro)
        return self._plain(kind, avro)

    def _plain(self, kind: str, avro: Any) -> list[Any]:  # noqa: ANN401, PLR0911, a table
        rng = self._rng
        match kind:
            case "string":
                return list(self.texts)
            case "bytes":
                return [b"", *self.raw_texts, *(rng.randbytes(n) for n in range(64))]
            case "int" | "long":
                return self._whole(INT if kind == "int" else LONG)
            case "boolean":
                return [False, True]
            case "enum":
                return list(avro["symbols"])
            case "float" | "double":
                small = [struct.unpack("<f", rng.randbytes(4))[0] for _ in range(POOL)]
                return [x for x in (*FLOATS, *small) if kind == "double" or _fits_float(x)]
            case "fixed":
                return [rng.randbytes(avro["size"]) for _ in range(POOL)]
            case _:
                return [None]

    def _whole(self, ends: tuple[int, int]) -> list[int]:
        rng, (low, high) = self._rng, ends
        milliseconds = [day * 86_400_000 for day in DAYS]
        special = [low, high, low + 1, high - 1, *NUMBERS, *DAYS, *milliseconds]
        made = [rng.randrange(-(1 << bits), 1 << bits) for bits in range(63) for _ in range(8)]
        return [n for n in (*special, *made) if low <= n <= high]

    def _uuids(self) -> list[str]:
        made = [str(uuid.UUID(int=self._rng.getrandbits(128))) for _ in range(POOL)]
        ends = [str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))]
        return [*ends, *made, *(text.upper() for text in made[:32])]

    def _decimals(self, avro: Mapping[str, Any]) -> list[bytes]:
        """Return two's-complement numbers, some longer than they need be."""
        rng, top = self._rng, 10 ** avro["precision"] - 1
        whole = [0, 1, -1, top, -top, 99, -100]
        whole += [rng.randint(-top, top) >> rng.randrange(60) for _ in range(POOL)]
        if avro["type"] == "fixed":
            return [n.to_bytes(avro["size"], "big", signed=True) for n in whole]
        return [decimal(n, rng.choice((0, 0, 0, 1, 7))) for n in whole]


def decimal(unscaled: int, padding: int = 0) -> bytes:
    """Return the two's complement of *unscaled*, with *padding* more bytes than it needs."""
    width = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return unscaled.to_bytes(width + padding, "big", signed=True)


def _fits_float(value: float) -> bool:
    return not math.isfinite(value) or abs(value) < 3e38  # noqa: PLR2004
