"""Whatever lies in an entry or a folder, reading it ends in an answer, never in another error.

Anybody may put a request beside the ledger, and an auditor is handed entries by somebody he does
not trust: what breaks the reader would stop egress, or keep him from seeing what is wrong.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
import rfc8785

from residency.ledger import disk
from residency.ledger.accesses import AccessLeaf, Act, Purpose
from residency.ledger.erasures import ErasureLeaf
from residency.ledger.errors import FormatError
from residency.ledger.files import Ledger
from residency.ledger.fsck import fsck
from residency.ledger.leaves import Leaf, TransferLeaf, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf, SentWith
from residency.ledger.policies import PolicyLeaf
from residency.ledger.published import SCHEMAS, kinds
from residency.ledger.replays import ReplayLeaf
from residency.ledger.resumes import ResumeLeaf
from residency.ledger.verify import verify
from schemas.errors import Cause
from schemas.events import Coordinates, RecordId
from tests.support.certified import LEAF as MODEL

TIME, REQUEST, DIGEST = "2026-11-23T16:40Z", "0f" * 16, "ab" * 32
RECORD = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), topic_id="mKf0Jv4aQ3ywXKzQ")
OTHER = RecordId(Coordinates("eu.commerce.orders.v1", 0, 8), topic_id="mKf0Jv4aQ3ywXKzQ")
LEAVES: tuple[Leaf, ...] = (
    AccessLeaf(TIME, REQUEST, "desk-a", Act.FIND, Purpose.SUPPORT, 1, DIGEST, DIGEST),
    ErasureLeaf(TIME, REQUEST, DIGEST, TIME, "event", {"deleted": 2}),
    MODEL,
    OutcomeLeaf(TIME, RECORD, 1, "rejected", "TOO_OLD", ("A__c",), SentWith.of([RECORD, OTHER])),
    OutcomeLeaf(TIME, RECORD, 1, "accepted", None, (), SentWith(40, digest=DIGEST)),
    PolicyLeaf(TIME, REQUEST, {DIGEST: "2027-06-27"}, {"packs/eu.toml": DIGEST}),
    ReplayLeaf(TIME, REQUEST, DIGEST, 7, "0.1.0", ("a",), None, None, 9, {"same": 8}),
    ResumeLeaf(TIME, REQUEST, REQUEST, Cause.GATE, TIME, DIGEST),
    TransferLeaf(TIME, RECORD, "A__c", 1, DIGEST, 1, "0.1.0", ("b",), DIGEST, model=DIGEST),
)
ODD = (
    None, True, False, 0, -1, 1.5, 1e300, 2**53, 2**53 - 1, "", "x", "\n", "\0", "é", "\U0001f600",
    "0" * 5000, TIME + "\n", "2026-02-30T00:00Z", [], [[]], [{}], [None], [1, "a"], ["a", "a"], {},
    {"a": []}, {"a": {}}, {"": 0}, {"count": [], "sha256": []}, {"count": 1, "sha256": DIGEST},
)  # fmt: skip


def spoilt(row: Any) -> Iterator[Any]:
    """Yield *row* with each value in it, at any depth, replaced by each odd one."""
    yield from ODD
    if not isinstance(row, dict | list):
        return
    for key, value in row.items() if isinstance(row, dict) else enumerate(row):
        for other in spoilt(value):
            copy = row.copy()
            copy[key] = other
            yield copy


def test_there_is_an_example_of_every_kind() -> None:
    assert {leaf.kind for leaf in LEAVES} == set(kinds())


@pytest.mark.parametrize("leaf", LEAVES, ids=[leaf.kind for leaf in LEAVES])
def test_a_leaf_with_any_value_in_any_place_is_refused_or_is_of_the_published_schema(
    leaf: Leaf,
) -> None:
    row = json.loads(leaf.to_bytes())
    schema = jsonschema.Draft202012Validator(
        json.loads((SCHEMAS / f"{leaf.kind}.json").read_text())
    )

    taken = []
    for other in spoilt(row):
        try:
            data = rfc8785.dumps(other)
        except rfc8785.IntegerDomainError:
            data = json.dumps(other, sort_keys=True, separators=(",", ":")).encode()
        try:
            taken.append((other, parse_leaf(data).to_bytes() == data))
        except FormatError:
            continue

    assert [other for other, is_same in taken if not is_same] == []
    assert [other for other, _ in taken if not schema.is_valid(other)] == []


@pytest.mark.parametrize("depth", [200, 300, 2000, 30_000])
def test_an_entry_of_any_depth_is_refused(depth: int) -> None:
    for start, end in (("[", "]"), ('{"a":', "}")):
        nested = start * depth + "1" + end * depth

        for text in (nested, f'{{"kind":"outcome","result":{nested}}}'):
            with pytest.raises(FormatError):
                parse_leaf(text.encode())


# -- a folder that somebody else made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path / "ledger", "ledger.eu.example/transfers", bytes(range(32))) as made:
        made.append([LEAVES[-1].to_bytes()])
    return tmp_path / "ledger"


@pytest.mark.parametrize("name", ["²", "٣", "0", "256", "300", "9" * 200])
def test_a_name_beside_a_missing_partial_tile_that_is_no_width_is_not_looked_into(
    folder: Path, name: str
) -> None:
    (folder / "tile/0/000.p/1").rename(folder / "tile/0/000.p" / name)

    report = verify(folder, None)

    assert report.problems[0].startswith("tile/0/000.p/1: tile/0/000.p/1 is missing")
    assert report.problems[-1] == f"'tile/0/000.p/{name}' is not the path of a tile"
    assert not fsck(folder).is_sound


@pytest.mark.parametrize("place", ["", "tile/", "tile/0/"])
@pytest.mark.parametrize("name", [b"\xff", b"\x1b[31m", b"\n", "é".encode()])
def test_a_name_that_no_terminal_or_document_takes_is_shown_in_ascii(
    folder: Path, place: str, name: bytes
) -> None:
    (folder / place / os.fsdecode(name)).touch()

    (finding,) = fsck(folder).findings

    assert finding.path == f"{place}{ascii(os.fsdecode(name))[1:-1]}"
    assert finding.path.isascii()
    assert finding.path.isprintable()
    orjson.dumps([finding.path, finding.text, *verify(folder, None).problems])


@pytest.mark.parametrize("path", ["tile/0/000.p/1", "tile/entries/000.p/1", "checkpoint", "vkey"])
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "huge"])
def test_what_is_no_regular_file_of_a_ledgers_size_is_wrong_and_not_waited_for(
    folder: Path, path: str, what: str
) -> None:
    file = folder / path
    file.unlink()
    if what == "pipe":
        os.mkfifo(file)
    elif what == "device":
        file.symlink_to("/dev/zero")
    elif what == "folder":
        file.mkdir()
    else:
        file.touch()
        os.truncate(file, disk.MAX_FILE_BYTES + 1)

    report = verify(folder, None)

    assert any(f"{file} is no regular file of at most" in problem for problem in report.problems)
    assert not fsck(folder).is_sound


def test_the_longest_bundle_that_a_ledger_can_have_is_read(tmp_path: Path) -> None:
    longest = b"x" * 65_535
    with Ledger.open(tmp_path, "ledger.eu.example/transfers", bytes(range(32))) as made:
        made.append([longest] * 256)

        assert list(made.read(255)) == [longest]
