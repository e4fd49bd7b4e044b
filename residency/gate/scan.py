"""Find personal data in a string that was supposed to hold none.

Defence in depth: names and street addresses are beyond it, so tags and default deny
carry the guarantee. One RE2 set proposes classes in linear time; shapes and check digits
dispose. A class's span that is nothing but digits is ignored in a field with a declared
format, where order numbers and EANs pass a check digit by chance once in ten.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import re2

from residency.gate import identifiers, national

_MAX_MEMORY_BYTES: Final = 64 << 20  # of the set's DFA; RE2 has 8 MiB for one expression
_START: Final = r"(?:^|[^0-9A-Za-z])"
_IP_START: Final = r"(?:^|[^0-9A-Za-z.:])"


def _always(_text: str) -> bool:
    """Accept: the pattern says it all."""
    return True


@dataclass(frozen=True, slots=True)
class Detector:
    """One class of personal data.

    Attributes:
        name: What `scan` returns.
        body: RE2 expression of the span; case does not matter.
        verify: Judges a span that *body* matched.
        start: RE2 expression of what comes before it, not part of the span.
        is_elastic: Groups may follow that are no part of it, so that shorter spans which
            end with a group are judged too.

    """

    name: str
    body: str
    verify: Callable[[str], bool] = _always
    start: str = _START
    is_elastic: bool = False

    @property
    def expression(self) -> str:
        """Return the whole expression; group 1 is the span."""
        return f"(?i){self.start}({self.body})"


DETECTORS: Final = (
    Detector(
        "email", r"[\pL\pN._%+'&-]+(?:@|%40)(?:[\pL\pN-]+\.)+[\pL\pN]{2,}", start=r"(?:^|[^\pL\pN])"
    ),
    Detector(
        "iban",
        r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}",
        identifiers.is_iban,
        is_elastic=True,
    ),
    Detector("card", r"[0-9](?:[ -]?[0-9]){11,18}", identifiers.is_card, is_elastic=True),
    Detector(
        "phone",
        r"\+[1-9][0-9 ()./-]{7,22}",
        identifiers.is_phone,
        start=r"(?:^|[^0-9A-Za-z+])",
        is_elastic=True,
    ),
    Detector(
        "ip",
        r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]+)?"
        r"|[0-9A-F]{0,4}:[0-9A-F:]{1,36}(?:\.[0-9.]{1,12})?(?:/[0-9]+)?",
        identifiers.is_address,
        start=_IP_START,
    ),
    Detector(
        "mac", r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}|[0-9A-F]{2}(?:-[0-9A-F]{2}){5}", identifiers.is_mac
    ),
    Detector(
        "secret",
        r"eyJ[0-9A-Z_-]{8,}\.[0-9A-Z_-]{8,}\.[0-9A-Z_-]*|bearer +[0-9A-Z._~+/-]{16,}"
        r"|AKIA[0-9A-Z]{16}|(?:sk|pk|rk)_(?:live|test)_[0-9A-Z]{16,}|-----BEGIN [A-Z ]{3,40}",
        is_elastic=True,
    ),
    Detector("us_ssn", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", identifiers.is_ssn),
    Detector(
        "uk_nino",
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]",
        identifiers.is_nino,
    ),
    Detector("uk_nhs", r"[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}", national.is_uk_nhs),
    Detector(
        "de_idnr", r"[0-9]{2}[ ./-]?[0-9]{3}[ ./-]?[0-9]{3}[ ./-]?[0-9]{3}", national.is_de_idnr
    ),
    Detector(
        "fr_nir",
        r"[1-478][ .-]?[0-9]{2}[ .-]?[0-9]{2}[ .-]?(?:[0-9]{2}|2[AB])"
        r"[ .-]?[0-9]{3}[ .-]?[0-9]{3}[ .-]?[0-9]{2}",
        national.is_fr_nir,
    ),
    Detector("es_nif", r"(?:[0-9]{8}|[XYZ][ -]?[0-9]{7})[ -]?[A-Z]", national.is_es_nif),
    Detector(
        "it_cf",
        r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
        national.is_it_cf,
    ),
    Detector("nl_bsn", r"BSN[ :#-]{0,3}[0-9](?:[ .]?[0-9]){8}", national.is_nl_bsn),
    Detector("pl_pesel", r"[0-9]{11}", national.is_pl_pesel),
    Detector("se_pnr", r"(?:19|20)?[0-9]{6}[-+][0-9]{4}", national.is_se_pnr),
    Detector("fi_hetu", r"[0-9]{6}[A-FU-Y+-][0-9]{3}[0-9A-FHJ-NPR-Y]", national.is_fi_hetu),
    Detector(
        "be_nrn",
        r"[0-9]{2}[. -]?[0-9]{2}[. -]?[0-9]{2}[. -]?[0-9]{3}[. -]?[0-9]{2}",
        national.is_be_nrn,
    ),
)


def _compile_set() -> Any:  # noqa: ANN401 - google-re2 has no types
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    union = re2.Set.SearchSet(options)
    for detector in DETECTORS:
        union.Add(detector.expression)
    union.Compile()
    return union


_SET: Final = _compile_set()
_EXPRESSIONS: Final = tuple(re2.compile(detector.expression) for detector in DETECTORS)


def scan(value: str, *, formatted: bool) -> frozenset[str]:
    """Return the names of the classes of personal data found in *value*; empty if clean.

    Args:
        value: Any text. Compatibility forms and invisible characters are folded first.
        formatted: The field has a declared anchored format: spans that are nothing but
            digits do not count.

    """
    text = _fold(value)
    if formatted and text.isdigit():  # all its spans are; saves verifying them
        return frozenset()
    # Set.Match answers None, not an empty list, when nothing matches.
    return frozenset(
        DETECTORS[number].name
        for number in _SET.Match(text) or ()
        if any(
            not (formatted and span.isdigit()) and DETECTORS[number].verify(span)
            for span in _spans(number, text)
        )
    )


def _fold(value: str) -> str:
    """Return *value* as a reader sees it: full-width digits plain, zero-width ones gone."""
    if value.isascii():
        return value
    text = unicodedata.normalize("NFKC", value)
    seen = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return seen.encode("utf-8", "replace").decode("utf-8")


def _spans(number: int, text: str) -> Iterator[str]:
    """Yield what a detector should judge; spans may overlap."""
    is_elastic = DETECTORS[number].is_elastic
    match = _EXPRESSIONS[number].search(text)
    while match is not None:
        start, end = match.span(1)
        for stop in range(end, start, -1) if is_elastic else (end,):
            after = text[stop : stop + 1]
            if text[stop - 1].isalnum() and not (after.isascii() and after.isalnum()):
                yield text[start:stop]
        match = _EXPRESSIONS[number].search(text, start + 1)
