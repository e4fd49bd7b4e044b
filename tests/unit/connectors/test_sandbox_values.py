"""Ids and single values: exact numbers, real instants, checksums as Salesforce makes them."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import InvalidValueError
from connectors.sandbox.ids import ALPHABET, checksum, record_id, sequence_of
from connectors.sandbox.rows.forms import decimal_text, parse_datetime
from connectors.sandbox.rows.values import coercer, renderer

TOTAL = Field("Total__c", "Total", "currency", precision=18, scale=2)
SKU = Field("Sku__c", "Sku", "string", length=64)
PLACED = Field("Placed_At__c", "Placed At", "datetime")
CONSENT = Field("Consent__c", "Consent", "boolean")
LARGEST = 62**9 - 1


@pytest.mark.parametrize(
    ("short", "suffix"),
    [("00DRO0000008aXd", "2AI"), ("005RO000000Hfnk", "YAC"), ("001000000000000", "AAA")],
)
def test_checksums_agree_with_published_ids(short: str, suffix: str) -> None:
    assert checksum(short) == suffix


@given(st.integers(0, LARGEST))
def test_an_id_gives_its_number_back_in_both_lengths(number: int) -> None:
    text = record_id("a02", number)

    assert len(text) == 18
    assert sequence_of("a02", text) == sequence_of("a02", text[:15]) == number
    assert sequence_of("a01", text) is None


@given(st.integers(0, LARGEST), st.integers(0, 14), st.sampled_from(ALPHABET))
def test_a_changed_character_is_never_the_same_row(number: int, at: int, char: str) -> None:
    text = record_id("a02", number)
    changed = text[:at] + char + text[at + 1 :]

    assert (sequence_of("a02", changed) == number) == (changed == text)


@pytest.mark.parametrize("text", ["", "a02", "a02RO000000000!", "a02RO00000000012AAA", "é" * 15])
def test_what_is_no_id_has_no_number(text: str) -> None:
    assert sequence_of("a02", text) is None


@given(st.decimals(-(10**16) + 1, 10**16 - 1, allow_nan=False, places=4))
def test_amounts_come_out_as_they_went_in_with_extra_decimals_cut(amount: Decimal) -> None:
    stored = coercer(TOTAL)(amount)

    out = renderer(TOTAL, "a02")(stored)
    text = orjson.dumps(out).decode()
    assert Decimal(text) == amount.quantize(Decimal("0.01"), ROUND_DOWN)
    assert "." in text


@given(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 4))
def test_decimal_text_is_exact(scaled: int, scale: int) -> None:
    assert Decimal(decimal_text(scaled, scale)) == Decimal(scaled).scaleb(-scale)


@pytest.mark.parametrize(
    "value", [10**16, Decimal("1e400"), Decimal("-1e999999"), "99999999999999999"]
)
def test_a_number_with_too_many_digits_is_out_of_range(value: object) -> None:
    with pytest.raises(InvalidValueError) as caught:
        coercer(TOTAL)(value)

    assert caught.value.problem.code == "NUMBER_OUTSIDE_VALID_RANGE"


@pytest.mark.parametrize("value", ["12_0", "0x10", "NaN", "Infinity", "1e9999", " 1", True, []])
def test_what_is_no_number_is_a_parser_error(value: object) -> None:
    with pytest.raises(InvalidValueError) as caught:
        coercer(TOTAL)(value)

    assert caught.value.problem.is_parse_error


@given(
    st.datetimes(datetime(1700, 1, 2), datetime(3999, 12, 30)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_keep_their_second_whatever_the_offset(local: datetime, minutes: int) -> None:
    sign, (hours, rest) = ("-" if minutes < 0 else "+"), divmod(abs(minutes), 60)
    text = f"{local.isoformat(timespec='milliseconds')}{sign}{hours:02d}:{rest:02d}"

    out = renderer(PLACED, "a02")(coercer(PLACED)(text))

    utc = (local - timedelta(minutes=minutes)).replace(microsecond=0, tzinfo=UTC)
    assert out == utc.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@pytest.mark.parametrize(
    "text", ["2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"]
)
def test_a_time_without_an_offset_or_outside_the_calendar_is_none(text: str) -> None:
    assert parse_datetime(text) is None


@given(st.text(max_size=64))
def test_texts_come_out_as_they_went_in_but_for_the_empty_one(text: str) -> None:
    assert coercer(SKU)(text) == (text or None)


def test_length_counts_characters_and_the_limit_is_allowed() -> None:
    coerce = coercer(SKU)

    assert coerce("é" * 64) == "é" * 64
    with pytest.raises(InvalidValueError):
        coerce("é" * 65)


@pytest.mark.parametrize(("value", "stored"), [(True, 1), (False, 0), ("TRUE", 1), ("false", 0)])
def test_checkboxes_take_booleans_and_their_words(value: object, stored: int) -> None:
    assert coercer(CONSENT)(value) == stored
