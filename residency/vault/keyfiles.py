"""The embedded key store: the key-encryption keys in one 0600 file."""

import secrets
from pathlib import Path
from typing import Any

from residency.keyfiles import alone, load_or_create, replace_file
from residency.vault.keyring import KEY_BYTES, Kek, Keyring, with_new, without
from schemas.errors import SetupError

KEK_FILE = "vault-kek.json"


class FileKeyStore:
    """Keys in ``vault-kek.json`` of a folder: a `KeyStore`."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of the region's keys."""
        self._path = folder / KEK_FILE

    def load(self) -> Keyring:
        """See `KeyStore.load`."""
        first = Keyring([Kek(1, secrets.token_bytes(KEY_BYTES))])
        try:
            raw = load_or_create(self._path, lambda: _document(first))
            rows = [Kek(int(row["version"]), bytes.fromhex(row["key"])) for row in raw["keks"]]
        except (KeyError, TypeError, ValueError):
            msg = f"{self._path}: no keyring of the vault; restore it, or no sealed event opens"
            raise SetupError(msg) from None
        return Keyring(rows)

    def add(self) -> Keyring:
        """See `KeyStore.add`."""
        self.load()
        with alone(self._path):
            return self._keep(with_new(self.load(), secrets.token_bytes(KEY_BYTES)))

    def retire(self, version: int) -> Keyring:
        """See `KeyStore.retire`."""
        with alone(self._path):
            return self._keep(without(self.load(), version))

    def _keep(self, keyring: Keyring) -> Keyring:
        replace_file(self._path, _document(keyring))
        return keyring


def _document(keyring: Keyring) -> dict[str, Any]:
    return {"keks": [{"version": kek.version, "key": kek.key.hex()} for kek in keyring.keks]}
