"""Which key store a region's vault has: a file, or a file that a KMS alone can open."""

from pathlib import Path
from typing import Protocol

from connectors.kms import KmsKeyStore
from residency.vault.keyfiles import FileKeyStore
from residency.vault.keyring import KeyStore
from streams.settings import VaultConfig


class HasVault(Protocol):
    """Settings of a service or a tool that opens the vault's keys."""

    @property
    def folder(self) -> Path:
        """The region's folder in the home."""
        ...

    @property
    def region(self) -> str:
        """Whose keys."""
        ...

    @property
    def vault(self) -> VaultConfig:
        """Where they lie."""
        ...


def open_keystore(settings: HasVault) -> KeyStore:
    """Return the key store that *settings* name.

    Raises:
        SetupError: They name a KMS, and boto3 is not installed.

    """
    folder = settings.folder / "keys"
    if settings.vault.kms is None:
        return FileKeyStore(folder)
    return KmsKeyStore(folder, settings.region, settings.vault.kms)
