"""A generaliser says less, never fails, and answers only from its alphabet."""

import ipaddress
import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.generalise import GENERALISERS, UNKNOWN

anything = st.one_of(
    st.none(), st.integers(), st.text(), st.binary(), st.booleans(), st.lists(st.text())
)
ALPHABETS = {
    "year": lambda out: out is None or 1900 <= out <= 2030,
    "postcode-area": lambda out: re.fullmatch(r"[A-Z0-9]{1,5}|unknown", out) is not None,
    "gender-group": lambda out: out in {"female", "male", UNKNOWN},
    "ip-network": lambda out: out == UNKNOWN or ipaddress.ip_network(out).prefixlen in {24, 48},
}


@pytest.mark.parametrize("name", GENERALISERS)
@given(value=anything, country=st.sampled_from([None, "GB", "DE"]))
def test_whatever_the_value_the_answer_is_in_the_alphabet(
    name: str, value: Any, country: str | None
) -> None:
    assert ALPHABETS[name](GENERALISERS[name].apply(value, country))


@given(st.integers(0, 130), st.integers(0, 364))
def test_year_reads_days_since_1970(years: int, days: int) -> None:
    day = date(1900 + years, 1, 1) + timedelta(days=days)

    assert GENERALISERS["year"].apply((day - date(1970, 1, 1)).days, None) == day.year


@pytest.mark.parametrize(
    ("text", "country", "area"),
    [
        ("SW1A 1AA", "GB", "SW1A"),
        ("m1 1ae", "GB", "M1"),
        ("SW1A", "GB", UNKNOWN),  # no inward part: not a full postcode
        ("10115", "DE", "10"),
        ("1012 AB", "NL", "10"),
        ("PL-00-950", "PL", "00"),
        ("SE-111 22", "SE", "11"),
        ("10115", "GB", UNKNOWN),
        ("12", "DE", UNKNOWN),  # the area would be the whole code
        (
            "\u0661\u0660\u0661\u0661\u0665",
            "DE",
            UNKNOWN,
        ),  # other digits pass isdigit() but are no postcode
        ("\u0131p1 1aa", "GB", UNKNOWN),  # a dotless i, whose capital is an ASCII I
        ("Unter den Linden 1", "DE", UNKNOWN),
    ],
)
def test_postcode_areas(text: str, country: str, area: str) -> None:
    assert GENERALISERS["postcode-area"].apply(text, country) == area


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),  # the same host, spelt as IPv6
        ("2002:cb00:714d::1", "203.0.113.0/24"),  # 6to4: its /48 is the whole IPv4 address
        ("fe80::1%eth0", "fe80::/48"),
        ("203.0.113.777", UNKNOWN),
        ("localhost", UNKNOWN),
    ],
)
def test_networks(text: str, network: str) -> None:
    assert GENERALISERS["ip-network"].apply(text, None) == network


def test_rare_genders_are_not_told() -> None:
    assert GENERALISERS["gender-group"].apply("nonbinary", None) == UNKNOWN
