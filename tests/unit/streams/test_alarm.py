"""A halt is told once, in words of closed lists and names of our records, and then waited out."""

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.webhook import WebhookConfig
from residency.telemetry.setup import telemetry
from schemas.errors import BreachError, Cause, RetriableError
from streams import alarm as module
from streams.alarm import ALERT, MEANINGS, Alarm, document, sentence, told_of
from streams.halts import Halt
from streams.switch import Switch

NOW = datetime(2026, 11, 23, 16, 40, 1, 500_000, tzinfo=UTC)
NAME = "eu.commerce.orders.v1[0]@7#1"
ERROR = BreachError("Commerce_Order__c.Email__c: a rule", Cause.GATE, (NAME,))
HOOK = WebhookConfig(url="https://hooks.example/T0")
WAIT_S = 60.0
PAGE = (Path(__file__).parents[3] / "docs/halt.md").read_text(encoding="utf-8")


class Person:
    """Takes alerts, after some failures."""

    def __init__(self, failures: int = 0) -> None:
        self.told: list[tuple[Mapping[str, Any], str]] = []
        self.failures = failures
        self.heard = threading.Event()

    def hear(self, config: WebhookConfig, said: Mapping[str, Any], text: str) -> None:
        assert config is HOOK
        if self.failures:
            self.failures -= 1
            msg = "the webhook did not take it: HTTP 503"
            raise RetriableError(msg)
        self.told.append((said, text))
        self.heard.set()


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    found = Switch(tmp_path / "eu")
    found.first_use()
    return found


@contextmanager
def waiting(switch: Switch, person: Person | None, last: Halt | None = None) -> Iterator[None]:
    """Run an alarm of a new process until the block ends, then stop it."""
    signals = telemetry("egress", "eu", None, {})
    alarm = (
        Alarm(switch, "eu", None, signals.recorder)
        if person is None
        else Alarm(switch, "eu", HOOK, signals.recorder, person.hear)
    )
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(alarm.wait, stop, last)
        try:
            yield
        finally:
            stop.set()
            done.result(WAIT_S)
            signals.shutdown()


def is_delivered(switch: Switch) -> bool:
    deadline = threading.Event()
    for _ in range(200):
        if told_of(switch).delivered:
            return True
        deadline.wait(0.02)
    return False


def test_an_alert_holds_names_of_our_records_and_words_of_closed_lists() -> None:
    strange = ("ada@example.com", "us.commerce.orders.v1[0]@7#1", "eu.crm.minimal.v1[0]@1#0")
    odd = ("eu.commerce.orders.v1[0]@07#1", "eu.commerce.orders.v1[0]@٣#1")
    halt = Halt("0f" * 16, Cause.GATE, NOW, "egress", "Email__c", (NAME, *strange, *odd), 2, 12)

    said = document("eu", halt)

    assert said == {
        "kind": "egress-halted",
        "region": "eu",
        "halt": "0f" * 16,
        "cause": "gate",
        "meaning": MEANINGS[Cause.GATE],
        "by": "egress",
        "since": "2026-11-23T16:40:01+00:00",
        "records": [NAME],
        "more": 7,
        "leaf": 12,
        "next": "homeport egress status --region eu",
    }
    assert sentence(said) == (
        "Homeport: egress of eu is halted since 2026-11-23T16:40:01+00:00: "
        f"{MEANINGS[Cause.GATE]} ({NAME}, and 7 more, first bad leaf 12). Nothing is sent until "
        "somebody resumes it: homeport egress status --region eu"
    )
    assert MEANINGS.keys() == set(Cause)


def test_the_page_for_operators_has_every_field_and_every_cause() -> None:
    said = document("eu", Halt("0f" * 16, Cause.GATE, NOW, "egress", "text"))
    told = {
        name
        for row in re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }

    assert {*said, *Cause} - told == set()


def test_a_halt_is_told_once_also_over_restarts(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    halt, person = switch.halt(ERROR, "egress"), Person()
    with waiting(switch, person):
        assert is_delivered(switch)
    with waiting(switch, person):
        pass

    assert [said["halt"] for said, _ in person.told] == [halt.id]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["CRITICAL", "WARNING"]
    assert "Email__c" not in caplog.text


def test_the_next_halt_is_told_anew(switch: Switch) -> None:
    first, person = switch.halt(ERROR, "egress"), Person()
    with waiting(switch, person):
        assert is_delivered(switch)
    with switch.resuming("mended", NOW) as resuming:
        resuming.logged(1)
    second = switch.halt(ERROR, "egress")
    person.heard.clear()
    with waiting(switch, person):
        assert person.heard.wait(WAIT_S)

    assert [said["halt"] for said, _ in person.told] == [first.id, second.id]


def test_a_webhook_that_fails_is_tried_again_until_it_answers(
    switch: Switch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    switch.halt(ERROR, "egress")
    person = Person(failures=3)
    with waiting(switch, person):
        assert is_delivered(switch)

    assert len(person.told) == 1
    assert caplog.text.count("HTTP 503; trying again") == 3


def test_a_restart_tries_again_what_was_not_delivered_but_logs_no_second_alert(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch.halt(ERROR, "egress")
    with waiting(switch, Person(failures=1)):
        pass
    person = Person()
    with waiting(switch, person):
        assert is_delivered(switch)

    assert len(person.told) == 1
    assert [r.levelname for r in caplog.records].count("CRITICAL") == 1


@pytest.mark.parametrize("text", ["", "{", '{"halt": 1}', "[]"])
def test_a_damaged_note_of_who_was_told_tells_again(switch: Switch, text: str) -> None:
    switch.halt(ERROR, "egress")
    (switch.folder / ALERT).write_text(text)
    person = Person()
    with waiting(switch, person):
        assert is_delivered(switch)

    assert len(person.told) == 1


def test_without_a_webhook_the_log_is_told_alone(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch.halt(ERROR, "egress")
    with waiting(switch, None):
        pass

    assert "egress of eu is halted" in caplog.text
    assert (told_of(switch).logged, told_of(switch).delivered) == (True, False)


def test_it_waits_until_somebody_resumes_and_no_longer(switch: Switch) -> None:
    recorder = telemetry("egress", "eu", None, {}).recorder
    switch.halt(ERROR, "egress")
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(Alarm(switch, "eu", None, recorder).wait, threading.Event())
        with pytest.raises(TimeoutError):
            done.result(0.5)
        with switch.resuming("mended", NOW) as resuming:
            resuming.logged(1)

        assert done.result(WAIT_S) is None


def test_a_halt_that_no_disk_took_is_told_and_waited_out_too(tmp_path: Path) -> None:
    switch, person = Switch(tmp_path / "eu"), Person()
    last = Halt("0f" * 16, Cause.LEDGER, NOW, "egress", "the disk is full")
    with waiting(switch, person, last):
        assert person.heard.wait(WAIT_S)

    assert person.told[0][0]["halt"] == last.id
