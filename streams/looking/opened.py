"""The vault as its readers have it: one connection that several threads take turns at."""

import threading
from collections.abc import Callable
from typing import TypeVar

from connectors.postgres.vault.reader import VaultReader
from residency.vault.keyring import KeyStore, KeyWrapError

T = TypeVar("T")


class OpenVault:
    """A reader with the region's keys, which may be rotated while it is open."""

    def __init__(self, dsn: str, keys: KeyStore) -> None:
        """Remember where; the first look connects, and loads the keys."""
        self._dsn = dsn
        self._keys = keys
        self._lock = threading.Lock()
        self._reader: VaultReader | None = None

    def read(self, look: Callable[[VaultReader], T]) -> T:
        """Return what *look* finds; it may be called twice.

        Raises:
            RetriableError: Postgres or the key store does not answer.
            KeyWrapError: A subject's key does not open, under today's keys either.

        """
        with self._lock:
            try:
                return look(self._opened())
            except KeyWrapError:  # under a key that is newer than what we loaded, maybe
                self._close()
                return look(self._opened())

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._close()

    def _opened(self) -> VaultReader:
        if self._reader is None:
            self._reader = VaultReader(self._dsn, self._keys.load())
        return self._reader

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
