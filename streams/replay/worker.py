"""One worker of a replay: its share of the partitions, one after the other.

The process holds the region's token and commitment keys and reads raw topics; it holds no way
out of the region and writes nothing but its own state (promise 6).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Message

from connectors.kafka.errors import named
from connectors.postgres.decisions import DecisionReader
from residency.keys import COMMITMENTS, TOKENS_FILE, secret, token_keys
from residency.plan.stored import load_stored
from residency.replay.books import Books, Place
from residency.replay.claims import Claims
from residency.replay.compare import Comparer
from residency.replay.found import Found, Verdict
from schemas.errors import SetupError
from schemas.events import RawBatch
from streams.processor import discover
from streams.replay.archive import Archive
from streams.replay.spool import Spool
from streams.replay.state import Job, State, Task
from streams.replay.topics import AGAIN, Span, batches, marks, offset_of, reader
from streams.settings import ReplaySettings, database
from streams.vault.keystores import open_keystore
from streams.vault.rawopener import RawOpener

SAVE_S = 2.0


def load_books(settings: ReplaySettings) -> Books:
    """Return the region's plans and all versions of its keys.

    Raises:
        SetupError: A key file is missing, or a processor is not the one that a plan names.

    """
    keys = token_keys(must_exist(settings.folder / "keys" / TOKENS_FILE), settings.region)
    return Books(settings.region, load_stored(settings.region), keys, discover())


def must_exist(path: Path) -> Path:
    """Return the folder of a key file, which must be there: a key made now would match nothing.

    Raises:
        SetupError: It is not.

    """
    if not path.exists():
        msg = f"{path}: missing; run this where the region's keys are, or restore them"
        raise SetupError(msg)
    return path.parent


class Worker:
    """Replays tasks of one job."""

    def __init__(
        self, settings: ReplaySettings, state: State, job: Job, rate: float | None
    ) -> None:
        """Take the job; *rate* is in records a second, None for as fast as it goes."""
        self._settings = settings
        self._state = state
        self._job = job
        self._rate = rate
        self._books = load_books(settings)
        self._books.of(self._books.current).warm_up()
        keys = must_exist(settings.folder / "keys" / f"{COMMITMENTS}.json")
        self._root = secret(keys, COMMITMENTS)
        self._spool = Spool(state.folder)
        self._decisions = DecisionReader(database(settings.postgres, "replay"))
        self._archive = Archive(settings)
        self._opener = RawOpener(database(settings.postgres, "replay"), open_keystore(settings))

    def run(self, tasks: Sequence[Task], halt: Callable[[], bool]) -> None:
        """Replay *tasks*, each from where it was left, until *halt* says to stop."""
        with closing(self._archive), closing(self._opener):
            for task in tasks:
                if not halt():
                    self._partition(task, halt)

    def _partition(self, task: Task, halt: Callable[[], bool]) -> None:
        span, place = task.span, task.span.place
        at, found = self._state.progress(place) or (-1, Found())
        if at >= span.stop:
            return
        claims = Claims(self._spool.read(place.topic, place.partition))
        comparer = Comparer(
            place,
            self._books,
            self._job.terms,
            self._root,
            self._job.release,
            task.elsewhere,
            found,
            self._decisions.find,
        )
        with closing(reader(self._settings, "border")) as consumer, named("replay", AGAIN):
            low, high = marks(consumer, place.topic, place.partition)
        archive, topic = _parts(span, low)
        if at < 0:
            at = archive.start if archive else topic.start
            if self._job.until is None:
                past = claims.between(max(high, span.stop), 2**62)
                comparer.without_raw(past, Verdict.RAW_MISSING)
            comparer.found.counts[Verdict.NOT_YET] += span.beyond
        saved, started, done = time.monotonic(), time.monotonic(), 0
        for raw, after, gone in self._batches(place, at, archive, topic):
            erasures = self._archive.erasures(place, raw, at, after)
            opened = self._archive.instead(place, self._opener.open(raw))
            comparer.batch(opened, claims.between(at, after), gone, erasures)
            at, done = after, done + len(raw)
            if time.monotonic() - saved > SAVE_S:
                self._state.save(place, at, found)
                saved = time.monotonic()
            if halt():
                self._state.save(place, at, found)
                return
            if self._rate is not None:
                time.sleep(max(0.0, started + done / self._rate - time.monotonic()))
        self._state.save(place, span.stop, found)

    def _batches(
        self, place: Place, at: int, archive: range, topic: Span
    ) -> Iterator[tuple[RawBatch, int, Verdict]]:
        """Yield the records from *at* on, the offset after each batch, and what a leaf lacks."""
        for raw, after in self._archive.batches(place, max(at, archive.start), archive.stop):
            yield raw, after, Verdict.RAW_GONE
        topic = replace(topic, start=max(at, topic.start))
        for messages, after in batches(self._settings, topic):
            yield raw_batch(place.topic, messages), after, Verdict.RAW_MISSING


def _parts(span: Span, low: int) -> tuple[range, Span]:
    """Return the offsets to read in the archive, and those to read on the topic.

    Args:
        span: What to read.
        low: The first offset that the topic holds now: retention may have moved on since the job
            was made.

    """
    start = min(max(span.start, low), span.stop)
    first, stop = span.archive
    if first >= stop:
        first = stop = span.start
    archive = range(first, start if stop == span.start else stop)
    return archive, replace(span, start=start)


def raw_batch(topic: str, messages: Sequence[Message]) -> RawBatch:
    """Return records of one partition as a batch, in their order."""
    values, keys = [], []
    for message in messages:
        value, key = message.value(), message.key()
        values.append(value if isinstance(value, bytes) else b"")
        keys.append(key if isinstance(key, bytes) else b"")
    offsets = [offset_of(message) for message in messages]
    partitions = [message.partition() or 0 for message in messages]
    return RawBatch([topic] * len(messages), partitions, offsets, values, keys)
