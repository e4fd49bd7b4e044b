"""A generaliser says less, never fails, and answers only from its alphabet."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.generalise import FORMS, UNKNOWN, Context, Generaliser, generaliser
from residency.generalise.times import END_MS, FIRST_MS
from schemas.errors import SetupError

HOWS = (
    *("year", "age-band:5", "age-band:10", "age-band:18", "timestamp:hour", "timestamp:day"),
    *("postcode-area", "country", "ip-network", "email-domain", "number-band:1"),
    *("number-band:100", "number-band:1000000", "rounded:1", "rounded:10", "rounded:999"),
    *("coordinate:0.1", "coordinate:10", "last-four", "gender-group"),
)
NOON = int(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp() * 1000)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def amount(text: str) -> bytes:
    unscaled = int(Decimal(text) * 100)
    return unscaled.to_bytes(8, "big", signed=True)


def amount_of(raw: bytes | None) -> Decimal | None:
    return None if raw is None else Decimal(int.from_bytes(raw, "big", signed=True)) / 100


def make(how: str, value: Any, country: str | None = None, at: int | None = None) -> Any:
    return generaliser(how).apply(value, Context(country, at))


# Whatever Avro can hold, and more: halves of pairs, numbers beyond every range, NaN.
texts = st.text(st.characters(codec=None, exclude_categories=())) | st.sampled_from(
    [
        *("SW1A 1AA", "10115", "K1A 0B1", "D02 AF30", "4111 1111 1111 1111", "female", "\ud800"),
        *("203.0.113.7", "2001:db8::1", "::ffff:1.2.3.4", "a@gmail.com", "a@\U0001ccd6.com"),
        *("\u0661" * 16, "1" * 5000, "\u0130", "a\n", "Germany", "France\n", "@", "90210-1234"),
    ]
)
numbers = st.integers() | st.sampled_from([10**5000, -(10**5000), 2**63 - 1, -(2**63), FIRST_MS])
anything = st.one_of(
    *(texts, numbers, st.none(), st.booleans(), st.floats(), st.binary(max_size=64)),
    *(st.lists(texts, max_size=2), st.dictionaries(texts, numbers, max_size=2), st.just({1})),
    *(st.integers(-60_000, 60_000), st.integers(FIRST_MS - 10, END_MS + 10)),
    *(st.binary(max_size=6), st.integers(-200, 200), st.ip_addresses().map(str), st.emails()),
)
countries = st.none() | st.sampled_from(["GB", "US", "CA", "IE", "NL", "DE", "PT", "XX"]) | texts
events = st.none() | numbers | st.integers(0, END_MS)


def is_declared(way: Generaliser, made: object) -> bool:
    """Say whether *made* is one of the results that a generaliser declares."""
    if made is None or made == way.unknown:
        return made == way.unknown
    if way.values is not None:
        return made in way.values
    if way.pattern is not None:
        return isinstance(made, str) and re.compile(way.pattern).fullmatch(made) is not None
    low, high = way.range or (0, -1)
    if isinstance(made, bytes):
        made = int.from_bytes(made, "big", signed=True)
    return type(made) is int and low <= made <= high


@pytest.mark.parametrize("how", HOWS)
@given(value=anything, country=countries, at=events)
def test_whatever_the_value_the_answer_is_one_that_is_declared(
    how: str, value: Any, country: str | None, at: int | None
) -> None:
    way = generaliser(how)

    assert is_declared(way, way.apply(value, Context(country, at)))


@pytest.mark.parametrize("how", HOWS)
def test_every_generaliser_declares_what_comes_out(how: str) -> None:
    way = generaliser(how)

    assert way.how == how
    assert way.output in {"string", "long", "decimal", "timestamp-millis"}
    assert (way.output == "string") == (way.values is not None or way.pattern is not None)
    assert (way.output == "string") == (way.range is None)
    assert (way.unknown is None) == (way.output != "string")
    if way.values is not None:
        assert way.told == len(way.values) - 1
        assert way.values[-1] == UNKNOWN


@pytest.mark.parametrize(
    ("how", "alphabet", "bits"),
    [
        ("year", 132, 7.0),
        ("age-band:10", 12, 3.6),
        ("timestamp:day", 36_526, 15.2),
        ("timestamp:hour", 876_601, 19.7),
        ("postcode-area", 260_825, 18.0),
        ("country", 251, 8.0),
        ("ip-network", 2**24 + 2**48 + 2, 48.0),
        ("email-domain", 4, 2.0),
        ("number-band:100", 104, 6.7),
        ("rounded:10", 200_000_000, 27.6),
        ("coordinate:0.1", 3602, 11.8),
        ("last-four", 10_002, 13.3),
        ("gender-group", 4, 2.0),
    ],
)
def test_the_alphabet_counts_the_unknown_and_the_empty_field(
    how: str, alphabet: int, bits: float
) -> None:
    way = generaliser(how)

    assert way.alphabet == alphabet
    assert round(way.bits, 1) == bits


def test_the_tests_cover_every_generaliser() -> None:
    assert {how.partition(":")[0] for how in HOWS} == {f.partition(":")[0] for f in FORMS}


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("blur", "no generaliser 'blur'; have year, age-band:YEARS"),
        ("", "no generaliser ''"),
        ("year:", "takes no argument"),
        ("year:10", "takes no argument"),
        ("postcode-area:2", "takes no argument"),
        ("gender-group:2", "takes no argument"),
        ("country:DE", "takes no argument"),
        ("last-four:4", "takes no argument"),
        ("age-band", "one of 5, 6, 9"),
        ("age-band:7", "one of 5, 6, 9"),  # 7 does not divide 90
        ("age-band:1", "one of 5, 6, 9, 10, 15, 18, 30, 45 years"),  # an age in years is no band
        ("age-band:010", "one of 5, 6, 9"),  # one way to write each
        ("timestamp", "one of hour, day"),
        ("timestamp:minute", "one of hour, day"),
        ("number-band", "whole number"),
        ("number-band:0", "whole number"),
        ("number-band:-5", "whole number"),
        ("number-band:1000001", "whole number"),
        ("number-band:\u0661", "whole number"),
        ("number-band:100x", "whole number"),
        ("ip-network:24", "takes no argument"),
        ("email-domain:free", "takes no argument"),
        ("coordinate:0.01", "one of 0.1, 0.5"),
        ("rounded:0.5", "whole number"),
        ("rounded:", "whole number"),
    ],
)
def test_a_bad_name_or_argument_is_refused_and_told_what_exists(how: str, problem: str) -> None:
    with pytest.raises(SetupError, match=re.escape(problem)):
        generaliser(how)


@given(st.integers(0, 130), st.integers(0, 364))
def test_year_reads_days_since_1970(years: int, days: int) -> None:
    born = date(1900 + years, 1, 1) + timedelta(days=days)

    assert make("year", (born - date(1970, 1, 1)).days) == born.year


@pytest.mark.parametrize(
    ("text", "made"),
    [("1899-12-31", None), ("1900-01-01", 1900), ("2030-12-31", 2030), ("2031-01-01", None)],
)
def test_a_year_outside_the_range_is_unknown(text: str, made: int | None) -> None:
    assert make("year", day(text)) == made


@pytest.mark.parametrize(
    ("born", "on", "band"),
    [
        ("1990-11-25", "2026-11-25", "35-39"),  # 36 today
        ("1986-11-26", "2026-11-25", "35-39"),  # 40 tomorrow
        ("1986-11-25", "2026-11-25", "40-44"),  # 40 today
        ("2024-02-29", "2029-02-28", "0-4"),  # a leap day's child has its birthday in March
        ("2024-02-29", "2029-03-01", "5-9"),
        ("2026-11-25", "2026-11-25", "0-4"),
        ("2026-11-26", "2026-11-25", UNKNOWN),  # born after the event
        ("1936-11-26", "2026-11-25", "85-89"),
        ("1936-11-25", "2026-11-25", "90+"),
        ("1850-01-01", "2026-11-25", "90+"),
        ("1849-12-31", "2026-11-25", UNKNOWN),
        ("1960-01-01", "1969-12-31", "5-9"),  # before 1970 days are negative
        ("2099-12-31", "2099-12-31", "0-4"),
        ("2099-12-31", "2100-01-01", UNKNOWN),
    ],
)
def test_an_age_is_that_on_the_day_of_the_event(born: str, on: str, band: str) -> None:
    assert make("age-band:5", day(born), at=day(on) * 86_400_000 + 86_399_999) == band


def test_an_age_without_the_time_of_the_event_is_unknown() -> None:
    assert make("age-band:5", day("1990-01-01")) == UNKNOWN


@given(st.integers(FIRST_MS, END_MS - 1), st.sampled_from(["hour", "day"]))
def test_a_cut_time_is_the_start_of_its_hour_or_day(at: int, step: str) -> None:
    cut = make(f"timestamp:{step}", at)

    whole = datetime.fromtimestamp(at / 1000, UTC).replace(minute=0, second=0, microsecond=0)
    whole = whole.replace(hour=0) if step == "day" else whole
    assert datetime.fromtimestamp(cut / 1000, UTC) == whole
    assert make(f"timestamp:{step}", cut) == cut


@pytest.mark.parametrize("at", [FIRST_MS - 1, END_MS])
def test_a_time_outside_this_century_is_unknown(at: int) -> None:
    assert make("timestamp:day", at) is None


@pytest.mark.parametrize(
    ("text", "country", "area"),
    [
        ("SW1A 1AA", "GB", "SW1A"),
        ("m1 1ae", "GB", "M1"),
        ("JE2 3AB", "JE", "JE2"),
        ("GY1 1AA", "GG", "GY1"),
        ("IM1 1AA", "IM", "IM1"),
        ("SW1A 1AAX", "GB", UNKNOWN),
        ("SWW1 1AA", "GB", UNKNOWN),  # three letters begin no postcode
        ("SW1A", "GB", UNKNOWN),  # no inward part: not a full postcode
        ("10115", "DE", "10"),
        ("D-10115", "DE", "10"),
        ("DEU-10115", "DE", UNKNOWN),  # nobody writes that
        ("10115 x", "DE", UNKNOWN),
        ("DE-" + "10115".ljust(13), "DE", "10"),  # 16 characters
        ("DE-" + "10115".ljust(14), "DE", UNKNOWN),
        ("100-0001", "JP", "10"),
        ("no digits", "JP", UNKNOWN),
        ("1012 AB", "NL", "10"),
        ("NL-1012AB", "NL", "10"),
        ("1012", "NL", UNKNOWN),
        ("PL-00-950", "PL", "00"),
        ("SE-111 22", "SE", "11"),
        ("1000-001", "PT", "10"),
        ("1000", "PT", "10"),
        ("10001", "PT", UNKNOWN),
        ("1010", "AT", "10"),
        ("10100", "AT", UNKNOWN),  # one digit too many
        ("01310-100", "BR", "01"),
        ("110001", "IN", "11"),
        ("1100011", "IN", UNKNOWN),
        ("90210", "US", "902xx"),
        ("90210-1234", "US", "902xx"),
        ("9021", "US", UNKNOWN),
        ("902101", "US", UNKNOWN),
        ("03601", "US", UNKNOWN),  # fewer than 20,000 people share 036
        ("00901", "PR", "009xx"),
        ("96799", "AS", "967xx"),
        ("96910", "GU", "969xx"),
        ("96950", "MP", "969xx"),
        ("00802", "VI", "008xx"),
        ("K1A 0B1", "CA", "K1A"),
        ("k1a-0b1", "CA", "K1A"),
        ("W1A 0B1", "CA", UNKNOWN),  # no area starts with W
        ("D02 AF30", "IE", "D02"),
        ("D6WXY00", "IE", "D6W"),
        ("101", "IS", UNKNOWN),  # three digits: two of them would be nearly all of it
        ("10115", "GB", UNKNOWN),
        ("10115", None, UNKNOWN),
        ("10115", "XX", UNKNOWN),
        ("12", "DE", UNKNOWN),  # the area would be the whole code
        ("1" * 17, "DE", UNKNOWN),
        ("\u0661\u0660\u0661\u0661\u0665", "DE", UNKNOWN),  # digits, but of no postcode
        ("\u0131p1 1aa", "GB", UNKNOWN),  # a dotless i, whose capital is an ASCII I
        ("Unter den Linden 1", "DE", UNKNOWN),
    ],
)
def test_postcode_areas(text: str, country: str | None, area: str) -> None:
    assert make("postcode-area", text, country) == area


@pytest.mark.parametrize(
    ("text", "declared", "country"),
    [
        ("Unter den Linden 1, 10117 Berlin, Germany", None, "DE"),
        ("10 Downing St\nLondon\nUNITED  KINGDOM.", None, "GB"),
        ("Deutschland", None, "DE"),
        ("de", None, "DE"),
        ("T\u00fcrkiye", None, "TR"),
        ("Ankara, Tu\u0308rkiye", None, "TR"),
        ("1 Main St, San Francisco, CA", None, UNKNOWN),  # California, not Canada
        ("San Francisco, CA", None, UNKNOWN),
        ("Germany" + " " * 1017, None, "DE"),  # 1,024 characters
        ("1 Peach St, Atlanta, Georgia", None, UNKNOWN),  # a state and a country
        ("1 Main St, Springfield", None, UNKNOWN),
        ("anything", "FR", "FR"),
        ("Berlin, Germany", "FR", "FR"),  # what the contract declares goes first
        ("Berlin, Germany", "XX", UNKNOWN),
        ("Germany" + " " * 1018, None, UNKNOWN),
    ],
)
def test_countries_of_addresses(text: str, declared: str | None, country: str) -> None:
    assert make("country", text, declared) == country


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
        (" 203.0.113.77" + " " * 51, "203.0.113.0/24"),  # 64 characters
        (" 203.0.113.77" + " " * 52, UNKNOWN),  # longer than an address can be
    ],
)
def test_networks(text: str, network: str) -> None:
    assert make("ip-network", text) == network


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ada@gmail.com", "free"),
        (" Ada@GMail.COM. ", "free"),
        ("ada@mail.yahoo.co.uk", "free"),  # below a listed domain
        ("ada@notgmail.com", "corporate"),
        ("ada@gmail.com.example", "corporate"),
        ("ada@b\u00fccher.example", "corporate"),
        ("ada@xn--bcher-kva.example", "corporate"),
        ("ada@\uff47mail\uff0ecom", "free"),  # full-width letters and dot are the same domain
        ('"a@b"@gmail.com', "free"),
        ("ada@x.example", "corporate"),
        (f"ada@{'x' * 63}.example", "corporate"),
        (f"ada@{'x' * 64}.example", UNKNOWN),  # longer than a label can be; RFC 1035 2.3.4
        ("ada@com", UNKNOWN),
        ("@gmail.com", UNKNOWN),
        ("gmail.com", UNKNOWN),
        ("ada@gmail..com", UNKNOWN),
        ("ada@-x.com", UNKNOWN),
        ("ada@x y.com", UNKNOWN),
        ("ada@[192.0.2.1]", UNKNOWN),
        ("a" * 310 + "@gmail.com", "free"),  # 320 characters
        ("a" * 311 + "@gmail.com", UNKNOWN),
    ],
)
def test_classes_of_mail_domains(text: str, kind: str) -> None:
    assert make("email-domain", text) == kind


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (0, "0 to 100"),
        (99, "0 to 100"),
        (100, "100 to 200"),
        (9_999, "9900 to 10000"),
        (10_000, "10000 and more"),
        (-1, "below 0"),
        (True, UNKNOWN),
        ("5", UNKNOWN),
        (amount("99.99"), "0 to 100"),
        (amount("-0.01"), "below 0"),
        (b"\0" * 32, "0 to 100"),
        (b"\0" * 33, UNKNOWN),
        (99.99, "0 to 100"),
        (-0.5, "below 0"),
        (float("inf"), "10000 and more"),
        (float("-inf"), "below 0"),
        (float("nan"), UNKNOWN),
    ],
)
def test_bands_of_numbers(value: Any, band: str) -> None:
    assert make("number-band:100", value) == band


def test_the_widest_bands_are_found_for_fractions_too() -> None:
    assert make("number-band:1000000", 2_500_000.5) == "2000000 to 3000000"


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("0.00", "0"),
        ("4.99", "0"),
        ("5.00", "10"),
        ("-4.99", "0"),
        ("-5.00", "-10"),  # as its payment did
        ("123.45", "120"),
        ("999999994.99", "999999990"),
        ("999999995.00", None),  # its multiple is beyond the range
        ("-999999995.00", None),
    ],
)
def test_amounts_are_rounded_to_the_nearest_multiple(value: str, rounded: str | None) -> None:
    expected = None if rounded is None else Decimal(rounded)

    assert amount_of(make("rounded:10", amount(value))) == expected


@pytest.mark.parametrize(
    ("unscaled", "made"),
    [(bytes(32), b"\0"), (bytes(33), None), (amount("1.00"), b"\x64"), (amount("2.00"), b"\0\xc8")],
)
def test_an_amount_takes_the_fewest_bytes_that_hold_it(unscaled: bytes, made: bytes | None) -> None:
    assert make("rounded:1", unscaled) == made


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ("rounded:10", (-99_999_999_000, 99_999_999_000)),
        ("coordinate:0.1", (-18_000, 18_000)),
        ("coordinate:10", (-18_000, 18_000)),
        ("timestamp:day", (FIRST_MS, END_MS - 86_400_000)),
    ],
)
def test_a_range_says_the_lowest_and_the_highest_that_comes_out(
    how: str, ends: tuple[int, int]
) -> None:
    assert generaliser(how).range == ends


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("email-domain", ("free", "corporate", UNKNOWN)),
        ("gender-group", ("female", "male", UNKNOWN)),
    ],
)
def test_a_few_values_are_declared_one_by_one(how: str, values: tuple[str, ...]) -> None:
    assert generaliser(how).values == values


@pytest.mark.parametrize(
    ("how", "fits", "others"),
    [
        (
            "postcode-area",
            ("10", "902xx", "E1", "SW1A", "EC2", "unknown"),
            ("", "1", "100", "902", "9021xx", "ABC1", "A", "SW1AA", "E1 ", "unknowns"),
        ),
        ("last-four", ("****1234", "unknown"), ("", "1234", "***1234", "*****1234", "****12345")),
    ],
)
def test_a_pattern_takes_what_comes_out_and_nothing_else(
    how: str, fits: tuple[str, ...], others: tuple[str, ...]
) -> None:
    pattern = re.compile(generaliser(how).pattern or "")

    assert all(pattern.search(text) for text in fits)
    assert not any(pattern.search(text) for text in others)


@given(st.integers(-(10**11), 10**11), st.sampled_from([1, 5, 10, 999]))
def test_a_rounded_amount_is_near_has_no_false_sign_and_stays_when_rounded_again(
    unscaled: int, step: int
) -> None:
    made = make(f"rounded:{step}", unscaled.to_bytes(6, "big", signed=True))

    if made is not None:
        value = int.from_bytes(made, "big", signed=True)
        assert abs(value - unscaled) * 2 <= step * 100
        assert value * unscaled >= 0
        assert value % (step * 100) == 0
        assert make(f"rounded:{step}", made) == made


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (52.5163, "52.5"),
        (-0.1276, "-0.1"),
        (52.55, "52.6"),
        (-52.55, "-52.5"),
        (180.0, "180"),
        (-180.0, "-180"),
        (180.01, None),
        (-180.01, None),
        (float("nan"), None),
        (52, None),  # no double
    ],
)
def test_coordinates_go_to_the_nearest_line(value: Any, line: str | None) -> None:
    expected = None if line is None else Decimal(line)

    assert amount_of(make("coordinate:0.1", value)) == expected


@pytest.mark.parametrize(
    ("grid", "line"), [("0.1", "52.3"), ("0.5", "52.5"), ("1", "52"), ("5", "50"), ("10", "50")]
)
def test_a_grid_has_a_line_every_so_many_degrees(grid: str, line: str) -> None:
    assert amount_of(make(f"coordinate:{grid}", 52.27)) == Decimal(line)


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("4111 1111 1111 1234", "****1234"),
        ("4111-1111-1111-1234", "****1234"),
        ("123456789012", "****9012"),
        ("1234567890123456789", "****6789"),
        ("12345678901", UNKNOWN),  # 11 digits
        ("12345678901234567890", UNKNOWN),  # 20 digits
        ("1234", UNKNOWN),
        ("4111 1111 1111 123x", UNKNOWN),
        ("4111  1111 1111 1234", UNKNOWN),
        ("\u0661" * 16, UNKNOWN),
        ("4111 1111 1111 1234" + " " * 45, "****1234"),  # 64 characters
        ("4111 1111 1111 1234" + " " * 46, UNKNOWN),
    ],
)
def test_masks_of_cards(text: str, mask: str) -> None:
    assert make("last-four", text) == mask


def test_rare_genders_are_not_told() -> None:
    assert make("gender-group", "nonbinary") == UNKNOWN
    assert make("gender-group", "female") == "female"


# how -> what is read (as the table shows it), the value, what is beside it, the result as shown
EXAMPLES: dict[str, tuple[str, Any, Context, str]] = {
    "year": ("1984-07-02", day("1984-07-02"), Context(), "1984"),
    "age-band:10": ("1984-07-02", day("1984-07-02"), Context(at=NOON), "40-49"),
    "timestamp:hour": (
        "2026-11-25T12:34:56Z",
        NOON + 2_096_000,
        Context(),
        "2026-11-25T12:00:00+00:00",
    ),
    "timestamp:day": ("2026-11-25T12:00:00Z", NOON, Context(), "2026-11-25T00:00:00+00:00"),
    "postcode-area": ("SW1A 1AA in GB", "SW1A 1AA", Context("GB"), "SW1A"),
    "country": ("1 Rue X, Paris, France", "1 Rue X, Paris, France", Context(), "FR"),
    "ip-network": ("203.0.113.77", "203.0.113.77", Context(), "203.0.113.0/24"),
    "email-domain": ("ada@gmail.com", "ada@gmail.com", Context(), "free"),
    "number-band:100": ("250", 250, Context(), "200 to 300"),
    "rounded:10": ("123.45", amount("123.45"), Context(), "120"),
    "coordinate:0.1": ("52.5163", 52.5163, Context(), "52.5"),
    "last-four": ("4111 1111 1111 1234", "4111 1111 1111 1234", Context(), "****1234"),
    "gender-group": ("female", "female", Context(), "female"),
}


def table() -> str:
    """Return the table of docs/generalise.md, as the code has it."""
    head = "| how | result | reads | makes | needs | results | bits | unknown | example |"
    rows = [head, "|---" * 9 + "|"]
    for how, (example, value, context, made) in EXAMPLES.items():
        way = generaliser(how)
        assert shown(way, way.apply(value, context)) == made
        cells = [
            f"`{how}`",
            way.says,
            ", ".join(way.takes),
            way.output,
            " and ".join(way.needs) or "-",
            f"{way.alphabet:,}",
            f"{way.bits:.1f}",
            way.unknown or "-",
            f"`{example}`: `{made}`",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def shown(way: Generaliser, made: Any) -> str:
    if way.output == "decimal":
        return f"{amount_of(made):f}"
    if way.output == "timestamp-millis":
        return datetime.fromtimestamp(made / 1000, UTC).isoformat()
    return str(made)


def test_the_documentation_lists_every_generaliser_as_it_is() -> None:
    text = (Path(__file__).parents[3] / "docs" / "generalise.md").read_text(encoding="utf-8")
    names = {how.partition(":")[0] for how in EXAMPLES}

    assert text.partition("<!-- table -->\n")[2].partition("\n<!-- end")[0] == table()
    assert names == {form.partition(":")[0] for form in FORMS}
