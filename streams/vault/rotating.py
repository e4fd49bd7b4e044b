"""A new key-encryption key for the region's vault: every subject's key is wrapped anew.

Sealed events are not touched. May be interrupted at any point and begun again: a version that
was added and not finished with is finished, not followed by another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from connectors.postgres.vault.upkeep import Upkeep, Wrapped
from residency.vault.keyring import KeyStore


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did.

    Attributes:
        version: What all keys lie under now.
        wrapped: How many were wrapped anew this time.
        retired: Versions that the key store has forgotten.

    """

    version: int
    wrapped: int
    retired: tuple[int, ...] = ()


def rotate(
    upkeep: Upkeep, keystore: KeyStore, now: datetime, progress: Callable[[int, int], None]
) -> Rotated:
    """Wrap every key under a new version, or finish a rotation that was interrupted.

    Args:
        upkeep: The database.
        keystore: Where the key-encryption keys lie.
        now: The time.
        progress: Told how many keys are done, and of how many.

    """
    keyring = keystore.load()
    if upkeep.version() == keyring.current.version and upkeep.older(keyring.current.version) == 0:
        keyring = keystore.add()
    version = keyring.current.version
    upkeep.declare(version, now)

    def anew(subject: bytes, kek: int, wrapped: bytes) -> Wrapped:
        return keyring.wrap(subject, keyring.unwrap(subject, kek, wrapped))

    total, done = upkeep.older(version), 0
    while upkeep.older(version):
        while count := upkeep.rewrap(version, anew):
            done += count
            progress(done, total)
    return Rotated(version, done)


def retire(upkeep: Upkeep, keystore: KeyStore) -> tuple[int, ...]:
    """Forget every version but the newest, and return those that were forgotten.

    Raises:
        SetupError: A key still lies under one.

    """
    keyring = keystore.load()
    gone = tuple(kek.version for kek in keyring.keks[:-1])
    for version in gone:
        upkeep.forget(version)
        keystore.retire(version)
    return gone
