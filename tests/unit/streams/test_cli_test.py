"""``homeport test``: what runs, and that the last lines and the exit code tell the truth."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from streams.cli.test import SUITES, arguments

TOP = Path(__file__).parents[3]
WAIT_S = 120
FINE, WRONG, USAGE, INTERRUPTED = 0, 1, 2, 130
GREEN = "def test_it(): pass\n"
RED = "def test_it(): assert False\n"
BROKEN = "import pytest\n@pytest.fixture\ndef no(): assert False\ndef test_it(no): pass\n"
SLOW = """
import pathlib, time, pytest

@pytest.fixture
def stack():
    yield
    time.sleep(6)  # xdist interrupts a worker again after 5 s
    pathlib.Path("stopped").touch()

def test_it(stack):
    pathlib.Path("started").touch()
    time.sleep(300)
"""
LONG = "import os\ndef test_it(): assert os.environ['HOMEPORT_LONG'] == '1'\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with one green test in each suite."""
    root = tmp_path / "checkout"
    root.mkdir()
    for package in ("streams", "connectors", "inference", "residency", "schemas"):
        (root / package).symlink_to(TOP / package)
    (root / "pyproject.toml").write_text("[tool.pytest]\naddopts = ['--import-mode=importlib']\n")
    for suite in SUITES:
        (root / "tests" / suite).mkdir(parents=True)
        put(root, suite, GREEN)
    return root


def put(root: Path, suite: str, text: str) -> None:
    (root / "tests" / suite / f"test_{suite}.py").write_text(text)


def begin(root: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "streams.cli", "test", *words],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a terminal's foreground group
    )


def ended(root: Path, *words: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines of a whole run."""
    process = begin(root, *words)
    said, _ = process.communicate(timeout=WAIT_S)
    return process.returncode, said.splitlines()


def test_what_is_red_in_any_suite_is_named_and_counted_and_stops_no_other(checkout: Path) -> None:
    put(checkout, "unit", RED)
    put(checkout, "standard", BROKEN)
    put(checkout, "fault", RED)

    code, lines = ended(checkout)

    assert code == WRONG
    assert sorted(line.partition(" - ")[0] for line in lines[-4:-1]) == [
        "ERROR tests/standard/test_standard.py::test_it",
        "FAILED tests/fault/test_fault.py::test_it",
        "FAILED tests/unit/test_unit.py::test_it",
    ]
    assert "2 failed, 1 passed, 1 error in " in lines[-1]


def test_an_expression_chooses_and_must_match(checkout: Path) -> None:
    some, lines = ended(checkout, "tests", "-k", "fault")
    none, _ = ended(checkout, "tests", "-k", "no_such_test")

    assert (some, none) == (FINE, USAGE), lines
    assert "1 passed, 3 deselected in " in lines[-1]


def test_a_suite_or_paths_are_run_and_nothing_else_is(checkout: Path) -> None:
    put(checkout, "fault", LONG)
    suite, of_suite = ended(checkout, "--suite", "fault", "--long")
    path, of_path = ended(checkout, "tests/unit/test_unit.py::test_it")
    both, _ = ended(checkout, "--suite", "unit", "tests/unit")

    assert (suite, path, both) == (FINE, FINE, USAGE), of_suite
    assert "1 passed" in of_suite[-1]
    assert "1 passed" in of_path[-1]


def test_the_long_form_gives_one_test_an_hour() -> None:
    assert "--timeout=3600" in arguments(["t"], None, 2, is_long=True)
    assert not [one for one in arguments(["t"], None, 2, is_long=False) if "timeout" in one]


def test_paths_are_run_in_one_process() -> None:
    assert not [one for one in arguments(["t"], None, 0, is_long=False) if "-n" in one]


def test_ctrl_c_ends_all_workers_once_they_have_stopped_what_they_started(checkout: Path) -> None:
    put(checkout, "unit", SLOW)
    for ours in ("conftest.py", "support"):
        (checkout / "tests" / ours).symlink_to(TOP / "tests" / ours)
    with (checkout / "pyproject.toml").open("a") as settings:
        settings.write("pythonpath = ['tests/support']\n")
    process = begin(checkout)
    deadline = time.monotonic() + WAIT_S
    while not (checkout / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)

    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=WAIT_S)

    assert process.returncode == INTERRUPTED, said
    assert (checkout / "stopped").exists()
    assert workers
    assert psutil.wait_procs(workers, timeout=10)[1] == []
