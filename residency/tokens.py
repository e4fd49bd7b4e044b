"""Tokens: keyed one-way pseudonyms, such as ``tok_eu1_k5...``.

HMAC-SHA256 under a key of its own per region, domain and destination, so that two
destinations cannot join what they hold, cut to 128 bits. Total: every value has a token.
"""

import hmac
import unicodedata
from base64 import b32encode
from collections.abc import Callable, Mapping

from residency.keys import TokenKeys, derive

NORMALISER = 2  # named in the plan; a change of any rule below is a new number
MAX_NORMALISED = 1_024  # characters
TOKEN_BYTES = 16


def _text(value: str) -> str:
    return unicodedata.normalize("NFKC", value).strip()


def _email(value: str) -> str:
    return _text(value).casefold()


def _phone(value: str) -> str:
    """Keep the digits, and one plus for a leading plus or 00: how E.164 writes a number."""
    text = _text(value)
    digits = "".join(c for c in text if c.isascii() and c.isdigit())
    if text.startswith("00"):
        return f"+{digits[2:]}"
    return f"+{digits}" if text.startswith("+") else digits or text


def _account(value: str) -> str:
    return "".join(_text(value).split()).upper()


_NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "user.contact.email": _email,
    "user.contact.phone_number": _phone,
    "user.financial.bank_account": _account,
}


def normalise(category: str, value: str) -> str:
    """Return *value* in the one spelling that all spellings of it share."""
    if len(value) > MAX_NORMALISED:
        # Unicode normalisation takes quadratic time on hostile text: half a megabyte of
        # combining marks would hold the border up for minutes. No such value has a second
        # spelling worth joining, so it stands for itself.
        return value
    return _NORMALISERS.get(category, _text)(value)


class Tokeniser:
    """Makes the tokens of one region for one destination. Holds keys, no values."""

    def __init__(self, keys: TokenKeys, destination: str) -> None:
        """Take the region's roots; keys per domain are derived on first use."""
        self._keys = keys
        self._destination = destination
        self.version = keys.attribute_version
        self._domains: dict[tuple[str, str], tuple[bytes, str]] = {}

    def attribute(self, category: str, value: str) -> str:
        """Return the token of a *value* of a category."""
        return self._token("attribute", category, normalise(category, value))

    def identity(self, name: str, value: str) -> str:
        """Return the external id of the *name* (``customer``, ``order``) that *value* names."""
        return self._token("identity", name, normalise("", value))

    def _token(self, kind: str, domain: str, text: str) -> str:
        key, prefix = self._domain(kind, domain)
        mac = hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")[:TOKEN_BYTES]
        return prefix + b32encode(mac).decode().rstrip("=").lower()

    def _domain(self, kind: str, domain: str) -> tuple[bytes, str]:
        found = self._domains.get((kind, domain))
        if found is None:
            keys = self._keys
            is_identity = kind == "identity"
            root = keys.identity if is_identity else keys.attribute
            version = keys.identity_version if is_identity else keys.attribute_version
            key = derive(root, "token", kind, keys.region, domain, self._destination)
            found = key, f"tok_{keys.region}{version}_"
            self._domains[kind, domain] = found
        return found
