"""Avro bytes of single values: events are put together from parts encoded once.

Source: Apache Avro 1.12 specification, "Binary encoding".
"""

import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any

Names = Mapping[str, Mapping[str, Any]]


def encode_long(value: int) -> bytes:
    """Return a zig-zag variable-length integer of at most 64 bits."""
    left = (value << 1) ^ (value >> 63)
    out = bytearray()
    while left > 0x7F:  # noqa: PLR2004
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


SMALL = tuple(encode_long(n) for n in range(1_024))


def sized(raw: bytes) -> bytes:
    """Return *raw* behind its length: how strings and bytes lie."""
    size = len(raw)
    return (SMALL[size] if size < len(SMALL) else encode_long(size)) + raw


def encode_value(avro: Any, value: Any) -> bytes:  # noqa: ANN401, PLR0911, a table
    """Return the bytes of one physical value of a leaf's type.

    Args:
        avro: The leaf's type, names resolved.
        value: As `schemas.codec.decode_physical` gives it; an enum's is its symbol.

    """
    kind = avro["type"] if isinstance(avro, Mapping) else avro
    match kind:
        case "string":
            return sized(value.encode())
        case "bytes":
            return sized(value)
        case "int" | "long":
            return encode_long(value)
        case "boolean":
            return b"\1" if value else b"\0"
        case "enum":
            return encode_long(avro["symbols"].index(value))
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case "fixed":
            raw: bytes = value
            return raw
        case _:
            return b""  # null


def blocks(rng: random.Random, items: Sequence[bytes]) -> bytes:
    """Return an array or map of encoded *items*, in one of the ways that Avro allows."""
    if not items:
        return b"\0"
    style, count = rng.random(), len(items)
    if style < 0.6:  # noqa: PLR2004
        return encode_long(count) + b"".join(items) + b"\0"
    if style < 0.8 or count == 1:  # noqa: PLR2004
        return _counted(items) + b"\0"
    cut = rng.randrange(1, count)
    return _counted(items[:cut]) + encode_long(count - cut) + b"".join(items[cut:]) + b"\0"


def _counted(items: Sequence[bytes]) -> bytes:
    """Return a block with its size in bytes, which a negative count announces."""
    body = b"".join(items)
    return encode_long(-len(items)) + encode_long(len(body)) + body
