"""Check digits and shapes of identifiers: a pattern proposes one, these dispose.

Each function takes the text a pattern found, separators and all, and tells whether it is
the identifier. The rules are public standards; each names its own.
"""

import ipaddress
import re
from typing import Final

_SEPARATORS: Final = str.maketrans("", "", " -./")

# ISO 13616 registry: length by country. A country not listed is no IBAN.
_IBAN_LENGTHS: Final = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FK", "FI", "FO", "GL", "NL", "SD"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}


def _compact(text: str) -> str:
    return text.translate(_SEPARATORS).upper()


def is_iban(text: str) -> bool:
    """Tell whether *text* is an IBAN. Source: ISO 13616, ISO 7064 MOD 97-10."""
    code = _compact(text)
    if len(code) != _IBAN_LENGTHS.get(code[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def passes_luhn(digits: str) -> bool:
    """Tell whether the last of *digits* checks the others. Source: ISO/IEC 7812-1 annex B."""
    odd = [int(d) for d in digits[-1::-2]]
    even = [int(d) * 2 for d in digits[-2::-2]]
    return (sum(odd) + sum(n - 9 if n > 9 else n for n in even)) % 10 == 0  # noqa: PLR2004


# Issuer ranges and lengths: Amex, Diners, JCB, Visa, Mastercard, Discover, UnionPay, Maestro.
_CARD: Final = re.compile(
    r"3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}|(?:50|5[6-9]|6[37])\d{10,17}"
)


def is_card(text: str) -> bool:
    """Tell whether *text* is a payment card number. Source: ISO/IEC 7812, issuer ranges."""
    digits = _compact(text)
    return _CARD.fullmatch(digits) is not None and passes_luhn(digits)


def is_phone(text: str) -> bool:
    """Tell whether *text* has as many digits as a number with country code. Source: E.164."""
    return 8 <= sum(char.isdigit() for char in text) <= 15  # noqa: PLR2004


def is_address(text: str) -> bool:
    """Tell whether *text* is an IP address, or a network that gives one away.

    A network with no host bits, /24 or wider (IPv6: /48), is none, except in 2002::/16:
    a 6to4 prefix spells out a whole IPv4 address. Source: RFC 4632, RFC 3056.
    """
    try:
        address = ipaddress.ip_address(text.partition("/")[0])
        network = ipaddress.ip_network(text)
    except ValueError:
        # Host bits after the slash, or no valid prefix: judge the part before it.
        return _is_ip(text.partition("/")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.sixtofour is not None:
        return True
    is_wide = network.prefixlen <= (24 if network.version == 4 else 48)  # noqa: PLR2004
    return not is_wide and _is_ip(text.partition("/")[0])


def _is_ip(text: str) -> bool:
    """Tell an address from ``::`` and from things like ``std::string``."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return True
    return len(text.partition(":")[0]) > 2  # noqa: PLR2004 - of IPv4 that is all of it


def is_ssn(text: str) -> bool:
    """Tell whether *text* may be a US social security number. Source: SSA, POMS RM 10201.035."""
    area, group, serial = text.split("-")
    return area not in {"000", "666"} and area < "900" and group != "00" and serial != "0000"


def is_nino(text: str) -> bool:
    """Tell whether *text* may be a UK national insurance number. Source: HMRC NIM39110."""
    return _compact(text)[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def is_mac(text: str) -> bool:
    """Tell whether *text* is a hardware address and not six numbers with dashes."""
    return ":" in text or not text.replace("-", "").isdigit()
