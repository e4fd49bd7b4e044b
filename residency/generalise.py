"""Generalisers: less precise values that may leave. Each is total.

What a generaliser cannot read becomes its declared unknown, never a failure: a failure
would tell something about a value that must stay.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

UNKNOWN = "unknown"
FIRST_YEAR, LAST_YEAR = 1900, 2030
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Generaliser:
    """One way to say less.

    Attributes:
        takes: Kinds of leaf it reads: ``string``, ``enum``, ``date`` (days since 1970).
        output: Minimal type of the result: ``string`` or ``long``.
        alphabet: How many results there can be; its log2 bounds the information.
        apply: The function. Takes the value and the country it belongs to.

    """

    name: str
    takes: tuple[str, ...]
    output: str
    alphabet: int
    apply: Callable[[Any, str | None], Any]


def _year(value: object, _country: str | None) -> int | None:
    """Return the year of a day number; None, the unknown, outside 1900 to 2030."""
    first, last = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
    if not isinstance(value, int) or not (first - _EPOCH).days <= value <= (last - _EPOCH).days:
        return None
    return date.fromordinal(_EPOCH.toordinal() + value).year


_OUTWARD = re.compile(r"([A-Z]{1,2}[0-9][0-9A-Z]?) ?[0-9][A-Z]{2}")
_DIGITS = re.compile(r"(?:[A-Z]{1,2}-?)?([0-9]{2})[0-9A-Z -]{1,8}")


def _postcode_area(value: object, country: str | None) -> str:
    """Return a GB outward code (``SW1A``), elsewhere the first two digits."""
    if not isinstance(value, str):
        return UNKNOWN
    match = (_OUTWARD if country == "GB" else _DIGITS).fullmatch(value.strip().upper())
    return match[1] if match and value.isascii() else UNKNOWN


def _gender_group(value: object, _country: str | None) -> str:
    """Return female, male, or the unknown for everything rarer."""
    return value if isinstance(value, str) and value in {"female", "male"} else UNKNOWN


def _ip_network(value: object, _country: str | None) -> str:
    """Return the /24 of an IPv4 address or the /48 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(value.strip() if isinstance(value, str) else "")
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        # A mapped or 6to4 address spells out an IPv4 one; the /48 of the latter would, too.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None:
            return str(ipaddress.IPv6Network((int(address) >> 80 << 80, 48)))
        address = inner
    return str(ipaddress.IPv4Network((int(address) >> 8 << 8, 24)))


GENERALISERS: Mapping[str, Generaliser] = {
    g.name: g
    for g in (
        Generaliser("year", ("date",), "long", LAST_YEAR - FIRST_YEAR + 2, _year),
        Generaliser(
            "postcode-area", ("string",), "string", 26 * 27 * 10 * 37 + 101, _postcode_area
        ),
        Generaliser("gender-group", ("enum",), "string", 3, _gender_group),
        Generaliser("ip-network", ("string",), "string", 2**24 + 2**48 + 1, _ip_network),
    )
}
