"""Payloads in quarantine: sealed with a key of the region, so that the topic alone says nothing.

An envelope is one version byte (1), a random nonce of 12 bytes and AES-256-GCM's ciphertext with
its tag of 16 bytes. What it is bound to, so that no entry can be passed off as another: the
record's id and the reason it is there.

Border and egress seal under keys of their own: egress holds an outbound credential, so its
process must not hold what opens a raw event (promise 6).

Source: NIST SP 800-38D section 8.3: a key with random 96-bit nonces is good for 2^32
messages; a quarantine that large halts the border long before.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import HomeportError

BORDER, EGRESS = "quarantine", "quarantine-egress"  # purposes of keys, see `residency.keys`
VERSION: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = 1 + NONCE_BYTES + TAG_BYTES


class SealError(HomeportError):
    """An envelope does not open: another key, other bytes, or not the record it lies under."""


def purpose_of(record: str) -> str:
    """Return whose key sealed the entry of *record*: a raw one the border's, else egress's."""
    return EGRESS if "#" in record else BORDER


class Seal:
    """Seals and opens payloads under one key."""

    def __init__(self, key: bytes) -> None:
        """Take the region's 32-byte key of one purpose."""
        self._cipher = AESGCM(key)

    def close(self, record: str, reason: str, payload: bytes) -> bytes:
        """Return *payload* sealed, `OVERHEAD_BYTES` longer, bound to *record* and *reason*."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, payload, _bound(record, reason))
        return bytes((VERSION,)) + nonce + sealed

    def open(self, record: str, reason: str, envelope: bytes) -> bytes:
        """Return the payload in *envelope*; the inverse of `close`.

        Raises:
            SealError: It is not an envelope of this key, record and reason.

        """
        if len(envelope) < OVERHEAD_BYTES or envelope[0] != VERSION:
            msg = f"{record}: not an envelope of version {VERSION}; who else writes to quarantine?"
            raise SealError(msg)
        nonce, sealed = envelope[1 : 1 + NONCE_BYTES], envelope[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, _bound(record, reason))
        except InvalidTag:
            msg = f"{record}: does not open; was the region's quarantine key replaced?"
            raise SealError(msg) from None


def _bound(record: str, reason: str) -> bytes:
    return f"homeport.quarantine\x1f{record}\x1f{reason}".encode()
