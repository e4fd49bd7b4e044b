"""One worker of a replay: its share of the partitions, one after the other.

The process holds the region's token and commitment keys and reads raw topics; it holds no way
out of the region and writes nothing but its own state (promise 6).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from confluent_kafka import Message

from connectors.kafka.errors import named
from connectors.postgres.decisions import DecisionReader
from residency.keys import COMMITMENTS, TOKENS_FILE, secret, token_keys
from residency.plan.stored import load_stored
from residency.replay.books import Books
from residency.replay.claims import Claims
from residency.replay.compare import Comparer
from residency.replay.found import Found, Verdict
from schemas.errors import SetupError
from schemas.events import RawBatch
from streams.processor import discover
from streams.replay.spool import Spool
from streams.replay.state import Job, State, Task
from streams.replay.topics import AGAIN, batches, marks, offset_of, reader
from streams.settings import ReplaySettings, database

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

    def run(self, tasks: Sequence[Task], halt: Callable[[], bool]) -> None:
        """Replay *tasks*, each from where it was left, until *halt* says to stop."""
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
        if at < 0:
            at = self._begin(task, claims, comparer)
        saved, started, done = time.monotonic(), time.monotonic(), 0
        for messages, after in batches(self._settings, replace(span, start=at)):
            comparer.batch(raw_batch(place.topic, messages), claims.between(at, after))
            at, done = after, done + len(messages)
            if time.monotonic() - saved > SAVE_S:
                self._state.save(place, at, found)
                saved = time.monotonic()
            if halt():
                break
            if self._rate is not None:
                time.sleep(max(0.0, started + done / self._rate - time.monotonic()))
        self._state.save(place, at, found)

    def _begin(self, task: Task, claims: Claims, comparer: Comparer) -> int:
        """Note what lies on either side of the span; return the first offset to read.

        Retention may have moved on since the job was made.
        """
        span, place = task.span, task.span.place
        with closing(reader(self._settings, "border")) as consumer, named("replay", AGAIN):
            low, high = marks(consumer, place.topic, place.partition)
        start = min(max(span.start, low), span.stop)
        first = 0 if span.is_whole else span.start
        comparer.without_raw(claims.between(first, start), Verdict.RAW_GONE)
        if self._job.until is None:
            comparer.without_raw(claims.between(max(high, span.stop), 2**62), Verdict.RAW_MISSING)
        comparer.found.counts[Verdict.NOT_YET] += span.beyond
        return start


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
