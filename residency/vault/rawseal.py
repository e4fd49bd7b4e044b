"""Raw records that hold no plaintext: the gateway seals an event under its subject's key.

A sealed value is `MARK` (4 bytes; Confluent's framing begins with 0x00, so no codec takes one for
the other, and both may lie on one topic), the subject (16), a random nonce (12) and AES-256-GCM's
ciphertext with its tag (16). It is bound to its topic and its subject. Not to its offset, which
Kafka gives later: who may write to the topic can put a sealed value there twice.

The data key is the one that `sealing` uses. What each of them binds begins with another word, so
neither opens the other's, and both draw nonces at random: see there for how many that allows.
"""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from residency.vault.sealing import NONCE_BYTES, TAG_BYTES
from residency.vault.subjects import SUBJECT_BYTES
from schemas.errors import HomeportError

MARK: Final = b"\x02hp\x01"  # the last byte is the version
OVERHEAD_BYTES: Final = len(MARK) + SUBJECT_BYTES + NONCE_BYTES + TAG_BYTES
_NONCE: Final = len(MARK) + SUBJECT_BYTES
_BODY: Final = _NONCE + NONCE_BYTES


class RawSealError(HomeportError):
    """A sealed value does not open: another key, other bytes, another topic or subject."""


def is_sealed(value: bytes) -> bool:
    """Return whether a raw record's value is sealed, so far as its first bytes say."""
    return value.startswith(MARK)


def subject_in(sealed: bytes) -> bytes:
    """Return whose a sealed value says it is, for who has the value without its Kafka key.

    16 bytes; fewer where the value was cut. Only `RawSeal.open` proves it.
    """
    return sealed[len(MARK) : _NONCE]


class RawSeal:
    """Seals and opens the raw values of one subject."""

    __slots__ = ("_cipher", "_subject")

    def __init__(self, subject: bytes, data_key: bytes) -> None:
        """Take the subject, 16 bytes, and its 32-byte key."""
        self._subject = subject
        self._cipher = AESGCM(data_key)

    def close(self, topic: str, value: bytes) -> bytes:
        """Return *value* sealed for a raw *topic*, `OVERHEAD_BYTES` longer."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        body = self._cipher.encrypt(nonce, value, self._bound(topic))
        return MARK + self._subject + nonce + body

    def open(self, topic: str, sealed: bytes) -> bytes:
        """Return the value; the inverse of `close`.

        Raises:
            RawSealError: It is not of this topic and subject under this key.

        """
        if len(sealed) < OVERHEAD_BYTES or not sealed.startswith(MARK + self._subject):
            msg = f"{topic}: no sealed value of this subject; who else writes there?"
            raise RawSealError(msg)
        try:
            return self._cipher.decrypt(sealed[_NONCE:_BODY], sealed[_BODY:], self._bound(topic))
        except InvalidTag:
            msg = f"{topic}: a value does not open under the key of its subject"
            raise RawSealError(msg) from None

    def _bound(self, topic: str) -> bytes:
        return f"homeport.raw.event\x1f{topic}\x1f".encode() + self._subject
