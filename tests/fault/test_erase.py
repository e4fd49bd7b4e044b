"""Erasure, on a whole line: `kill -9` at every step, and everything else that may happen meanwhile.

Whatever happens ends with: the key and all that was sealed under it gone, the rows abroad
anonymised or deleted by their contract, one leaf and a certificate whose proofs hold, nothing of
the person readable in any file but the raw topics', others untouched, ledger and org in agreement.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from erase_process import STEPS
from erased_line import CUSTOMER, Customer, ErasureLine
from forked import Forks, forks
from oracle import kill
from sealing_gateway import sealing_settings
from vault_line import ERASURE, MESSAGE, PLACED, REGISTERED, Raw, wait_until

from connectors.embedded.stack import Stack
from residency.ledger.verify import verify
from schemas.events import Coordinates
from streams.launch import launch
from streams.vault.rawsealer import RawSealer, sealer_of
from tests.conftest import is_long

# Abroad, at home, and at the ledger: in the short form one erasure dies at all three.
SHORT = [("records sent", "destroyed, not committed", "leaf asked for")]
LONG = [(step,) for step in STEPS]
LATER = datetime.now(UTC) + timedelta(hours=1)  # than any erasure here


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Iterator[Path]:
    """One region's whole line but its erasing worker: the tests start that."""
    place = new_home()
    all_of_it = launch(place)
    services = tuple(s for s in all_of_it.services if s not in {"erase", "lookup", "gateway"})
    stack = Stack(place, ("eu",))
    stack.up(replace(all_of_it, services=services))
    delete_at_once(place)
    yield place
    stack.down()


def delete_at_once(home: Path) -> None:
    """Let egress, which these tests kill, delete rows without ten minutes of doubt after that."""
    file = home / "eu/services/egress.json"
    settings = json.loads(file.read_text())
    settings["salesforce"]["sink"] = {"fate_s": 0}
    file.write_text(json.dumps(settings))
    kill(home, "eu-egress")


@pytest.fixture(scope="module")
def line(home: Path) -> Iterator[ErasureLine]:
    found = ErasureLine(home)
    yield found
    found.erasures.close()


@pytest.fixture(scope="module")
def processes(home: Path) -> Iterator[Forks]:
    with forks("erase_process", home / "logs/eu-erase.log") as found:
        yield found


@pytest.fixture
def worker(processes: Forks) -> Iterator[Forks]:
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
    worker: Forks,
    home: Path,
    erased: list[Customer],
    steps: tuple[str, ...],
) -> None:
    one = line.customer()
    line.publish(one)
    wait_until("the rows abroad", lambda: line.abroad(one).keys() == one.keys)
    request = line.ask(one)

    for step in steps:
        worker.start(home=str(home), dies_at=step)
        assert worker.ending() == -SIGKILL
    worker.start(home=str(home))
    line.wait_done(request)

    line.check(one, request)
    assert len(line.abroad(one)) == 2
    erased.append(one)


@dataclass
class Tale:
    """Three people, and what becomes of them in one tale: in any order, all at once.

    Attributes:
        asked: Requests of erasures, by whose.
        since: How many of a person's raw records came before they registered again.

    """

    line: ErasureLine
    worker: Forks
    rng: random.Random
    people: list[Customer]
    asked: dict[int, list[str]] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def go_on(self, what: str) -> None:
        """Let one more thing happen, to whomever."""
        n = self.rng.randrange(len(self.people))
        self.told.append(f"{what} {n}")
        one = self.people[n]
        match what:
            case "publish":
                later = {"occurred_at": LATER.isoformat()} if n in self.since else {}
                self.line.publish(one, self.rng.sample([PLACED, MESSAGE], 1), **later)
            case "register again" if n in self.asked:
                self.since.setdefault(n, len(one.raws))
                self.line.publish(one, [REGISTERED], occurred_at=LATER.isoformat())
            case "erase" if n not in self.since:
                self.asked.setdefault(n, []).append(self.line.ask(one))
            case "erase by event" if n not in self.since:
                self.line.publish(one, [ERASURE])
                self.asked.setdefault(n, [])
            case "crash":
                service = self.rng.choice(["border", "egress", "vault"])
                kill(self.line.home, f"eu-{service}")
            case "crash erasing":
                self.worker.kill()
                self.worker.start(home=str(self.line.home))

    def end(self) -> None:
        """Wait until all of it has come to rest."""
        places = [place for one in self.people for place in one.places]
        self.line.wait_for(places)
        self.line.wait_idle()

    def check(self) -> None:
        """Nothing is left of the erased but of who has registered again; the others are whole."""
        for n, one in enumerate(self.people):
            requests = self.line.requests_of(one)
            if n not in self.asked:
                assert requests == []
                assert {event.value for event in self.line.kept(one.person.subject)} == {
                    raw.value for raw in one.raws
                }
            elif n in self.since:
                kept = {event.value for event in self.line.kept(one.person.subject)}
                assert kept == {raw.value for raw in one.raws[self.since[n] :]}
                assert self.line.abroad(one)[CUSTOMER, one.token]["Status__c"] == "registered"
            else:
                assert requests
                for request in requests:
                    self.line.check(one, request)


@pytest.mark.parametrize("seed", range(2) if not is_long() else range(100, 120))
@pytest.mark.timeout(300)
def test_whatever_happens_meanwhile_the_erased_are_gone_and_the_others_whole(
    line: ErasureLine, worker: Forks, home: Path, erased: list[Customer], seed: int
) -> None:
    """No text is labelled here: no model server runs. What enrichment does has its own tests."""
    people = [line.customer() for _ in range(3)]
    tale = Tale(line, worker, random.Random(seed), people)
    for one in people:
        line.publish(one)
    worker.start(home=str(home))

    first = ["erase", "publish", "erase by event", "crash erasing", "publish", "register again"]
    more = ["publish", "erase", "erase by event", "register again", "crash erasing", "crash"]
    for what in [*first, *tale.rng.choices(more, k=8 if not is_long() else 20)]:
        tale.go_on(what)
        time.sleep(tale.rng.uniform(0, 0.4))
    tale.end()

    tale.check()
    erased += [one for n, one in enumerate(people) if n in tale.asked and n not in tale.since]


class SealedLine(ErasureLine):
    """A line whose gateway seals what it publishes."""

    def __init__(self, home: Path, sealer: RawSealer) -> None:
        super().__init__(home)
        self._sealer, self._runner = sealer, asyncio.Runner()

    def close(self) -> None:
        self.erasures.close()
        self._runner.run(self._sealer.close())
        self._runner.close()

    def send(self, raws: Sequence[Raw], time_ms: int | None = None) -> list[Coordinates]:
        return super().send([replace(raw, value=self._sealed(raw)) for raw in raws], time_ms)

    def _sealed(self, raw: Raw) -> bytes:
        return self._runner.run(self._sealer.seal(raw.topic, raw.key, raw.value))


@pytest.fixture
def sealed_line(home: Path) -> Iterator[SealedLine]:
    sealer = sealer_of(sealing_settings(home))
    assert sealer is not None
    found = SealedLine(home, sealer)
    yield found
    found.close()


@contextmanager
def standing_still(home: Path, *services: str) -> Iterator[None]:
    """Let workers do nothing meanwhile; not for as long as Kafka's groups take notice."""
    wanted = {f"eu-{service}" for service in services}
    pids = [p.pid for p in Stack(home).status() if p.name in wanted and p.pid is not None]
    assert len(pids) == len(wanted)
    for pid in pids:
        os.kill(pid, SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGCONT)


def test_what_a_gateway_seals_for_who_registers_again_outlives_the_key_that_goes(
    sealed_line: SealedLine, worker: Forks, home: Path
) -> None:
    """Border and vault have read none of it when the key is to go, and the worker dies then, too.

    The registration lies under the key that goes, the order after it under the next one.
    """
    line, one, later = sealed_line, sealed_line.customer(), LATER.isoformat()
    line.publish(one)
    wait_until("the rows abroad", lambda: line.abroad(one).keys() == one.keys)
    request, since = line.ask(one), len(one.raws)
    worker.start(home=str(home), dies_at="outcomes kept")
    assert worker.ending() == -SIGKILL

    with standing_still(home, "border", "vault"):
        line.publish(one, [REGISTERED], occurred_at=later)
        for step in ("destroyed, not committed", "destroyed"):
            worker.start(home=str(home), dies_at=step)
            assert worker.ending() == -SIGKILL
        line.publish(one, [PLACED], occurred_at=later)
    worker.start(home=str(home), published_s="0.2")
    line.wait_done(request)
    line.wait_for(one.places)
    line.wait_idle()

    kept = {event.value for event in line.kept(one.person.subject)}
    assert kept == {raw.value for raw in one.raws[since:]}
    rows = line.abroad(one)
    assert rows[CUSTOMER, one.token]["Status__c"] == "registered"
    assert line.rows("SELECT subject FROM vault.next_keys") == []


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
