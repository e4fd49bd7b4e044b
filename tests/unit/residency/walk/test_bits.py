"""Avro's smallest pieces read and write as the specification, UTF-8 as Python has it."""

import string
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_avro import varint as specified
from walk_cases import soon

from residency.plan.walk.accelerator import view
from residency.plan.walk.assemble import write_amount
from residency.plan.walk.bits import (
    BAD,
    TOO_WIDE,
    is_utf8,
    is_uuid,
    narrow,
    read_long,
    read_unscaled,
    write_long,
)
from residency.plan.walk.fills import varint

EDGES = [
    sign * (1 << bits) + more
    for bits in range(63)
    for sign in (1, -1)
    for more in (-1, 0, 1)
]  # fmt: skip
LONGS = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([*EDGES, 2**63 - 1, -(2**63)])
TAILS = (b"", b"\x80", b"\xbf", b"\x8f", b"\x90", b"\x9f", b"\xa0", b"\x7f", b"\xc0")


@given(LONGS)
@soon()
def test_an_integer_is_written_and_read_as_specified(value: int) -> None:
    raw, out = specified(value), np.zeros(10, np.uint8)

    assert varint(value) == raw
    assert bytes(out[: write_long(out, 0, value)]) == raw
    assert read_long(view(raw), 0, len(raw)) == (value, len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x80", b"\x80\x00", b"\xff\x80\x00", b"\xff" * 10, b"\xff" * 9 + b"\x02",
        b"\xff" * 10 + b"\x01", b"\x80" * 9,
    ],
)  # fmt: skip
@soon()
def test_an_integer_that_is_overlong_wide_or_cut_short_is_none(raw: bytes) -> None:
    before = b"\x80\xff"

    assert read_long(view(raw), 0, len(raw)) == (0, BAD)
    assert read_long(view(before + raw), 2, 2 + len(raw)) == (0, BAD)
    assert read_long(view(before + raw + b"\1"), 2, 2 + len(raw)) == (0, BAD)


def test_no_position_is_taken_for_none() -> None:
    assert BAD < 0


def test_the_widest_integers_are_some() -> None:
    for raw, value in (
        (b"\xff" * 9 + b"\x01", -(2**63)),
        (b"\xfe" + b"\xff" * 8 + b"\x01", 2**63 - 1),
    ):
        assert read_long(view(raw), 0, 10) == (value, 10)
        assert read_long(view(b"\x80" + raw + b"\1"), 1, 11) == (value, 11)


@pytest.mark.parametrize("lead", range(256))
@soon()
def test_utf8_is_what_python_takes(lead: int) -> None:
    for tail in product(TAILS, TAILS, TAILS):
        raw = bytes([lead]) + b"".join(tail)

        assert is_utf8(view(raw), 0, len(raw)) == _decodes(raw), raw.hex()


@given(st.text(), st.binary(max_size=4))
@soon()
def test_utf8_of_any_text_and_what_follows_it(text: str, more: bytes) -> None:
    raw = text.encode("utf-8", "surrogatepass") + more

    assert is_utf8(view(raw), 0, len(raw)) == _decodes(raw)


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@soon()
def test_utf8_ends_where_it_is_said_to() -> None:
    raw = "aéλ漢\U0001f600".encode()
    for start, stop in product(range(len(raw) + 1), repeat=2):
        if start <= stop:
            assert is_utf8(view(raw), start, stop) == _decodes(raw[start:stop])


@given(
    st.integers(-(2**80), 2**80) | LONGS | st.sampled_from([*EDGES, 2**63, -(2**63) - 1]),
    st.integers(0, 3),
)
@soon()
def test_a_decimal_is_read_whatever_its_padding(value: int, padding: int) -> None:
    width = (value if value >= 0 else ~value).bit_length() // 8 + 1
    raw = value.to_bytes(width + padding, "big", signed=True)

    found = read_unscaled(view(raw), 0, len(raw))

    assert len(raw) - narrow(view(raw), 0, len(raw)) == width
    assert found == ((value, 0) if -(2**63) <= value < 2**63 else (0, TOO_WIDE))


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, -128, -129, 255, -256, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("padding", [0, 1, 2, 9])
@soon()
def test_a_decimal_is_read_wherever_it_lies(value: int, padding: int) -> None:
    width = (value if value >= 0 else ~value).bit_length() // 8 + 1
    raw = value.to_bytes(width + padding, "big", signed=True)
    data, stop = view(b"\0\xff\x7f" + raw + b"\xff\0"), 3 + len(raw)

    assert narrow(data, 3, stop) == 3 + padding
    assert read_unscaled(data, 3, stop) == (value, 0)


@given(LONGS)
@soon()
def test_an_amount_is_written_in_its_shortest_form(value: int) -> None:
    width = (value if value >= 0 else ~value).bit_length() // 8 + 1
    out = np.zeros(24, np.uint8)

    end = write_amount(out, 0, value)

    assert bytes(out[:end]) == specified(width) + value.to_bytes(width, "big", signed=True)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("0b0b8a3e-7a41-4a61-9f0f-0000000000Ff", True),
        ("0b0b8a3e-7a41-4a61-9f0f-0000000000f", False),
        ("0b0b8a3e-7a41-4a61-9f0f-0000000000ffa", False),
        ("0b0b8a3e_7a41-4a61-9f0f-0000000000ff", False),
        ("0b0b8a3e-7a41-4a61-9f0f-0000000000fg", False),
        ("0b0b8a3e-7a41-4a61-9f0f-00000000 0ff", False),
    ],
)
def test_a_uuid_is_hex_digits_and_dashes_in_their_places(text: str, is_one: bool) -> None:
    raw = text.encode()

    assert is_uuid(view(raw), 0, len(raw)) == is_one


@pytest.mark.parametrize("place", [0, 7, 9, 35])
def test_a_digit_of_a_uuid_is_hexadecimal(place: int) -> None:
    text = b"0b0b8a3e-7a41-4a61-9f0f-0000000000ff"
    for byte in range(256):
        raw = text[:place] + bytes([byte]) + text[place + 1 :]

        assert is_uuid(view(b"??" + raw + b"0"), 2, 38) == (byte in string.hexdigits.encode())


@pytest.mark.parametrize("place", [8, 13, 18, 23])
def test_between_the_groups_of_a_uuid_is_a_dash(place: int) -> None:
    text = b"0b0b8a3e-7a41-4a61-9f0f-0000000000ff"
    for byte in range(256):
        raw = text[:place] + bytes([byte]) + text[place + 1 :]

        assert is_uuid(view(raw), 0, 36) == (byte == ord("-"))
