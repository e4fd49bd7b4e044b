"""Change the core in small wrong ways, one at a time, and see whether a test notices.

One command: ``.venv/bin/python tests/mutation/run.py``. See ``--help`` and docs/mutation.md.
"""

import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, Final

import click

from residency.release import release_digest
from tests.mutation import excuses, targets
from tests.mutation.excuses import Excuse
from tests.mutation.operators import Mutant, Source
from tests.mutation.worker import SURVIVED

ROOT: Final = Path(__file__).parents[2]
STATE: Final = ROOT / ".mutation" / "verdicts.jsonl"
EXIT_WRONG, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 1, 3, 130
SEED: Final = 20_261_125  # of the order, so that a run cut short is a fair sample


@dataclass(frozen=True)
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


@dataclass
class Result:
    """What became of the mutants of a run."""

    cases: list[Case]
    verdicts: dict[str, str] = field(default_factory=dict)
    excuses: Sequence[Excuse] = ()
    red: list[str] = field(default_factory=list)

    def of(self, verdict: str) -> list[Case]:
        """Return the cases with a *verdict*."""
        return [case for case in self.cases if self.verdicts.get(case.key) == verdict]

    @property
    def survivors(self) -> list[Case]:
        """Return those that no test noticed and nobody excused."""
        excused = {excuse.key for excuse in self.excuses}
        return [case for case in self.of(SURVIVED) if case.key not in excused]

    @property
    def stale(self) -> list[str]:
        """Return what is wrong with the excuses for the files of this run."""
        files = {case.file for case in self.cases}
        known = {case.key for case in self.cases}
        problems = []
        for excuse in self.excuses:
            if excuse.file not in files:
                continue
            where = f"{excuse.file}: {excuse.function}: {excuse.change}"
            if excuse.key not in known:
                problems.append(f"{where}: excuses no mutant there is; remove it")
            elif self.verdicts.get(excuse.key, SURVIVED) != SURVIVED:
                problems.append(f"{where}: a test notices it by now; remove the excuse")
        return problems


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, metavar="[FILES]...")
@click.option("--changed", is_flag=True, help="Only core files changed since BASE.")
@click.option("--base", default="origin/main", show_default=True, help="A git revision.")
@click.option("--minutes", type=float, default=0, help="Stop after so long; 0: when done.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--survivors", is_flag=True, help="Only what survived the last run of these files.")
@click.option("--fresh", is_flag=True, help="Forget what earlier runs found.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
def main(  # noqa: PLR0913 - one per option
    files: tuple[str, ...],
    *,
    changed: bool,
    base: str,
    minutes: float,
    jobs: int,
    survivors: bool,
    fresh: bool,
    as_json: bool,
) -> None:
    """Change the core in small wrong ways and see whether a test notices each.

    A change that no test notices is a survivor: write the test, or say in
    tests/mutation/excuses.toml why it changes nothing that matters. FILES are some of the
    files that tests/mutation/targets.toml names; all of them by default. Verdicts are kept
    in .mutation/: a run that was stopped goes on where it was, until code or tests change.

    \b
    Examples:
      .venv/bin/python tests/mutation/run.py
      .venv/bin/python tests/mutation/run.py residency/gate/rules.py
      .venv/bin/python tests/mutation/run.py --changed --minutes 10
      .venv/bin/python tests/mutation/run.py residency/tokens.py --survivors

    Exit codes: 0 none survived without an excuse, 1 some did or an excuse is stale, 2 usage,
    3 the tests are red without any mutant, 130 interrupted.
    """
    found = targets.load(ROOT)
    chosen = _chosen(found, files, changed=changed, base=base)
    if fresh:
        STATE.unlink(missing_ok=True)
    cases = [case for file in chosen for case in _cases(file)]
    result = Result(cases, excuses=excuses.load())
    state = _State(found, chosen)
    result.verdicts.update(state.known)
    if survivors:
        last = {key for key, verdict in state.last.items() if verdict == SURVIVED}
        result.verdicts.update({k: v for k, v in state.last.items() if v != SURVIVED})
        for key in last:
            result.verdicts.pop(key, None)
    until = time.time() + minutes * 60 if minutes else 0
    _run(result, found, state, jobs, until)
    _tell(result, as_json=as_json)
    if result.red:
        sys.exit(EXIT_ENVIRONMENT)
    sys.exit(EXIT_WRONG if result.survivors or result.stale else 0)


def _chosen(
    found: dict[str, list[str]], files: Iterable[str], *, changed: bool, base: str
) -> list[str]:
    if unknown := sorted(set(files) - found.keys()):
        msg = f"{', '.join(unknown)}: not in tests/mutation/targets.toml; it has {', '.join(found)}"
        raise click.UsageError(msg)
    chosen = list(files) or list(found)
    if changed:
        touched, since = targets.changed(ROOT, base)
        if touched is not None:
            chosen = [file for file in chosen if file in touched]
        click.echo(f"{len(chosen)} core files to look at, {since}", err=True)
    return chosen


def _cases(file: str) -> Iterator[Case]:
    path = ROOT / file
    source = Source(path.read_text(encoding="utf-8"), str(path))
    for number, mutant in enumerate(source.mutants):
        yield Case(file, number, mutant)


class _State:
    """Verdicts of earlier runs, kept line by line as they come."""

    def __init__(self, found: dict[str, list[str]], chosen: Sequence[str]) -> None:
        self._digest = {file: _digest(found[file]) for file in chosen}
        self.known: dict[str, str] = {}
        self.last: dict[str, str] = {}
        self._lock = Lock()
        if STATE.is_file():
            for line in STATE.read_text(encoding="utf-8").splitlines():
                self._take(json.loads(line))

    def _take(self, row: dict[str, str]) -> None:
        file = row["key"].partition("\x1f")[0]
        self.last[row["key"]] = row["verdict"]
        if self._digest.get(file) == row["digest"]:
            self.known[row["key"]] = row["verdict"]

    def keep(self, case: Case, verdict: str, by: str) -> None:
        row = {
            "key": case.key,
            "verdict": verdict,
            "by": by,
            "digest": self._digest[case.file],
        }
        with self._lock:
            STATE.parent.mkdir(exist_ok=True)
            with STATE.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")


def _digest(tests: Sequence[str]) -> str:
    """Return what changes when our code or a file's tests do."""
    digest = hashlib.sha256(release_digest().encode())
    for name in tests:
        path = ROOT / name
        for one in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(one.read_bytes())
    return digest.hexdigest()


def _run(
    result: Result, found: dict[str, list[str]], state: _State, jobs: int, until: float
) -> None:
    """Try every case that has no verdict yet, some files' stripes at a time."""
    stripes: SimpleQueue[tuple[str, list[Case]]] = SimpleQueue()
    order = random.Random(SEED)
    by_file: dict[str, list[Case]] = {}
    for case in result.cases:
        if case.key not in result.verdicts:
            by_file.setdefault(case.file, []).append(case)
    for file, cases in by_file.items():
        order.shuffle(cases)
        # A clean run comes before each stripe: few of them, and none idle.
        for start in range(jobs):
            if cases[start::jobs]:
                stripes.put((file, cases[start::jobs]))
    running: list[subprocess.Popen[str]] = []
    progress = _Progress(result, sum(map(len, by_file.values())))

    def drain() -> None:
        while not stripes.empty() and not (until and time.time() > until):
            file, cases = stripes.get()
            _stripe(result, state, progress, running, found[file], file, cases, until)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            for done in [pool.submit(drain) for _ in range(jobs)]:
                done.result()
    except KeyboardInterrupt:
        for process in running:
            process.kill()
        click.echo("\ninterrupted; run it again to go on", err=True)
        sys.exit(EXIT_INTERRUPTED)
    progress.end()


def _stripe(  # noqa: PLR0913
    result: Result,
    state: _State,
    progress: "_Progress",
    running: list[subprocess.Popen[str]],
    tests: Sequence[str],
    file: str,
    cases: Sequence[Case],
    until: float,
) -> None:
    job = {"file": file, "tests": tests, "numbers": [c.number for c in cases], "until": until}
    by_number = {case.number: case for case in cases}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.mutation.worker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        running.append(process)
        if process.stdin is None or process.stdout is None:
            return
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        for line in process.stdout:
            said = json.loads(line)
            case = by_number[said["number"]]
            result.verdicts[case.key] = said["verdict"]
            state.keep(case, said["verdict"], said["by"])
            progress.step(case, said["verdict"])
    if process.returncode != 0:
        result.red.append(file)


class _Progress:
    """One line on stderr, rewritten on a terminal, every hundred mutants elsewhere."""

    def __init__(self, result: Result, total: int) -> None:
        self._total, self._done, self._lived = total, 0, 0
        self._excused = {excuse.key for excuse in result.excuses}
        self._is_live = sys.stderr.isatty()

    def step(self, case: Case, verdict: str) -> None:
        self._done += 1
        if verdict == SURVIVED and case.key not in self._excused:
            self._lived += 1
        text = f"{self._done}/{self._total} mutants, {self._lived} survived; {case.file}"
        if self._is_live:
            click.echo(f"\r{text:<78}", nl=False, err=True)
        elif self._done % 100 == 0:
            click.echo(text, err=True)

    def end(self) -> None:
        if self._is_live:
            click.echo("", err=True)


def _tell(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(result), indent=2))
        return
    for file in result.red:
        click.echo(f"{file}: its tests fail, or do not start, without any mutant")
    for case in result.survivors:
        place = f"{case.file}:{case.mutant.line}: {case.mutant.function}"
        click.echo(f"{place}: survived: {case.mutant.change}")
    for problem in result.stale:
        click.echo(f"excuses.toml: {problem}")
    for row in _scores(result):
        click.echo(
            f"{row['file']:<34} {row['tried']:>5} of {row['mutants']:>5} tried, "
            f"{row['killed']:>5} killed, {row['excused']:>3} excused, {row['survived']:>3} survived"
        )
    total = Counter({k: sum(r[k] for r in _scores(result)) for k in ("tried", "killed", "excused")})
    share = total["killed"] / total["tried"] if total["tried"] else 1.0
    click.echo(
        f"score {share:.1%}: {total['killed']} killed of {total['tried']} tried, "
        f"{total['excused']} excused, {len(result.survivors)} survived"
    )


def _scores(result: Result) -> list[dict[str, Any]]:
    excused = {excuse.key for excuse in result.excuses}
    rows = []
    for file in dict.fromkeys(case.file for case in result.cases):
        cases = [case for case in result.cases if case.file == file]
        told = {case.key: result.verdicts.get(case.key) for case in cases}
        lived = {key for key, verdict in told.items() if verdict == SURVIVED}
        tried = sum(verdict is not None for verdict in told.values())
        rows.append(
            {
                "file": file,
                "mutants": len(cases),
                "tried": tried,
                "killed": tried - len(lived),
                "excused": len(lived & excused),
                "survived": len(lived - excused),
            }
        )
    return rows


def _document(result: Result) -> dict[str, Any]:
    return {
        "ok": not (result.survivors or result.stale or result.red),
        "files": _scores(result),
        "survivors": [
            {
                "file": case.file,
                "line": case.mutant.line,
                "function": case.mutant.function,
                "change": case.mutant.change,
            }
            for case in result.survivors
        ],
        "stale_excuses": result.stale,
        "red": result.red,
    }


if __name__ == "__main__":
    main()
