"""A broken promise halts the region's egress: nothing more is sent until a person resumes it.

On the real line, each cause planted in turn. What the org holds is counted there.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import requests
from halted_line import REGION, Bell, HaltedLine, running, until
from oracle import kill
from simple_salesforce.api import Salesforce

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.salesforce.access import Access
from connectors.sandbox.running import issue_token
from residency.gate.check import Gate
from residency.keys import ledger_keys
from residency.ledger.leaves import (
    Leaf,
    TransferLeaf,
    commit,
    month_key,
    month_of,
    parse_leaf,
)
from residency.ledger.policies import PolicyLeaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.resumes import ResumeLeaf
from residency.plan.approved import APPROVED_FILE
from schemas.errors import BreachError, Cause
from schemas.events import LoggedRecord
from streams import carrier, outfit
from streams import egress as egress_module
from streams.inforce import rules_of
from streams.launch import launch
from streams.sending import LicensedSink
from streams.switch import HALT, PERMIT
from tests.fault.test_sink_chaos import outcomes

RESUME = ("egress", "resume", "--region", REGION)
FINE = {"accepted", "gate-refused"}  # some events hold what the scanner finds
Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def line(new_home: Callable[[], Path]) -> Iterator[HaltedLine]:
    with running(new_home()) as found:
        found.publish(40)
        with found.egress():
            found.settled()
        yield found


@pytest.fixture
def bell() -> Iterator[Bell]:
    found = Bell()
    yield found
    found.close()


# -- what may go wrong with what egress has in hand, planted before it starts


def without_approvals(_line: HaltedLine, patch: Patch) -> None:
    gate = Gate.load(REGION, outfit.APPROVED_FILE)
    patch.setattr(gate, "_approved", {})
    patch.setattr(outfit.Gate, "load", lambda *_: gate)


def without_grammar(_line: HaltedLine, patch: Patch) -> None:
    gate = Gate.load(REGION, outfit.APPROVED_FILE)
    patch.setattr(gate, "_grammar", {})
    patch.setattr(outfit.Gate, "load", lambda *_: gate)


def beyond_the_head(_line: HaltedLine, patch: Patch) -> None:
    def unlogged(ledger: Any, drafts: Sequence[Any], **_: Any) -> list[LoggedRecord]:
        size = ledger.size
        return [LoggedRecord(d.record, size + n, d.fields) for n, d in enumerate(drafts)]

    patch.setattr(carrier, "log_transfers", unlogged)


def by_another_leaf(_line: HaltedLine, patch: Patch) -> None:
    def unlogged(_ledger: Any, drafts: Sequence[Any], **_: Any) -> list[LoggedRecord]:
        return [LoggedRecord(draft.record, 0, draft.fields) for draft in drafts]

    patch.setattr(carrier, "log_transfers", unlogged)


def around_the_ledger(_line: HaltedLine, patch: Patch) -> None:
    patch.setattr(LicensedSink, "write", lambda self, batch: self._sink.write(batch))


def a_longer_index(line: HaltedLine, _patch: Patch) -> None:
    index(line, "transfer + 1000")


def index(line: HaltedLine, size: str) -> None:
    postgres = line.settings.postgres
    assert postgres is not None
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute(f"UPDATE ledger_index SET transfer = {size} WHERE record = ''")  # type: ignore[arg-type] # noqa: S608


def nothing(_line: HaltedLine, _patch: Patch) -> None: ...


# -- what somebody else may find while egress runs


def a_changed_leaf_that_verify_finds(line: HaltedLine) -> None:
    flip_a_leaf(line)
    done = line.homeport("ledger", "verify", "--region", REGION)
    flip_a_leaf(line)
    assert done.exit_code == 1


def a_changed_leaf_that_fsck_finds(line: HaltedLine) -> None:
    flip_a_leaf(line)
    done = line.homeport("ledger", "fsck", "--region", REGION)
    flip_a_leaf(line)
    assert done.exit_code == 1


def flip_a_leaf(line: HaltedLine) -> None:
    folder = line.home / REGION / "ledger/tile/entries"
    file = max(p for p in folder.rglob("*") if p.is_file())
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)


def an_edited_row(line: HaltedLine) -> None:
    orders = org(line).Commerce_Order__c
    row = org(line).query("SELECT Id, First_Sku__c FROM Commerce_Order__c")["records"][0]
    orders.update(row["Id"], {"First_Sku__c": "EDITED-1"})
    done = line.homeport("reconcile", "--region", REGION)
    orders.update(row["Id"], {"First_Sku__c": row["First_Sku__c"]})
    assert done.exit_code == 1


def org(line: HaltedLine) -> Salesforce:
    config = line.settings.salesforce
    assert config is not None
    token = issue_token(line.home, int(config.instance_url.rsplit(":", 1)[1]), "admin")
    session = requests.Session()
    session.trust_env, session.verify = False, str(line.home / "ca/ca.pem")
    return Salesforce(
        instance_url=token["instance_url"],
        session_id=token["access_token"],
        version="62.0",
        session=session,
    )


def a_lost_permit(line: HaltedLine) -> None:
    (line.switch.folder / PERMIT).unlink()


def a_halt_that_cannot_be_read(line: HaltedLine) -> None:
    (line.switch.folder / HALT).write_text("{")


def idle(_line: HaltedLine) -> None: ...


class Case(NamedTuple):
    """A fault, and what it is called."""

    cause: str
    before: Callable[[HaltedLine, Patch], None] = nothing
    during: Callable[[HaltedLine], None] = idle
    mend: Callable[[HaltedLine], None] = idle


CASES = {
    "plan": Case("plan", without_approvals),
    "gate": Case("gate", without_grammar),
    "beyond the head": Case("unlogged", beyond_the_head),
    "another's leaf": Case("unlogged", by_another_leaf),
    "around the ledger": Case("unlogged", around_the_ledger),
    "longer index": Case(
        "ledger", a_longer_index, mend=lambda line: index(line, "transfer - 1000")
    ),
    "verify": Case("ledger", during=a_changed_leaf_that_verify_finds),
    "fsck": Case("ledger", during=a_changed_leaf_that_fsck_finds),
    "reconcile": Case("reconcile", during=an_edited_row),
    "permit": Case("switch", during=a_lost_permit),
    "unreadable": Case("switch", during=a_halt_that_cannot_be_read),
}


LONG = {"another's leaf", "fsck", "unreadable"}  # each has a brother in the short form


@pytest.mark.parametrize("name", CASES)
def test_it_sends_nothing_more_until_it_is_resumed_and_then_everything_once(
    line: HaltedLine, bell: Bell, name: str, long_run: bool
) -> None:
    if name in LONG and not long_run:
        pytest.skip("only with --long")
    case, before = CASES[name], line.rows()
    with pytest.MonkeyPatch.context() as patch:
        case.before(line, patch)
        if case.before is not nothing:
            line.publish(10)  # they are what egress meets
        with line.egress(bell):
            case.during(line)
            halt = line.halted(case.cause)
            line.publish(10)
            until("the alert", lambda: bool(bell.told))
        held = line.rows()
    case.mend(line)
    with line.egress(bell):  # a restart, and all is mended
        again = line.switch.halted()
        still = line.rows()
        line.resume()
        line.settled()

    assert held == still == before
    assert again is not None
    assert again.id == halt.id
    assert [told["halt"] for told in bell.told] == [halt.id]
    assert last_leaf(line) == (halt.id, case.cause)
    assert line.homeport("egress", "status", "--region", REGION).exit_code == 0
    assert line.homeport("ledger", "verify", "--region", REGION).exit_code == 0
    assert outcomes(line.home).keys() <= FINE  # each record once, see there
    assert line.homeport("reconcile", "--region", REGION).exit_code == 0


# -- one halt, looked at closely


def test_a_halt_between_two_requests_lets_none_of_the_rest_out(
    line: HaltedLine, monkeypatch: Patch
) -> None:
    before, requests_made = line.rows(), []

    class Watched(Access):
        """Halts the region when the first request has been answered."""

        def noted(self, response: requests.Response, **more: Any) -> None:
            super().noted(response, **more)
            if response.request.method in {"PATCH", "POST"} and "/services/data/" in response.url:
                requests_made.append(response.url)
                line.switch.halt(BreachError("found by hand", Cause.RECONCILE), "reconcile")

    monkeypatch.setattr(outfit, "Access", Watched)
    line.publish(60)
    config = line.settings.salesforce
    assert config is not None
    small = replace(config.sink, retry=replace(config.sink.retry, sizes=(5, 1)), max_bytes=6_000)
    with line.egress(salesforce=replace(config, sink=small)):
        line.halted("reconcile")
        until("the stop", line.is_unlocked)
        held = line.rows()
        monkeypatch.undo()
        line.resume()
        line.settled()

    assert len(requests_made) == 1
    assert before.keys() < held.keys() < line.rows().keys()
    assert outcomes(line.home).keys() <= FINE


def test_the_ledger_says_which_rules_are_in_force_before_a_record_crosses_under_them(
    line: HaltedLine,
) -> None:
    def leaves() -> list[Leaf]:
        reader = Reader(line.home / REGION / "ledger")
        size = open_head(reader).size
        return [parse_leaf(entry) for entry in reader.entries(0, size, size)]

    before = leaves()
    with line.egress():  # another start, the same rules
        line.publish(3)
        line.settled()

    after, (plans, files) = leaves(), rules_of(REGION, APPROVED_FILE)
    assert isinstance(after[0], PolicyLeaf)
    assert (after[0].plans.keys(), after[0].files) == (plans.keys(), files)
    assert {one.plan for one in after if isinstance(one, TransferLeaf)} <= after[0].plans.keys()
    assert not any(isinstance(one, PolicyLeaf) for one in after[len(before) :])


def test_only_a_run_that_was_told_to_stop_leaves_nothing_in_doubt(
    line: HaltedLine, monkeypatch: Patch
) -> None:
    sinks: list[Any] = []

    class Watched(outfit.SalesforceSink):
        """Remembers what it was told of the run before."""

        def __init__(self, *clients: Any, settled: bool, **more: Any) -> None:
            super().__init__(*clients, settled=settled, **more)
            self.was_settled = settled
            sinks.append(self)

    monkeypatch.setattr(outfit, "SalesforceSink", Watched)

    config = line.settings.salesforce
    assert config is not None
    with line.egress(salesforce=replace(config, sink=replace(config.sink, fate_s=0.5))):
        line.publish(3)
        line.settled()
        until("the doubts of the start to end", lambda: sinks[-1].is_settled)
    for doubtful in ([], [("Commerce_Order__c", "a")]):
        with line.egress():
            line.publish(3)
            line.settled()
            sinks[-1].doubt(doubtful)
    with line.egress(salesforce=replace(config, sink=replace(config.sink, fate_s=0.5))):
        line.settled()
        until("the doubts of the start to end", lambda: sinks[-1].is_settled)
    with line.egress():
        line.settled()
        line.switch.halt(BreachError("found by hand", Cause.RECONCILE), "reconcile")
        line.halted("reconcile")
        until("the stop", line.is_unlocked)
        line.resume()
        line.settled()

    # after: any run, one that left nothing, likewise, one in doubt, one that left nothing, a halt
    assert [sink.was_settled for sink in sinks[1:]] == [True, True, False, True, False]


def test_a_halt_does_not_wait_for_a_batch_to_fill(
    line: HaltedLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_module, "FILL_S", 600.0)
    monkeypatch.setattr(carrier.Carrier, "is_tight", True)
    with line.egress():
        line.publish(3)
        time.sleep(1)
        line.switch.halt(BreachError("found by hand", Cause.RECONCILE), "reconcile")
        until("the stop", line.is_unlocked, wait_s=20)
        line.resume()
        monkeypatch.setattr(carrier.Carrier, "is_tight", False)
        line.settled()


def test_a_forged_record_is_not_sent_and_a_person_may_say_that_it_stays(line: HaltedLine) -> None:
    def forged(given: dict[str, bytes]) -> dict[str, bytes]:
        return given | {headers.RECORD: b"eu.commerce.orders.v1[0]@999999#0"}

    name = line.forge(forged)  # its version is not that of this offset
    line.publish(10)
    with line.egress():
        halt = line.halted("gate")
        before = line.rows()
        done = line.resume("--refuse", name)
        line.settled()

    assert halt.records == (name,)
    assert json.loads(done.stdout)["halt"]["id"] == halt.id
    assert before.keys() < line.rows().keys()
    assert outcomes(line.home).keys() <= FINE
    found = line.homeport("quarantine", "list", "--region", REGION, "--reason", "gate", "--json")
    assert name in found.stdout


def test_labels_of_a_model_that_nobody_accepted_stay_and_a_person_is_told(line: HaltedLine) -> None:
    name = line.label("00" * 32)
    line.publish(10)
    with line.egress():
        halt = line.halted("model")
        before = line.rows()
        line.resume("--refuse", name)
        line.settled()

    assert halt.records == (name,)
    assert "accepted" in halt.text
    assert before.keys() < line.rows().keys()
    assert not any(row.get("Intent__c") for row in line.rows().values())
    found = line.homeport("quarantine", "list", "--region", REGION, "--reason", "gate", "--json")
    assert name in found.stdout


def test_resuming_needs_a_reason_whose_text_stays_in_the_region(line: HaltedLine) -> None:
    silent = [line.homeport(*RESUME), line.homeport(*RESUME, "--reason", "  ")]
    idle = line.homeport(*RESUME, "--reason", "for nothing")

    leaf = resumes(line)[-1]
    told = json.loads((line.switch.folder / "resumed" / f"{leaf.halt}.json").read_bytes())

    assert [done.exit_code for done in silent] == [2, 2]
    assert idle.exit_code == 1
    assert told["reason"] == "mended, case 4711"
    key = month_key(ledger_keys(line.home / REGION / "keys", REGION).root, month_of(leaf.time))
    bound = commit(key, f"resume/{leaf.halt}".encode(), told["reason"].encode())
    assert leaf.reason == bound.hex()


def test_no_leaf_is_added_to_a_ledger_that_is_shorter_than_it_was(line: HaltedLine) -> None:
    count = len(resumes(line))
    index(line, "transfer + 1000")
    with line.egress():
        halt = line.halted("ledger")
        refused = line.homeport(*RESUME, "--reason", "not mended")
        still = line.switch.halted()
        index(line, "transfer - 1000")
        line.resume()

    assert refused.exit_code == 1
    assert still == halt
    assert len(resumes(line)) == count + 1


def test_a_webhook_that_fails_delays_nothing_and_is_tried_again(
    line: HaltedLine, caplog: pytest.LogCaptureFixture
) -> None:
    bell = Bell(refusals=1)
    with line.egress(bell):
        line.switch.halt(BreachError("found by hand", Cause.RECONCILE), "reconcile")
        line.publish(5)
        until("the alert", lambda: bool(bell.told))
        line.resume()
        line.settled()
    bell.close()

    assert bell.refused == 1
    (told,) = bell.told
    assert told["cause"] == "reconcile"
    assert "HTTP 503; trying again" in caplog.text
    assert "a-secret" not in caplog.text


def resumes(line: HaltedLine) -> list[ResumeLeaf]:
    reader = Reader(line.home / REGION / "ledger")
    size = open_head(reader).size
    leaves = map(parse_leaf, reader.entries(0, size, size))
    return [leaf for leaf in leaves if isinstance(leaf, ResumeLeaf)]


def last_leaf(line: HaltedLine) -> tuple[str, str]:
    leaf = resumes(line)[-1]
    return leaf.halt, leaf.cause.value


# -- last: from here on egress runs under the supervisor


def test_it_stays_halted_when_it_is_killed_and_when_the_stack_is_brought_up_again(
    line: HaltedLine,
) -> None:
    base, stack = launch(line.home), Stack(line.home, (REGION,))
    whole = replace(base, services=("border", "egress"))
    stack.up(whole)
    a_changed_leaf_that_verify_finds(line)
    until("the halt", lambda: state(stack) == "halted")
    before = line.rows()
    line.publish(10)

    kill(line.home, f"{REGION}-egress")
    until("the restart", lambda: state(stack) == "halted")
    has_started = stack.up(whole)
    shown = line.homeport("status", "--json")
    told = line.homeport("egress", "status", "--region", REGION, "--json")
    held = line.rows()
    line.resume()
    line.settled()
    after = state(stack)

    assert has_started
    assert held == before
    assert shown.exit_code == 1
    assert told.exit_code == 1
    assert json.loads(told.stdout)["halt"]["cause"] == "ledger"
    assert after == "ready"
    log = (line.home / "logs" / f"{REGION}-egress.log").read_text()
    assert log.count("Homeport: egress of eu is halted") == 1


def state(stack: Stack) -> str:
    return next(row.state for row in stack.status() if row.name == f"{REGION}-egress")
