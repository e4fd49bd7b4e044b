"""``homeport ledger reindex`` on a real PostgreSQL: anew from the entries, all or nothing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from postgres_process import running_postgres

from connectors.postgres.egress_store import Changes, EgressStore, Entry
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import Coordinates, RecordId

ORIGIN, SEED = "ledger.eu.example/transfers", bytes(32)
TIME = "2026-11-23T16:40Z"
TOP = Path(__file__).parents[2]
SIZE = 6_000  # more than one group


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with running_postgres() as found:
        yield found


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int) -> bytes:
    return TransferLeaf(
        TIME, record(offset), "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32
    ).to_bytes()


@pytest.fixture
def home(tmp_path: Path, dsn: str) -> Path:
    """Return a home with a ledger of eu, and the settings of its egress; the index is wrong."""
    with Ledger.open(tmp_path / "eu/ledger", ORIGIN, SEED) as ledger:
        ledger.append([transfer(n) for n in range(SIZE)])
        ledger.append([OutcomeLeaf(TIME, record(7), 7, "accepted", None).to_bytes()])
    settings = {
        "region": "eu",
        "service": "egress",
        "home": str(tmp_path),
        "kafka": {"bootstrap": "127.0.0.1:1", "username": "egress", "password": "of-the-test"},
        "postgres": {"dsn": dsn},
    }
    file = tmp_path / "eu/services/egress.json"
    file.parent.mkdir()
    file.touch(0o600)
    file.write_text(json.dumps(settings))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS ledger_index")
    with closing(EgressStore(dsn)) as store:
        wrong = [Entry(record(7), transfer=3), Entry(record(99_999), transfer=4)]
        store.save(5, wrong, Changes())
    return tmp_path


def reindex(home: Path) -> "subprocess.CompletedProcess[str]":
    argv = ["ledger", "reindex", "--region", "eu", "--home", str(home), "--json"]
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *argv],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def indexed(dsn: str) -> tuple[int, dict[RecordId, Entry]]:
    with closing(EgressStore(dsn)) as store:
        return store.indexed, store.look_up([record(7), record(5_999), record(99_999)])


def test_the_index_says_what_the_entries_say_and_nothing_else(home: Path, dsn: str) -> None:
    done = reindex(home)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "region": "eu",
        "leaves": SIZE + 1,
        "results": {"accepted": 1},
    }
    size, entries = indexed(dsn)
    assert size == SIZE + 1
    assert entries == {
        record(7): Entry(record(7), 7, "cd" * 32, "2026-11", SIZE, "accepted"),
        record(5_999): Entry(record(5_999), 5_999, "cd" * 32, "2026-11"),
    }


def test_it_refuses_while_a_writer_has_the_ledger(home: Path, dsn: str) -> None:
    before = indexed(dsn)

    with Ledger.open(home / "eu/ledger", ORIGIN, SEED):
        done = reindex(home)

    assert (done.returncode, done.stdout) == (1, "")
    assert "writes this ledger" in done.stderr
    assert indexed(dsn) == before


def test_a_ledger_shorter_than_its_index_keeps_the_index(home: Path, dsn: str) -> None:
    """The index is what tells that an older copy was put back; it must not forget."""
    with closing(EgressStore(dsn)) as store:
        store.save(SIZE + 50, [], Changes())

    done = reindex(home)

    assert done.returncode == 1
    assert "an older copy" in done.stderr
    assert indexed(dsn)[0] == SIZE + 50


def test_an_entry_outside_the_signed_tree_leaves_the_old_index(home: Path, dsn: str) -> None:
    before = indexed(dsn)
    bundle = home / "eu/ledger/tile/entries/020"
    bundle.write_bytes(bundle.read_bytes().replace(b"@5200#0", b"@9200#0"))

    done = reindex(home)

    assert done.returncode == 1
    assert "do not hash to the root" in done.stderr
    assert indexed(dsn) == before
