"""Try mutants of one file in one process tree; started by `run.py`, one per stripe.

Two ways to plant a mutant, because a module's tables count as much as its functions:

* *fast*: the tests are imported and collected once; per mutant a fork swaps the code of one
  function and runs the tests that reach it, those that killed its neighbours first;
* *slow*: a fork that has imported none of our code imports the mutated module in its place
  and runs all tests. For what lies outside functions, and for every mutant that survives
  the fast way: a test may have asked the module before the swap, as it was collected.

A job comes on standard input as one JSON document; a verdict per mutant leaves on standard
output as a JSON line.
"""

import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import IO, Any, Final

import pytest

from tests.mutation.operators import Mutant, Source

MEMORY_BYTES: Final = 4 << 30  # address space of one mutant's tests
# How long a mutant's tests may take: FACTOR times the clean run, in processor time, so that a
# busy machine ends none; by the clock WALL times that, for those that wait.
LEAST_S: Final = 10.0
FACTOR, WALL = 6, 10
KILLED, SURVIVED, TIMED_OUT = "killed", "survived", "timeout"
CRASH: Final = "crash"  # in place of the killing test
PRELOAD: Final = ("hypothesis.strategies", "fastavro", "re2", "pydantic", "rfc8785", "cryptography")
RED: Final = 3  # exit code: the tests fail without any mutant
PYTEST: Final = (
    *("-x", "-q", "-s", "--noconftest", "-p", "no:cacheprovider", "-p", "tests.mutation.fixtures"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-o", "timeout=0", "-o", "addopts=--import-mode=importlib --strict-markers"),
)

Report = Callable[[int, str, str], None]


@dataclass(frozen=True)
class Job:
    """What one worker does.

    Attributes:
        file: The mutated file, relative to the checkout, which is the working folder.
        tests: Files and folders that must notice.
        numbers: Which of the file's mutants.
        until: When to stop, by the wall clock; 0: never.

    """

    file: str
    tests: list[str]
    numbers: list[int]
    until: float

    @property
    def nearest(self) -> list[str]:
        """Return the test modules named after the file: they find most, and soonest."""
        folders = [Path(name) for name in self.tests]
        files = [f for one in folders for f in (one.rglob("test_*.py") if one.is_dir() else [one])]
        return sorted(str(file) for file in files if file.stem.endswith(Path(self.file).stem))

    @property
    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return bool(self.until) and time.time() > self.until


def main() -> None:
    """Read the job, answer it line by line."""
    warnings.simplefilter("ignore")  # of forks beside threads; ours has none
    for name in PRELOAD:
        importlib.import_module(name)
    job = Job(**json.load(sys.stdin))
    path = Path(job.file).resolve()
    source = Source(path.read_text(encoding="utf-8"), str(path))
    with os.fdopen(os.dup(1), "w", buffering=1) as out:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)

        def report(number: int, verdict: str, by: str) -> None:
            out.write(json.dumps({"number": number, "verdict": verdict, "by": by}) + "\n")

        sys.exit(_work(job, source, report))


def _work(job: Job, source: Source, report: Report) -> int:
    quick = [n for n in job.numbers if source.mutants[n].in_function]
    slow = [n for n in job.numbers if not source.mutants[n].in_function]
    outcome = _Outcome()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with os.fdopen(write, "w", buffering=1) as pipe:
            loop = FastLoop(job, source, quick, pipe)
            pytest.main([*PYTEST, *job.tests], plugins=[loop])
            os._exit(loop.code)
    os.close(write)
    with os.fdopen(read) as pipe:
        for line in pipe:
            outcome.take(json.loads(line), report)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        return RED
    for number in [*slow, *outcome.unsure]:
        if job.is_over:
            break
        report(number, *_slowly(job, source, number, outcome.limit_s))
    return 0


class _Outcome:
    """What the fast loop said."""

    def __init__(self) -> None:
        self.limit_s = LEAST_S
        self.unsure: list[int] = []

    def take(self, said: dict[str, Any], report: Report) -> None:
        if "clean_s" in said:
            self.limit_s = max(LEAST_S, FACTOR * said["clean_s"])
        elif said["verdict"] == SURVIVED:
            self.unsure.append(said["number"])
        else:
            report(said["number"], said["verdict"], said["by"])


class FastLoop:
    """A pytest plugin that runs the collected tests once per mutant, each time in a fork."""

    def __init__(self, job: Job, source: Source, numbers: Sequence[int], out: IO[str]) -> None:
        """Answer on *out*: first the clean run's seconds, then a line per mutant."""
        self.code = RED
        self._job, self._source, self._numbers, self._out = job, source, numbers, out
        self._failed: str | None = None
        self._pipe = -1  # of a mutant's fork, to say which test killed it
        self._killers: dict[str, list[int]] = {}
        self._ranks: dict[int, int] = {}  # of the items, the quickest first

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first failure; in a mutant's fork it is the end."""
        if report.failed and self._failed is None:
            self._failed = report.nodeid
            if self._pipe >= 0:
                os.write(self._pipe, report.nodeid.encode())
                os._exit(1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests cleanly, then for each mutant those that reach its function."""
        if session.testsfailed or not session.items:
            return True
        started = time.process_time()
        reached = self._clean(session.items)
        if self._failed is not None:
            return True
        took = time.process_time() - started
        self._say(clean_s=took)
        for number in self._numbers:
            if self._job.is_over:
                break
            mutant = self._source.mutants[number]
            items = self._ordered(mutant, sorted(reached.get(mutant.span, ())))
            verdict, by = SURVIVED, ""
            if items:
                limit_s = max(LEAST_S, FACTOR * took)
                verdict, by = self._try(number, [session.items[n] for n in items], limit_s)
            if by == CRASH:  # perhaps of our swap: the slow way decides
                verdict = SURVIVED
            elif verdict == KILLED:
                killers = [n for n in items if session.items[n].nodeid == by]
                self._killers.setdefault(mutant.function, [])[:0] = killers
            self._say(number=number, verdict=verdict, by=by)
        self.code = 0
        return True

    def _say(self, **said: object) -> None:
        self._out.write(json.dumps(said) + "\n")

    def _ordered(self, mutant: Mutant, items: list[int]) -> list[int]:
        """Return *items*: those that killed this function's other mutants, then the quickest."""
        known = list(dict.fromkeys(self._killers.get(mutant.function, ())))
        first = [n for n in known if n in items]
        rest = [n for n in items if n not in set(first)]
        return first + sorted(rest, key=self._ranks.__getitem__)

    def _clean(self, items: Sequence[pytest.Item]) -> dict[tuple[int, int], set[int]]:
        """Run all tests; return which of them reach each of the file's functions, by lines."""
        spans = {m.span for m in self._source.mutants if m.in_function}
        of_line = {line: span for span in spans for line in range(span[0], span[1] + 1)}
        reached: dict[tuple[int, int], set[int]] = {}
        seconds: list[float] = []
        name, now = self._source.filename, -1

        def look(frame: FrameType, event: str, _arg: object) -> None:
            if event == "call" and frame.f_code.co_filename == name:
                span = of_line.get(frame.f_lineno)
                if span is not None:
                    reached.setdefault(span, set()).add(now)

        for number, item in enumerate(items):
            now = number
            started = time.process_time()
            sys.setprofile(look)
            try:
                _run(items, number, item)
            finally:
                sys.setprofile(None)
            seconds.append(time.process_time() - started)
        self._ranks = _ranks(items, seconds)
        return reached

    def _try(self, number: int, items: Sequence[pytest.Item], limit_s: float) -> tuple[str, str]:
        def child(pipe: int) -> None:
            self._pipe = pipe
            if not _swap(self._source, number):
                return
            for place, item in enumerate(items):
                _run(items, place, item)

        return _forked(child, limit_s)


def _ranks(items: Sequence[pytest.Item], seconds: Sequence[float]) -> dict[int, int]:
    """Return each item's rank: quick modules first, within one its quick tests.

    Modules stay together: what one sets up for all its tests would be set up at each change.
    """
    whole: dict[Path, float] = {}
    for item, took in zip(items, seconds, strict=True):
        whole[item.path] = whole.get(item.path, 0) + took
    order = sorted(
        range(len(items)), key=lambda n: (whole[items[n].path], str(items[n].path), seconds[n])
    )
    return {number: rank for rank, number in enumerate(order)}


def _run(items: Sequence[pytest.Item], place: int, item: pytest.Item) -> None:
    after = items[place + 1] if place + 1 < len(items) else None
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)


def _swap(source: Source, number: int) -> bool:
    """Give the mutant's function its new code; False where only an import would do."""
    mutant = source.mutants[number]
    new = _find(source.compile(number), mutant)
    found = [
        function
        for function in gc.get_objects()
        if isinstance(function, FunctionType)
        and function.__code__.co_filename == source.filename
        and function.__code__.co_qualname == mutant.function
    ]
    if new is None or not found:
        return False
    for function in found:
        if function.__code__.co_freevars != new.co_freevars:
            return False
        function.__code__ = new
    return True


def _find(module: CodeType, mutant: Mutant) -> CodeType | None:
    for code in _codes(module):
        if code.co_qualname == mutant.function:
            return code
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _slowly(job: Job, source: Source, number: int, limit_s: float) -> tuple[str, str]:
    """Return the verdict on a mutant that is imported in the module's place."""

    def child(pipe: int) -> None:
        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, fullname: str, path: object, target: object = None) -> Any:
                del target
                spec = importlib.machinery.PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
                if spec is not None and spec.origin == source.filename:
                    spec.loader = Planted(fullname, source.filename)
                return spec

        class Planted(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                del fullname
                return code

        class Killer:
            @pytest.hookimpl
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if report.failed:
                    os.write(pipe, report.nodeid.encode())
                    os._exit(1)

        code = source.compile(number)
        sys.meta_path.insert(0, Finder())
        for tests in filter(None, (job.nearest, job.tests)):
            if pytest.main([*PYTEST, *tests], plugins=[Killer()]) != 0:
                os.write(pipe, b"collection")  # the mutant cannot even be imported
                os._exit(1)

    return _forked(child, 2 * limit_s)


def _forked(child: Callable[[int], None], limit_s: float) -> tuple[str, str]:
    """Return the verdict of *child*, run in a fork: it exits with 1 if a test failed."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        spent = int(time.process_time() + limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 1))
        try:
            child(write)
        except BaseException:  # noqa: BLE001 - whatever it was, it came of the mutant
            os._exit(1)
        os._exit(0)
    os.close(write)
    is_done, _, _ = select.select([read], [], [], WALL * limit_s)
    if not is_done:
        os.kill(pid, signal.SIGKILL)
    by = os.read(read, 65_536).decode(errors="replace") if is_done else ""
    os.close(read)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not is_done or code == -signal.SIGXCPU:
        return TIMED_OUT, ""
    return (KILLED, by or CRASH) if by or code else (SURVIVED, "")


if __name__ == "__main__":
    main()
