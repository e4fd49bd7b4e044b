"""A raw record that the gateway sealed: no plaintext, and nothing of it under another name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.vault.rawseal import (
    MARK,
    OVERHEAD_BYTES,
    RawSeal,
    RawSealError,
    is_sealed,
    subject_in,
)
from residency.vault.sealing import EventSeal, EventSealError
from schemas.codec import MAGIC

TOPIC = "eu.commerce.orders.v1"
SUBJECT, OTHER = bytes(range(16)), bytes(range(1, 17))
KEY = b"k" * 32
SEAL = RawSeal(SUBJECT, KEY)
VALUE = b"\0\0\0\0\1zucanary-lovelace"


@given(st.binary(max_size=200))
def test_a_value_opens_to_what_it_was(value: bytes) -> None:
    sealed = SEAL.close(TOPIC, value)

    assert SEAL.open(TOPIC, sealed) == value
    assert len(sealed) == len(value) + OVERHEAD_BYTES


def test_the_overhead_is_48_bytes() -> None:
    assert OVERHEAD_BYTES == 48


def test_nothing_of_the_value_can_be_read_and_no_two_are_alike() -> None:
    one, two = SEAL.close(TOPIC, VALUE), SEAL.close(TOPIC, VALUE)

    assert b"zucanary" not in one
    assert one[20:] != two[20:]
    assert one[:20] == two[:20] == MARK + SUBJECT


def test_a_sealed_value_is_told_from_one_that_a_codec_wrote() -> None:
    assert is_sealed(SEAL.close(TOPIC, VALUE))
    assert not is_sealed(VALUE)
    assert not is_sealed(b"")
    assert not is_sealed(MARK[:3])
    assert MARK[0] != MAGIC


def test_it_says_whose_it_is() -> None:
    assert subject_in(SEAL.close(TOPIC, VALUE)) == SUBJECT
    assert subject_in(MARK + b"cut") == b"cut"


@pytest.mark.parametrize(
    ("seal", "topic"),
    [
        (RawSeal(SUBJECT, b"x" * 32), TOPIC),  # another key, as after a new registration
        (RawSeal(OTHER, KEY), TOPIC),  # another subject's record, put under this one's Kafka key
        (SEAL, "eu.commerce.customers.v1"),
        (SEAL, "uk.commerce.orders.v1"),
    ],
)
def test_it_opens_under_its_own_key_subject_and_topic_alone(seal: RawSeal, topic: str) -> None:
    sealed = SEAL.close(TOPIC, VALUE)

    with pytest.raises(RawSealError) as error:
        seal.open(topic, sealed)

    assert topic in str(error.value)
    assert "zucanary" not in str(error.value)


@given(st.integers(0, OVERHEAD_BYTES + len(VALUE) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_lies(at: int, change: int) -> None:
    sealed = bytearray(SEAL.close(TOPIC, VALUE))
    sealed[at] ^= change

    with pytest.raises(RawSealError):
        SEAL.open(TOPIC, bytes(sealed))


@pytest.mark.parametrize("length", [0, 4, 20, OVERHEAD_BYTES - 1, OVERHEAD_BYTES])
def test_a_cut_value_does_not_open(length: int) -> None:
    sealed = SEAL.close(TOPIC, VALUE)[:length]

    with pytest.raises(RawSealError):
        SEAL.open(TOPIC, sealed)


def test_neither_opens_what_the_other_sealed_under_the_same_key_the_vault_or_this() -> None:
    vault = EventSeal(KEY)
    stored = vault.close(TOPIC, "", SUBJECT, VALUE)
    raw = SEAL.close(TOPIC, VALUE)

    with pytest.raises(RawSealError):
        SEAL.open(TOPIC, MARK + SUBJECT + stored[1:])
    with pytest.raises(EventSealError):
        vault.open(TOPIC, "", SUBJECT, stored[:1] + raw[20:])
