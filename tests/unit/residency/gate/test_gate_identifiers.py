"""Our check digits agree with published examples, the invalid ones included."""

from collections.abc import Callable

import pytest

from residency.gate import identifiers as ids
from residency.gate import national as nat


@pytest.mark.parametrize(
    ("check", "text"),
    [
        # ISO 13616 registry and the national banking associations' own examples
        (ids.is_iban, "DE89 3704 0044 0532 0130 00"),
        (ids.is_iban, "GB29 NWBK 6016 1331 9268 19"),
        (ids.is_iban, "FR14 2004 1010 0505 0001 3M02 606"),
        (ids.is_iban, "NO93 8601 1117 947"),
        (ids.is_iban, "MT84 MALT 0110 0001 2345 MTLC AST0 01S"),
        (ids.is_iban, "es91-2100-0418-4502-0005-1332"),
        # test numbers of the card schemes
        (ids.is_card, "4111 1111 1111 1111"),
        (ids.is_card, "5555-5555-5555-4444"),
        (ids.is_card, "2223003122003222"),
        (ids.is_card, "378282246310005"),
        (ids.is_card, "6011111111111117"),
        (ids.is_card, "3530111333300000"),
        (ids.is_card, "30569309025904"),
        (ids.is_phone, "+49 30 901820"),
        (ids.is_address, "203.0.113.7"),
        (ids.is_address, "203.0.113.7/32"),
        (ids.is_address, "203.0.113.7/24"),  # host bits are set: still the address
        (ids.is_address, "203.0.113.0/25"),  # narrower than what may leave
        (ids.is_address, "2001:db8::8a2e:370:7334"),
        (ids.is_address, "2001:db8:1:2::/64"),  # one household
        (ids.is_address, "2001:db8:1::/49"),  # the first that is narrower than what may leave
        (ids.is_address, "abc::1"),
        (ids.is_address, "::ffff:203.0.113.7"),  # IPv4 in IPv6's clothes
        (ids.is_phone, "+12345678"),  # the shortest
        (ids.is_phone, "+123456789012345"),  # the longest
        (ids.is_address, "2002:cb00:7107::/48"),  # 6to4: 203.0.113.7 in hex
        (ids.is_ssn, "078-05-1120"),
        (ids.is_nino, "AB 12 34 56 C"),
        (ids.is_mac, "00-1B-44-11-3A-B7"),
        (nat.is_de_idnr, "65 929 970 489"),  # BZSt test number
        (nat.is_de_idnr, "36574261809"),
        (nat.is_fr_nir, "2 95 10 99 126 111 93"),
        (nat.is_fr_nir, "253072B07300470"),  # born in Haute-Corse
        (nat.is_es_nif, "54362315-K"),
        (nat.is_es_nif, "12345678Z"),
        (nat.is_es_nif, "X-2482300W"),
        (nat.is_it_cf, "RCCMNL83S18D969H"),
        (nat.is_it_cf, "MRTMTT91D08F205J"),
        (nat.is_nl_bsn, "BSN 111222333"),
        (nat.is_pl_pesel, "44051401359"),
        (nat.is_pl_pesel, "02070803628"),
        (nat.is_se_pnr, "880320-0016"),
        (nat.is_se_pnr, "19811228-9874"),
        (nat.is_fi_hetu, "131052-308T"),
        (nat.is_be_nrn, "85.07.30-033.28"),
        (nat.is_be_nrn, "17073003384"),  # born in 2017: counted with a 2 in front
        (nat.is_uk_nhs, "943 476 5870"),
        (nat.is_uk_nhs, "401 023 2137"),
        # made by the rules above, each for a case that the published ones leave out
        (nat.is_de_idnr, "21410357980"),  # the check is 10, written 0
        (nat.is_de_idnr, "70634891507"),  # a 0 in the second place
        (nat.is_fr_nir, "1 70 03 2A 123 456 57"),  # born in Corse-du-Sud
        (nat.is_es_nif, "Y2482300Q"),
        (nat.is_es_nif, "Z2482300F"),
        (nat.is_pl_pesel, "88123100014"),  # December
        (nat.is_pl_pesel, "88100500013"),  # October
        (nat.is_se_pnr, "040229-0019"),  # 29 February
        (nat.is_se_pnr, "881031-0014"),  # October
        (nat.is_se_pnr, "881061-0017"),  # a samordningsnummer's first day
        (nat.is_se_pnr, "881091-0011"),  # and its last
        (nat.is_fi_hetu, "290204-3089"),  # 29 February
        (nat.is_be_nrn, "64.01.01-234.20"),
    ],
)
def test_published_examples_are_recognised(check: Callable[[str], bool], text: str) -> None:
    assert check(text)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (ids.is_iban, "DE89370400440532013001"),  # last digit changed: remainder is not 1
        (ids.is_iban, "DE8937040044053201300"),  # 21 characters; Germany has 22
        (ids.is_iban, "US64SVBKUS6S3300958879"),  # the United States has no IBAN
        (ids.is_card, "4111111111111112"),  # Luhn fails
        (ids.is_card, "9999999999999995"),  # Luhn passes, but nobody issues 9
        (ids.is_card, "49927398716"),  # Luhn's own example: 11 digits, no card
        (ids.is_phone, "+1 2345"),  # too short to dial
        (ids.is_address, "203.0.113.0/24"),  # a network, which may leave
        (ids.is_address, "2001:db8:1::/48"),  # likewise
        (ids.is_address, "203.0.113.256"),  # no such octet
        (ids.is_address, "12:34:56"),  # a time
        (ids.is_address, "a::b"),  # a name in C++
        (ids.is_address, "ab::1"),  # likewise
        (ids.is_phone, "+1234567"),  # one digit too few
        (ids.is_phone, "+1234567890123456"),  # one too many
        (ids.is_address, "::"),  # nobody's address
        (ids.is_ssn, "000-12-3456"),  # area 000 is never issued
        (ids.is_ssn, "666-12-3456"),  # nor is 666
        (ids.is_ssn, "900-12-3456"),  # nor 900 and up
        (ids.is_ssn, "123-00-3456"),  # nor group 00
        (ids.is_ssn, "123-45-0000"),  # nor serial 0000
        (ids.is_nino, "ZZ123456A"),  # ZZ is a placeholder
        *((ids.is_nino, f"{prefix}123456A") for prefix in ("BG", "GB", "KN", "NK", "NT", "TN")),
        (ids.is_mac, "12-34-56-78-90-12"),  # six numbers with dashes
        (nat.is_de_idnr, "36574261890"),  # check digit does not match
        (nat.is_de_idnr, "06175294986"),  # begins with 0
        (nat.is_de_idnr, "12345678903"),  # no digit repeats among the first ten
        (nat.is_fr_nir, "295109912611199"),  # key does not match
        (nat.is_es_nif, "54362315Z"),  # letter does not match
        (nat.is_it_cf, "RCCMNL83S18D969A"),  # control letter does not match
        (nat.is_nl_bsn, "BSN 111252333"),  # fails the test of eleven
        (nat.is_pl_pesel, "44051401358"),  # check digit does not match
        (nat.is_pl_pesel, "44053201350"),  # 32 May
        (nat.is_se_pnr, "880320-0018"),  # Luhn fails
        (nat.is_se_pnr, "881320-0015"),  # month 13
        (nat.is_fi_hetu, "131052-308U"),  # check character does not match
        (nat.is_fi_hetu, "310252-308L"),  # 31 February
        (nat.is_be_nrn, "85073003329"),  # key does not match
        (nat.is_uk_nhs, "943 476 5871"),  # check digit does not match
    ],
)
def test_invalid_examples_are_not(check: Callable[[str], bool], text: str) -> None:
    assert not check(text)


@pytest.mark.parametrize("check", [ids.is_iban, ids.is_card, nat.is_de_idnr, nat.is_pl_pesel])
def test_any_single_wrong_digit_is_noticed(check: Callable[[str], bool]) -> None:
    valid = {
        ids.is_iban: "DE89370400440532013000",
        ids.is_card: "4111111111111111",
        nat.is_de_idnr: "65929970489",
        nat.is_pl_pesel: "44051401359",
    }[check]

    for place, digit in enumerate(valid):
        if digit.isdigit():
            for other in set("0123456789") - {digit}:
                assert not check(valid[:place] + other + valid[place + 1 :])


# ISO 13616 registry, release 100: written down a second time, by length.
IBANS = {
    15: "NO",
    16: "BE",
    18: "DK FK FI FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}


def iban(country: str, length: int) -> str:
    """Return an account of *country* with its check digits. Source: ISO 7064 MOD 97-10."""
    account = ("1B7" * length)[: length - 4]
    number = int("".join(str(int(char, 36)) for char in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"


@pytest.mark.parametrize(
    ("country", "length"), [(c, n) for n, countries in IBANS.items() for c in countries.split()]
)
def test_an_account_number_has_its_countrys_length(country: str, length: int) -> None:
    found = [n for n in range(10, 40) if ids.is_iban(iban(country, n))]

    assert found == [length]


@pytest.mark.parametrize("country", ["", "XX", "US", "\N{LATIN CAPITAL LETTER A WITH ACUTE}A"])
def test_a_country_without_accounts_has_none(country: str) -> None:
    assert not any(ids.is_iban(iban(country, n)) for n in range(10, 40) if country.isascii())


def luhn(prefix: str, length: int) -> str:
    body = prefix.ljust(length - 1, "0")
    return next(f"{body}{d}" for d in range(10) if ids.passes_luhn(f"{body}{d}"))


# Issuer prefix, and the lengths its numbers have. Source: ISO/IEC 7812, issuers' own ranges.
CARDS = {
    **dict.fromkeys(("34", "37"), (15,)),
    **dict.fromkeys(("300", "305", "36", "38", "39"), (14,)),
    **dict.fromkeys(("3528", "3529", "3530", "3589"), (16,)),
    "4": (13, 16, 19),
    **dict.fromkeys(("51", "55", "2221", "2229", "223", "23", "26", "270", "271", "2720"), (16,)),
    **dict.fromkeys(("6011", "644", "649", "65"), (16,)),
    "62": (16, 17, 18, 19),
    **dict.fromkeys(("50", "56", "59", "63", "67"), (12, 13, 14, 15, 16, 17, 18, 19)),
    **dict.fromkeys(("306", "3527", "3590", "2220", "2721", "643", "6010"), ()),
    **dict.fromkeys(("1", "7", "33", "35", "60", "66", "9"), ()),
}


@pytest.mark.parametrize(("prefix", "lengths"), CARDS.items())
def test_a_card_number_has_its_issuers_length(prefix: str, lengths: tuple[int, ...]) -> None:
    found = [n for n in range(10, 24) if ids.is_card(luhn(prefix, n))]

    assert tuple(found) == lengths


# What a character counts in an odd place, counted from 1. Source: DM 23 December 1976.
CF_ODD = {
    **dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True)),
    **dict(zip("ABCDEFGHIJ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True)),
    **dict(zip("KLMNOPQRST", (2, 4, 18, 20, 11, 3, 6, 8, 12, 14), strict=True)),
    **dict(zip("UVWXYZ", (16, 10, 22, 25, 24, 23), strict=True)),
}


@pytest.mark.parametrize("place", [0, 1, 8, 14])
@pytest.mark.parametrize("char", sorted(CF_ODD))
def test_each_character_of_a_codice_fiscale_counts_what_the_law_says(char: str, place: int) -> None:
    code = "AAAAAA00A00A000"[:place] + char + "AAAAAA00A00A000"[place + 1 :]
    even = sum(int(c) if c.isdigit() else ord(c) - ord("A") for c in code[1::2])
    total = even + sum(CF_ODD[c] for c in code[::2])

    found = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if nat.is_it_cf(code + c)]

    assert found == [chr(ord("A") + total % 26)]


@pytest.mark.parametrize(
    ("century", "months"), [(1800, 80), (1900, 0), (2000, 20), (2100, 40), (2200, 60)]
)
def test_a_pesel_has_the_leap_days_of_its_century(century: int, months: int) -> None:
    """Its month tells the century. 1900 and its like had no 29 February, the fourth year has."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)

    def is_born(year: int) -> bool:
        digits = f"{year:02}{2 + months:02}290000"
        check = -sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 10
        return nat.is_pl_pesel(f"{digits}{check}")

    assert is_born(4)
    assert is_born(96)
    assert not is_born(3)
    assert is_born(0) == (century == 2000)
