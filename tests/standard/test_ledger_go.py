"""Other people's code reads our ledger: Go's checksum-database libraries, and their vectors."""

import json
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from other_clients import go_run

from residency.ledger.files import Ledger
from residency.ledger.note import Signer
from residency.ledger.proof import make_proof
from residency.ledger.reader import Reader
from residency.ledger.tiles import node_reader
from residency.ledger.tree import (
    consistency_proof,
    inclusion_root,
    is_consistent,
    leaf_hash,
    subtree_root,
)

SOURCE = Path(__file__).with_name("go_sumdb")
ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier


def go(*argv: str) -> str:
    """Run a go command in the checker's folder, or skip the test."""
    done = go_run(SOURCE, *argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("go") / "check"
    go("build", "-buildvcs=false", "-o", str(program), ".")
    return program


def base64(hashes: list[bytes]) -> list[str]:
    return [b64encode(node).decode() for node in hashes]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 70_000])
def test_go_reads_our_ledger_and_makes_the_same_proofs(
    checker: Path, tmp_path: Path, size: int
) -> None:
    entries = [b"entry %d" % number for number in range(size)]
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        for start in range(0, size, 30_000):
            ledger.append(entries[start : start + 30_000])
    reader = Reader(tmp_path)
    node = node_reader(size, reader.tile)
    hashes = [leaf_hash(entry) for entry in entries]
    picked = sorted({0, 1, 2, 254, 255, 256, 257, size // 3, size - 1} & set(range(size)))

    claims: list[dict[str, object]] = [
        {"index": index, "hashes": base64(list(make_proof(reader, LOG, index).hashes))}
        for index in picked
    ]
    claims += [
        {
            "old": old,
            "oldRoot": base64([subtree_root(hashes[:old])])[0],
            "hashes": base64(consistency_proof(old, size, node)),
        }
        for old in [index + 1 for index in picked]
    ]
    done = subprocess.run(
        [checker, tmp_path, tmp_path / "vkey"],
        input="\n".join(map(json.dumps, claims)),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == f"{ORIGIN} {size} {len(claims)}\n"


def test_go_refuses_a_ledger_with_an_altered_entry(checker: Path, tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append([b"one", b"two"])
    bundle = tmp_path / "tile/entries/000.p/2"
    bundle.write_bytes(bundle.read_bytes().replace(b"two", b"2wo"))

    done = subprocess.run(
        [checker, tmp_path, tmp_path / "vkey"],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "entry 1 does not hash to its leaf\n"


def test_proofs_of_a_real_certificate_transparency_log_hold() -> None:
    """Google's Argon 2020, as recorded in the tests of Go's own library."""
    folder = go("list", "-m", "-f", "{{.Dir}}", "golang.org/x/mod").strip()
    data = Path(folder, "sumdb/tlog/testdata/argon2020")
    if not data.is_dir():
        pytest.skip("this version of golang.org/x/mod has not recorded the log")
    head, entry, proof, consistency = (
        json.loads((data / f"{name}.json").read_text())
        for name in ("sth", "entries", "proof", "consistency")
    )
    size, root = head["tree_size"], b64decode(head["sha256_root_hash"])
    leaf = leaf_hash(b64decode(entry["entries"][0]["leaf_input"]))
    old_root = b64decode("AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=")

    path = [b64decode(text) for text in proof["audit_path"]]
    prefix = [b64decode(text) for text in consistency["consistency"]]

    assert inclusion_root(10_000, size, leaf, path) == root
    assert inclusion_root(10_001, size, leaf, path) != root
    assert is_consistent(3_654_490, old_root, size, root, prefix)
    assert not is_consistent(3_654_491, old_root, size, root, prefix)
