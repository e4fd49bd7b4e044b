"""Avro's smallest pieces, for the kernels: integers, UTF-8, UUIDs, decimals.

Every reader takes the bytes, a position and the end it must not pass, and returns a
negative position for what is not Avro. Plain integer arithmetic below 64 bits throughout,
so that compiled and interpreted code agree.

Source: Apache Avro 1.12 specification, "Binary encoding"; RFC 3629 for UTF-8.
"""

from typing import Any

from residency.plan.walk.accelerator import compiled

BAD = -1  # a position that is none
TOO_WIDE = 1  # of a decimal: more than 64 bits
Bytes = Any  # a uint8 array when compiled, anything indexable otherwise


@compiled
def read_long(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a zig-zag integer in its shortest form and the position after it.

    The sign is the lowest bit, so the rest always fits 63 bits.
    """
    if at >= end:
        return 0, BAD
    byte = data[at] + 0
    sign, value, shift, start = byte & 1, (byte & 0x7F) >> 1, 6, at
    while byte > 0x7F:
        at += 1
        if at >= end:
            return 0, BAD
        byte = data[at] + 0
        if byte == 0 or (at - start == 9 and byte > 1):
            return 0, BAD
        value |= (byte & 0x7F) << shift
        shift += 7
    return value ^ -sign, at + 1


@compiled
def write_long(out: Bytes, at: int, value: int) -> int:
    """Write a zig-zag integer, at most ten bytes; return the position after it."""
    sign = 1 if value < 0 else 0
    value ^= -sign
    byte, value = ((value & 0x3F) << 1) | sign, value >> 6
    while value:
        out[at] = byte | 0x80
        at += 1
        byte, value = value & 0x7F, value >> 7
    out[at] = byte
    return at + 1


@compiled
def is_utf8(data: Bytes, at: int, end: int) -> bool:
    """Tell whether bytes are UTF-8: shortest forms, no surrogates, nothing past U+10FFFF."""
    while at < end and data[at] < 0x80:
        at += 1
    while at < end:
        lead = data[at] + 0
        at += 1
        if lead < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            low = 0xA0 if lead == 0xE0 else low
            high = 0x9F if lead == 0xED else high
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            low = 0x90 if lead == 0xF0 else low
            high = 0x8F if lead == 0xF4 else high
        else:
            return False
        if end - at < more:
            return False
        for step in range(more):
            byte = data[at + step]
            if not low <= byte <= high:
                return False
            low, high = 0x80, 0xBF
        at += more
    return True


@compiled
def is_uuid(data: Bytes, at: int, end: int) -> bool:
    """Tell whether bytes write a UUID: 8-4-4-4-12 hex digits. Source: RFC 9562 section 4."""
    if end - at != 36:
        return False
    for place in range(36):
        byte = data[at + place]
        if place in (8, 13, 18, 23):
            if byte != 0x2D:
                return False
        elif not (0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66):
            return False
    return True


@compiled
def narrow(data: Bytes, at: int, end: int) -> int:
    """Return where the shortest form of a two's-complement number of *at* to *end* starts."""
    while end - at > 1:
        lead, following = data[at], data[at + 1]
        if not ((lead == 0 and following < 0x80) or (lead == 0xFF and following >= 0x80)):
            break
        at += 1
    return at


@compiled
def read_unscaled(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a decimal's unscaled value and 0, or `TOO_WIDE` where 64 bits do not hold it."""
    at = narrow(data, at, end)
    if end - at > 8:
        return 0, TOO_WIDE
    value = data[at] + 0
    if value >= 0x80:
        value -= 0x100
    for place in range(at + 1, end):
        value = (value << 8) | data[place]
    return value, 0
