"""Several workers at once, each on a stripe of one file's mutants."""

import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import click

from tests.mutation.verdicts import Case, Kept, Result
from tests.mutation.worker import SURVIVED

SEED: Final = 20_261_125  # of the order, so that a run cut short is a fair sample
SHOWN_EVERY: Final = 100  # mutants, where stderr is no terminal


@dataclass
class Pool:
    """Runs what has no verdict yet.

    Attributes:
        root: The checkout.
        tests: Of each file.
        result: Takes the verdicts.
        kept: Takes them for later runs.
        jobs: How many workers at once.
        until: When to stop, by the wall clock; 0: when all is done.

    """

    root: Path
    tests: dict[str, list[str]]
    result: Result
    kept: Kept
    jobs: int
    until: float
    _stripes: SimpleQueue[list[Case]] = field(default_factory=SimpleQueue)
    _running: list[subprocess.Popen[str]] = field(default_factory=list)
    _total: int = 0
    _done: int = 0

    def run(self) -> None:
        """Try all that is untried; a `KeyboardInterrupt` ends the workers and goes on up."""
        self._cut()
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for done in [pool.submit(self._drain) for _ in range(self.jobs)]:
                done.result()
        except KeyboardInterrupt:
            while True:  # no new stripe for threads that see their worker end
                try:
                    self._stripes.get_nowait()
                except Empty:
                    break
            for process in self._running:
                process.kill()
            raise
        finally:
            pool.shutdown()
            if sys.stderr.isatty():
                click.echo("", err=True)

    def _cut(self) -> None:
        """Cut what is untried into stripes: few, since each begins with a clean run."""
        order = random.Random(SEED)
        by_file: dict[str, list[Case]] = {}
        for case in self.result.untried:
            by_file.setdefault(case.file, []).append(case)
        for cases in by_file.values():
            order.shuffle(cases)
            for start in range(self.jobs):
                if cases[start :: self.jobs]:
                    self._stripes.put(cases[start :: self.jobs])
        self._total = sum(map(len, by_file.values()))

    def _drain(self) -> None:
        while not (self.until and time.time() > self.until):
            try:
                cases = self._stripes.get_nowait()
            except Empty:
                return
            self._stripe(cases)

    def _share(self) -> float:
        """Return until when the next stripe may take, so that every file has a turn."""
        if not self.until:
            return 0
        left = max(1.0, (self._stripes.qsize() + 1) / self.jobs)
        return time.time() + (self.until - time.time()) / left

    def _stripe(self, cases: list[Case]) -> None:
        file = cases[0].file
        job = {
            "file": file,
            "tests": self.tests[file],
            "numbers": [case.number for case in cases],
            "until": self._share(),
        }
        by_number = {case.number: case for case in cases}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.mutation.worker"],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            self._running.append(process)
            if process.stdin is not None:
                process.stdin.write(json.dumps(job))
                process.stdin.close()
            for line in process.stdout or ():
                said = json.loads(line)
                self._take(by_number[said["number"]], said["verdict"], said["by"])
        if process.returncode > 0:
            self.result.red.append(file)

    def _take(self, case: Case, verdict: str, by: str) -> None:
        self.result.verdicts[case.key] = verdict
        self.kept.keep(case, verdict, by)
        self._done += 1
        lived = len(self.result.survivors) if verdict == SURVIVED else None
        text = f"{self._done}/{self._total} mutants; {case.file}"
        if lived is not None:
            text += f", {lived} survived so far"
        if sys.stderr.isatty():
            click.echo(f"\r{text:<78}", nl=False, err=True)
        elif self._done % SHOWN_EVERY == 0:
            click.echo(text, err=True)
