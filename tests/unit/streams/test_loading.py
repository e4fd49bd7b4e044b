"""Ctrl-C while a command loads ends it with 130 and not a word; later it is an exception."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
# Presses Ctrl-C when a module is about to be imported, or when the command runs.
AT_IMPORT = """
import os, runpy, signal, sys

def press(*_):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass

class Presses:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            press()
        if name == "streams.cli.schema":
            sys.modules["click"].Command.invoke = press

sys.meta_path.insert(0, Presses())
sys.argv[:] = ["homeport", "schema", "check"]
runpy.run_module("streams", run_name="__main__", alter_sys=True)
"""
BY_HAND = """
import os, signal
from streams import loading
loading.begin()
{act}
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass
except KeyboardInterrupt:
    raise SystemExit(7)
raise SystemExit(8)
"""


def run(program: str, *, ignored: bool = False) -> tuple[int, str, str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)

    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=prepare,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["click", "streams.cli.schema"])
def test_while_it_loads_it_ends_without_a_word(name: str) -> None:
    assert run(AT_IMPORT.format(name=name)) == (130, "", "")


def test_once_it_is_loaded_it_is_an_exception() -> None:
    assert run(AT_IMPORT.format(name="nothing")) == (130, "", "\ninterrupted\n")
    assert run(BY_HAND.format(act="loading.end()")) == (7, "", "")
    assert run(BY_HAND.format(act="")) == (130, "", "")


def test_where_it_is_ignored_it_stays_ignored() -> None:
    assert run(BY_HAND.format(act=""), ignored=True) == (8, "", "")
    assert run(BY_HAND.format(act="loading.end()"), ignored=True) == (8, "", "")
