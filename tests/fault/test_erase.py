"""Erasure, on a whole line: `kill -9` at every step, and everything else that may happen meanwhile.

Whatever happens ends with: the key and all that was sealed under it gone, the rows abroad
anonymised or deleted by their contract, one leaf and a certificate whose proofs hold, nothing of
the person readable in any file but the topics of raw records and of texts for the model, others
untouched, ledger, replay and org in agreement. The model is a stand-in, all around it is real.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from erase_process import STEPS
from erased_crew import Crew, crew
from erased_line import CASE, CUSTOMER, Customer, ErasureLine
from oracle import kill
from sealing_gateway import sealing_settings
from service_process import ENRICH_STEPS
from standin_model import StandIn, standin_model
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
INTENT = "Intent__c"  # a field that labels fill
MINE = {"erase", "vault", "lookup", "gateway"}  # services that the stack does not run


@pytest.fixture(scope="module")
def model() -> Iterator[StandIn]:
    with standin_model() as found:
        yield found


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path], model: StandIn) -> Iterator[Path]:
    """One region's line, without the workers that the tests start themselves."""
    place = new_home()
    all_of_it = launch(place)
    services = tuple(s for s in all_of_it.services if s not in MINE)
    stack = Stack(place, ("eu",))
    stack.up(replace(all_of_it, services=services))
    delete_at_once(place)
    file = place / "eu/services/enrich.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"inference": model.client()}))
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
def everybody(home: Path, model: StandIn) -> Iterator[Crew]:
    with crew(home, model) as found:
        yield found


@pytest.fixture
def workers(everybody: Crew) -> Iterator[Crew]:
    """Vault and enrichment work; the erasing worker is for each test to start."""
    yield everybody
    everybody.erasing.kill()


@pytest.fixture(scope="module")
def bystander(line: ErasureLine, everybody: Crew) -> Customer:
    """Somebody whose texts were labelled, and of whom there is a backup."""
    one = line.customer()
    line.publish(one)
    wait_until("the bystander's rows", lambda: line.abroad(one).keys() == one.keys)
    wait_until("their labels", lambda: is_labelled(line, one))
    line.wait_for(one.places)
    everybody.back_up()
    return one


def is_labelled(line: ErasureLine, one: Customer) -> bool:
    return any(INTENT in row for row in line.abroad(one).values())


@pytest.fixture(scope="module")
def erased() -> list[Customer]:
    """All whom the tests have erased: the last test looks for them everywhere, once."""
    return []


@pytest.fixture(autouse=True)
def _untouched(line: ErasureLine, bystander: Customer) -> Iterator[None]:
    """Whoever else is erased: a bystander's rows, events and labels stay as they are."""
    rows, decided = line.abroad(bystander), line.decided(bystander)
    yield
    assert line.abroad(bystander) == rows
    assert line.decided(bystander) == decided != []
    kept = {event.value for event in line.kept(bystander.person.subject)}
    assert kept == {raw.value for raw in bystander.raws}


@pytest.mark.parametrize("steps", LONG if is_long() else SHORT, ids=" and ".join)
def test_kill_9_at_a_step_changes_nothing_of_how_it_ends(
    line: ErasureLine, workers: Crew, erased: list[Customer], steps: tuple[str, ...]
) -> None:
    one = line.customer()
    line.publish(one)
    wait_until("the rows abroad", lambda: line.abroad(one).keys() == one.keys)
    wait_until("their labels", lambda: is_labelled(line, one))
    request = line.ask(one)

    for step in steps:
        workers.erase(dies_at=step)
        assert workers.erasing.ending() == -SIGKILL
    workers.erase()
    line.wait_done(request)

    line.check(one, request)
    assert len(line.abroad(one)) == 2
    erased.append(one)


@pytest.mark.parametrize("step", ENRICH_STEPS if is_long() else ["decisions kept"])
def test_whoever_is_erased_while_enrichment_dies_at_a_step_keeps_no_decision(
    line: ErasureLine, workers: Crew, erased: list[Customer], step: str
) -> None:
    one = line.customer()
    workers.read(dies_at=step)
    line.publish(one)
    assert workers.enrich.ending() == -SIGKILL
    request = line.ask(one)
    workers.erase()

    workers.read()
    line.wait_done(request)
    line.wait_idle()

    line.check(one, request)
    erased.append(one)


def test_a_text_that_waited_for_the_model_while_its_customer_was_erased_and_came_back_is_not_read(
    line: ErasureLine, workers: Crew, erased: list[Customer]
) -> None:
    one, model = line.customer(), workers.model
    workers.enrich.kill()
    line.publish(one)
    workers.erase()
    line.wait_done(line.ask(one))
    before = len(model.read)

    line.publish(one, [REGISTERED], occurred_at=now())
    wait_until("they are back", lambda: line.is_back(one))
    workers.read()
    line.wait_idle()

    assert not any(one.person.email in text for text in model.read[before:])
    assert line.decided(one) == []
    assert CASE not in {key[0] for key in line.abroad(one)}
    line.publish(one, [MESSAGE], occurred_at=now())
    wait_until("what they write now is labelled", lambda: is_labelled(line, one))
    erased.append(one)


def test_what_is_decided_on_who_came_back_before_their_key_goes_is_kept(
    line: ErasureLine, workers: Crew, erased: list[Customer]
) -> None:
    one = line.customer()
    line.publish(one)
    wait_until("their labels", lambda: is_labelled(line, one))
    request, since = line.ask(one), len(one.places)
    workers.erase(dies_at="outcomes kept")
    assert workers.erasing.ending() == -SIGKILL
    line.publish(one, [REGISTERED], occurred_at=now())
    wait_until("they are back", lambda: line.is_back(one))
    line.publish(one, [MESSAGE], occurred_at=now())
    line.wait_for(one.places)
    fresh = {str(at) for at in one.places[since:] if "messages" in at.topic}
    wait_until("the new decision", lambda: fresh <= decided_on(line, one))

    workers.erase()
    line.wait_done(request)
    line.wait_idle()

    assert decided_on(line, one) == fresh
    erased.append(one)


def decided_on(line: ErasureLine, one: Customer) -> set[str]:
    """Return the customer's raw records about whose texts something is kept."""
    return {record.partition("#")[0] for record in line.decided(one)}


def now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass
class Tale:
    """Three people, and what becomes of them in one tale: in any order, all at once.

    Attributes:
        asked: Requests of erasures, by whose.
        since: How many of a person's raw records came before they registered again.
        late: Which raw records of a person came after that, and are of before.
        backups: Of the vault, with who was back by then, and their erasure still under way.
        lost: Whom a restore of such a backup erased with what they had sent since.

    """

    line: ErasureLine
    crew: Crew
    rng: random.Random
    people: list[Customer]
    backups: list[tuple[Path, set[int]]]
    asked: dict[int, list[str]] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)
    late: dict[int, list[int]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    def go_on(self, what: str) -> None:
        """Let one more thing happen, to whomever."""
        n = self.rng.randrange(len(self.people))
        self.told.append(f"{what} {n}")
        self._happens(what) or self._happens_to(what, n)

    def _happens_to(self, what: str, n: int) -> None:
        one = self.people[n]
        match what:
            case "publish":
                more = {"occurred_at": now()} if n in self.since else {}
                self.line.publish(one, self.rng.sample([PLACED, MESSAGE], 1), **more)
            case "publish late" if n in self.since:
                self.late.setdefault(n, []).append(len(one.raws))
                self.line.publish(one, self.rng.sample([PLACED, MESSAGE], 1))
            case "register again" if n in self.asked:
                self.since.setdefault(n, len(one.raws))
                self.line.publish(one, [REGISTERED], occurred_at=now())
            case "erase" if n not in self.since:
                self.asked.setdefault(n, []).append(self.line.ask(one))
            case "erase by event" if n not in self.since:
                self.line.publish(one, [ERASURE])
                self.asked.setdefault(n, [])
            case "send again":
                at = str(self.rng.choice(one.places))
                words = "replay", "--resend", "--record", at, "--reason", "a test"
                self.crew.run(what, *words)

    def _happens(self, what: str) -> bool:
        """Let something happen that is nobody's; return whether it is."""
        match what:
            case "crash":
                service = self.rng.choice(["border", "egress"])
                kill(self.line.home, f"eu-{service}")
            case "crash vault":
                self.crew.store()
            case "crash erasing":
                self.crew.erase()
            case "crash enriching":
                self.crew.read(dies_at=self.rng.choice(["", *ENRICH_STEPS]))
            case "model":
                self.crew.model.is_down = not self.crew.model.is_down
            case "back up":
                between = {n for n in self.since if self.line.is_under_way(self.people[n])}
                self.backups.append((self.crew.back_up(), between))
            case "restore":
                file, between = self.rng.choice(self.backups)
                self.crew.restore(self.line, file)
                self.lost |= between
            case "replay":
                self.crew.run(what, "replay")
            case _:
                return False
        return True

    def end(self) -> None:
        """Wait until all of it has come to rest."""
        self.crew.model.is_down = False
        self.crew.read()  # it may have died
        for what, code, said in self.crew.ended():
            assert code in {0, 1} if what == "send again" else code == 0, f"{what}: {said}"
        self.line.wait_idle()

    def check(self) -> None:
        """Nothing is left of the erased but of who has registered again; the others are whole."""
        for n, one in enumerate(self.people):
            requests = self.line.requests_of(one)
            kept = {event.value for event in self.line.kept(one.person.subject)}
            if n not in self.asked:
                assert requests == []
                assert kept == {raw.value for raw in one.raws}
                assert is_labelled(self.line, one)
            elif n in self.since:
                self._check_since(one, n, kept)
            else:
                assert requests
                for request in requests:
                    self.line.check(one, request)

    def _check_since(self, one: Customer, n: int, kept: set[bytes]) -> None:
        """Of who registered again: what came since is kept, and nothing of before.

        Unless it was erased with the rest: docs/vault-backup.md says of whom.
        """
        fresh = {k for k in range(self.since[n], len(one.raws)) if k not in self.late.get(n, [])}
        decided = {record.partition("#")[0] for record in self.line.decided(one)}
        lost = {k for k in fresh if n in self.lost and self.line.is_named(one.places[k])}
        assert kept == {one.raws[k].value for k in fresh - lost}
        assert decided <= {str(one.places[k]) for k in fresh}
        assert self.line.abroad(one)[CUSTOMER, one.token]["Status__c"] == "registered"


FIRST = (
    "erase", "publish", "model", "erase by event", "crash erasing", "publish", "back up",
    "crash enriching", "register again", "replay", "model", "publish late",
)  # fmt: skip
MORE = (
    "publish", "erase", "erase by event", "register again", "publish late", "send again", "crash",
    "crash vault", "crash erasing", "crash enriching", "model", "back up", "replay",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(100, 120) if is_long() else [1])
@pytest.mark.timeout(300)
def test_whatever_happens_meanwhile_the_erased_are_gone_and_the_others_whole(
    line: ErasureLine, workers: Crew, home: Path, erased: list[Customer], seed: int
) -> None:
    people = [line.customer() for _ in range(3)]
    backups = [(file, set[int]()) for file in sorted((home / "eu/backups").iterdir())]
    tale = Tale(line, workers, random.Random(seed), people, backups)
    for one in people:
        line.publish(one)
    for one in tale.rng.sample(people, 2):  # of the third it is left to chance
        wait_until("their labels", partial(is_labelled, line, one))
    workers.erase()

    more = tale.rng.choices(MORE, k=7 if not is_long() else 20)
    for what in [*FIRST, *more, "restore", "publish"]:
        tale.go_on(what)
        time.sleep(tale.rng.uniform(0, 0.4))
    print(tale.told)  # noqa: T201, pytest shows it when the test fails
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
def standing_still(home: Path, workers: Crew) -> Iterator[None]:
    """Let border and vault do nothing meanwhile; not for as long as Kafka's groups take notice."""
    found = [p.pid for p in Stack(home).status() if p.name == "eu-border"]
    pids = [pid for pid in (*found, workers.vault.pid) if pid]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, SIGCONT)


def test_what_a_gateway_seals_for_who_registers_again_outlives_the_key_that_goes(
    sealed_line: SealedLine, workers: Crew, home: Path
) -> None:
    """Border and vault have read none of it when the key is to go, and the worker dies then, too.

    The registration lies under the key that goes, the order after it under the next one.
    """
    line, one, worker = sealed_line, sealed_line.customer(), workers.erasing
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # than the erasure
    line.publish(one)
    wait_until("the rows abroad", lambda: line.abroad(one).keys() == one.keys)
    request, since = line.ask(one), len(one.raws)
    worker.start(home=str(home), dies_at="outcomes kept")
    assert worker.ending() == -SIGKILL

    with standing_still(home, workers):
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


def test_the_line_agrees_with_itself_after_all_that(line: ErasureLine, workers: Crew) -> None:
    workers.run("reconcile", "reconcile")
    workers.run("replay", "replay")

    ended = workers.ended()

    report = verify(line.home / "eu/ledger", None)
    counts = [told["counts"] for told in line.certificates()]
    assert report.verified, report.problems
    assert [(what, code) for what, code, _ in ended] == [("reconcile", 0), ("replay", 0)], ended
    assert any(one.get("decisions") for one in counts)  # somebody's labels were destroyed
