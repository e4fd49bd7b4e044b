"""Which key store a region's vault has: a file, or a file that a KMS alone can open."""

from pathlib import Path
from typing import Protocol

from residency.vault.keyfiles import FileKeyStore
from residency.vault.keyring import KeyStore


class HasVault(Protocol):
    """Settings of a service or a tool that opens the vault's keys."""

    @property
    def folder(self) -> Path:
        """The region's folder in the home."""
        ...


def open_keystore(settings: HasVault) -> KeyStore:
    """Return the key store that *settings* name."""
    return FileKeyStore(settings.folder / "keys")
