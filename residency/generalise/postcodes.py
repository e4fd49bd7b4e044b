"""Postcodes, cut to the part that names an area; each country writes its own kind.

Source: the postal addressing systems of the Universal Postal Union, country by country.
"""

import re
from collections.abc import Mapping

from residency.generalise.model import UNKNOWN, Context, Generaliser, no_argument

MAX_LENGTH = 16  # characters; no postcode is longer

# Where a postcode is digits: how many. The area is the first two.
_NUMERIC: Mapping[str, tuple[int, ...]] = {
    "AM AT AU BE BG CH CY DK GE HU LI LU LV MD MK NO NZ PH PY SI TN ZA": (4,),
    "AX BA CZ DE DZ EE EG ES FI FR GF GP GR HR ID IT KR KW LK LT MA MC ME MQ MX MY": (5,),
    "PK PL RE RS SA SE SK SM TH TR UA UY VA YT": (5,),
    "BY CN CO IN KG KZ RO RU SG TJ TM UZ": (6,),
    "IL JP": (7,),
    "PT": (4, 7),
    "BR": (8,),
}
_DIGITS = {country: counts for row, counts in _NUMERIC.items() for country in row.split()}
_OUTWARD = re.compile(r"([A-Z]{1,2}[0-9][0-9A-Z]?) ?[0-9][A-Z]{2}")
_FORWARD_SORTATION = re.compile(r"([ABCEGHJ-NPR-TVXY][0-9][ABCEGHJ-NPR-TV-Z])[ -]?[0-9][A-Z][0-9]")
_ROUTING_KEY = re.compile(r"(D6W|[AC-FHKNPRTV-Y][0-9]{2}) ?[AC-FHKNPRTV-Y0-9]{4}")
_NETHERLANDS = re.compile(r"(?:NL-?)?([0-9]{2})[0-9]{2} ?[A-Z]{2}")
_ZIP = re.compile(r"([0-9]{3})[0-9]{2}(?:[ -]?[0-9]{4})?")
_SHAPES: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(("GB", "GG", "IM", "JE"), _OUTWARD),
    "CA": _FORWARD_SORTATION,
    "IE": _ROUTING_KEY,
    "NL": _NETHERLANDS,
}
_ZIP_COUNTRIES = frozenset({"AS", "GU", "MP", "PR", "US", "VI"})
# Three-digit areas of 20,000 people or fewer. Source: HHS guidance on 45 CFR
# 164.514(b)(2)(i)(B), from the census of 2000.
_SPARSE = "036 059 063 102 203 556 692 790 821 823 830 831 878 879 884 890 893"
SPARSE_ZIP = frozenset(_SPARSE.split())
_PREFIXED = re.compile(r"(?:[A-Z]{1,2}-)?([0-9][0-9 -]*[0-9])")


def _area(value: object, context: Context) -> str:
    country = context.country
    if not isinstance(value, str) or not isinstance(country, str) or len(value) > MAX_LENGTH:
        return UNKNOWN
    if not value.isascii():
        return UNKNOWN  # other digits are no postcode, and a dotless i has an ASCII capital
    text = value.strip().upper()
    if country in _ZIP_COUNTRIES:
        found = _ZIP.fullmatch(text)
        return f"{found[1]}xx" if found and found[1] not in SPARSE_ZIP else UNKNOWN
    if country in _SHAPES:
        found = _SHAPES[country].fullmatch(text)
        return found[1] if found else UNKNOWN
    found = _PREFIXED.fullmatch(text)
    digits = found[1].replace(" ", "").replace("-", "") if found else ""
    return digits[:2] if len(digits) in _DIGITS.get(country, ()) else UNKNOWN


def postcode_area(argument: str | None) -> Generaliser:
    """Return the generaliser of a postcode to its area.

    A US area reads ``902xx``: bare digits could be a whole postcode of Iceland, and the
    gate could not tell the two apart.
    """
    no_argument(argument)
    return Generaliser(
        how="postcode-area",
        takes=("string",),
        output="string",
        # Every text of the outward shape counts (Canada's and Ireland's are of it, too),
        # two digits, and three digits for the US.
        told=(26 + 26 * 26) * 10 * 37 + 100 + 1000 - len(SPARSE_ZIP),
        apply=_area,
        says=(
            "the area of a postcode: outward code (GB), forward sortation area (CA), routing "
            "key (IE), first three digits (US, none of 20,000 people or fewer), first two "
            "digits of a numeric one elsewhere"
        ),
        pattern=r"^(?:[0-9]{2}|[0-9]{3}xx|[A-Z]{1,2}[0-9][0-9A-Z]?|unknown)$",
        needs=("country",),
    )
