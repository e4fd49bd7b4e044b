"""Sealed payloads: whole or not at all, and only where they were put."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from residency.seal import BORDER, EGRESS, OVERHEAD_BYTES, Seal, SealError, purpose_of

KEY = bytes(range(32))
RECORD, REASON = "eu.commerce.orders.v1[0]@7", "format"


@given(st.binary(max_size=300))
def test_what_was_closed_opens_to_the_same_bytes(payload: bytes) -> None:
    envelope = Seal(KEY).close(RECORD, REASON, payload)

    assert Seal(KEY).open(RECORD, REASON, envelope) == payload
    assert len(envelope) == len(payload) + OVERHEAD_BYTES


def test_the_envelope_is_version_nonce_and_gcm_under_the_record_and_reason() -> None:
    """Held to the library's own words, so that another tool can open it."""
    envelope = Seal(KEY).close(RECORD, REASON, b"zucanary")

    bound = b"homeport.quarantine\x1feu.commerce.orders.v1[0]@7\x1fformat"
    assert envelope[0] == 1
    assert AESGCM(KEY).decrypt(envelope[1:13], envelope[13:], bound) == b"zucanary"


def test_no_two_envelopes_are_alike() -> None:
    seal = Seal(KEY)

    envelopes = {seal.close(RECORD, REASON, b"same") for _ in range(1_000)}

    assert len({e[1:13] for e in envelopes}) == 1_000


@pytest.mark.parametrize("position", range(OVERHEAD_BYTES + 4))
def test_a_changed_byte_does_not_open(position: int) -> None:
    envelope = bytearray(Seal(KEY).close(RECORD, REASON, b"data"))
    envelope[position] ^= 1

    with pytest.raises(SealError, match="orders"):
        Seal(KEY).open(RECORD, REASON, bytes(envelope))


@pytest.mark.parametrize(
    ("key", "record", "reason"),
    [
        (bytes(32), RECORD, REASON),
        (KEY, "eu.commerce.orders.v1[0]@8", REASON),
        (KEY, RECORD, "malformed"),
    ],
    ids=["another key", "another record", "another reason"],
)
def test_an_envelope_opens_under_its_own_key_record_and_reason_only(
    key: bytes, record: str, reason: str
) -> None:
    envelope = Seal(KEY).close(RECORD, REASON, b"zucanary")

    with pytest.raises(SealError) as caught:
        Seal(key).open(record, reason, envelope)

    assert "zucanary" not in str(caught.value)


@pytest.mark.parametrize("envelope", [b"", b"\x01", b"\x01" + bytes(27), b"\x02" + bytes(40)])
def test_what_is_no_envelope_is_named_as_such(envelope: bytes) -> None:
    with pytest.raises(SealError, match="not an envelope"):
        Seal(KEY).open(RECORD, REASON, envelope)


def test_egress_cannot_open_what_the_border_sealed() -> None:
    assert purpose_of("eu.commerce.orders.v1[0]@7") == BORDER
    assert purpose_of("eu.commerce.orders.v1[0]@7#1") == EGRESS
    assert purpose_of("eu.commerce.orders.v1[0]@7#1+2") == EGRESS
