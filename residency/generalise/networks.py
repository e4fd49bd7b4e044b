"""Addresses on the internet: of machines and of people."""

import ipaddress
import re
from functools import cache
from pathlib import Path

from residency.generalise.model import UNKNOWN, Context, Generaliser, no_argument
from residency.unicode import casefold, nfkc

PROVIDERS_FILE = Path(__file__).with_name("free_mail.txt")
MAX_ADDRESS = 64  # characters of an IP address, its scope included
MAX_EMAIL = 320  # characters: 64 of the local part, 255 of the domain; RFC 5321 4.5.3.1
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(rf"((?:{_OCTET}\.){{3}}){_OCTET}")
_LABEL = re.compile(r"(?!-)[^\s\x00-\x2c\x2e\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]{1,63}(?<!-)")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what IDNA reads as a dot; RFC 3490 3.1


def _network(value: object, _: Context) -> str:
    if not isinstance(value, str) or len(value) > MAX_ADDRESS:
        return UNKNOWN
    text = value.strip()
    dotted = _DOTTED.fullmatch(text)
    if dotted is not None:  # as most are; reading them as numbers takes ten times as long
        return f"{dotted[1]}0/24"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        # A mapped or 6to4 address spells out an IPv4 one; the /48 of the latter would, too.
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None:
            return str(ipaddress.IPv6Network((int(address) >> 80 << 80, 48)))
        address = inner
    return str(ipaddress.IPv4Network((int(address) >> 8 << 8, 24)))


def ip_network(argument: str | None) -> Generaliser:
    """Return the generaliser of an IP address to its /24 (IPv4) or /48 (IPv6)."""
    no_argument(argument)
    return Generaliser(
        how="ip-network",
        takes=("string",),
        output="string",
        told=2**24 + 2**48,
        apply=_network,
        says="the /24 of an IPv4 address, the /48 of an IPv6 one",
        pattern=(
            rf"^(?:(?:{_OCTET}\.){{3}}0/24"
            r"|(?:[0-9a-f]{1,4}:){1,3}:/48|::/48|unknown)$"
        ),
    )


@cache
def _providers() -> frozenset[str]:
    lines = PROVIDERS_FILE.read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _domain_class(value: object, _: Context) -> str:
    """Return free for a listed domain or one below it, corporate for every other."""
    if not isinstance(value, str) or len(value) > MAX_EMAIL:
        return UNKNOWN
    local, at, domain = value.strip().rpartition("@")
    if not local or not at:
        return UNKNOWN
    labels = [_fold(label) for label in _DOTS.split(domain.removesuffix("."))]
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        return UNKNOWN
    above = {".".join(labels[start:]) for start in range(len(labels) - 1)}
    return "free" if above & _providers() else "corporate"


def _fold(label: str) -> str:
    """Return the one spelling of a domain's label: full-width letters are ASCII ones."""
    return label.lower() if label.isascii() else casefold(nfkc(label))


def email_domain(argument: str | None) -> Generaliser:
    """Return the generaliser of an e-mail address to the class of its domain."""
    no_argument(argument)
    values = ("free", "corporate", UNKNOWN)
    return Generaliser(
        how="email-domain",
        takes=("string",),
        output="string",
        told=2,
        apply=_domain_class,
        says="free where the domain, or one above it, is on our list of free providers",
        values=values,
    )
