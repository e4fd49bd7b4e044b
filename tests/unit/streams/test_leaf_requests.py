"""A process that is not egress gets its leaf in: by itself, or by whoever holds the ledger."""

import dataclasses
import threading
import time
from pathlib import Path

import pytest

from residency.keys import LedgerKeys
from residency.ledger.errors import LedgerError
from residency.ledger.leaves import parse_leaf
from residency.ledger.replays import ReplayLeaf
from residency.ledger.requests import FOLDER, Requests
from schemas.errors import SetupError
from streams.leaf_requests import append_leaf, new_request, writer

KEYS = LedgerKeys("ledger.eu.example/transfers", bytes(32), bytes(32))
LEAF = ReplayLeaf(
    "2026-11-23T16:40Z", "0" * 32, "ab" * 32, 7, "0.1.0", ("a",), None, None, 9, {"same": 9}
)


def leaf() -> ReplayLeaf:
    return dataclasses.replace(LEAF, request=new_request())


def test_while_nobody_has_the_ledger_it_appends_it_itself_and_what_waited_before(
    tmp_path: Path,
) -> None:
    first, second = leaf(), leaf()
    Requests(tmp_path / FOLDER).ask(first)

    index = append_leaf(tmp_path, second, writer(tmp_path, KEYS), 0)

    with writer(tmp_path, KEYS)() as ledger:
        assert [parse_leaf(entry) for entry in ledger.read(0)] == [first, second]
    assert index == 1
    assert [file.name for file in (tmp_path / FOLDER).iterdir()] == [f"{first.request}.leaf-0"]


def test_while_somebody_has_the_ledger_it_waits_for_him(tmp_path: Path) -> None:
    requests, found = Requests(tmp_path / FOLDER), list[int | None]()
    with writer(tmp_path, KEYS)() as ledger:
        asking = threading.Thread(
            target=lambda: found.append(append_leaf(tmp_path, leaf(), writer(tmp_path, KEYS)))
        )
        asking.start()
        while not requests.serve(ledger).appended:
            time.sleep(0.01)
        asking.join()

    assert found == [0]


def test_one_without_the_key_leaves_it_and_the_next_writer_appends_it(tmp_path: Path) -> None:
    one = leaf()

    before = append_leaf(tmp_path, one, None, 0)
    with writer(tmp_path, KEYS)() as ledger:
        Requests(tmp_path / FOLDER).serve(ledger)
    after = append_leaf(tmp_path, one, None, 0)

    assert (before, after) == (None, 0)


def test_what_the_writer_refuses_is_an_error_that_says_why(tmp_path: Path) -> None:
    one = leaf()
    Requests(tmp_path / FOLDER).ask(one)
    (tmp_path / FOLDER / f"{one.request}.asked").write_bytes(b"{}")

    with pytest.raises(LedgerError, match=r"'replay' leaf was refused: .* kind"):
        append_leaf(tmp_path, one, writer(tmp_path, KEYS), 0)


def test_a_ledger_that_is_shorter_than_its_index_gets_nothing(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="known to be durable"):
        append_leaf(tmp_path, leaf(), writer(tmp_path, KEYS, 5), 0)


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FOLDER).touch()

    with pytest.raises(SetupError, match="mend it"):
        append_leaf(tmp_path, leaf(), None, 0)
