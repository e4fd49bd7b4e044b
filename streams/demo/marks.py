"""Canaries: a unique part in every value that must stay home, so that a leak can be found.

A mark reads like a word of no language (``zukalotimerudo``). Two of one shop never agree,
and they can be told from other text by their shape, which is how an event's canaries are
listed without keeping book.
"""

import random
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address
from math import gcd

SYLLABLES = tuple(c + v for c in "bdfgklmnprstv" for v in "aeiou")
LENGTH = 6  # syllables after the leading "zu"
SPACE = len(SYLLABLES) ** LENGTH  # 7.5e10 marks, so at most 11 digits
DOCUMENTATION = 0x20010DB8 << 96  # 2001:db8::/32, RFC 3849: addresses of nobody

_SHAPES = re.compile(
    r"[Zz]u(?:[bdfgklmnprstv][aeiou]){6}"  # marks
    r"|\+[0-9]{12,15}"  # phone numbers
    r"|[A-Z]{2}[0-9]{13,29}"  # IBANs and tax numbers
    r"|2001:db8:[0-9a-f:]{8,}"
)


class Marks:
    """Makes unique parts; the same generator makes the same ones."""

    def __init__(self, rng: random.Random) -> None:
        """Choose where to begin and how far to step, so that no mark comes twice."""
        self._at = rng.randrange(SPACE)
        self._step = rng.randrange(SPACE // 3, SPACE // 2)
        while gcd(self._step, SPACE) != 1:
            self._step += 1

    def number(self) -> int:
        """Return a number below `SPACE` that was not returned before."""
        self._at = (self._at + self._step) % SPACE
        return self._at

    def word(self) -> str:
        """Return a new mark in lower case."""
        number, parts = self.number(), ["zu"]
        for _ in range(LENGTH):
            number, index = divmod(number, len(SYLLABLES))
            parts.append(SYLLABLES[index])
        return "".join(parts)

    def name(self) -> str:
        """Return a new mark with a capital."""
        return self.word().capitalize()

    def phone(self, dial: str) -> str:
        """Return a new phone number in E.164 form: at most 14 digits."""
        return f"+{dial}{self.number():011d}"

    def tax_number(self, country: str) -> str:
        """Return a new tax number of no real scheme."""
        return f"{country}99{self.number():011d}"

    def ipv6(self) -> str:
        """Return a new IPv6 address from the range for documentation."""
        number = self.number()
        network = number % 0xFFFF + 1
        return str(IPv6Address(DOCUMENTATION | network << 80 | 0xA001 << 64 | number))


def canaries_in(data: object) -> tuple[str, ...]:
    """Return every unique part in the strings of *data*, each once, in order."""
    return tuple(dict.fromkeys(found for text in _strings(data) for found in _SHAPES.findall(text)))


def _strings(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _strings(value)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value)
