"""`egress status` says why, since when and who was told; what others find halts their region."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from residency.ledger.files import Ledger
from residency.reconcile.findings import SEVERITIES, Finding
from schemas.errors import BreachError, Cause
from streams.alarm import MEANINGS
from streams.cli import cli
from streams.cli.reconcile import _halt_on
from streams.settings import ReconcileSettings
from streams.switch import PERMIT, Switch

NAME = "eu.commerce.orders.v1[0]@7#1"
NAMES = tuple(f"eu.commerce.orders.v1[0]@{n}#0" for n in range(22))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "eu").mkdir()
    return tmp_path


@pytest.fixture
def switch(home: Path) -> Switch:
    Ledger.open(home / "eu" / "ledger", "ledger.eu.test/transfers", bytes(32)).close()
    found = Switch(home / "eu")
    found.first_use()
    return found


def status(home: Path, *options: str, region: str = "eu") -> Result:
    words = ["egress", "status", "--region", region, "--home", str(home), *options]
    return CliRunner().invoke(cli, words)


def test_a_region_that_never_ran_is_not_halted(home: Path) -> None:
    done = status(home, "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "region": "eu",
        "halted": False,
        "halt": None,
        "meaning": None,
        "alert": {"logged": False, "delivered": False},
        "resumed": None,
    }


def test_it_says_by_which_leaf_egress_runs(home: Path, switch: Switch) -> None:
    first = status(home)
    switch.halt(BreachError("found", Cause.GATE), "egress")
    with switch.resuming("mended", datetime.now(UTC)) as resuming:
        resuming.logged(12)

    second = status(home)

    assert (first.exit_code, first.stdout) == (0, "eu: egress may run\n")
    assert (second.exit_code, second.stdout) == (0, "eu: egress may run, by leaf 12\n")


def test_a_halt_is_told_whole_and_exits_with_1(home: Path, switch: Switch) -> None:
    halt = switch.halt(BreachError("the rule", Cause.LEDGER, NAMES), "verify", leaf=5)

    as_text, as_json = status(home), status(home, "--json")

    assert (as_text.exit_code, as_json.exit_code) == (1, 1)
    document = json.loads(as_json.stdout)
    assert document["halt"] == halt.to_json()
    assert document["meaning"] == MEANINGS[Cause.LEDGER]
    for text in (NAMES[0], NAMES[19], "and 2 more", "first bad leaf: 5", "the rule", "not told"):
        assert text in as_text.stdout
    assert NAMES[20] not in as_text.stdout
    assert "homeport egress resume --region eu --reason TEXT" in as_text.stdout


def test_a_lost_permit_is_a_halt(home: Path, switch: Switch) -> None:
    (switch.folder / PERMIT).unlink()

    done = status(home, "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["halt"]["cause"] == "switch"


def test_a_region_that_is_not_there_is_a_matter_of_the_set_up(home: Path) -> None:
    from schemas.errors import SetupError  # noqa: PLC0415

    done = status(home, region="us")

    assert isinstance(done.exception, SetupError)


@pytest.mark.parametrize("kind", SEVERITIES)
def test_a_critical_finding_halts_and_no_other(home: Path, switch: Switch, kind: str) -> None:
    settings = ReconcileSettings.__new__(ReconcileSettings)
    object.__setattr__(settings, "home", home)
    object.__setattr__(settings, "region", "eu")
    finding = Finding("Commerce_Order__c", kind, records=(NAME,))  # type: ignore[arg-type]

    _halt_on(settings, [finding, finding])

    halt = switch.halted()
    assert (halt is not None) is (SEVERITIES[kind] == "critical")  # type: ignore[index]
    if halt is not None:
        assert (halt.cause, halt.by, halt.records) == (Cause.RECONCILE, "reconcile", (NAME,))
        assert halt.text == f"`homeport reconcile`: 2 {kind}"


@pytest.mark.parametrize("command", ["verify", "fsck"])
def test_a_ledger_that_does_not_hold_halts_its_region_and_a_copy_nobody(
    home: Path, switch: Switch, command: str
) -> None:
    folder = home / "eu" / "ledger"
    vkey = home / "vkey"
    vkey.write_bytes((folder / "vkey").read_bytes())
    (folder / "tile").mkdir()
    (folder / "tile" / "stranger").touch()
    copy = ["ledger", command, "--ledger", str(folder), "--vkey", str(vkey)]

    of_copy = CliRunner().invoke(cli, copy)
    after_copy = switch.halted()
    of_region = CliRunner().invoke(
        cli, ["ledger", command, "--region", "eu", "--home", str(home), "--json"]
    )

    halt = switch.halted()
    assert (of_copy.exit_code, of_region.exit_code) == (1, 1)
    assert after_copy is None
    assert halt is not None
    assert (halt.cause, halt.by) == (Cause.LEDGER, command)
    assert json.loads(of_region.stdout)
    assert "egress of eu is halted since" in of_region.stderr


def test_a_reason_has_to_say_something_and_a_record_has_to_be_one(home: Path) -> None:
    words = ["egress", "resume", "--region", "eu", "--home", str(home)]
    bad = [[], ["--reason", " "], ["--reason", "x" * 2_001], ["--reason", "x", "--refuse", "ada"]]

    codes = [CliRunner().invoke(cli, [*words, *more]).exit_code for more in bad]

    assert codes == [2, 2, 2, 2]
