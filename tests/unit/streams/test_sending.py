"""No request that could write goes to the org outside of a batch that the ledger holds."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.salesforce.outcome import Outcome
from residency.ledger.errors import LockedError, UnloggedError
from residency.ledger.files import Ledger
from schemas.errors import BreachError, Cause
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId
from streams import patience
from streams.halts import HaltedError
from streams.patience import free
from streams.sending import Licence, LicensedSink
from streams.switch import Switch

ROOT = b"r" * 32
NAME = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), topic_id="dG9waWM")
RECORD = MinimalRecord(NAME, "Commerce_Order__c", "tok", 7, 1, "ab" * 32, 1, b"bytes")


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    found = Switch(tmp_path / "eu")
    found.first_use()
    found.permitted()
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger", "ledger.eu.test/transfers", bytes(32))


class Org:
    """A sink whose requests ask *licence*."""

    def __init__(self, licence: Licence) -> None:
        self.licence = licence
        self.methods: list[str] = []
        self.doubts: list[Any] = []

    def doubt(self, keys: Any) -> None:
        self.doubts.append(keys)

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        del batch
        for method in ("GET", "PATCH"):
            self.licence.check(method)
            self.methods.append(method)
        return []


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "get"])
def test_a_write_outside_of_any_batch_is_refused(switch: Switch, method: str) -> None:
    with pytest.raises(UnloggedError, match=f"a {method} request") as caught:
        Licence(switch).check(method)

    assert caught.value.cause is Cause.UNLOGGED


def test_reads_pass_and_writes_of_a_logged_batch_and_none_after_it(
    switch: Switch, ledger: Ledger
) -> None:
    licence = Licence(switch)
    org = Org(licence)
    licence.check("GET")

    LicensedSink(org, ledger, ROOT, licence).write([])

    assert org.methods == ["GET", "PATCH"]
    with pytest.raises(UnloggedError):
        licence.check("PATCH")


def test_a_batch_that_the_ledger_does_not_hold_reaches_no_sink(
    switch: Switch, ledger: Ledger
) -> None:
    licence = Licence(switch)
    org = Org(licence)

    with pytest.raises(UnloggedError, match="the signed head has 0 leaves"):
        LicensedSink(org, ledger, ROOT, licence).write([LoggedRecord(RECORD, 0, {})])

    assert org.methods == []


def test_a_batch_that_fails_leaves_no_licence_behind(switch: Switch) -> None:
    licence = Licence(switch)

    with pytest.raises(RuntimeError), licence.writing():
        raise RuntimeError

    with pytest.raises(UnloggedError):
        licence.check("PATCH")


def test_a_halt_stops_reads_too_and_the_rest_of_a_batch(switch: Switch, ledger: Ledger) -> None:
    licence = Licence(switch)

    class Halting(Org):
        def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
            switch.halt(BreachError("found", Cause.RECONCILE), "reconcile")
            return super().write(batch)

    org = Halting(licence)
    with pytest.raises(HaltedError):
        LicensedSink(org, ledger, ROOT, licence).write([])

    assert org.methods == []


def test_doubts_go_to_the_sink(switch: Switch, ledger: Ledger) -> None:
    licence = Licence(switch)
    org = Org(licence)

    LicensedSink(org, ledger, ROOT, licence).doubt([("Commerce_Order__c", "tok")])

    assert org.doubts == [[("Commerce_Order__c", "tok")]]


def test_a_ledger_that_somebody_holds_for_a_moment_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "LOOK_S", 0.001)
    tries: list[int] = []

    def held() -> str:
        tries.append(1)
        if len(tries) < 4:
            msg = "process 1 writes this ledger"
            raise LockedError(msg)
        return "opened"

    assert free(threading.Event())(held) == "opened"
    assert len(tries) == 4


def test_a_ledger_that_somebody_keeps_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "LOCKED_S", 0.01)
    monkeypatch.setattr(patience, "LOOK_S", 0.005)

    def held() -> None:
        msg = "process 1 writes this ledger"
        raise LockedError(msg)

    with pytest.raises(LockedError):
        free(threading.Event())(held)
