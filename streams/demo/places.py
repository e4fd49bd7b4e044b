"""Where the demo's customers live: real formats, invented places, per country."""

import random
from dataclasses import dataclass
from functools import cache
from string import ascii_uppercase
from zlib import crc32

from faker import Faker

POOL_SIZE = 80  # values per kind and locale; each gets a unique part of its own when used
PROVIDERS = ["faker.providers.person", "faker.providers.address"]
US_STATES = ("CA", "NY", "TX", "WA", "FL", "IL", "OR", "MA")


@dataclass(frozen=True, slots=True)
class Country:
    """How addresses, numbers and money are written in a country.

    Attributes:
        locale: Faker's.
        language: ISO 639-1 of most customers.
        currency: ISO 4217.
        dial: International prefix.
        postcode: ``#`` is a digit, ``?`` a letter.
        iban: Length of its IBANs (ISO 13616); 0 if it has none.

    """

    code: str
    locale: str
    language: str
    currency: str
    dial: str
    postcode: str
    iban: int = 0


_ROWS = (
    Country("AT", "de_AT", "de", "EUR", "43", "1##0", 20),
    Country("BE", "nl_BE", "nl", "EUR", "32", "2###", 16),
    Country("BG", "bg_BG", "bg", "EUR", "359", "1###", 22),
    Country("HR", "hr_HR", "hr", "EUR", "385", "1####", 21),
    Country("CY", "el_CY", "el", "EUR", "357", "1###", 28),
    Country("CZ", "cs_CZ", "cs", "CZK", "420", "1## ##", 24),
    Country("DK", "da_DK", "da", "DKK", "45", "2###", 18),
    Country("EE", "et_EE", "et", "EUR", "372", "1####", 20),
    Country("FI", "fi_FI", "fi", "EUR", "358", "0####", 18),
    Country("FR", "fr_FR", "fr", "EUR", "33", "6####", 27),
    Country("DE", "de_DE", "de", "EUR", "49", "1####", 22),
    Country("GR", "el_GR", "el", "EUR", "30", "1## ##", 27),
    Country("HU", "hu_HU", "hu", "HUF", "36", "1###", 28),
    Country("IE", "en_IE", "en", "EUR", "353", "D0# ?#?#", 22),
    Country("IT", "it_IT", "it", "EUR", "39", "2####", 27),
    Country("LV", "lv_LV", "lv", "EUR", "371", "LV-1###", 21),
    Country("LT", "lt_LT", "lt", "EUR", "370", "LT-0####", 20),
    Country("LU", "de_LU", "fr", "EUR", "352", "1###", 20),
    Country("MT", "mt_MT", "mt", "EUR", "356", "VLT 1###", 31),
    Country("NL", "nl_NL", "nl", "EUR", "31", "1### ??", 18),
    Country("PL", "pl_PL", "pl", "PLN", "48", "0#-###", 28),
    Country("PT", "pt_PT", "pt", "EUR", "351", "1###-###", 25),
    Country("RO", "ro_RO", "ro", "RON", "40", "0#####", 24),
    Country("SK", "sk_SK", "sk", "EUR", "421", "8## ##", 24),
    Country("SI", "sl_SI", "sl", "EUR", "386", "1###", 19),
    Country("ES", "es_ES", "es", "EUR", "34", "2####", 24),
    Country("SE", "sv_SE", "sv", "SEK", "46", "1## ##", 24),
    Country("IS", "is_IS", "is", "ISK", "354", "1##", 26),
    Country("LI", "de_LI", "de", "CHF", "423", "94##", 21),
    Country("CH", "de_CH", "de", "CHF", "41", "8###", 21),
    Country("NO", "no_NO", "no", "NOK", "47", "0###", 15),
    Country("GB", "en_GB", "en", "GBP", "44", "LS1# #??", 22),
    Country("US", "en_US", "en", "USD", "1", "9####"),
    # nobody serves these: the gateway says so
    Country("AU", "en_AU", "en", "AUD", "61", "2###"),
    Country("BR", "pt_BR", "pt", "BRL", "55", "0####-###"),
    Country("CA", "en_CA", "en", "CAD", "1", "K#? #?#"),
    Country("IN", "en_IN", "en", "INR", "91", "1#####"),
    Country("JP", "ja_JP", "ja", "JPY", "81", "1##-####"),
)
COUNTRIES = {country.code: country for country in _ROWS}


@dataclass(frozen=True, slots=True)
class Pool:
    """Values of one locale to choose from."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    street: tuple[str, ...]
    city: tuple[str, ...]


@cache
def pool(locale: str) -> Pool:
    """Return values of a locale, the same in every run."""
    fake = Faker(locale, providers=PROVIDERS)
    fake.seed_instance(crc32(locale.encode()))
    makers = (fake.first_name, fake.last_name, fake.street_name, fake.city)
    return Pool(*(tuple(make() for _ in range(POOL_SIZE)) for make in makers))


def postcode(country: Country, rng: random.Random) -> str:
    """Return a postcode in the country's format."""
    chosen = {"#": lambda: str(rng.randrange(10)), "?": lambda: rng.choice(ascii_uppercase)}
    return "".join(chosen[c]() if c in chosen else c for c in country.postcode)


def iban(country: Country, account: int, rng: random.Random) -> str:
    """Return a valid IBAN that holds *account*, of 11 digits; German where none are used.

    Source: ISO 13616; check digits by ISO 7064 MOD 97-10.
    """
    code, length = (country.code, country.iban) if country.iban else ("DE", COUNTRIES["DE"].iban)
    bban = f"{account:011d}"
    bban += "".join(str(rng.randrange(10)) for _ in range(length - 4 - len(bban)))
    digits = "".join(str(int(c, 36)) for c in f"{bban}{code}00")
    return f"{code}{98 - int(digits) % 97:02d}{bban}"
