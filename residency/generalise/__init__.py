"""Generalisers: less precise values that may leave. Each is total.

What a generaliser cannot read becomes its declared unknown, never a failure: a failure
would tell something about a value that must stay. A policy row names one in ``how``,
with its argument where it has one: ``year``, ``number-band:100``, ``timestamp:day``.
"""

from collections.abc import Callable, Mapping
from functools import cache

from residency.generalise.model import UNKNOWN, Context, Generaliser
from residency.generalise.networks import email_domain, ip_network
from residency.generalise.numbers import coordinate, number_band, rounded
from residency.generalise.postcodes import postcode_area
from residency.generalise.texts import country, gender_group, last_four
from residency.generalise.times import age_band, timestamp, year
from schemas.errors import SetupError

__all__ = ["FORMS", "NAMES", "UNKNOWN", "Context", "Generaliser", "generaliser"]

# How each is written -> what makes it of its argument.
FORMS: Mapping[str, Callable[[str | None], Generaliser]] = {
    "year": year,
    "age-band:YEARS": age_band,
    "timestamp:STEP": timestamp,
    "postcode-area": postcode_area,
    "country": country,
    "ip-network": ip_network,
    "email-domain": email_domain,
    "number-band:WIDTH": number_band,
    "rounded:MULTIPLE": rounded,
    "coordinate:DEGREES": coordinate,
    "last-four": last_four,
    "gender-group": gender_group,
}
NAMES = tuple(FORMS)
_MAKERS = {form.partition(":")[0]: make for form, make in FORMS.items()}


@cache
def generaliser(how: str) -> Generaliser:
    """Return the generaliser that a policy row names, such as ``age-band:10``.

    Raises:
        SetupError: There is none of that name, or it does not take that argument.

    """
    name, colon, argument = how.partition(":")
    make = _MAKERS.get(name)
    if make is None:
        msg = f"no generaliser {name!r}; have {', '.join(NAMES)}"
        raise SetupError(msg)
    try:
        return make(argument if colon else None)
    except ValueError as exc:
        msg = f"generaliser {how!r}: {exc}"
        raise SetupError(msg) from None
