"""Normalisers: the one spelling that all spellings of a value share, frozen by version.

A plan names its version. Rules or Unicode tables of a version never change, because rows
in the org are found again by tokens of what these functions return; a better rule is a
new version beside the old one. Total: every text has a normal form.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from residency.unicode import SPACE, casefold, decimal, nfkc
from schemas.errors import SetupError

NORMALISER = 3  # what a plan compiled today names
MAX_NORMALISED = 1_024  # characters
_ASCII_SPACE = SPACE.encode("ascii", "ignore")
_SURROGATES = "surrogatepass"  # a text may hold half a pair; it has a token like any other


@dataclass(frozen=True, slots=True)
class Normaliser:
    """The rules of one version.

    Attributes:
        text: For a category that has no rule of its own.
        rules: Category -> rule for a text of at most MAX_NORMALISED characters.
        fast: Category -> the same rule on ASCII bytes; empty for all other texts.

    """

    version: int
    text: Callable[[str], str]
    rules: Mapping[str, Callable[[str], str]]
    fast: Mapping[str, Callable[[bytes], bytes]]

    def __call__(self, category: str, value: str) -> str:
        """Return *value* in the one spelling that all spellings of it share."""
        if len(value) > MAX_NORMALISED:
            # Unicode normalisation takes quadratic time on hostile text: half a megabyte of
            # combining marks would hold the border up for minutes. No such value has a second
            # spelling worth joining, so it stands for itself.
            return value
        return self.rules.get(category, self.text)(value)

    def utf8(self, category: str, raw: bytes) -> bytes:
        """Return the same of UTF-8 as UTF-8; *raw* is valid, halves of pairs apart.

        Raises:
            UnicodeDecodeError: It is not.

        """
        if raw.isascii() and len(raw) <= MAX_NORMALISED:
            fast = self.fast.get(category)
            if fast is not None:
                return fast(raw)
            if category not in self.rules:
                return raw.strip(_ASCII_SPACE)
        text = raw.decode("utf-8", _SURROGATES)
        return self(category, text).encode("utf-8", _SURROGATES)


def _text(value: str) -> str:
    return nfkc(value).strip(SPACE)


def _email(value: str) -> str:
    return casefold(_text(value))


def _email_ascii(raw: bytes) -> bytes:
    return raw.strip(_ASCII_SPACE).lower()


# What people write before a number, and between its digits: dashes, and marks not seen.
_LABEL = re.compile("tel[.:]+ *", re.IGNORECASE | re.ASCII)
_BETWEEN = re.compile("[ \t./()\u2010-\u2015\u2212\u200b\u200e\u200f\u202a-\u202e\u2060-]+")


def _phone(value: str) -> str:
    """Return a number as E.164 writes it: digits, and a plus for a leading plus or 00.

    What holds anything but digits and the usual separators is no number that we could
    read. It stands for itself: to guess would make one token of two numbers.
    """
    text = _text(value)
    label = _LABEL.match(text)
    number = text[label.end() :] if label else text
    number = _BETWEEN.sub("", number.replace("(0)", "") if _is_abroad(number) else number)
    sign, digits = ("+", number[1:]) if number.startswith("+") else ("", number)
    found = [decimal(character) for character in digits]
    if not found or None in found:
        return text
    plain = "".join(map(str, found))
    return f"+{plain[2:]}" if not sign and plain.startswith("00") else sign + plain


_FILLING = b" \t./-"  # of what stands between digits; brackets are looked at


def _phone_ascii(raw: bytes) -> bytes:
    """Return the same of ASCII bytes; what is more than digits and a sign goes the long way."""
    number = raw.strip(_ASCII_SPACE).translate(None, _FILLING)
    sign, digits = (b"+", number[1:]) if number.startswith(b"+") else (b"", number)
    if not digits.isdigit():
        return _phone(raw.decode("ascii")).encode("ascii")
    return b"+" + digits[2:] if not sign and digits.startswith(b"00") else sign + digits


def _is_abroad(number: str) -> bool:
    """Say whether a country's code opens it; a (0) behind one is not dialled."""
    return number.startswith(("+", "00"))


# Country, check digits, account: ISO 13616, at most 34 characters; shorter in old papers.
_IBAN = re.compile("[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{8,30}")


def _account(value: str) -> str:
    """Return an IBAN without spaces and in capitals; any other id only trimmed.

    A wallet's id is of this category, too, and two of those may differ in case alone.
    """
    text = _text(value)
    joined = "".join(c for c in text if c not in SPACE)
    return joined.upper() if _IBAN.fullmatch(joined) else text


_VERSIONS: Mapping[int, Normaliser] = {
    3: Normaliser(
        version=3,
        text=_text,
        rules={
            "user.contact.email": _email,
            "user.contact.phone_number": _phone,
            "user.financial.bank_account": _account,
        },
        fast={
            "user.contact.email": _email_ascii,
            "user.contact.phone_number": _phone_ascii,
        },
    ),
}


def normaliser_of(version: int) -> Normaliser:
    """Return the normaliser that a plan names.

    Raises:
        SetupError: This release has none of that version.

    """
    if version not in _VERSIONS:
        have = ", ".join(map(str, _VERSIONS))
        msg = f"no normaliser of version {version}; have {have}: compile the plan again"
        raise SetupError(msg)
    return _VERSIONS[version]


def normalise(category: str, value: str) -> str:
    """Return *value* in its normal form by today's normaliser."""
    return _VERSIONS[NORMALISER](category, value)


def normalise_utf8(category: str, raw: bytes) -> bytes:
    """Return valid UTF-8 in its normal form by today's normaliser."""
    return _VERSIONS[NORMALISER].utf8(category, raw)
