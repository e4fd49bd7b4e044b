"""One replay from end to end: take stock, let the workers work, write the report.

The order of taking stock is what makes a finding one: how far border, enrichment and egress are
comes first, then what waits for enrichment, then what lies on the minimal topic behind egress,
then the quarantine, and the ledger last. A record that is in none of them by then is missing.
"""

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from connectors.kafka.topology import check_topic_ids, load_topics
from residency import topics
from residency.keys import TOKENS_FILE, ledger_keys
from residency.ledger.note import Checkpoint, Signer
from residency.ledger.reader import Reader
from residency.release import release_digest
from residency.replay.report import Part, report
from schemas.errors import HaltError, HomeportError, RetriableError, SetupError
from streams.replay import topics as kafka
from streams.replay.spool import Spool
from streams.replay.state import Job, State, Task
from streams.replay.worker import Worker, must_exist
from streams.settings import Settings, load_settings

LOOK_S = 0.5
SAY_S = 5.0
Say = Callable[[str], None]
_ENDS: Mapping[int, type[HomeportError]] = {3: SetupError, 4: HaltError, 5: RetriableError}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to replay.

    Attributes:
        names: Raw topics.
        since: Records published from then on; None: all that there are.
        until: Records published before; None: all that the border has decided.

    """

    names: tuple[str, ...]
    since: datetime | None
    until: datetime | None


def prepare(settings: Settings, asked: Asked, state: State, say: Say) -> Job:
    """Return the job of a new replay, its state written.

    Raises:
        SetupError: The region has no stack, no ledger or not all keys here.
        HaltError: A topic was made anew, or the ledger does not hold together.
        RetriableError: Kafka does not answer.

    """
    known = load_topics(settings.home, settings.region)
    raw = {name: known[name] for name in topics.raw_topics(settings.region)}
    ledger = Reader(settings.folder / "ledger")
    ledger.require()
    keys = ledger_keys(must_exist(settings.folder / "keys" / "ledger.json"), settings.region)
    must_exist(settings.folder / "keys" / TOKENS_FILE)
    state.clear()
    check_topic_ids(settings.kafka.librdkafka(log_level=0), raw)
    times = [
        None if at is None else int(at.timestamp() * 1_000) for at in (asked.since, asked.until)
    ]
    say("reading how far border, enrichment and egress are ...")
    chosen = {name: raw[name] for name in asked.names}
    line = (("enrich", topics.enrich(settings.region)), ("egress", topics.minimal(settings.region)))
    at = {
        topic: kafka.positions(settings, service, topic, known[topic].partitions)
        for service, topic in line
    }
    spans = kafka.spans(settings, chosen, *times)
    waits: kafka.Names = {}
    for topic, positions in at.items():
        kafka.pending(settings, topic, positions, waits)
    quarantine = known[topics.quarantine(settings.region)].partitions
    kept = kafka.quarantined(settings, quarantine)
    say("reading the ledger ...")
    where = {name: (info.id, info.partitions) for name, info in raw.items()}
    spooled = Spool(state.folder).fill(
        ledger,
        Signer(keys.origin, keys.seed).verifier,
        where,
        asked.names,
        with_strays=asked.since is None,
    )
    job = Job(
        release_digest(),
        spooled.head,
        asked.until is None,
        spooled.terms.terms,
        tuple(Task(span, kafka.elsewhere(span.place, waits, kept)) for span in spans),
        spooled.strays,
    )
    state.save_job(job)
    return job


def resume(state: State) -> Job:
    """Return the job that was left unfinished.

    Raises:
        SetupError: There is none, or it was begun with other code.

    """
    job = state.job()
    if job is None:
        msg = f"{state.folder}: no replay to go on with; start one without --resume"
        raise SetupError(msg)
    if job.release != release_digest():
        msg = "the replay that was left was begun by another release; start without --resume"
        raise SetupError(msg)
    return job


def work(settings: Settings, state: State, job: Job, how: "How", say: Say) -> bool:
    """Let the workers replay all of *job*; return whether they finished.

    Raises:
        HomeportError: As the first worker that failed.

    """
    context = multiprocessing.get_context("spawn")
    halt = context.Event()
    tasks = sorted(job.tasks, key=lambda task: task.span.start - task.span.stop)
    rate = None if how.rate is None else how.rate / how.workers
    arguments = (settings.home, settings.region, state.folder, rate, halt)
    crew: list[BaseProcess] = []
    before = signal.signal(signal.SIGINT, lambda *_: halt.set())
    try:
        for n in range(how.workers):
            share = [
                (task.span.place.topic, task.span.place.partition)
                for task in tasks[n :: how.workers]
            ]
            crew.append(context.Process(target=_worker, args=(*arguments, share), daemon=True))
            crew[-1].start()
        _wait(crew, state, job, halt.set, say)
    finally:
        signal.signal(signal.SIGINT, before)
    ends = [one.exitcode or 0 for one in crew]
    worst = next((code for code in ends if code), 0)
    if worst:
        msg = f"a worker ended with {worst}, see above; mend it and run again with --resume"
        raise _ENDS.get(worst, HaltError)(msg)
    return not halt.is_set()


@dataclass(frozen=True, slots=True)
class How:
    """How fast.

    Attributes:
        workers: Processes.
        rate: Raw records a second, of all of them; None for as fast as it goes.

    """

    workers: int = 1
    rate: float | None = None


def _wait(
    crew: Sequence[BaseProcess], state: State, job: Job, stop: Callable[[], None], say: Say
) -> None:
    """Wait for the workers, and say how far they are; one that fails stops the others."""
    whole = sum(task.span.stop - task.span.start for task in job.tasks)
    said = time.monotonic()
    while any(one.is_alive() for one in crew):
        next(one for one in crew if one.is_alive()).join(LOOK_S)
        if any(one.exitcode for one in crew):
            stop()
        if time.monotonic() - said > SAY_S:
            said, done = time.monotonic(), 0
            for task in job.tasks:
                at, _ = state.progress(task.span.place) or (task.span.start, None)
                done += max(0, at - task.span.start)
            say(f"{done:,} of {whole:,} offsets ...")


def _worker(  # noqa: PLR0913, PLR0917, what a new process must be told
    home: Path,
    region: str,
    folder: Path,
    rate: float | None,
    halt: Any,  # noqa: ANN401, multiprocessing's event has no name to import
    share: Sequence[tuple[str, int]],
) -> None:
    """Be a worker process. Its keys come from the home, not through a pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    parent = multiprocessing.parent_process()
    state = State(folder)
    try:
        job = state.job()
        if job is None:
            msg = f"{folder}: the job is gone; start again without --resume"
            raise SetupError(msg)
        by_place = {(t.span.place.topic, t.span.place.partition): t for t in job.tasks}
        worker = Worker(load_settings(home, region, "replay"), state, job, rate)
        worker.run(
            [by_place[where] for where in share],
            lambda: halt.is_set() or not (parent is None or parent.is_alive()),
        )
    except HomeportError as error:
        sys.stderr.write(f"homeport: {error}\n")
        code = next((n for n, kind in _ENDS.items() if isinstance(error, kind)), 4)
        sys.exit(code)


def finish(state: State, job: Job, region: str, time: str) -> dict[str, Any]:
    """Return the report of a replay whose workers are done."""
    parts = []
    for task in job.tasks:
        progress = state.progress(task.span.place)
        if progress is None:
            msg = f"{state.folder}: a partition is missing; run it again with --resume"
            raise SetupError(msg)
        parts.append(Part(task.span.place, task.span.start, task.span.stop, progress[1]))
    head: Checkpoint = job.head
    return report(region, time, job.release, head, parts, job.strays, job.terms)
