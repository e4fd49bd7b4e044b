"""What an auditor takes away verifies for what it holds, and says what it does not hold."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import rfc8785
from other_clients import go_run

from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.find import Span
from residency.ledger.leaves import TransferLeaf
from residency.ledger.note import Signer
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader
from residency.ledger.verify import verify
from residency.plan.approved import digest_of, stored_plans
from schemas.errors import SetupError
from schemas.events import Coordinates, RecordId
from streams.export import export

ORIGIN, SEED = "ledger.eu.example/transfers", bytes(32)
LOG = Signer(ORIGIN, SEED).verifier
PLAN, GONE = digest_of(stored_plans()[0]), "ab" * 32
TOP = Path(__file__).parents[3]


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int, day: int, plan: str) -> bytes:
    return TransferLeaf(
        f"2026-11-{day:02d}T16:40Z",
        record(offset),
        "Commerce_Order__c",
        1,
        plan,
        1,
        "0.1.0",
        (),
        "cd" * 32,
    ).to_bytes()


def outcome(offset: int, day: int) -> bytes:
    return OutcomeLeaf(
        f"2026-11-{day:02d}T16:40Z", record(offset), offset, "accepted", None
    ).to_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a ledger of 900 transfers, 100 a day, the last hundred of a plan long gone."""
    with Ledger.open(tmp_path / "ledger", ORIGIN, SEED) as ledger:
        ledger.append([transfer(n, 1 + n // 100, PLAN if n < 800 else GONE) for n in range(900)])
        ledger.append([outcome(10, 10), outcome(899, 10)])
    return tmp_path / "ledger"


def test_a_span_is_exported_in_whole_bundles_under_all_hashes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    done = export(Reader(folder), LOG, Span("2026-11-04", "2026-11-05"), out)

    part, whole = verify(out, str(LOG), is_part=True), verify(out, str(LOG))
    assert (done.first, done.last, done.entries, done.size) == (300, 399, 256, 902)
    assert (part.problems, part.absent) == ((), 902 - 256)
    assert not whole.verified
    assert [path.name for path in (out / "tile/entries").iterdir()] == ["001"]
    assert " --part" in (out / "README.md").read_text()
    assert "Leaves 300 to 399 were asked for" in (out / "README.md").read_text()


def test_without_a_span_all_is_exported_and_verifies_whole(folder: Path, tmp_path: Path) -> None:
    done = export(Reader(folder), LOG, Span(), tmp_path / "out")

    assert (done.entries, done.first, done.last) == (902, 0, 901)
    assert verify(tmp_path / "out", str(LOG)).problems == ()
    assert "--part`" in (tmp_path / "out/README.md").read_text()
    assert "vkey vkey --part" not in (tmp_path / "out/README.md").read_text()


def test_the_plans_that_leaves_name_go_along_and_hash_to_their_names(
    folder: Path, tmp_path: Path
) -> None:
    done = export(Reader(folder), LOG, Span(), tmp_path / "out")

    (plan,) = (tmp_path / "out/plans").iterdir()
    assert hashlib.sha256(plan.read_bytes()).hexdigest() == plan.stem == PLAN
    assert (done.plans, done.unknown_plans) == ((PLAN,), (GONE,))
    assert GONE in (tmp_path / "out/README.md").read_text()


def test_leaves_are_canonical_and_valid_under_the_schemas_that_go_along(
    folder: Path, tmp_path: Path
) -> None:
    export(Reader(folder), LOG, Span(), tmp_path / "out")

    seen = set()
    for entry in Reader(tmp_path / "out").entries(0, 902, 902):
        leaf = orjson.loads(entry)
        schema = json.loads((tmp_path / f"out/schemas/{leaf['kind']}.json").read_bytes())
        if leaf["kind"] not in seen or int(hashlib.sha256(entry).hexdigest(), 16) % 50 == 0:
            jsonschema.Draft202012Validator(schema).validate(leaf)
        assert rfc8785.dumps(leaf) == entry
        seen.add(leaf["kind"])
    assert seen == {"transfer", "outcome"}


def test_a_span_without_a_leaf_is_exported_as_hashes_alone(folder: Path, tmp_path: Path) -> None:
    done = export(Reader(folder), LOG, Span("2027-01-01"), tmp_path / "out")

    assert (done.entries, done.first) == (0, None)
    assert verify(tmp_path / "out", str(LOG), is_part=True).absent == 902
    assert not (tmp_path / "out/tile/entries").exists()


def test_a_ledger_that_does_not_hold_is_not_exported(folder: Path, tmp_path: Path) -> None:
    bundle = folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"@77#0", b"@78#0"))

    with pytest.raises(LedgerError, match="leaf 77"):
        export(Reader(folder), LOG, Span(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    with pytest.raises(SetupError, match="not an empty folder"):
        export(Reader(folder), LOG, Span(), folder)


def go(out: Path) -> "subprocess.CompletedProcess[str]":
    """Follow the README of an export, or skip the test."""
    return go_run(out / "check", "run", ".", "..", "../vkey")


def test_the_programme_in_the_export_checks_it_with_other_peoples_code(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(Reader(folder), LOG, Span("2026-11-04", "2026-11-05"), out)

    fine = go(out)
    bundle = out / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"@300#0", b"@999#0"))
    bad = go(out)

    said = "256 of 902 entries are here, and all of them are in the signed tree"
    assert (fine.stderr, fine.stdout) == ("", f"{ORIGIN}: {said}\n")
    assert bad.returncode == 1
    assert "entry 300 does not hash to its leaf" in bad.stderr


def run(*argv: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "ledger", *map(str, argv)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_exports_and_names_the_plans_it_lacks(folder: Path, tmp_path: Path) -> None:
    where = ("--ledger", folder, "--vkey", folder / "vkey")

    done = run("export", *where, "--since", "2026-11-09", "--out", tmp_path / "a", "--json")
    again = run("export", *where, "--out", tmp_path / "a")

    told: Any = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (told["first"], told["last"], told["entries"]) == (800, 901, 902 - 768)
    assert told["unknown_plans"] == [GONE]
    assert again.returncode == 3


def test_fsck_names_what_a_crash_left_and_repairs_it(folder: Path) -> None:
    where = ("--ledger", folder, "--vkey", folder / "vkey")
    (folder / "checkpoint.new").write_bytes(b"half")

    told = json.loads(run("fsck", *where, "--json").stdout)
    repaired = run("fsck", *where, "--repair")

    assert (told["sound"], told["next_start"]["action"]) == (True, "mends")
    assert [finding["kind"] for finding in told["findings"]] == ["draft"]
    assert repaired.returncode == 0
    assert "removed checkpoint.new" in repaired.stdout
    assert not (folder / "checkpoint.new").exists()


def test_fsck_exits_1_on_a_damaged_ledger(folder: Path) -> None:
    (folder / "tile/0/001").unlink()

    done = run("fsck", "--ledger", folder, "--vkey", folder / "vkey")

    assert done.returncode == 1
    assert "NOT SOUND" in done.stdout
