"""Subjects' keys for a batch: those the database has, new ones, and what is remembered of them."""

import secrets
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from connectors.postgres.vault.rows import Wrapped
from connectors.postgres.vault.store import Writing
from residency.vault.keyring import KEY_BYTES, Keyring, KeyStore
from residency.vault.sealing import EventSeal
from residency.vault.terms import Found
from schemas.errors import SetupError

MAX_KNOWN = 50_000  # subjects remembered with what is indexed of them; each takes about 2 KiB


@dataclass(slots=True)
class Known:
    """A subject as this process knows it.

    Attributes:
        wrapped: Its key as the database has it.
        indexed: Texts of it whose terms are in the index.
        is_whole: The index has nothing else of it, as far as this process can know: what is not
            in *indexed* is new, and need not be asked for. Another writer may add the same
            meanwhile; the index bears that.

    """

    wrapped: Wrapped
    data_key: bytes = field(repr=False)
    seal: EventSeal
    indexed: set[Found] = field(default_factory=set, repr=False)
    is_whole: bool = False


class SubjectKeys:
    """The keys that a writer uses. The database decides which; memory saves the unwrapping."""

    def __init__(self, keystore: KeyStore) -> None:
        """Load the key-encryption keys; raises as `KeyStore.load`."""
        self._keystore = keystore
        self._ring: Keyring = keystore.load()
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    @property
    def version(self) -> int:
        """The version that new keys are wrapped under."""
        return self._ring.current.version

    def forget(self) -> None:
        """Forget all subjects: what was remembered may not have been kept."""
        self._known.clear()

    def of(
        self,
        writing: Writing,
        subjects: Collection[bytes],
        at: datetime,
        *,
        for_raw: bool = False,
    ) -> dict[bytes, Known]:
        """Return each subject's key, made and kept where there is none.

        Args:
            writing: The open transaction: no key of these is destroyed before it ends.
            subjects: Each once.
            at: The time.
            for_raw: They are to seal raw records: of whose key is about to be destroyed, which
                would happen before those are read, the next one.

        Raises:
            SetupError: The database names a version that the key store does not hold.
            KeyWrapError: A key does not open.

        """
        self._renew(writing.kek())
        held = writing.keys(subjects)
        if for_raw:
            held |= writing.next_keys(subjects)
        fresh = {s: secrets.token_bytes(KEY_BYTES) for s in subjects if s not in held}
        made = {s: Wrapped(*self._ring.wrap(s, key)) for s, key in fresh.items()}
        others = writing.add_keys(made, at)
        for subject in made.keys() - others.keys():
            key = fresh[subject]
            self._known[subject] = Known(made[subject], key, EventSeal(key), is_whole=True)
        strangers = self._learn({**held, **others})
        if strangers and not for_raw:  # who seals raw records sees nothing of the index
            indexed = writing.indexed(strangers)
            for subject in strangers:
                self._known[subject].is_whole = subject not in indexed
        found = {subject: self._known[subject] for subject in subjects}
        for subject in subjects:
            self._known.move_to_end(subject)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    def _renew(self, version: int) -> None:
        """Load the key-encryption keys again if somebody rotated them."""
        if version > self.version:
            self._ring = self._keystore.load()
        if version > self.version:
            msg = (
                f"the vault wraps under version {version}, the key store here has {self.version};"
                " give this worker the region's newest keyring"
            )
            raise SetupError(msg)

    def _learn(self, held: Mapping[bytes, Wrapped]) -> Sequence[bytes]:
        """Know subjects by the keys that the database has of them; return those that are new."""
        strangers = []
        for subject, wrapped in held.items():
            known = self._known.get(subject)
            if known is not None and known.wrapped == wrapped:
                continue
            data_key = self._ring.unwrap(subject, wrapped.kek, wrapped.key)
            if known is not None and known.data_key == data_key:  # wrapped anew, the same key
                known.wrapped = wrapped
            else:
                self._known[subject] = Known(wrapped, data_key, EventSeal(data_key))
                strangers.append(subject)
        return strangers
