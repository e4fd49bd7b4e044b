"""Holds raw records against the region's suppressions: the erased do not come back.

An erasure outranks availability: while the suppressions cannot be read, nothing is decided, and
records wait where they are.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from connectors.postgres.vault.suppressions import Suppressions
from residency.keys import secret
from residency.vault.kinds import load_kinds
from residency.vault.subjects import NOBODY, subject_of
from residency.vault.suppress import Judgement, Suppression, judge, tell
from schemas.codec import decode_physical
from schemas.errors import QuarantineError, RetriableError, SetupError
from schemas.events import RawBatch
from schemas.registry import load_registry

PARTITION = "partition"  # purpose of the key that makes subjects of customer ids


class Erased:
    """What one process can know of its region's erased subjects. One thread.

    Each call raises as `Suppressions` does.
    """

    def __init__(self, dsn: str) -> None:
        """Remember where the vault is; the first call connects."""
        self._suppressions = Suppressions(dsn)
        self._registry = load_registry()
        self._kinds = load_kinds()

    def close(self) -> None:
        """Close the connection."""
        self._suppressions.close()

    def of(self, keys: Iterable[bytes]) -> Mapping[bytes, Suppression]:
        """Return the suppressions of the subjects that are the *keys* of raw records."""
        return self._suppressions.of(set(keys))

    def judge(self, batch: RawBatch, known: Mapping[bytes, Suppression]) -> Judgement:
        """Return what the rule says of a batch; changes nothing.

        Args:
            batch: Raw records.
            known: The suppressions of their subjects.

        """
        values = batch.values
        return judge(batch.keys, known, lambda n: tell(values[n], self._registry, self._kinds))

    def refused(self, batch: RawBatch) -> Mapping[int, Suppression]:
        """Return what refuses records of a batch, by their number; keep what the others lift."""
        known = self.of(batch.keys)
        judged = self.judge(batch, known)
        self.lift(judged.lifts)
        return judged.refused

    def lift(self, lifts: Mapping[bytes, datetime]) -> None:
        """Keep that suppressions are lifted, by subject the time as of which."""
        for subject, at in lifts.items():
            self._suppressions.lift(subject, at)

    def unchanged(self, known: Mapping[bytes, Suppression], subjects: Iterable[bytes]) -> None:
        """See that of some *subjects* none has another suppression than is *known*.

        For who sends records that were judged some time ago: asked once Kafka has them and
        before they are committed, so an erasure either is seen here, or finds them on the topic.

        Raises:
            RetriableError: One has.

        """
        if self.of(subjects) != known:
            msg = "an erasure was asked for, or ended, meanwhile; run it again"
            raise RetriableError(msg)

    def tokens(self, tokens: Collection[str]) -> Mapping[str, Suppression]:
        """Return the suppressions of the customers whose *tokens* these are, lifted ones too."""
        return self._suppressions.of_tokens(tokens)


class Owners:
    """Tells whose an event is where its raw record, whose key says it, may be gone."""

    def __init__(self, keys: Path) -> None:
        """Take the folder of the region's keys.

        Raises:
            SetupError: The key of subjects is not there; one made now would fit nobody.

        """
        if not (keys / f"{PARTITION}.json").exists():
            msg = f"{keys}: no key {PARTITION!r}; run this where the region's gateway is at home"
            raise SetupError(msg)
        self._key = secret(keys, PARTITION)
        self._registry = load_registry()

    def of(self, value: bytes) -> bytes:
        """Return the subject of the event in a raw record's value; `NOBODY` if it says none."""
        try:
            _, fields = decode_physical(self._registry, value)
            return subject_of(self._key, fields["customer"]["customer_id"])
        except (QuarantineError, KeyError):
            return NOBODY
