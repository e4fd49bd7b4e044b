"""The scanner finds identifiers wherever they stand in a text, and little else."""

import random
import re
import string

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from residency.gate.scan import _SET, DETECTORS, scan

EXAMPLES = {
    "email": "jane.o'doe+shop@mail.example.co.uk",
    "iban": "DE89 3704 0044 0532 0130 00",
    "card": "4111 1111 1111 1111",
    "phone": "+49 (30) 901820",
    "ip": "203.0.113.7",
    "mac": "00:1b:44:11:3a:b7",
    "secret": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "us_ssn": "078-05-1120",
    "uk_nino": "AB 12 34 56 C",
    "uk_nhs": "943 476 5870",
    "de_idnr": "65 929 970 489",
    "fr_nir": "2 95 10 99 126 111 93",
    "es_nif": "54362315-K",
    "it_cf": "RCCMNL83S18D969H",
    "nl_bsn": "BSN: 111222333",
    "pl_pesel": "44051401359",
    "se_pnr": "880320-0016",
    "fi_hetu": "131052-308T",
    "be_nrn": "85.07.30-033.28",
}


def test_every_detector_has_an_example_here() -> None:
    assert EXAMPLES.keys() == {detector.name for detector in DETECTORS}


@pytest.mark.parametrize(("name", "text"), EXAMPLES.items())
@pytest.mark.parametrize(
    "frame", ["{}", "about {}.", "({})", "x_{}_y", "A1-{} and 12", "12 {}", "ä{}ß", "\n{}\n"]
)
def test_each_class_is_found_alone_and_inside_other_text(name: str, text: str, frame: str) -> None:
    assert name in scan(frame.format(text), formatted=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DE89370400440532013000", "iban"),
        ("SKU-DE89370400440532013000", "iban"),
        ("GB29-NWBK-6016-1331-9268-19", "iban"),
        ("4111-1111-1111-1111", "card"),
        ("X1-4111-1111-1111-1111-99", "card"),
        ("078-05-1120", "us_ssn"),
        ("AB123456C", "uk_nino"),
        ("00-1B-44-11-3A-B7", "mac"),
        ("RCCMNL83S18D969H", "it_cf"),
        ("54362315K", "es_nif"),
        ("131052-308T", "fi_hetu"),
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
    ],
)
def test_an_identifier_that_fits_the_sku_pattern_is_found(text: str, name: str) -> None:
    assert re.fullmatch(r"[A-Z0-9][A-Z0-9-]{2,31}", text)

    assert name in scan(text, formatted=True)


@pytest.mark.parametrize("digits", ["4111111111111111", "44051401359", "65929970489"])
def test_a_bare_digit_run_counts_only_without_a_declared_format(digits: str) -> None:
    assert scan(digits, formatted=False)
    assert scan(f"SKU-{digits}", formatted=False)
    assert not scan(digits, formatted=True)
    assert not scan(f"SKU-{digits}", formatted=True)


@pytest.mark.parametrize(
    "text",
    [
        "jane\N{FULLWIDTH COMMERCIAL AT}example.org",
        "jane\N{ZERO WIDTH SPACE}@example\N{SOFT HYPHEN}.org",
        "jane%40example.org",
        "jürgen@müller.example",
        "jane@example.org \ud800",  # a lone surrogate: no text, but str can hold it
        "\N{FULLWIDTH DIGIT FOUR}111 1111 1111 1111",
    ],
)
def test_look_alikes_and_invisible_characters_do_not_hide_it(text: str) -> None:
    assert scan(text, formatted=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "203.0.113.0/24",
        "2001:db8:1::/48",
        "2001:db80:1234::/48",
        "::/48",
        "EUR",
        "SW1A",
        "12:34:56",
        "2026-11-23T10:00:00Z",
        "std::string",
        "TSHIRT-RED-XL-2026",
        "1234-5678",
        "tok_eu1_abcdefghijklmnop234567abcd",
    ],
)
def test_what_may_leave_is_not_mistaken(text: str) -> None:
    assert scan(text, formatted=False) == frozenset()


def _sku(rng: random.Random) -> str:
    letters, digits = string.ascii_uppercase, string.digits
    shapes = [
        [(letters, 3), ("-", 1), (digits, 5)],
        [(letters + digits, rng.randint(3, 32))],
        [(digits, 13)],  # EAN
        [(letters, 2), (digits, 6)],
        [(digits, 3), ("-", 1), (digits, 3), ("-", 1), (digits, 2)],
        [(letters, 4), ("-", 1), (letters + digits, 4), ("-", 1), (letters + digits, 4)],
        [(letters, 1), (digits, rng.randint(5, 19))],
        [(digits, 4), ("-", 1), (letters, 2), ("-", 1), (digits, 4)],
    ]
    return "".join("".join(rng.choices(*part[:1], k=part[1])) for part in rng.choice(shapes))


def test_clean_skus_pass_but_for_what_a_check_digit_lets_through_by_chance() -> None:
    """20,000 of our own generator: the rate depends on its mix, so it is a floor to watch."""
    rng = random.Random(20_000)
    skus = [_sku(rng) for _ in range(20_000)]

    found = [name for sku in skus for name in scan(sku, formatted=True)]

    # A random string of the right length is an IBAN one time in 97 x (676 / 88 countries).
    assert set(found) <= {"iban"}
    assert len(found) <= 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NO9386011117947", "iban"),  # the shortest
        ("500000000009", "card"),  # twelve digits: Maestro
        ("6200000000000000000", "card"),  # nineteen: UnionPay
        ("1 4111 1111 1111 1111", "card"),  # behind a number that could be part of it
        ("+49309018", "phone"),  # eight digits
        ("jane@web.de", "email"),
        ("1.2.3.4", "ip"),
        ("203.0.113.77/2026", "ip"),
        ("::ffff:203.0.113.7", "ip"),  # an IPv4 address in IPv6's clothes
        ("2001:db8::7/2026", "ip"),
        ("eyJaaaaaaaa.bbbbbbbb. x", "secret"),  # a token without a signature
        ("bearer abcdefghijklmnop", "secret"),
        ("sk_live_abcdefghijklmnop", "secret"),
        ("-----BEGIN RSA", "secret"),
        ("X2482300W", "es_nif"),
        ("BSN111222333", "nl_bsn"),
        ("850730033-28", "be_nrn"),
    ],
)
def test_the_shortest_and_the_odd_ones_are_found(text: str, name: str) -> None:
    assert name in scan(text, formatted=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("10.0.0.0/8", "ip"),  # wide networks
        ("2000:0:0:0:0:0:0:0/4", "ip"),
        ("v1.2.3.4", "ip"),  # a version
        ("9+4930901820", "phone"),  # a sum
        ("411111111111111199999999", "card"),  # a number that begins like a card
        ("41111111111111119 x", "card"),  # likewise, by one digit
    ],
)
def test_what_looks_like_it_and_is_none_is_let_pass(text: str, name: str) -> None:
    assert name not in scan(text, formatted=False)


@given(st.text(max_size=200))
def test_any_text_at_all_can_be_scanned(text: str) -> None:
    assert scan(text, formatted=True) <= scan(text, formatted=False)


@given(st.text(st.sampled_from("+12-3.4:56789abDEX/@ "), max_size=120))
def test_the_set_proposes_exactly_what_its_expressions_match_alone(text: str) -> None:
    alone = {n for n, d in enumerate(DETECTORS) if re2.search(d.expression, text)}

    assert set(_SET.Match(text) or ()) == alone


def test_a_long_text_takes_no_more_than_it_should() -> None:
    hostile = "1" * 8000 + "4111-" * 800 + "+1 " * 800

    assert isinstance(scan(hostile, formatted=False), frozenset)
