"""Opens what a gateway sealed, for those who read raw records: border, vault, replay and people.

Keys are asked for with each batch and forgotten after it: what the database does not have any
more opens nothing from the next batch on.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from connectors.postgres.vault.wrapped import WrappedKeys
from residency.vault.keyring import Keyring, KeyStore, KeyWrapError
from residency.vault.rawseal import RawSeal, RawSealError, is_sealed, subject_in
from schemas.errors import RetriableError, SetupError
from schemas.events import RawBatch
from streams.duties import NotNowError


class RawOpener:
    """One connection to the region's Postgres, which is made with the first sealed record.

    Neither it nor a key is needed where nothing is sealed. One thread.
    """

    def __init__(self, dsn: str, keystore: KeyStore) -> None:
        """Take by which role to ask for keys, and what opens them."""
        self._wrapped = WrappedKeys(dsn)
        self._keystore = keystore
        self._ring: Keyring | None = None

    def close(self) -> None:
        """Close the connection."""
        self._wrapped.close()

    def open(self, batch: RawBatch) -> RawBatch:
        """Return a batch with its sealed values opened; those that no key opens stay sealed.

        Those are of subjects whose key was destroyed, or lost, or they were tampered with: the
        suppressions tell the first from the others, and a plan book refuses what is sealed.

        Raises:
            NotNowError: Postgres does not answer, or the KMS of the key store.
            SetupError: The vault is hidden from this role, or its keys are not here.

        """
        values = batch.values
        sealed = [n for n, value in enumerate(values) if is_sealed(value)]
        if not sealed:
            return batch
        try:
            seals = self._seals({batch.keys[n] for n in sealed})
        except RetriableError as error:
            raise NotNowError(str(error)) from None  # a text of ours
        opened = list(values)
        for n in sealed:
            opened[n] = _opened(seals.get(batch.keys[n], ()), batch.topics[n], values[n])
        return replace(batch, values=opened)

    def one(self, topic: str, value: bytes) -> bytes:
        """Return one value opened, as `open` does, by the subject that it says it is of."""
        return self.open(RawBatch([topic], [0], [0], [value], [subject_in(value)])).values[0]

    def _seals(self, subjects: Collection[bytes]) -> Mapping[bytes, Sequence[RawSeal]]:
        """Return the seals of those subjects of whom a key is there and opens."""
        rows = self._wrapped.of(subjects)
        if not rows:
            return {}
        ring = self._keys_of(max(one.kek for keys in rows.values() for one in keys))
        seals = defaultdict[bytes, list[RawSeal]](list)
        for subject, keys in rows.items():
            for one in keys:
                # somebody changed the row where it does not open: quarantine names its records
                with suppress(KeyWrapError):
                    seals[subject].append(RawSeal(subject, ring.unwrap(subject, one.kek, one.key)))
        return seals

    def _keys_of(self, version: int) -> Keyring:
        """Return the key-encryption keys, loaded again where somebody rotated them."""
        if self._ring is None or version > self._ring.current.version:
            self._ring = self._keystore.load()
        if version > self._ring.current.version:
            msg = (
                f"subjects' keys lie under version {version}, the key store here has"
                f" {self._ring.current.version}; give this process the region's newest keyring"
            )
            raise SetupError(msg)
        return self._ring


def _opened(seals: Sequence[RawSeal], topic: str, value: bytes) -> bytes:
    for seal in seals:
        with suppress(RawSealError):
            return seal.open(topic, value)
    return value
