"""Pairs through the real service: side A of all of them, then side B, then both compared."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.record import Record
from residency import topics
from residency.keys import token_keys
from schemas.codec import decode_physical
from schemas.errors import RetriableError
from schemas.events import Coordinates
from schemas.registry import Registry, load_registry
from streams.noninterference.compare import Difference, Renaming
from streams.noninterference.core import Job, Progress
from streams.noninterference.pairs import Source, sources
from streams.noninterference.report import Report
from streams.noninterference.signals import metrics, notes, renamed, spans
from streams.noninterference.stage import Raw, Side, Stage
from streams.plans import load_book

VERSION = "Base_Version__c"
_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")
NOTES = (
    "timing, and Kafka's own timestamps and offsets: outside of promise 1",
    "which partition a minimal record lies on: its key, a token, chooses",
    "the order of records from different partitions: whichever was polled first",
    "what a quarantine record holds: the raw record, which stays in the region",
    "requests for labels, which stay in the region, and labels, which are declared",
    "what egress makes of the records: --through core compares the gate and the ledger's leaf",
    "librdkafka's own lines on stderr: it sees no content but bytes to carry",
)


@dataclass(frozen=True, slots=True)
class Out:
    """One record that came out, named as of offset 0 and without its trace.

    Attributes:
        at: Where it lies; its order among others is compared.

    """

    at: Coordinates
    name: str
    key: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)
    body: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class Theatre:
    """Everything around the two sides."""

    stage: Stage
    registry: Registry

    def out(self, side: Side) -> Iterator[Out]:
        """Yield the records of *side*."""
        rename = renamed(side.starts)
        for record in side.records:
            is_minimal = record.at.topic == topics.minimal(self.stage.region)
            texts = headers.texts(record.headers)
            base = _offset(texts.get(headers.RECORD, ""), side.starts)
            told = tuple((n, _told(n, v, rename, base)) for n, v in record.headers)
            yield Out(
                at=record.at,
                name=rename(texts.get(headers.RECORD, "unnamed")),
                key=record.key if is_minimal else rename(record.key.decode()).encode(),
                headers=told,
                body=self._body(record, base) if is_minimal else b"",
                size=len(record.value) if is_minimal else 0,
            )

    def _body(self, record: Record, base: int) -> bytes:
        _, values = decode_physical(self.registry, record.value)
        return repr({**values, VERSION: values[VERSION] - base}).encode()


def _offset(name: str, starts: Mapping[tuple[str, int], int]) -> int:
    """Return the first offset of the partition that a record's name stands for."""
    topic, _, rest = name.partition("[")
    partition = rest.partition("]")[0]
    return starts.get((topic, int(partition)), 0) if partition.isdigit() else 0


def _told(name: str, value: bytes, rename: Callable[[str], str], base: int) -> bytes:
    if name == headers.VERSION and value.isdigit():
        return str(int(value) - base).encode()
    text = value.decode("utf-8", "backslashreplace")
    if name == headers.TRACEPARENT and _TRACE.fullmatch(text):
        return b"a trace of its own"
    return rename(text).encode()


def compare_on(
    job: Job, home: Path, progress: Progress, step: Callable[[str, str], None]
) -> Report:
    """Return what comparing *job* through a border on a stack of its own found.

    Args:
        job: Its keys are not used: the stack makes its own.
        home: Where the stack goes; nothing of another may run there.
        progress: Told how many pairs are through, and how many differences are found.
        step: Told what the stack does.

    Raises:
        SetupError: The stack does not start.
        RetriableError: The border does not get on.

    """
    stack = Stack(home, (job.region,))
    stack.up(Launch(), step)
    try:
        return through(job, stack.home, progress)
    finally:
        stack.down(step)


def through(job: Job, home: Path, progress: Progress) -> Report:
    """Return the same on a stack that runs already, on which nobody else is at work."""
    registry, stage = load_registry(), Stage(home, job.region)
    keys = token_keys(home / job.region / "keys", job.region)
    book = load_book(job.region, keys, job.on or datetime.now(UTC).date())
    report = Report(interpreters=("border",), notes=(*NOTES, *notes()))
    folder = home / "noninterference" / f"{job.seed}"
    # what others left on the raw topics would come out on side a
    stage.play((), folder / "before", random.Random(0), lambda _decided: None)
    sides: list[Side] = []
    for number, name in enumerate(("a", "b")):
        # made twice rather than kept: the pairs of a long run do not fit into memory
        made = sources(book, registry, keys, f"{job.seed}", job.schema)
        if not made:
            return report
        raw = _published(stage, made, job.pairs, number)
        rng = random.Random(f"{job.seed}/{name}")
        told = partial(_halves, progress, number * job.pairs)
        try:
            sides.append(stage.play(raw, folder / name, rng, told))
        except RetriableError:
            raise
        except Exception as error:  # noqa: BLE001, a crash is what an observer sees best
            what = f"the border ends with {type(error).__name__}"
            report.add([Difference(f"side {name}", "border", "", what)])
        _cover(report, made, job.pairs)
    if len(sides) == 2:  # noqa: PLR2004
        _Comparison(Theatre(stage, registry), report).run(*sides)
    progress(job.pairs, report.found.total())
    return report


def _halves(progress: Progress, before: int, decided: int) -> None:
    progress((before + decided) // 2, 0)


def _cover(report: Report, made: list[Source], pairs: int) -> None:
    """Say what the pairs were; the same on both sides, so the second time changes nothing."""
    report.varied.clear()
    for number, source in enumerate(made):
        name = f"{source.schema.subject}@{source.schema.version}"
        report.cover(name, source.varied())
        report.pairs[name] = len(range(number, pairs, len(made)))


def _published(stage: Stage, made: list[Source], pairs: int, side: int) -> Iterator[Raw]:
    wide = {name: stage.partitions(name) for name in topics.raw_topics(stage.region)}
    for number in range(pairs):
        source = made[number % len(made)]
        topic = topics.raw(stage.region, source.schema.domain)
        pair = source.pair(number)
        yield Raw(topic, (number // len(made)) % wide[topic], (pair.a, pair.b)[side])


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Fills a report with what tells two sides apart."""

    theatre: Theatre
    report: Report
    renaming: Renaming = field(default_factory=Renaming)

    def run(self, a: Side, b: Side) -> None:
        mine, theirs = self._by_name(a), self._by_name(b)
        for name in sorted(mine.keys() | theirs.keys()):
            self._records(name, mine.get(name, []), theirs.get(name, []))
        self._orders(mine, theirs)
        self._signals(a, b)

    def _by_name(self, side: Side) -> dict[str, list[Out]]:
        found: dict[str, list[Out]] = defaultdict(list)
        for out in self.theatre.out(side):
            found[out.name].append(out)
        return found

    def _records(self, name: str, a: list[Out], b: list[Out]) -> None:
        if len(a) != len(b):
            self._found(name, "", "count of records")
            return
        for one, other in zip(a, b, strict=True):
            reason = dict(one.headers).get(headers.REASON, b"").decode()
            self.report.endings[f"quarantine: {reason}" if reason else "crosses"] += 1
            self._pair(name, one, other)

    def _pair(self, name: str, a: Out, b: Out) -> None:
        same = self.renaming.same
        if not same(a.key, b.key):
            self._found(name, "", "key")
        if not same(a.body, b.body):
            self._found(name, "", "value")
        if a.size != b.size:
            self._found(name, "", "size")
        if [n for n, _ in a.headers] != [n for n, _ in b.headers]:
            self._found(name, "", "names or order of headers")
            return
        for (header, mine), (_, theirs) in zip(a.headers, b.headers, strict=True):
            if not same(mine, theirs):
                self._found(name, f"header {header}", "value")

    def _orders(self, a: dict[str, list[Out]], b: dict[str, list[Out]]) -> None:
        """Compare in which order the records of each key came out of one raw partition."""
        mine, theirs = _orders(a), _orders(b)
        for (key, place), names in mine.items():
            if names != theirs.get((self.renaming.forward.get(key, key), place)):
                self._found(names[0], "", "order of the records of a key")

    def _signals(self, a: Side, b: Side) -> None:
        one, other = (metrics(side.folder / "border-metrics.jsonl") for side in (a, b))
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                self._found("metrics", name.partition("{")[0], "labels or values")
        seen = [spans(s.folder / "border-spans.jsonl", renamed(s.starts)) for s in (a, b)]
        for _ in seen[0] ^ seen[1]:
            self._found("spans", "", "name, kind, status, attributes, events or links")
        told = [side.lines.counted(renamed(side.starts)) for side in (a, b)]
        for line in (told[0] - told[1]) + (told[1] - told[0]):
            level, logger, *_ = line.split(" ", 2)
            self._found("log lines", f"{level} {logger}", "text or count")

    def _found(self, record: str, path: str, what: str) -> None:
        self.report.add([Difference(record, "border", path, what)])


def _orders(outs: Mapping[str, list[Out]]) -> dict[tuple[bytes, str], list[str]]:
    """Return the names of each key's records, by raw partition, in the order they came out."""
    found: dict[tuple[bytes, str], list[Out]] = defaultdict(list)
    for records in outs.values():
        for out in records:
            found[out.key, out.name.partition("@")[0]].append(out)
    return {
        key: [out.name for out in sorted(records, key=lambda out: out.at)]
        for key, records in found.items()
    }
