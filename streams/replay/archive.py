"""What a replay reads of the vault: raw records that Kafka has no more, and who is erased.

Its role may read sealed events and the wrapped keys of their subjects; it opens them with the
region's key-encryption key. Of erased subjects there is nothing to open.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from connectors.postgres.vault.reader import Kept, VaultReader
from residency.replay.books import Place
from residency.replay.compare import Erasures
from residency.vault.rawseal import is_sealed
from schemas.events import RawBatch
from streams.replay.topics import BATCH, Span
from streams.settings import ReplaySettings, database
from streams.vault.keystores import open_keystore


class Archive:
    """The vault, as one worker of a replay sees it.

    Each call raises `RetriableError` where Postgres does not answer.
    """

    def __init__(self, settings: ReplaySettings) -> None:
        """Open the region's key-encryption keys; connects on the first call."""
        keyring = open_keystore(settings).load()
        self._reader = VaultReader(database(settings.postgres, "replay"), keyring)

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()

    def within(self, span: Span, since: datetime | None, until: datetime | None) -> Span:
        """Return *span* with what the archive holds of it before the topic's start."""
        place, start = span.place, 0
        if since is not None:
            found = self._reader.first(place.topic_id, place.partition, since)
            start = span.start if found is None else found
        stop = span.start
        if until is not None and span.start == span.stop:  # it ends before the topic begins
            found = self._reader.first(place.topic_id, place.partition, until)
            stop = stop if found is None else min(stop, found)
        return replace(span, archive=(start, stop)) if start < stop else span

    def batches(self, place: Place, start: int, stop: int) -> Iterator[tuple[RawBatch, int]]:
        """Yield the records of a partition, as `streams.replay.topics.batches` does.

        The last batch covers all up to *stop*, whether it is there or not.

        Raises:
            KeyWrapError: A subject's key does not open: another keyring.
            EventSealError: An event does not open: somebody changed the row.

        """
        if start >= stop:
            return
        some: list[Kept] = []
        for kept in self._reader.archive(place.topic_id, place.partition, start, stop):
            some.append(kept)
            if len(some) == BATCH:
                yield _raw(place, some), some[-1].offset + 1
                some = []
        yield _raw(place, some), stop

    def erasures(self, place: Place, raw: RawBatch, start: int, stop: int) -> Erasures:
        """Return what of a range is of people who are erased, or are being erased."""
        begun = self._reader.under_way()
        done = self._reader.erased(place.topic_id, place.partition, start, stop)
        keys = zip(raw.offsets, raw.keys, strict=True)
        return Erasures(done, {offset for offset, key in keys if key in begun})

    def instead(self, place: Place, raw: RawBatch) -> RawBatch:
        """Return *raw* with the archive's copy of each record that no key opens on its topic.

        There is one of a person who registered again while their erasure was under way: the vault
        has sealed what came since under a new key, the topic holds it under the one that went.
        """
        sealed = [n for n, value in enumerate(raw.values) if is_sealed(value)]
        values = list(raw.values)
        for n in sealed:
            kept = self._reader.record(place.topic_id, place.partition, raw.offsets[n])
            values[n] = values[n] if kept is None else kept.value
        return replace(raw, values=values) if sealed else raw


def archived(
    settings: ReplaySettings,
    spans: Sequence[Span],
    since: datetime | None,
    until: datetime | None,
) -> list[Span]:
    """Return *spans*, each with what to read of it in the archive.

    Raises:
        RetriableError: Postgres does not answer.

    """
    with closing(Archive(settings)) as archive:
        return [archive.within(span, since, until) for span in spans]


def _raw(place: Place, kept: Sequence[Kept]) -> RawBatch:
    count = len(kept)
    return RawBatch(
        [place.topic] * count,
        [place.partition] * count,
        [one.offset for one in kept],
        [one.value for one in kept],
        [one.subject for one in kept],
    )
