"""What became of each mutant: in this run, in earlier ones, and in sum."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from residency.release import release_digest
from tests.mutation.excuses import Excuse
from tests.mutation.operators import Mutant, Source
from tests.mutation.worker import SURVIVED

STATE: Final = Path(".mutation") / "verdicts.jsonl"  # in the checkout
COUNTS: Final = ("mutants", "tried", "killed", "excused", "survived")


@dataclass(frozen=True, slots=True)
class Case:
    """One mutant of one file.

    Attributes:
        file: Relative to the checkout.
        number: Its place among the file's mutants.
        mutant: What it is.

    """

    file: str
    number: int
    mutant: Mutant

    @property
    def key(self) -> str:
        """Return its name across runs, whatever lines moved."""
        return f"{self.file}\x1f{self.mutant.function}\x1f{self.mutant.change}"


def cases(root: Path, file: str) -> Iterator[Case]:
    """Yield the mutants of a *file*, in its order."""
    path = root / file
    source = Source(path.read_text(encoding="utf-8"), str(path))
    for number, mutant in enumerate(source.mutants):
        yield Case(file, number, mutant)


@dataclass
class Result:
    """What became of the mutants of a run.

    Attributes:
        cases: All of them, tried or not.
        verdicts: By key, of those that were tried now or before.
        excuses: For survivors.
        red: Files whose tests fail without any mutant.

    """

    cases: list[Case]
    verdicts: dict[str, str] = field(default_factory=dict)
    excuses: Sequence[Excuse] = ()
    red: list[str] = field(default_factory=list)

    @property
    def untried(self) -> list[Case]:
        """The cases that have no verdict yet."""
        return [case for case in self.cases if case.key not in self.verdicts]

    @property
    def survivors(self) -> list[Case]:
        """Those that no test noticed and nobody excused."""
        excused = {excuse.key for excuse in self.excuses}
        lived = [case for case in self.cases if self.verdicts.get(case.key) == SURVIVED]
        return [case for case in lived if case.key not in excused]

    @property
    def stale(self) -> list[str]:
        """What is wrong with the excuses for the files of this run."""
        files = {case.file for case in self.cases}
        known = {case.key for case in self.cases}
        problems = []
        for excuse in self.excuses:
            where = f"{excuse.file}: {excuse.function}: {excuse.change}"
            if excuse.file in files and excuse.key not in known:
                problems.append(f"{where}: excuses no mutant that there is; remove it")
            elif excuse.file in files and self.verdicts.get(excuse.key, SURVIVED) != SURVIVED:
                problems.append(f"{where}: a test notices it by now; remove the excuse")
        return problems

    @property
    def is_fine(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.survivors or self.stale or self.red)

    def scores(self) -> list[dict[str, Any]]:
        """Return per file how many mutants there are and what became of them."""
        excused = {excuse.key for excuse in self.excuses}
        rows = []
        for file in dict.fromkeys(case.file for case in self.cases):
            told = {c.key: self.verdicts.get(c.key) for c in self.cases if c.file == file}
            lived = {key for key, verdict in told.items() if verdict == SURVIVED}
            tried = sum(verdict is not None for verdict in told.values())
            counts = (
                *(len(told), tried, tried - len(lived)),
                *(len(lived & excused), len(lived - excused)),
            )
            rows.append({"file": file} | dict(zip(COUNTS, counts, strict=True)))
        return rows


class Kept:
    """Verdicts of earlier runs; new ones are added line by line as they come.

    Attributes:
        known: Verdicts that hold: neither our code nor the file's tests changed since.
        last: The last verdict on each mutant, whatever changed since.

    """

    def __init__(self, root: Path, tests: dict[str, list[str]]) -> None:
        """Read what was kept about the files of *tests*."""
        self._file = root / STATE
        self._digest = {file: _digest(root, names) for file, names in tests.items()}
        self._lock = Lock()
        self.known: dict[str, str] = {}
        self.last: dict[str, str] = {}
        if self._file.is_file():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self.last[row["key"]] = row["verdict"]
                if self._digest.get(row["key"].partition("\x1f")[0]) == row["digest"]:
                    self.known[row["key"]] = row["verdict"]

    def forget(self) -> None:
        """Start afresh."""
        self._file.unlink(missing_ok=True)
        self.known, self.last = {}, {}

    def keep(self, case: Case, verdict: str, by: str) -> None:
        """Write a verdict down; *by* is the test that killed the mutant."""
        digest = self._digest[case.file]
        row = {"key": case.key, "verdict": verdict, "by": by, "digest": digest}
        with self._lock:
            self._file.parent.mkdir(exist_ok=True)
            with self._file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")


def _digest(root: Path, tests: Sequence[str]) -> str:
    """Return what changes when our code or a file's tests do."""
    digest = hashlib.sha256(release_digest().encode())
    for name in tests:
        path = root / name
        for one in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(one.read_bytes())
    return digest.hexdigest()
