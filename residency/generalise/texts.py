"""Texts, cut to a part, a group or a country."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from residency.generalise.model import UNKNOWN, Context, Generaliser, no_argument
from residency.unicode import casefold, nfkc

COUNTRIES_FILE = Path(__file__).with_name("countries.txt")
MAX_CARD = 64  # characters, separators included
MAX_ADDRESS = 1_024  # characters of an address in one text
_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){11,18}")  # ISO/IEC 7812-1: at most 19 digits
_PARTS = re.compile("[,;\n]")


def _gender(value: object, _: Context) -> str:
    return value if isinstance(value, str) and value in {"female", "male"} else UNKNOWN


def gender_group(argument: str | None) -> Generaliser:
    """Return the generaliser of a gender to female, male, or the unknown for all rarer."""
    no_argument(argument)
    values = ("female", "male", UNKNOWN)
    return Generaliser(
        how="gender-group",
        takes=("enum", "string"),
        output="string",
        told=2,
        apply=_gender,
        says="female or male; everything rarer is unknown",
        values=values,
    )


def _last_four(value: object, _: Context) -> str:
    if not isinstance(value, str) or len(value) > MAX_CARD:
        return UNKNOWN
    found = _CARD.fullmatch(value.strip())
    return f"****{re.sub('[ -]', '', found[0])[-4:]}" if found else UNKNOWN


def last_four(argument: str | None) -> Generaliser:
    """Return the generaliser of a card number, 12 to 19 digits, to its last four."""
    no_argument(argument)
    return Generaliser(
        how="last-four",
        takes=("string",),
        output="string",
        told=10_000,
        apply=_last_four,
        says="the last four of 12 to 19 digits, the rest masked; PCI DSS 3.4.1 allows four",
        pattern=r"^(?:\*{4}[0-9]{4}|unknown)$",
    )


@cache
def _countries() -> Mapping[str, str]:
    """Return names and codes, folded -> ISO 3166-1 alpha-2."""
    found: dict[str, str] = {}
    for line in COUNTRIES_FILE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            code, *names = line.split("\t")
            found |= {_fold(name): code for name in (code, *names)}
    return found


def _fold(text: str) -> str:
    return " ".join(casefold(nfkc(text)).split()).removesuffix(".")


def _country(value: object, context: Context) -> str:
    codes = _codes()
    if context.country is not None:
        return context.country if context.country in codes else UNKNOWN
    if not isinstance(value, str) or len(value) > MAX_ADDRESS:
        return UNKNOWN
    parts = _PARTS.split(value.strip())
    last = _fold(parts[-1])
    # Behind a city, two letters are more often a state: CA, DE, GA, IN.
    if len(parts) > 1 and last.upper() in codes:
        return UNKNOWN
    return _countries().get(last, UNKNOWN)


@cache
def _codes() -> frozenset[str]:
    return frozenset(_countries().values())


def country(argument: str | None) -> Generaliser:
    """Return the generaliser of any part of an address to the address's country."""
    no_argument(argument)
    codes = tuple(sorted(_codes()))
    return Generaliser(
        how="country",
        takes=("string",),
        output="string",
        told=len(codes),
        apply=_country,
        says=(
            "the country of an address: the declared one, else the one that the text ends with "
            "by its English name"
        ),
        values=(*codes, UNKNOWN),
    )
