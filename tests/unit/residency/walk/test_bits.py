"""Avro's smallest pieces read and write as the specification, UTF-8 as Python has it."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_avro import varint as specified

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
def test_an_integer_that_is_overlong_wide_or_cut_short_is_none(raw: bytes) -> None:
    assert read_long(view(raw), 0, len(raw))[1] == BAD


def test_the_widest_integers_are_some() -> None:
    for raw, value in (
        (b"\xff" * 9 + b"\x01", -(2**63)),
        (b"\xfe" + b"\xff" * 8 + b"\x01", 2**63 - 1),
    ):
        assert read_long(view(raw), 0, 10) == (value, 10)


@pytest.mark.parametrize("lead", range(256))
def test_utf8_is_what_python_takes(lead: int) -> None:
    for tail in product(TAILS, TAILS, TAILS):
        raw = bytes([lead]) + b"".join(tail)

        assert is_utf8(view(raw), 0, len(raw)) == _decodes(raw), raw.hex()


@given(st.text(), st.binary(max_size=4))
def test_utf8_of_any_text_and_what_follows_it(text: str, more: bytes) -> None:
    raw = text.encode("utf-8", "surrogatepass") + more

    assert is_utf8(view(raw), 0, len(raw)) == _decodes(raw)


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.integers(-(2**80), 2**80), st.integers(0, 3))
def test_a_decimal_is_read_whatever_its_padding(value: int, padding: int) -> None:
    width = (value if value >= 0 else ~value).bit_length() // 8 + 1
    raw = value.to_bytes(width + padding, "big", signed=True)

    found = read_unscaled(view(raw), 0, len(raw))

    assert len(raw) - narrow(view(raw), 0, len(raw)) == width
    assert found == ((value, 0) if -(2**63) <= value < 2**63 else (0, TOO_WIDE))


@given(LONGS)
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
