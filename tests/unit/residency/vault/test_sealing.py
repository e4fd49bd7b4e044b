"""Sealed events: whole or not at all, and only under the name and subject they were sealed for."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from residency.vault.sealing import (
    OVERHEAD_BYTES,
    EventSeal,
    EventSealError,
    bound,
    bound_prefix,
    nonces,
)

KEY = bytes(range(32))
WHERE = ("eu.commerce.orders.v1[0]@7", "topic-id", b"s" * 16)


@given(st.binary(max_size=300))
def test_what_was_sealed_opens_to_the_same_bytes(value: bytes) -> None:
    sealed = EventSeal(KEY).close(*WHERE, value)

    assert EventSeal(KEY).open(*WHERE, sealed) == value
    assert len(sealed) == len(value) + OVERHEAD_BYTES == len(value) + 29


def test_a_sealed_event_is_version_nonce_and_gcm_bound_to_topic_name_and_subject() -> None:
    """Held to the library's own words, so that another tool can open it."""
    sealed = EventSeal(KEY).close(*WHERE, b"zucanary")

    bound = b"homeport.vault.event\x1ftopic-id\x1feu.commerce.orders.v1[0]@7\x1f" + b"s" * 16
    assert sealed[0] == 1
    assert AESGCM(KEY).decrypt(sealed[1:13], sealed[13:], bound) == b"zucanary"


def test_a_given_nonce_is_used_and_otherwise_no_two_are_alike() -> None:
    seal = EventSeal(KEY)

    drawn = {seal.close(*WHERE, b"same")[1:13] for _ in range(200)}

    assert seal.close(*WHERE, b"same", b"n" * 12)[1:13] == b"n" * 12
    assert len(drawn) == 200


@given(st.text(max_size=20), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_what_many_events_share_is_bound_to_each_by_its_own_name(
    topic: str, partition: int, offset: int
) -> None:
    prefix = bound_prefix(topic, partition, "topic-id")

    sealed = EventSeal(KEY).close_bound(b"v", b"n" * 12, bound(prefix, offset, b"s" * 16))

    name = f"{topic}[{partition}]@{offset}"
    assert sealed == EventSeal(KEY).close(name, "topic-id", b"s" * 16, b"v", b"n" * 12)


def test_nonces_are_many_of_twelve_bytes_and_none_twice() -> None:
    drawn = nonces(500)

    assert {len(one) for one in drawn} == {12}
    assert len(set(drawn)) == len(drawn) == 500
    assert nonces(0) == []


@pytest.mark.parametrize(
    "other",
    [
        ("eu.commerce.orders.v1[0]@8", WHERE[1], WHERE[2]),
        (WHERE[0], "topic-id2", WHERE[2]),
        (WHERE[0], WHERE[1], b"t" * 16),
    ],
)
def test_it_opens_under_no_other_name_topic_or_subject(other: tuple[str, str, bytes]) -> None:
    sealed = EventSeal(KEY).close(*WHERE, b"value")

    with pytest.raises(EventSealError, match="does not open under its subject's key"):
        EventSeal(KEY).open(*other, sealed)


@pytest.mark.parametrize("at", range(OVERHEAD_BYTES + 3))
def test_a_changed_byte_does_not_open(at: int) -> None:
    sealed = bytearray(EventSeal(KEY).close(*WHERE, b"abc"))
    sealed[at] ^= 1

    with pytest.raises(EventSealError, match=r"orders\.v1\[0\]@7"):
        EventSeal(KEY).open(*WHERE, bytes(sealed))


def test_what_is_too_short_is_no_sealed_event_and_the_shortest_is_of_nothing() -> None:
    whole = EventSeal(KEY).close(*WHERE, b"")

    assert EventSeal(KEY).open(*WHERE, whole) == b""
    for part in (b"", whole[:1], whole[:-1]):
        with pytest.raises(EventSealError, match="not a sealed event of version 1"):
            EventSeal(KEY).open(*WHERE, part)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(EventSealError):
        EventSeal(bytes(32)).open(*WHERE, EventSeal(KEY).close(*WHERE, b"value"))
