"""The region's key-encryption keys, and the wrapping of subjects' data keys under them.

A wrapped key is a random nonce of 12 bytes and AES-256-GCM's ciphertext with its tag, bound to
the subject and to the version of the key it lies under. Rotation adds a version, wraps every
subject's key again and touches no sealed event.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import HomeportError, SetupError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class KeyWrapError(HomeportError):
    """A subject's key does not open: another key-encryption key, other bytes, another subject."""


@dataclass(frozen=True, slots=True)
class Kek:
    """One version of the region's key-encryption key.

    Attributes:
        version: From 1; a subject's row names it.
        key: 32 bytes.

    """

    version: int
    key: bytes = field(repr=False)


class Keyring:
    """The versions a process holds; wraps with the newest, opens with the one a row names."""

    def __init__(self, keks: Iterable[Kek]) -> None:
        """Take the versions, at least one.

        Raises:
            SetupError: There is none.

        """
        self.keks = tuple(sorted(keks, key=lambda kek: kek.version))
        if not self.keks:
            msg = "no key-encryption key: the vault's key store is empty; restore it"
            raise SetupError(msg)
        self._ciphers = {kek.version: AESGCM(kek.key) for kek in self.keks}

    @property
    def current(self) -> Kek:
        """The newest version."""
        return self.keks[-1]

    def wrap(self, subject: bytes, data_key: bytes) -> tuple[int, bytes]:
        """Return the version used and a subject's key wrapped under it."""
        version = self.current.version
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = self._ciphers[version]
        return version, nonce + cipher.encrypt(nonce, data_key, _bound(subject, version))

    def unwrap(self, subject: bytes, version: int, wrapped: bytes) -> bytes:
        """Return a subject's key; the inverse of `wrap`.

        Raises:
            KeyWrapError: The version is not held, or it does not open under it.

        """
        cipher = self._ciphers.get(version)
        if cipher is None:
            msg = f"subject {subject.hex()}: its key lies under version {version}, not held here"
            raise KeyWrapError(msg)
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, _bound(subject, version))
        except (InvalidTag, ValueError):
            msg = f"subject {subject.hex()}: its key does not open; was the row or a key changed?"
            raise KeyWrapError(msg) from None


class KeyStore(Protocol):
    """Where the key-encryption keys lie: a file, or a file that a KMS alone can open."""

    def load(self) -> Keyring:
        """Return the keys, making the first on first use.

        Raises:
            SetupError: They cannot be read.
            RetriableError: The KMS does not answer.

        """
        ...

    def add(self) -> Keyring:
        """Add a version, current from now on, and return the keys; raises as `load`."""
        ...

    def retire(self, version: int) -> Keyring:
        """Forget a version that no row needs any more, and return the rest.

        Raises:
            SetupError: It is the current one, or none; or as `load`.

        """
        ...


def without(keyring: Keyring, version: int) -> Keyring:
    """Return the keys without an old version.

    Raises:
        SetupError: It is the current one, or none.

    """
    if version == keyring.current.version:
        msg = f"version {version} is the current key; rotate first"
        raise SetupError(msg)
    rest = [kek for kek in keyring.keks if kek.version != version]
    if len(rest) == len(keyring.keks):
        msg = f"the key store holds no version {version}; see `homeport vault status`"
        raise SetupError(msg)
    return Keyring(rest)


def with_new(keyring: Keyring, key: bytes) -> Keyring:
    """Return the keys with one more version, the current one."""
    return Keyring([*keyring.keks, Kek(keyring.current.version + 1, key)])


def _bound(subject: bytes, version: int) -> bytes:
    return b"homeport.vault.key\x1f" + subject + version.to_bytes(4, "big")
