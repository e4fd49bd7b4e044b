"""National identity numbers with check digits. See `residency.gate.identifiers`."""

from datetime import date
from typing import Final

from residency.gate.identifiers import passes_luhn

_SEPARATORS: Final = str.maketrans("", "", " -./")


def _compact(text: str) -> str:
    return text.translate(_SEPARATORS).upper()


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def is_de_idnr(text: str) -> bool:
    """Tell whether *text* is a German tax id. Source: BZSt; ISO 7064 MOD 11,10.

    Of the first ten digits exactly one repeats, twice or thrice in all.
    """
    digits = _compact(text)
    counts = [digits[:10].count(d) for d in set(digits[:10])]
    if digits[0] == "0" or [n for n in counts if n > 1] not in ([2], [3]):
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_fr_nir(text: str) -> bool:
    """Tell whether *text* is a French social security number with its key. Source: INSEE."""
    code = _compact(text)
    # Corsica's 2A and 2B count as 19 and 18.
    number = code[:5] + code[5:7].replace("2A", "19").replace("2B", "18") + code[7:13]
    return 97 - int(number) % 97 == int(code[13:])


_NIF_LETTERS: Final = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_es_nif(text: str) -> bool:
    """Tell whether *text* is a Spanish DNI or NIE. Source: Ministerio del Interior, mod 23."""
    code = _compact(text)
    number = {"X": "0", "Y": "1", "Z": "2"}.get(code[0], code[0]) + code[1:-1]
    return _NIF_LETTERS[int(number) % 23] == code[-1]


_CF_ODD: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_CF_ODD_LETTERS: Final = (
    *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22),
    *(25, 24, 23),
)


def is_it_cf(text: str) -> bool:
    """Tell whether *text* is an Italian codice fiscale. Source: DM 23 December 1976."""
    code = _compact(text)
    total = 0
    for place, char in enumerate(code[:15]):
        number = int(char) if char.isdigit() else ord(char) - ord("A")
        if place % 2:
            total += number
        else:
            total += _CF_ODD[number] if char.isdigit() else _CF_ODD_LETTERS[number]
    return chr(ord("A") + total % 26) == code[15]


def is_nl_bsn(text: str) -> bool:
    """Tell whether *text*, found after the word BSN, is one. Source: RvIG, "elfproef"."""
    digits = "".join(char for char in text if char.isdigit())
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 11 == 0


def is_pl_pesel(text: str) -> bool:
    """Tell whether *text* is a Polish PESEL. Source: gov.pl; month holds the century."""
    digits = _compact(text)
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[int(digits[2:4]) // 20]
    if not _is_date(century + int(digits[:2]), int(digits[2:4]) % 20, int(digits[4:6])):
        return False
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return sum(w * int(d) for w, d in zip(weights, digits, strict=True)) % 10 == 0


def is_se_pnr(text: str) -> bool:
    """Tell whether *text* is a Swedish personnummer. Source: Skatteverket, SKV 704."""
    digits = "".join(char for char in text if char.isdigit())[-10:]
    day = int(digits[4:6])
    # A samordningsnummer adds 60 to the day; 2000 stands for any leap year.
    return _is_date(2000, int(digits[2:4]), day - 60 if day > 60 else day) and passes_luhn(digits)  # noqa: PLR2004


def is_fi_hetu(text: str) -> bool:
    """Tell whether *text* is a Finnish henkilotunnus. Source: DVV, remainder of 31."""
    code = text.upper()
    if not _is_date(2000, int(code[2:4]), int(code[:2])):
        return False
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(code[:6] + code[7:10]) % 31] == code[10]


def is_be_nrn(text: str) -> bool:
    """Tell whether *text* is a Belgian national number. Source: Rijksregister, 97 - mod 97."""
    digits = _compact(text)
    base, key = int(digits[:9]), int(digits[9:])
    # Born from 2000: the number is read with a 2 in front.
    return key in {97 - base % 97, 97 - (base + 2_000_000_000) % 97}


def is_uk_nhs(text: str) -> bool:
    """Tell whether *text* is an NHS number. Source: NHS Data Dictionary, modulus 11."""
    digits = _compact(text)
    remainder = sum((10 - place) * int(d) for place, d in enumerate(digits[:9])) % 11
    return (11 - remainder) % 11 == int(digits[9])
