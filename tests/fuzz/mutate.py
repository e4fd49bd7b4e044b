"""Break valid events in the ways that bytes get broken, and in those that an attacker tries."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from spans import Span, spans

from schemas.codec import HEADER

VARINTS = frozenset({"long", "length", "count", "index", "symbol"})
EXTREME = (
    0, 1, -1, 2, -2, 63, 64, 127, 128, 2**16, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**31),
    -(2**63),
)  # fmt: skip
BAD_UTF8 = (
    b"\xff", b"\x80", b"\xc0\x80", b"\xc3", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xe2\x82",
    b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xc1\xbf", b"\xfe",
)  # fmt: skip
TEXTS = (
    b"", b"\0", b"DE", b"GB", b"ZZ", b"EUR", b"sku-1", b"AB-1", b"a@b.example", b"9" * 4_000,
    b"12345678-1234-1234-1234-123456789abc", b"192.0.2.1", b"10115", b"\xf4\x8f\xbf\xbf",
    "é\u0301".encode() * 99,
)  # fmt: skip
MOST = 4  # mutations of one event


def varint(value: int) -> bytes:
    """Return a zig-zag integer, of more than 64 bits if *value* is."""
    left = value << 1 if value >= 0 else ~(value << 1)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def overlong(value: int, more: int) -> bytes:
    """Return *value* in *more* bytes than it needs."""
    plain = varint(value)
    return plain[:-1] + bytes([plain[-1] | 0x80]) + b"\x80" * (more - 1) + b"\0"


@dataclass(frozen=True)
class Base:
    """A valid event to start from."""

    avro: dict[str, Any] = field(repr=False)
    data: bytes = field(repr=False)
    parts: Sequence[Span] = field(repr=False)


def base(avro: dict[str, Any], data: bytes) -> Base:
    """Return a valid event with its parts."""
    return Base(avro, data, spans(avro, data, HEADER.size))


class Mutator:
    """Makes broken events out of valid ones; the same seed makes the same ones."""

    def __init__(self, bases: Sequence[Base], seed: str) -> None:
        """Take the valid events."""
        self._bases = bases
        self._rng = random.Random(seed)

    def next(self) -> bytes:
        """Return a broken event; now and then it is still a valid one."""
        rng = self._rng
        chosen = rng.choice(self._bases)
        data = chosen.data
        aimed = (self._varint, self._text, self._splice, self._value)
        blind = (self._flip, self._insert, self._delete, self._cut, self._double, self._head)
        for number in range(rng.choice((1, 1, 1, 2, MOST))):
            # parts are known of the valid event alone: aim first, then hit whatever is there
            mutations = aimed if number == 0 and rng.random() < 0.7 else blind
            data = rng.choice(mutations)(chosen, data)
        return data

    def _varint(self, chosen: Base, data: bytes) -> bytes:
        rng = self._rng
        part = rng.choice([p for p in chosen.parts if p.kind in VARINTS])
        kind, value = rng.randrange(5), rng.choice(EXTREME)
        if kind == 0:
            new = overlong(value, rng.randrange(1, 9))
        elif kind == 1:
            new = varint(value)
        elif kind == 2:
            new = varint(rng.getrandbits(80))
        elif kind == 3:
            new = b"\xff" * rng.randrange(1, 30)
        else:
            new = bytes([data[part.start] ^ (1 << rng.randrange(8))])
        return data[: part.start] + new + data[part.end :]

    def _text(self, chosen: Base, data: bytes) -> bytes:
        rng = self._rng
        texts = [p for p in chosen.parts if p.kind == "text" and p.end > p.start]
        if not texts:
            return self._flip(chosen, data)
        part, bad = rng.choice(texts), rng.choice(BAD_UTF8)
        at = rng.randrange(part.start, part.end)
        new = (data[part.start : at] + bad + data[at : part.end])[: part.end - part.start]
        return data[: part.start] + new + data[part.end :]

    def _splice(self, chosen: Base, data: bytes) -> bytes:
        rng = self._rng
        other = rng.choice(self._bases)
        mine, theirs = rng.choice(chosen.parts), rng.choice(other.parts)
        piece = other.data[theirs.start : theirs.start + rng.randrange(1, 60)]
        return data[: mine.start] + piece + data[rng.choice((mine.start, mine.end)) :]

    def _value(self, chosen: Base, data: bytes) -> bytes:
        """Put another value of the right form where one lies: what follows decoding is tried."""
        rng = self._rng
        places = [n for n, p in enumerate(chosen.parts) if p.kind in {"text", "raw", "long"}]
        number = rng.choice(places)
        part, start = chosen.parts[number], chosen.parts[number].start
        if part.kind == "long":
            new = varint(rng.choice((*EXTREME, rng.getrandbits(31))))
        else:
            value = rng.choice(TEXTS) if part.kind == "text" else rng.randbytes(rng.randrange(12))
            new = varint(len(value)) + value
            start = chosen.parts[number - 1].start  # its length
        return data[:start] + new + data[part.end :]

    def _flip(self, _chosen: Base, data: bytes) -> bytes:
        if not data:
            return data
        at = self._rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self._rng.randrange(8))]) + data[at + 1 :]

    def _insert(self, _chosen: Base, data: bytes) -> bytes:
        at, size = self._rng.randrange(len(data) + 1), self._rng.choice((1, 1, 2, 8, 300))
        return data[:at] + self._rng.randbytes(size) + data[at:]

    def _delete(self, _chosen: Base, data: bytes) -> bytes:
        at = self._rng.randrange(len(data) + 1)
        return data[:at] + data[at + self._rng.choice((1, 1, 2, 8, 64)) :]

    def _cut(self, _chosen: Base, data: bytes) -> bytes:
        return data[: self._rng.randrange(len(data) + 1)]

    def _double(self, _chosen: Base, data: bytes) -> bytes:
        at = self._rng.randrange(len(data) + 1)
        piece = data[at : at + self._rng.randrange(1, 40)]
        return data[:at] + piece * self._rng.choice((1, 1, 50)) + data[at:]

    def _head(self, _chosen: Base, data: bytes) -> bytes:
        if self._rng.random() < 0.9:  # else hardly anything would get past the header
            return self._flip(_chosen, data)
        return self._rng.randbytes(self._rng.randrange(7)) + data[HEADER.size :]
