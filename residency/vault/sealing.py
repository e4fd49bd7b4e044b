"""Events sealed whole, each under its subject's key and bound to its name and its subject.

A sealed event is one version byte (1), a random nonce of 12 bytes and AES-256-GCM's ciphertext
with its tag of 16 bytes. What it is bound to, so that no event can be passed off as another's or
under another name: Kafka's id of the raw topic, the record's name, the subject.

Source: NIST SP 800-38D section 8.3: a key with random 96-bit nonces is good for 2^32 messages;
no customer has as many events.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import HomeportError

VERSION: Final = 1
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = 1 + NONCE_BYTES + TAG_BYTES
_VERSION: Final = bytes((VERSION,))
_PURPOSE: Final = "homeport.vault.event"


class EventSealError(HomeportError):
    """A sealed event does not open: another key, other bytes, another name or subject."""


def nonces(count: int) -> list[bytes]:
    """Return so many random nonces: each call of the system for random bytes takes microseconds."""
    drawn = secrets.token_bytes(count * NONCE_BYTES)
    return [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]


class EventSeal:
    """Seals and opens the events of one subject."""

    __slots__ = ("_cipher",)

    def __init__(self, data_key: bytes) -> None:
        """Take the subject's 32-byte key."""
        self._cipher = AESGCM(data_key)

    def close(
        self, name: str, topic_id: str, subject: bytes, value: bytes, nonce: bytes | None = None
    ) -> bytes:
        """Return *value* sealed, `OVERHEAD_BYTES` longer.

        Args:
            name: The raw record's, such as ``eu.commerce.orders.v1[0]@7``.
            topic_id: Kafka's id of its topic.
            subject: Whose it is.
            value: As Kafka has it.
            nonce: One of `nonces`, which is used for nothing else; None: one is drawn.

        """
        nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        return self.close_bound(value, nonce, _bound(name, topic_id, subject))

    def close_bound(self, value: bytes, nonce: bytes, bound: bytes) -> bytes:
        """Return *value* sealed as by `close`, bound to what `bound` returns."""
        return _VERSION + nonce + self._cipher.encrypt(nonce, value, bound)

    def open(self, name: str, topic_id: str, subject: bytes, sealed: bytes) -> bytes:
        """Return the value; the inverse of `close`.

        Raises:
            EventSealError: It is not the event of this name, topic and subject under this key.

        """
        if len(sealed) < OVERHEAD_BYTES or sealed[0] != VERSION:
            msg = f"{name}: not a sealed event of version {VERSION}; who else writes to the vault?"
            raise EventSealError(msg)
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, _bound(name, topic_id, subject))
        except InvalidTag:
            msg = f"{name}: does not open under its subject's key; was the row or the key changed?"
            raise EventSealError(msg) from None


def bound_prefix(topic: str, partition: int, topic_id: str) -> bytes:
    """Return what the events of one partition are all bound to, for `bound`."""
    return f"{_PURPOSE}\x1f{topic_id}\x1f{topic}[{partition}]@".encode()


def bound(prefix: bytes, offset: int, subject: bytes) -> bytes:
    """Return what the event at *offset* of a partition is bound to: the same as by its name."""
    return b"%b%d\x1f%b" % (prefix, offset, subject)


def _bound(name: str, topic_id: str, subject: bytes) -> bytes:
    return f"{_PURPOSE}\x1f{topic_id}\x1f{name}\x1f".encode() + subject
