"""The mutation run plants what it says, and believes a test's failure and nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutation import excuses, targets
from tests.mutation.excuses import Excuse
from tests.mutation.operators import MODULE, Source
from tests.mutation.verdicts import Case, Kept, Result, cases

TOP = Path(__file__).parents[2]


def changes(text: str) -> set[tuple[str, str]]:
    return {(m.function, m.change) for m in Source(text, "a.py").mutants}


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("x = a < b", {"x = a < b => x = a <= b"}),
        ("x = a < b < c", {"x = a < b < c => x = a <= b < c", "x = a < b < c => x = a < b <= c"}),
        ("x = a and b", {"x = a and b => x = a or b"}),
        ("x = not a", {"x = not a => x = a"}),
        ("x = -a", {"x = -a => x = a"}),
        ("x = a % b", {"x = a % b => x = a // b"}),
        ("x = 1", {"x = 1 => x = 2"}),
        ("x = True", {"x = True => x = False"}),
        ("x = 'a'", {"x = 'a' => x = ''"}),
        ("x = ''", {"x = '' => x = 'mutated'"}),
        ("x = b'a'", {"x = b'a' => x = b'a\\x00'"}),
        ("x = 'a{2,3}'", {f"x = 'a{{2,3}}' => x = {s!r}" for s in ("", "a{3,3}", "a{2,4}")}),
        ("x += y", {"x += y => x -= y", "x += y => pass"}),
        ("f(y)", {"f(y) => pass"}),
        ("x = min(y)", {"x = min(y) => x = max(y)"}),
        ("x = y.startswith(z)", {"x = y.startswith(z) => x = y.endswith(z)"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if a] => x = [a for a in b if not a]"}),
        ("if a: x = y", {"if a: => if not a:"}),
        ("msg = 'text'", set()),
        ("x = f'text {y}'", set()),
        ("'''Docstring.'''", set()),
        ("x: Literal['a'] = y", set()),
        ("import a", set()),
        ("__all__ = ['a']", set()),
    ],
)
def test_code_is_changed_in_these_ways_and_no_other(code: str, wanted: set[str]) -> None:
    assert changes(code) == {(MODULE, change) for change in wanted}


def test_a_mutant_is_named_by_its_outermost_function_and_again_by_number() -> None:
    text = (
        "class A:\n  @cache(1)\n  def f(self, n=1):\n    def g(): return n\n    return n + n + n\n"
    )

    assert changes(text) == {
        (MODULE, "def f(self, n=1): => def f(self, n=2):"),
        ("A.f", "return n => return None"),
        ("A.f", "return n + n + n => return None"),
        ("A.f", "return n + n + n => return n + n - n"),
        ("A.f", "return n + n + n => return n - n + n"),
    }


def test_a_function_starts_with_its_decorators_where_a_call_of_it_is_seen() -> None:
    source = Source("@first\n@second\ndef f():\n    return g()\n", "a.py")

    assert [mutant.span for mutant in source.mutants] == [(1, 4)]


PAIRS = ((0, 1), (1, 1), (1, 2), (2, 1), (0, 0), (2, 3))


def test_each_mutant_compiles_to_other_code_and_leaves_the_next_alone() -> None:
    source = Source("def f(a, b):\n    return a < b and a != 0\n", "a.py")

    made = []
    for number in range(len(source.mutants)):
        space: dict[str, Any] = {}
        exec(source.compile(number), space)  # noqa: S102 - that is what it is for
        made.append(tuple(space["f"](a, b) for a, b in PAIRS))

    clean = tuple(a < b and a != 0 for a, b in PAIRS)
    assert len(set(made) | {clean}) == len(made) + 1


TOY = """
LIMIT = 3

def is_small(number):
    return number < LIMIT

def unused(number):
    return number + 1

def waits(number):
    while number > 0:
        number -= 1
    return number
"""
TESTS = """
from toy import LIMIT, is_small, waits

SEEN = is_small(2)  # as the tests are collected

def test_small():
    assert is_small(2)
    assert not is_small(3)

def test_waits():
    assert waits(2) == 0
"""


def tried(folder: Path, tests: str = TESTS) -> tuple[int, dict[str, str]]:
    """Return the worker's exit code and its verdict on each change of the toy."""
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    (folder / "test_toy.py").write_text(tests, encoding="utf-8")
    mutants = Source(TOY, "toy.py").mutants
    numbers = [n for n, mutant in enumerate(mutants) if "number -= 1" not in mutant.change]
    job = {"file": "toy.py", "tests": ["test_toy.py"], "numbers": numbers, "until": 0}
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation.worker"],
        cwd=folder,
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{TOP}:{folder}", "PATH": ""},
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {mutants[row["number"]].change: row["verdict"] for row in said}


def test_a_change_that_a_test_notices_is_killed_wherever_it_is(tmp_path: Path) -> None:
    code, verdicts = tried(tmp_path)

    assert code == 0
    assert verdicts == {
        "LIMIT = 3 => LIMIT = 4": "killed",
        "return number < LIMIT => return None": "killed",
        "return number < LIMIT => return number <= LIMIT": "killed",
        "return number + 1 => return None": "survived",
        "return number + 1 => return number - 1": "survived",
        "return number + 1 => return number + 2": "survived",
        "while number > 0: => while number >= 0:": "killed",
        "while number > 0: => while number > 1:": "killed",
        "return number => return None": "killed",
    }


def test_what_a_test_asked_while_it_was_collected_counts_too(tmp_path: Path) -> None:
    tests = TESTS.replace("    assert is_small(2)\n", "    assert SEEN\n")

    _, verdicts = tried(tmp_path, tests)

    assert verdicts["return number < LIMIT => return None"] == "killed"


def test_tests_that_are_red_anyway_are_no_verdict(tmp_path: Path) -> None:
    code, verdicts = tried(tmp_path, TESTS + "\ndef test_red():\n    assert False\n")

    assert (code, verdicts) == (3, {})


def one(change: str = "x = 1 => x = 2", verdict: str = "survived", *excused: Excuse) -> Result:
    source = Source("x = 1\n", "a.py")
    case = Case("a.py", 0, source.mutants[0])
    return Result([case], {f"a.py\x1f{MODULE}\x1f{change}": verdict}, excused)


def test_a_survivor_is_wrong_until_it_is_excused() -> None:
    excuse = Excuse("a.py", MODULE, "x = 1 => x = 2", "nobody reads x")

    assert [case.file for case in one().survivors] == ["a.py"]
    assert one("x = 1 => x = 2", "survived", excuse).is_fine
    assert one("x = 1 => x = 2", "survived", excuse).scores() == [
        {"file": "a.py", "mutants": 1, "tried": 1, "killed": 0, "excused": 1, "survived": 0}
    ]


def test_an_excuse_that_excuses_nothing_is_stale() -> None:
    gone = Excuse("a.py", MODULE, "y = 1 => y = 2", "nobody reads y")
    killed = Excuse("a.py", MODULE, "x = 1 => x = 2", "nobody reads x")
    elsewhere = Excuse("b.py", MODULE, "y = 1 => y = 2", "not of this run")

    assert "excuses no mutant" in one("x = 1 => x = 2", "killed", gone).stale[0]
    assert "a test notices it" in one("x = 1 => x = 2", "killed", killed).stale[0]
    assert one("x = 1 => x = 2", "killed", elsewhere).stale == []


@pytest.mark.parametrize("because", ['""', '" "'])
def test_an_excuse_needs_a_reason_and_a_mutant_of_its_own(because: str, tmp_path: Path) -> None:
    row = '[[excuse]]\nfile = "a.py"\nfunction = "f"\nchange = "a => b"\nbecause = {}\n'
    file = tmp_path / "excuses.toml"
    file.write_text(row.format(because), encoding="utf-8")
    with pytest.raises(ValueError, match="reason"):
        excuses.load(file)

    file.write_text(row.format('"so"') * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="mutant of its own"):
        excuses.load(file)


def test_every_excuse_of_ours_names_a_mutant_there_is() -> None:
    """CI mutates only what changed; this looks at all excuses every time."""
    found = {case.key for file in targets.load(TOP) for case in cases(TOP, file)}

    assert [excuse.change for excuse in excuses.load() if excuse.key not in found] == []


def test_verdicts_hold_until_code_or_tests_change(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    test = tmp_path / "test_a.py"
    test.write_text("", encoding="utf-8")
    (case,) = cases(tmp_path, "a.py")
    kept = Kept(tmp_path, {"a.py": ["test_a.py"]})
    kept.keep(case, "killed", "test_a.py::test")

    same = Kept(tmp_path, {"a.py": ["test_a.py"]})
    test.write_text("# other\n", encoding="utf-8")
    other = Kept(tmp_path, {"a.py": ["test_a.py"]})

    assert same.known == {case.key: "killed"}
    assert (other.known, other.last) == ({}, {case.key: "killed"})
    other.forget()
    assert Kept(tmp_path, {"a.py": ["test_a.py"]}).last == {}


def git(folder: Path, *arguments: str) -> None:
    name = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, name: str) -> None:
    (folder / name).write_text(name, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", name)


def test_changed_is_since_the_base_or_else_the_last_commit_or_else_all(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "a.py")
    alone = targets.changed(tmp_path, "origin/main")
    commit(tmp_path, "b.py")
    last = targets.changed(tmp_path, "origin/main")
    itself = targets.changed(tmp_path, "main")
    git(tmp_path, "checkout", "-qb", "topic")
    commit(tmp_path, "c.py")
    commit(tmp_path, "d.py")
    (tmp_path / "a.py").write_text("not committed yet", encoding="utf-8")
    since = targets.changed(tmp_path, "main")

    assert alone[0] is None
    assert last[0] == itself[0] == {"b.py"}
    assert since[0] == {"a.py", "c.py", "d.py"}


def test_a_target_without_files_or_tests_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / "test_a.py").touch()
    file = tmp_path / "targets.toml"
    rows = (("a.py", "test_a.py"), ("b.py", "test_a.py"), ("a.py", "test_b.py"))
    text = "".join(f'[[target]]\nfiles = ["{f}"]\ntests = ["{t}"]\n' for f, t in rows)
    file.write_text(text, encoding="utf-8")

    assert targets.load(tmp_path, file) == {"a.py": ["test_a.py"]}


def test_the_core_is_mutated() -> None:
    found = targets.load(TOP)

    assert {"residency/tokens.py", "residency/plan/strip.py", "residency/gate/scan.py"} <= set(
        found
    )
