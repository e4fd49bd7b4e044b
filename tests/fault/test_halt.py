"""A broken promise halts the region's egress: nothing more is sent until a person resumes it.

On the real line, each cause planted in turn. What the org holds is counted there.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import requests
from halted_line import REGION, Bell, HaltedLine, running, until
from oracle import kill
from simple_salesforce.api import Salesforce

from connectors.embedded.stack import Stack
from connectors.salesforce.access import Access
from connectors.sandbox.running import issue_token
from residency.gate.check import Gate
from residency.keys import ledger_keys
from residency.ledger.leaves import commit, month_key, month_of, parse_leaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.resumes import ResumeLeaf
from schemas.errors import BreachError, Cause
from schemas.events import LoggedRecord
from streams import carrier, egress
from streams.launch import launch
from streams.sending import LicensedSink
from streams.switch import HALT, PERMIT
from tests.fault.test_sink_chaos import outcomes

RESUME = ("egress", "resume", "--region", REGION)
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
    gate = Gate.load(REGION, egress.APPROVED_FILE)
    patch.setattr(gate, "_approved", {})
    patch.setattr(egress.Gate, "load", lambda *_: gate)


def without_grammar(_line: HaltedLine, patch: Patch) -> None:
    gate = Gate.load(REGION, egress.APPROVED_FILE)
    patch.setattr(gate, "_grammar", {})
    patch.setattr(egress.Gate, "load", lambda *_: gate)


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


@pytest.mark.parametrize("name", CASES)
def test_it_sends_nothing_more_until_it_is_resumed_and_then_everything_once(
    line: HaltedLine, bell: Bell, name: str
) -> None:
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
    assert set(outcomes(line.home)) == {"accepted"}  # each record once, see there
    assert line.homeport("reconcile", "--region", REGION).exit_code == 0


def resumes(line: HaltedLine) -> list[ResumeLeaf]:
    reader = Reader(line.home / REGION / "ledger")
    size = open_head(reader).size
    leaves = map(parse_leaf, reader.entries(0, size, size))
    return [leaf for leaf in leaves if isinstance(leaf, ResumeLeaf)]


def last_leaf(line: HaltedLine) -> tuple[str, str]:
    leaf = resumes(line)[-1]
    return leaf.halt, leaf.cause.value
