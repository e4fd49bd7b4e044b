"""``homeport ledger verify --from-checkpoint|--part``, ``search`` and ``tail``, as typed."""

import json
import os
import signal
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
COMMAND = [sys.executable, "-m", "streams.cli", "ledger"]


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int) -> bytes:
    return TransferLeaf(
        TIME, record(offset), "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32
    ).to_bytes()


def outcome(offset: int) -> bytes:
    return OutcomeLeaf(TIME, record(offset), offset, "accepted", None).to_bytes()


def add(folder: Path, *entries: bytes) -> None:
    with Ledger.open(folder, ORIGIN, bytes(32)) as ledger:
        ledger.append(entries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a ledger of 300 transfers and 3 outcomes, and nothing else."""
    folder = tmp_path / "ledger"
    add(folder, *map(transfer, range(300)))
    add(folder, *map(outcome, range(3)))
    return folder


def run(folder: Path, command: str, *argv: object) -> subprocess.CompletedProcess[str]:
    where = ("--ledger", folder, "--vkey", folder / "vkey")
    return subprocess.run(
        [*COMMAND, command, *map(str, (*where, *argv))],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_increment_verifies_and_says_what_was_not_read_again(
    folder: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes((folder / "checkpoint").read_bytes())
    add(folder, outcome(7))

    told = json.loads(run(folder, "verify", "--from-checkpoint", kept, "--json").stdout)
    plain = run(folder, "verify", "--from-checkpoint", kept)

    assert (told["verified"], told["from"], told["size"]) == (True, 303, 304)
    assert "leaves 0 to 302 not read again" in plain.stdout


def test_a_rolled_back_ledger_exits_1_with_the_reason(folder: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    add(longer, *map(transfer, range(400)))

    done = run(folder, "verify", "--from-checkpoint", longer / "checkpoint")

    assert done.returncode == 1
    assert "rolled back" in done.stdout


def test_a_part_is_refused_unless_asked_for_and_then_says_what_is_missing(folder: Path) -> None:
    (folder / "tile/entries/000").unlink()

    whole, part = run(folder, "verify"), run(folder, "verify", "--part")

    assert whole.returncode == 1
    assert part.returncode == 0
    assert "of 256 leaves only the hashes are here" in part.stdout
    assert "3 outcomes" in part.stdout


def test_search_prints_what_was_found_and_says_how_many_were_looked_at(folder: Path) -> None:
    by_record = run(folder, "search", "--record", "eu.commerce.orders.v1[0]@2", "--json")
    by_object = run(
        folder, "search", "--object", "Commerce_Order__c", "--kind", "outcome", "--json"
    )
    nothing = run(folder, "search", "--result", "rejected")

    assert [row["index"] for row in lines(by_record.stdout)] == [2, 302]
    assert lines(by_record.stdout)[0]["leaf"] == json.loads(transfer(2))
    assert by_record.stderr == f"2 found, 303 looked at, in {ORIGIN}\n"
    assert [row["index"] for row in lines(by_object.stdout)] == [300, 301, 302]
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_show_prints_the_entries_that_are_named_in_that_order(folder: Path) -> None:
    told = json.loads(run(folder, "show", 302, 7, "--json").stdout)

    assert [row["index"] for row in told["leaves"]] == [302, 7]


def test_tail_prints_the_newest_and_refuses_what_is_not_in_the_tree(folder: Path) -> None:
    newest = run(folder, "tail", "-n", 2, "--json")
    bundle = folder / "tile/entries/001.p/47"
    bundle.write_bytes(bundle.read_bytes().replace(b"@2#0", b"@3#0"))
    altered = run(folder, "tail", "-n", 2)

    assert [row["index"] for row in lines(newest.stdout)] == [301, 302]
    assert (altered.returncode, altered.stdout) == (1, "")


def following(folder: Path) -> subprocess.Popen[str]:
    where = ("--ledger", folder, "--vkey", folder / "vkey")
    return subprocess.Popen(
        [*COMMAND, "tail", "-f", "-n", "1", "--json", *map(str, where)],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_tail_follows_what_is_added_and_ends_cleanly_by_ctrl_c(folder: Path) -> None:
    with following(folder) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        add(folder, transfer(900), outcome(7))
        added = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)

    assert [row["index"] for row in (first, *added)] == [302, 303, 304]
    assert added[0]["leaf"] == json.loads(transfer(900))
    assert (process.returncode, rest, said.strip()) == (130, "", "interrupted")


def test_tail_ends_with_1_when_the_ledger_forks(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    add(other, *map(transfer, range(1, 305)))
    with following(folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        folder.rename(tmp_path / "gone")
        other.rename(folder)
        rest, said = process.communicate(timeout=60)

    assert (process.returncode, rest) == (1, "")
    assert "forked: the first 303 leaves" in said


@pytest.mark.parametrize("command", ["search", "proof"])
@pytest.mark.parametrize("name", ["eu.orders.v1", "a[0]@07", "a[0]@7#1+0", "a[0]@\u0667"])
def test_a_name_that_no_leaf_can_hold_is_refused_rather_than_not_found(
    folder: Path, command: str, name: str
) -> None:
    out = () if command == "search" else ("--out", folder / "out")

    done = run(folder, command, "--record", name, *out)

    assert done.returncode == 2
    assert "a record reads topic[partition]@offset#output" in done.stderr


@pytest.mark.parametrize("command", ["search", "export"])
@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        ("2026-12-01", "2026-11-01", "the span ends before it begins"),
        ("2026-12-01", "2026-12-01", "the span ends before it begins"),
        ("999999d", "2026-12-01", "say 30m, 2h, 7d or a time like"),
        ("0001-01-01T00:00+14:00", "2026-12-01", "say 30m, 2h, 7d or a time like"),
        ("2026-11-01", "9999-12-31T23:59", "say 30m, 2h, 7d or a time like"),
    ],
)
def test_a_span_that_holds_nothing_is_refused_rather_than_found_empty(
    folder: Path, command: str, since: str, until: str, told: str
) -> None:
    out = () if command == "search" else ("--out", folder / "out")

    done = run(folder, command, "--since", since, "--until", until, *out)

    assert done.returncode == 2
    assert told in done.stderr


def test_a_file_that_is_no_key_is_not_repeated(folder: Path, tmp_path: Path) -> None:
    """Whoever gives the wrong file may have given a private key."""
    (tmp_path / "seed").write_text('{"seed": "c2VjcmV0IHNlZWQ="}\n')

    done = subprocess.run(
        [*COMMAND, "verify", "--ledger", folder, "--vkey", tmp_path / "seed"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "a vkey file is one line" in done.stderr
    assert "c2Vj" not in done.stderr


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_answer_that_stdout_does_not_take_is_no_finding(
    folder: Path, form: tuple[str, ...]
) -> None:
    where = ("--ledger", folder, "--vkey", folder / "vkey")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "verify", *where, *form], cwd=TOP, stdout=full, stderr=-1, check=False
        )

    assert done.returncode == 3
    assert done.stderr == b"homeport: No space left on device; mend that and try again\n"


def test_a_bundle_that_is_torn_is_named(folder: Path) -> None:
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes()[:-1])

    done = run(folder, "show", 0)

    assert done.returncode == 1
    assert "tile/entries/000: a bundle does not hold exactly 256 whole entries" in done.stderr
