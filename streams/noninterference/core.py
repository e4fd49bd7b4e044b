"""Pairs through the pure core: no broker, no files but the reviewed ones; millions of them."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from multiprocessing.synchronize import Event
from typing import Any

from residency import topics
from residency.gate.check import Gate
from residency.keys import TokenKeys
from residency.plan.approved import APPROVED_FILE
from residency.plan.book import PlanBook
from schemas.events import Coordinates, RawEvent
from schemas.registry import load_registry
from streams.noninterference.compare import Comparer, Difference
from streams.noninterference.observe import GENERATION, Cross, Observer, Seen, interpreters
from streams.noninterference.pairs import Pair, Source, sources
from streams.noninterference.report import Report
from streams.plans import load_book

BATCH = 200  # pairs that are decided together
POLL_S = 0.5
NOTES = (
    "timing, and Kafka's own timestamps and offsets: outside of promise 1",
    "a ledger leaf's commitment and time: a hash of the record's bytes, and the clock",
    "what the region's model is asked stays; its labels are declared, and taken to be equal",
    "metrics, logs and spans: the core makes none; --through service compares them",
)
Progress = Callable[[int, int], None]  # pairs done, differences


@dataclass(frozen=True, slots=True)
class Job:
    """What a run compares.

    Attributes:
        keys: Any; every run may make its own.
        schema: One event's name or id; None: all that have an approved plan.

    """

    region: str
    keys: TokenKeys
    pairs: int
    seed: int
    schema: str | None = None
    on: date | None = None


@dataclass(frozen=True, slots=True)
class Core:
    """One process's share of a run."""

    book: PlanBook
    gate: Gate
    sources: Sequence[Source]
    ways: Sequence[Cross]
    comparer: Comparer

    @classmethod
    def load(cls, job: Job, share: int = 0) -> "Core":
        """Return what carries *job* out; *share* tells processes of one run apart."""
        day, registry = job.on or datetime.now(UTC).date(), load_registry()
        book = load_book(job.region, job.keys, day)
        made = sources(book, registry, job.keys, f"{job.seed}.{share}", job.schema)
        gate, ways = Gate.load(job.region, APPROVED_FILE), interpreters(book)
        return cls(book, gate, made, tuple(ways.values()), Comparer(registry))

    def run(self, pairs: int, report: Report) -> Iterator[int]:
        """Compare *pairs* pairs, filling *report*; yield after each batch how many are done.

        The schemas take turns. Whoever stops asking still has a whole report of what was done.
        """
        report.interpreters, report.notes = tuple(interpreters(self.book)), NOTES
        before = {id(source): source.varied() for source in self.sources}
        done = 0
        while done < pairs and self.sources:
            source = self.sources[done // BATCH % len(self.sources)]
            batch = [source.pair(done + n) for n in range(min(BATCH, pairs - done))]
            self._compare(source, batch, report)
            done += len(batch)
            after = source.varied()
            report.cover(_name(source), {p: n - before[id(source)][p] for p, n in after.items()})
            before[id(source)] = after
            yield done

    def _compare(self, source: Source, batch: Sequence[Pair], report: Report) -> None:
        raw_a = [self._raw(source, pair.number, pair.a) for pair in batch]
        raw_b = [self._raw(source, pair.number, pair.b) for pair in batch]
        before: list[list[Seen]] = []
        for way in self.ways:
            sides = [self._seen(way, raw) for raw in (raw_a, raw_b)]
            for raw, a, b in zip(raw_a, *sides, strict=True):
                report.add(self.comparer.differences(source.plan.subject, str(raw.at), a, b))
            for name, seen, reference in zip("AB", sides, before or sides, strict=True):
                report.add(self._disagreements(source, f"side {name}", reference, seen))
            before = before or sides
        for one in before[0]:  # the reference's side A
            report.endings[one.ending] += 1
            for record in one.records:
                report.verdicts[record.verdict.partition(":")[0]] += 1
        report.pairs[_name(source)] += len(batch)

    def _seen(self, way: Cross, events: Sequence[RawEvent]) -> list[Seen]:
        observer = Observer(self.book, self.gate)
        decided = way(self.book, events)
        return [observer.see(e, decision) for e, decision in zip(events, decided, strict=True)]

    def _disagreements(
        self, source: Source, side: str, reference: Sequence[Seen], seen: Sequence[Seen]
    ) -> Iterator[Difference]:
        """Yield where a way does not see what the reference sees of the very same event."""
        for one, other in zip(reference, seen, strict=True):
            if one is not other and _outside(one) != _outside(other):
                name = one.records[0].name if one.records else "an event that does not cross"
                yield Difference(name, source.plan.subject, side, "the interpreters disagree")

    def _raw(self, source: Source, number: int, value: bytes) -> RawEvent:
        at = Coordinates(topics.raw(self.book.region, source.schema.domain), 0, number)
        return RawEvent(at, "noninterference", GENERATION, value)


def _outside(seen: Seen) -> tuple[Any, ...]:
    """Return what both ways make of one event: egress is asked about one of them alone."""
    records = tuple((r.name, r.object, r.key, r.value, r.headers) for r in seen.records)
    return seen.ending, seen.error, records, seen.asked


def _name(source: Source) -> str:
    return f"{source.schema.subject}@{source.schema.version}"


def compare(job: Job, jobs: int, progress: Progress) -> Report:
    """Return what comparing *job* found, in *jobs* processes.

    Ctrl-C ends it early: the report then covers what was compared until then.
    """
    if jobs == 1:
        return _alone(job, progress)
    context = multiprocessing.get_context("spawn")  # no copy of threads of whoever asks
    done = [context.Value("Q", 0) for _ in range(jobs * 2)]  # per job: pairs, differences
    stop = context.Event()
    shares = [job.pairs // jobs + (n < job.pairs % jobs) for n in range(jobs)]
    whole = Report()
    with (
        _interrupting(stop),
        ProcessPoolExecutor(jobs, context, _shared, (done, stop)) as pool,
    ):
        with _held_back(signal.SIGINT):  # a child starts in submit, and inherits it
            running = {pool.submit(_share, job, n, pairs) for n, pairs in enumerate(shares)}
        left = set(running)
        while left:
            _, left = wait(left, POLL_S)
            progress(sum(v.value for v in done[::2]), sum(v.value for v in done[1::2]))
        for future in running:
            whole.merge(future.result())
    whole.is_interrupted = stop.is_set()
    return whole


@contextmanager
def _interrupting(stop: Event) -> Iterator[None]:
    """Let Ctrl-C set *stop* and nothing else: an exception could come where it ends no child."""
    before = signal.signal(signal.SIGINT, lambda _number, _frame: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """Deliver the signal to this process afterwards; to one started within, never.

    A terminal sends Ctrl-C to children too, also to those that are still importing.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def _alone(job: Job, progress: Progress) -> Report:
    report, told = Report(), time.monotonic()
    try:
        for done in Core.load(job).run(job.pairs, report):
            if time.monotonic() - told > POLL_S:
                progress(done, report.found.total())
                told = time.monotonic()
    except KeyboardInterrupt:
        report.is_interrupted = True
    progress(report.pairs.total(), report.found.total())
    return report


_SHARED: dict[str, Any] = {}  # of a child process: set once, before its only task


def _shared(done: Any, stop: Any) -> None:  # noqa: ANN401, their types are private
    _SHARED.update(done=done, stop=stop)


def _share(job: Job, number: int, pairs: int) -> Report:
    report = Report()
    for done in Core.load(job, number).run(pairs, report):
        _SHARED["done"][2 * number].value = done
        _SHARED["done"][2 * number + 1].value = report.found.total()
        if _SHARED["stop"].is_set():
            report.is_interrupted = True
            break
    return report
