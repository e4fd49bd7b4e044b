"""Egress runs only while its permit is there and no halt is; what is missing or damaged halts."""

import errno
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import BreachError, Cause, HaltError
from streams import switch as module
from streams.halts import MAX_RECORDS, Halt, HaltedError
from streams.switch import HALT, PERMIT, RESUMED, STAYS, Switch

NOW = datetime(2026, 11, 23, 16, 40, 1, tzinfo=UTC)
GATE = BreachError("a field breaks the grammar", Cause.GATE, ("eu.commerce.orders.v1[0]@7#1",))
OTHER = BreachError("the tree has another root", Cause.LEDGER)


@pytest.fixture
def switch(tmp_path: Path) -> Switch:
    found = Switch(tmp_path / "eu")
    found.first_use()
    found.permitted()
    return found


def resume(switch: Switch, leaf: int = 7) -> Halt:
    with switch.resuming("mended", NOW) as resuming:
        resuming.logged(leaf)
    return resuming.halt


def test_a_new_region_is_permitted_by_its_first_use_alone(tmp_path: Path) -> None:
    new = Switch(tmp_path / "eu")
    before = new.standing(is_new=True)
    with pytest.raises(BreachError, match="nobody permits"):
        new.permitted()

    new.first_use()

    assert before is None
    assert new.permitted() is None
    new.check()


def test_the_first_halt_stands_and_every_process_sees_it(switch: Switch) -> None:
    first = switch.halt(GATE, "egress", now=NOW)
    second = switch.halt(OTHER, "verify", leaf=12)

    assert second == first == Switch(switch.folder.parent).halted()
    assert (first.cause, first.by, first.records) == (Cause.GATE, "egress", GATE.records)
    assert not (switch.folder / PERMIT).exists()
    with pytest.raises(HaltedError, match=r"halted by egress \(gate\): a field breaks") as caught:
        switch.check()
    assert (caught.value.cause, caught.value.records) == (Cause.GATE, GATE.records)


def test_of_many_halts_at_once_one_stands_and_all_tell_the_same(switch: Switch) -> None:
    found: list[Halt] = []
    errors = [BreachError(f"fault {n}", Cause.LEDGER) for n in range(8)]
    threads = [
        threading.Thread(target=lambda error=error: found.append(switch.halt(error, "verify")))
        for error in errors
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {one.id for one in found} == {found[0].id}
    assert sorted(path.name for path in switch.folder.iterdir()) == [HALT]


def test_a_halt_names_so_many_records_and_counts_the_rest(switch: Switch) -> None:
    names = tuple(f"eu.commerce.orders.v1[0]@{n}#0" for n in range(MAX_RECORDS + 5))

    halt = switch.halt(BreachError("many", Cause.RECONCILE, names), "reconcile")

    assert (halt.records, halt.more) == (names[:MAX_RECORDS], 5)
    assert Halt.from_json(json.loads((switch.folder / HALT).read_text())) == halt


def test_it_runs_again_once_a_leaf_says_so(switch: Switch) -> None:
    halt = switch.halt(GATE, "egress", now=NOW)

    ended = resume(switch)

    fresh = Switch(switch.folder.parent)
    assert ended == halt
    assert fresh.halted() is None
    assert fresh.permitted() == fresh.resumed_by() == 7
    fresh.check()
    told = json.loads((switch.folder / RESUMED / f"{halt.id}.json").read_text())
    assert (told["reason"], told["leaf"], told["halt"]["id"]) == ("mended", 7, halt.id)


def test_a_process_that_ran_before_a_halt_does_not_go_on_after_it(switch: Switch) -> None:
    old = Switch(switch.folder.parent)
    old.permitted()
    switch.halt(GATE, "egress")
    resume(switch)

    with pytest.raises(BreachError, match="went away or changed"):
        old.check()


def test_a_resumption_that_fails_anywhere_leaves_it_halted(switch: Switch) -> None:
    halt = switch.halt(GATE, "egress")

    with pytest.raises(RuntimeError), switch.resuming("mended", NOW):
        raise RuntimeError

    assert switch.halted() == halt
    assert not (switch.folder / PERMIT).exists()


def test_there_is_nothing_to_resume_while_it_runs(switch: Switch) -> None:
    with pytest.raises(HaltError, match="not halted"):
        resume(switch)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', '{"leaf": 3}'])
def test_a_halt_that_cannot_be_read_is_a_halt_and_the_same_one_each_time(
    switch: Switch, text: str
) -> None:
    (switch.folder / HALT).write_text(text)

    halt = switch.halted()

    assert halt is not None
    assert halt.cause is Cause.SWITCH
    assert halt == switch.halted()
    assert switch.halt(GATE, "egress") == halt
    assert resume(switch) == halt
    assert switch.halted() is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "0f"},
        {"id": "xy" * 16},
        {"cause": "boredom"},
        {"since": "2026-11-23T16:40:00"},
        {"by": "ada"},
        {"more": None},
        {"leaf": "x"},
    ],
)
def test_a_halt_has_one_form(switch: Switch, change: dict[str, Any]) -> None:
    row = switch.halt(GATE, "egress").to_json()

    (switch.folder / HALT).write_text(json.dumps(row | change))

    found = switch.halted()
    assert found is not None
    assert found.cause is Cause.SWITCH


def gone(path: Path) -> None:
    path.unlink()


def broken(path: Path) -> None:
    path.write_text("{")


def wordy(path: Path) -> None:
    path.write_text('{"leaf": "seven"}')


@pytest.mark.parametrize("harm", [gone, broken, wordy])
def test_a_permit_that_is_missing_or_damaged_halts(
    switch: Switch, harm: Callable[[Path], None]
) -> None:
    harm(switch.folder / PERMIT)

    with pytest.raises(BreachError) as caught:
        switch.check()

    assert caught.value.cause is Cause.SWITCH
    standing = Switch(switch.folder.parent).standing()
    assert standing is not None
    assert standing.cause is Cause.SWITCH


def test_a_full_disk_halts_too(switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.write_durably

    def full(ops: Any, files: Any, folders: Any = ()) -> None:
        if files:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(ops, files, folders)

    monkeypatch.setattr(module, "write_durably", full)

    halt = switch.halt(GATE, "egress", now=NOW)

    assert halt.cause is Cause.GATE
    assert switch.halted() is None
    assert switch.standing_after(halt) == halt
    with pytest.raises(BreachError, match="went away"):
        switch.check()


def test_where_nothing_can_be_changed_the_process_has_to_stop(
    switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module, "write_durably", failing)

    with pytest.raises(HaltError, match="could not be halted there") as caught:
        switch.halt(GATE, "egress")

    assert not isinstance(caught.value, BreachError)


def test_records_that_stay_are_kept_together_and_a_damaged_list_halts(switch: Switch) -> None:
    switch.keep(["b"])
    switch.keep(["a", "b"])
    found = switch.stays()
    (switch.folder / STAYS).write_text("7")

    with pytest.raises(BreachError) as caught:
        switch.stays()

    assert found == {"a", "b"}
    assert caught.value.cause is Cause.SWITCH
