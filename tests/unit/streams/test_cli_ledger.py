"""``homeport ledger``: what an auditor types, and the exit codes that scripts rely on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
TIME = "2026-11-23T16:40Z"
TOP = Path(__file__).parents[3]


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int) -> bytes:
    return TransferLeaf(
        TIME, record(offset), "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32
    ).to_bytes()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home whose eu ledger has 300 transfers and 3 outcomes."""
    with Ledger.open(tmp_path / "home/eu/ledger", ORIGIN, bytes(32)) as ledger:
        ledger.append([transfer(n) for n in range(300)])
        ledger.append(
            [OutcomeLeaf(TIME, record(n), n, "accepted", None).to_bytes() for n in range(3)]
        )
    return tmp_path / "home"


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "ledger", *map(str, argv)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def run_json(*argv: object, exit_code: int = 0) -> Any:
    done = run(*argv, "--json")
    assert (done.returncode, done.stderr) == (exit_code, "")
    return json.loads(done.stdout)


def test_an_honest_ledger_verifies_with_exit_0(home: Path) -> None:
    told = run_json("verify", "--region", "eu", "--home", home)

    assert told.pop("root")
    assert told == {
        "origin": ORIGIN,
        "size": 303,
        "verified": True,
        "problems": [],
        "first_bad_leaf": None,
        "from": 0,
        "absent": 0,
        "unlinked": 0,
    }
    assert run("verify", "--region", "eu", "--home", home).stdout.startswith(
        f"{ORIGIN}: 303 leaves verified"
    )


def test_an_altered_ledger_does_not_verify_and_exits_1(home: Path) -> None:
    folder = home / "eu/ledger"
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"@77#0", b"@78#0"))

    told = run_json("verify", "--ledger", folder, "--vkey", folder / "vkey", exit_code=1)
    plain = run("verify", "--region", "eu", "--home", home)

    assert told["problems"][0] == "leaf 77: the entry does not hash to what tile/0/000 holds"
    assert (plain.returncode, "leaf 77" in plain.stdout) == (1, True)


def test_show_picks_the_newest_of_a_kind(home: Path) -> None:
    where = ("--region", "eu", "--home", home)

    newest = run_json("show", *where, "--limit", 2)
    transfers = run_json("show", *where, "--kind", "transfer", "--limit", 300)
    one = run_json("show", *where, 7)

    assert [row["index"] for row in newest["leaves"]] == [301, 302]
    assert newest["leaves"][1]["leaf"]["result"] == "accepted"
    assert [row["index"] for row in transfers["leaves"]] == list(range(300))
    assert one["leaves"] == [{"index": 7, "leaf": json.loads(transfer(7))}]
    assert "record=" not in run("show", *where).stdout
    assert "eu.commerce.orders.v1[0]@2#0" in run("show", *where).stdout


def test_a_proof_convinces_whoever_has_the_key_and_nobody_with_another_entry(
    home: Path, tmp_path: Path
) -> None:
    vkey, out = home / "eu/ledger/vkey", tmp_path / "out"
    where = ("--region", "eu", "--home", home, "--out", out)

    by_leaf = run_json("proof", *where, "--leaf", 7)
    by_record = run_json("proof", *where, "--record", "eu.commerce.orders.v1[0]@2#0")

    assert [row["leaf"] for row in by_leaf["proofs"] + by_record["proofs"]] == [7, 2, 302]
    assert (out / "7.json").read_bytes() == transfer(7)
    told = run_json("check", out / "7.tlog-proof", out / "7.json", "--vkey", vkey)
    assert told == {"origin": ORIGIN, "leaf": 7, "size": 303, "verified": True, "problem": None}
    told = run_json("check", out / "7.tlog-proof", out / "2.json", "--vkey", vkey, exit_code=1)
    assert told["verified"] is False


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("verify", "--region", "uk", "--home", "{home}"), 3, "no ledger in"),
        (("verify",), 2, "say which ledger"),
        (("verify", "--region", "eu", "--ledger", "{home}"), 2, "say which ledger"),
        (("verify", "--ledger", "{home}/eu/ledger"), 2, "needs --vkey"),
        (("show", "--region", "eu", "--home", "{home}", "303"), 1, "no leaf 303"),
        (("proof", "--region", "eu", "--home", "{home}", "--out", "{home}"), 2, "which entry"),
        (
            ("proof", "--region", "eu", "--home", "{home}", "--out", "o", "--record", "x[0]@1"),
            1,
            "no entry is about",
        ),
        (("verify", "--ledger", "{home}", "--vkey", "{home}/eu/ledger/checkpoint"), 3, "no ledger"),
    ],
)
def test_what_cannot_be_done_says_so_with_its_exit_code(
    home: Path, argv: tuple[str, ...], code: int, said: str
) -> None:
    done = run(*(text.format(home=home) for text in argv))

    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
