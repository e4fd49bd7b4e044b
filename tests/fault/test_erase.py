"""Erasure, on a whole line: `kill -9` at every step, and everything else that may happen meanwhile.

Whatever happens ends with: the key and all that was sealed under it gone, the rows abroad
anonymised or deleted by their contract, one leaf and a certificate whose proofs hold, nothing of
the person readable in any file but the raw topics', others untouched, ledger and org in agreement.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest
from erase_process import STEPS, Erasers, erasers
from erased_line import Customer, ErasureLine
from vault_line import wait_until

from connectors.embedded.stack import Stack
from residency.ledger.verify import verify
from streams.launch import launch
from tests.conftest import is_long

# Abroad, at home, and at the ledger: in the short form one erasure dies at all three.
SHORT = [("records sent", "destroyed, not committed", "leaf asked for")]
LONG = [(step,) for step in STEPS]


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Iterator[Path]:
    """One region's whole line but its erasing worker: the tests start that."""
    place = new_home()
    all_of_it = launch(place)
    services = tuple(s for s in all_of_it.services if s not in {"erase", "lookup", "gateway"})
    stack = Stack(place, ("eu",))
    stack.up(replace(all_of_it, services=services))
    yield place
    stack.down()


@pytest.fixture(scope="module")
def line(home: Path) -> Iterator[ErasureLine]:
    found = ErasureLine(home)
    yield found
    found.erasures.close()


@pytest.fixture(scope="module")
def processes(home: Path) -> Iterator[Erasers]:
    with erasers(home / "logs/eu-erase.log") as found:
        yield found


@pytest.fixture
def worker(processes: Erasers) -> Iterator[Erasers]:
    yield processes
    processes.kill()


@pytest.fixture(scope="module")
def bystander(line: ErasureLine) -> Customer:
    one = line.customer()
    line.publish(one)
    wait_until("the bystander's rows", lambda: line.abroad(one).keys() == one.keys)
    return one


@pytest.fixture(scope="module")
def erased() -> list[Customer]:
    """All whom the tests have erased: the last test looks for them everywhere, once."""
    return []


@pytest.fixture(autouse=True)
def _untouched(line: ErasureLine, bystander: Customer) -> Iterator[None]:
    """Whoever else is erased: a bystander's rows and events stay as they are."""
    rows = line.abroad(bystander)
    yield
    assert line.abroad(bystander) == rows
    kept = {event.value for event in line.kept(bystander.person.subject)}
    assert kept == {raw.value for raw in bystander.raws}


@pytest.mark.parametrize("steps", LONG if is_long() else SHORT, ids=" and ".join)
def test_kill_9_at_a_step_changes_nothing_of_how_it_ends(
    line: ErasureLine,
    worker: Erasers,
    home: Path,
    erased: list[Customer],
    steps: tuple[str, ...],
) -> None:
    one = line.customer()
    line.publish(one)
    wait_until("the rows abroad", lambda: line.abroad(one).keys() == one.keys)
    request = line.ask(one)

    for step in steps:
        worker.start(home, step)
        assert worker.ending() == -SIGKILL
    worker.start(home)
    line.wait_done(request)

    line.check(one, request)
    assert len(line.abroad(one)) == 2
    erased.append(one)


def test_nothing_of_the_erased_can_be_read_anywhere(
    line: ErasureLine, erased: list[Customer], bystander: Customer
) -> None:
    """Nor of anybody else in plain text; that the search finds something, a file of ours shows."""
    canary = line.home / "logs/canary.log"
    canary.write_text(f"nobody may see {bystander.person.email}\n")

    found = line.leaks([*erased, bystander])

    canary.unlink()
    assert erased
    assert found == ["logs/canary.log"]


def test_the_line_agrees_with_itself_after_all_that(line: ErasureLine, home: Path) -> None:
    report = verify(line.home / "eu/ledger", None)
    argv = [sys.executable, "-P", "-m", "streams.cli", "reconcile", "--region", "eu"]
    done = subprocess.run([*argv, "--home", str(home)], capture_output=True, text=True, check=False)

    assert report.verified, report.problems
    assert done.returncode == 0, done.stdout + done.stderr
