"""Values that Python makes between the two kernels: tokens, generalised values, checks.

Column by column over a batch: what is done once per batch is not done once per event.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from re import Pattern
from typing import Any, Protocol

import numpy as np

from residency.generalise import Context, Generaliser
from residency.plan.walk import assemble, ops
from residency.plan.walk.accelerator import view
from residency.tokens import Kind, Tokeniser

MAX_VERDICTS = 4_096  # kept strings whose format is remembered as good, per field
Read = Callable[[bytes, int, int], Any]


def varint(value: int) -> bytes:
    """Return a zig-zag integer as Avro writes it."""
    if 0 <= value < len(_SMALL):
        return _SMALL[value]
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_SMALL: tuple[bytes, ...] = ()
_SMALL = tuple(varint(value) for value in range(4_096))  # lengths and years, mostly


def text(raw: bytes) -> bytes:
    """Return a string as Avro writes it."""
    return varint(len(raw)) + raw


@dataclass(frozen=True, slots=True)
class Column:
    """One fill of a batch.

    Attributes:
        joined: The values in Avro's form, of the events in order.
        sizes: Bytes per event; 0 where the value is absent.

    """

    joined: bytes = field(repr=False)
    sizes: list[int]


class Fill(Protocol):
    """Makes one column."""

    def column(self, data: bytes, slots: Any) -> Column:
        """Return the values for a batch.

        Args:
            data: What was walked.
            slots: What the walk found, (slots, 2, events).

        """
        ...


def token_texts(head: bytes, macs: Sequence[bytes]) -> bytes:
    """Return the tokens of MACs, joined, *head* before each."""
    if not macs:
        return b""
    out = np.empty(len(macs) * (len(head) + assemble.TOKEN_TEXT), np.uint8)
    assemble.write_tokens(
        view(b"".join(macs)),
        len(macs[0]),
        view(head),
        assemble.ALPHABET,
        out,
    )
    return out.tobytes()


@dataclass(frozen=True, slots=True)
class TokenFill:
    """Tokens of one field.

    Attributes:
        is_required: An absent value becomes the token of the empty one.

    """

    slot: int
    kind: Kind
    domain: str
    tokeniser: Tokeniser
    is_required: bool = False

    def column(self, data: bytes, slots: Any) -> Column:
        """See `Fill`."""
        firsts, lasts = slots[self.slot].tolist()
        normal = self.tokeniser.normal_form(self.kind, self.domain)
        texts = [
            normal(data[first:last]) for first, last in zip(firsts, lasts, strict=True) if last >= 0
        ]
        is_there = [last >= 0 for last in lasts] if len(texts) < len(lasts) else None
        if is_there and self.is_required:
            found, nobody = iter(texts), normal(b"")
            texts = [next(found) if there else nobody for there in is_there]
            is_there = None
        prefix = self.tokeniser.prefix(self.kind, self.domain)
        head = varint(len(prefix) + assemble.TOKEN_TEXT) + prefix
        joined = token_texts(head, self.tokeniser.macs(self.kind, self.domain, texts))
        size = len(head) + assemble.TOKEN_TEXT
        if is_there is None:
            return Column(joined, [size] * len(lasts))
        return Column(joined, [size if there else 0 for there in is_there])


@dataclass(frozen=True, slots=True)
class Operand:
    """A slot and how its value is read into Python; the kernel leaves what holds text as a span."""

    slot: int
    read: Read

    def values(self, data: bytes, slots: Any) -> list[Any]:
        """Return the value of each event; None where it is absent."""
        read = self.read
        return [
            None if last < 0 else read(data, first, last)
            for first, last in zip(*slots[self.slot].tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class GeneralisedFill:
    """Less precise values of one field.

    Attributes:
        write: Puts a result into Avro's form.
        country: What says which country a value belongs to, or None.
        at: What says when the event happened, or None.

    """

    value: Operand
    generaliser: Generaliser
    write: Callable[[Any], bytes]
    country: Operand | None = None
    at: Operand | None = None

    def column(self, data: bytes, slots: Any) -> Column:
        """See `Fill`. Where the value is absent, so is the result."""
        apply, write = self.generaliser.apply, self.write
        values = self.value.values(data, slots)
        countries = self.country.values(data, slots) if self.country else repeat(None)
        times = self.at.values(data, slots) if self.at else repeat(None)
        pieces = []
        for value, country, at in zip(values, countries, times, strict=False):
            made = None if value is None else apply(value, Context(country, at))
            pieces.append(b"" if made is None else write(made))
        return Column(b"".join(pieces), [len(piece) for piece in pieces])


class FormatCheck:
    """Finds the events whose kept string does not match its pattern.

    Strings found good are remembered: they are few (currencies, countries) or cheap.
    """

    def __init__(self, slot: int, pattern: Pattern[str]) -> None:
        """Take the string's slot and the whole pattern."""
        self._slot = slot
        self._pattern = pattern
        self._good: set[bytes] = set()

    def mark(self, data: bytes, slots: Any, status: Any) -> None:
        """Make the events odd that break the format; `strip` then says what is wrong."""
        good = self._good
        for event, (first, last) in enumerate(zip(*slots[self._slot].tolist(), strict=True)):
            if last >= 0 and data[first:last] not in good:
                raw = data[first:last]
                if self._pattern.fullmatch(raw.decode()) is None:
                    status[event] = ops.ODD
                elif len(good) < MAX_VERDICTS:
                    good.add(raw)


def reader_of(avro: Any) -> Read:
    """Return how a leaf's physical value is read; *avro* is its type without null."""
    kind = avro if isinstance(avro, str) else avro["type"]
    if isinstance(avro, Mapping) and kind == "enum":
        symbols = avro["symbols"]
        return lambda _data, first, _last: symbols[first]
    return _READERS[kind]


_READERS: dict[str, Read] = {
    "string": lambda data, first, last: data[first:last].decode(),
    "bytes": lambda data, first, last: data[first:last],
    "fixed": lambda data, first, last: data[first:last],
    "int": lambda _data, first, _last: first,
    "long": lambda _data, first, _last: first,
    "boolean": lambda _data, first, _last: bool(first),
    "float": lambda data, first, _last: struct.unpack_from("<f", data, first)[0],
    "double": lambda data, first, _last: struct.unpack_from("<d", data, first)[0],
}
