"""The blind index: keyed digests of what people look a customer up by.

A digest is HMAC-SHA256 under a key of its own per kind, cut to 16 bytes: equal values meet, and
without the key of the purpose ``vault-index`` nobody can test a guess.
"""

from collections.abc import Sequence
from enum import IntEnum

from residency.keys import derive
from residency.normalise import normalise, normalise_utf8
from residency.tokens import Mac

DIGEST_BYTES = 16


class Kind(IntEnum):
    """What is looked up. Stored in the table: a number is never reused."""

    CUSTOMER = 1
    EMAIL = 2
    PHONE = 3
    ORDER = 4
    TOKEN = 5  # what the org holds of it: external ids, tokens of e-mail and phone


CATEGORIES = {Kind.EMAIL: "user.contact.email", Kind.PHONE: "user.contact.phone_number"}


def term(kind: Kind, value: str) -> str:
    """Return *value* in the one spelling that the index has of it."""
    return value if kind == Kind.TOKEN else normalise(CATEGORIES.get(kind, ""), value)


def terms_utf8(kind: Kind, values: Sequence[bytes]) -> list[bytes]:
    """Return the same of texts that are valid UTF-8 as UTF-8, in a fraction of the time."""
    if kind == Kind.TOKEN:
        return list(values)
    category = CATEGORIES.get(kind, "")
    return [normalise_utf8(category, value) for value in values]


class BlindIndex:
    """Makes the digests of one region."""

    def __init__(self, key: bytes) -> None:
        """Take the region's key of the purpose ``vault-index``."""
        self._macs = {kind: Mac(derive(key, "vault-index", kind.name)) for kind in Kind}

    def digest(self, kind: Kind, normalised: str) -> bytes:
        """Return the 16 bytes for a text that `term` gave."""
        return self._macs[kind].digest(normalised.encode("utf-8", "surrogatepass"))[:DIGEST_BYTES]

    def digests(self, kind: Kind, terms: Sequence[bytes]) -> list[bytes]:
        """Return the same for many texts, as `terms_utf8` gives them, in order."""
        return self._macs[kind].digests(terms, DIGEST_BYTES)
