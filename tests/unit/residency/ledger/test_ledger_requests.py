"""Whoever is not the writer has a leaf appended: once, whatever crashes, and only of some kinds."""

import dataclasses
import errno
import os
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from failing_disk import FailingOps

from residency.ledger.disk import POSIX
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.replays import ReplayLeaf
from residency.ledger.requests import ASIDE, MAX_AT_ONCE, Answer, Requests, Served
from residency.ledger.tiles import MAX_ENTRY_BYTES
from residency.ledger.verify import verify
from schemas.events import Coordinates, RecordId

TIME = "2026-11-23T16:40Z"
ORIGIN = "ledger.eu.example/transfers"
LEAF = ReplayLeaf(TIME, "0" * 32, "ab" * 32, 7, "0.1.0", ("a",), None, None, 9, {"same": 9})
RECORD = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), topic_id="mKf0Jv4aQ3ywXKzQ")
TRANSFER = TransferLeaf(TIME, RECORD, "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32)
NO_WORD = orjson.dumps(  # where a word of a closed list belongs
    {"cause": [], "halt": "0f" * 16, "kind": "resume", "reason": "ab" * 32,
     "request": LEAF.request, "since": "2026-11-23T16:40Z", "time": "2026-11-23T16:40Z"}
)  # fmt: skip


def leaf(number: int) -> ReplayLeaf:
    return dataclasses.replace(LEAF, request=f"{number:032x}")


def opened(folder: Path) -> Ledger:
    return Ledger.open(folder, ORIGIN, bytes(32))


@pytest.fixture
def requests(tmp_path: Path) -> Requests:
    return Requests(tmp_path / "ledger-requests")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def test_what_was_asked_for_is_appended_once_and_answered_with_its_index(
    requests: Requests, folder: Path
) -> None:
    with opened(folder) as ledger:
        ledger.append([TRANSFER.to_bytes()])
        requests.ask(leaf(1))
        before = requests.answer(leaf(1).request)

        served, again = requests.serve(ledger), requests.serve(ledger)

        assert before is None
        assert (served, again) == (Served(1), Served())
        assert requests.answer(leaf(1).request) == Answer(leaf=1)
        assert [parse_leaf(entry) for entry in ledger.read(1)] == [leaf(1)]


def test_what_waits_goes_into_one_append_the_oldest_first(requests: Requests, folder: Path) -> None:
    for age, number in enumerate((5, 3, 4)):
        requests.ask(leaf(number))
        os.utime(requests.folder / f"{leaf(number).request}.asked", (age, age))

    with opened(folder) as ledger:
        served = requests.serve(ledger)

        assert served.appended == 3
        assert [parse_leaf(entry) for entry in ledger.read(0)] == [leaf(5), leaf(3), leaf(4)]
    assert [requests.answer(leaf(n).request) for n in (5, 3, 4)] == [
        Answer(leaf=0), Answer(leaf=1), Answer(leaf=2)
    ]  # fmt: skip


def test_more_than_fit_into_one_append_wait_for_the_next(requests: Requests, folder: Path) -> None:
    requests.ask(leaf(0))  # makes the folder
    for number in range(1, MAX_AT_ONCE + 2):
        one = leaf(number)
        (requests.folder / f"{one.request}.asked").write_bytes(one.to_bytes())

    with opened(folder) as ledger:
        served = [requests.serve(ledger).appended for _ in range(3)]

        assert served == [MAX_AT_ONCE, 2, 0]
        assert len(set(ledger.read(0))) == ledger.size
        assert ledger.size == MAX_AT_ONCE + 2


def test_asking_again_asks_once_in_whatever_state_the_request_is(
    requests: Requests, folder: Path
) -> None:
    requests.ask(leaf(1))
    requests.ask(leaf(1))
    with opened(folder) as ledger:
        requests.serve(ledger)
        requests.ask(leaf(1))
        requests.serve(ledger)

        assert ledger.size == 1
    assert len(list(requests.folder.iterdir())) == 1


def test_an_answer_is_there_until_it_is_taken_away(requests: Requests, folder: Path) -> None:
    requests.ask(leaf(1))
    requests.ask(leaf(2))
    with opened(folder) as ledger:
        requests.serve(ledger)

    requests.forget(leaf(1).request)
    requests.forget(leaf(1).request)

    assert requests.answer(leaf(1).request) is None
    assert requests.answer(leaf(2).request) is not None


def test_only_old_answers_are_swept_never_what_waits(requests: Requests, folder: Path) -> None:
    for number in (1, 2, 3):
        requests.ask(leaf(number))
        os.utime(requests.folder / f"{leaf(number).request}.asked", (number, number))
    (requests.folder / f"{leaf(3).request}.asked").rename(requests.folder / "kept")
    with opened(folder) as ledger:
        requests.serve(ledger)
    (requests.folder / "kept").rename(requests.folder / f"{leaf(3).request}.asked")

    requests.forget_older(2)

    assert requests.answer(leaf(1).request) is None
    assert requests.answer(leaf(2).request) is not None
    assert (requests.folder / f"{leaf(3).request}.asked").exists()


def test_a_folder_that_is_not_there_asks_for_nothing(requests: Requests, folder: Path) -> None:
    with opened(folder) as ledger:
        assert requests.serve(ledger) == Served()
    assert requests.answer("0" * 32) is None
    assert not requests.folder.exists()


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        (LEAF.request, b"", "canonical"),
        (LEAF.request, LEAF.to_bytes() + b"\n", "canonical"),
        (LEAF.request, LEAF.to_bytes().replace(b"replay", b"person"), "kind"),
        (LEAF.request, LEAF.to_bytes().replace(b'"raw":9', b'"raw":-9'), "'raw'"),
        (LEAF.request, TRANSFER.to_bytes(), "writer's own"),
        (LEAF.request, b"x" * (MAX_ENTRY_BYTES + 1), "bytes"),
        ("1" * 32, LEAF.to_bytes(), "named after"),
        (LEAF.request, NO_WORD, "'cause'"),
        (LEAF.request, b'{"kind":' + b"[" * 300 + b"]" * 300 + b"}", "canonical"),
    ],
)
def test_what_is_no_leaf_that_may_be_asked_for_is_refused_with_a_reason_and_stops_nobody(
    requests: Requests, folder: Path, name: str, data: bytes, why: str
) -> None:
    requests.ask(leaf(7))
    file = requests.folder / f"{name}.asked"
    file.write_bytes(data)

    with opened(folder) as ledger:
        served = requests.serve(ledger)

        assert [parse_leaf(entry) for entry in ledger.read(0)] == [leaf(7)]
    answer = requests.answer(name)
    assert answer is not None
    assert answer.leaf is None
    assert why in str(answer.refused)
    assert len(served.refused) == 1
    assert why in served.refused[0]
    assert not file.exists()
    (kept,) = (requests.folder / ASIDE).iterdir()
    assert kept.read_bytes() == data


def test_a_link_a_pipe_and_a_folder_are_no_requests(
    requests: Requests, folder: Path, tmp_path: Path
) -> None:
    requests.ask(leaf(9))
    (tmp_path / "elsewhere").write_bytes(leaf(1).to_bytes())
    (requests.folder / f"{leaf(1).request}.asked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(requests.folder / f"{leaf(2).request}.asked")
    (requests.folder / f"{leaf(3).request}.asked" / "deep").mkdir(parents=True)
    (requests.folder / "Ada Lovelace.asked").write_bytes(leaf(4).to_bytes())

    with opened(folder) as ledger:
        served, again = requests.serve(ledger), requests.serve(ledger)

        assert [parse_leaf(entry) for entry in ledger.read(0)] == [leaf(9)]
    assert len(served.refused) == 4
    assert "Ada" not in str(served.refused)
    assert again == Served()
    assert len(list((requests.folder / ASIDE).iterdir())) == 4
    assert (tmp_path / "elsewhere").exists()


def test_other_files_in_the_folder_are_left_alone(requests: Requests, folder: Path) -> None:
    requests.ask(leaf(1))
    others = ("notes", f"{leaf(2).request}.asked.new", f"{leaf(3).request}.at-x")
    for name in others:
        (requests.folder / name).write_bytes(leaf(2).to_bytes())

    with opened(folder) as ledger:
        requests.serve(ledger)

        assert ledger.size == 1
    assert all((requests.folder / name).exists() for name in others)


class Killed(BaseException):
    """The process died: nothing of ours runs after it."""


class DyingOps(FailingOps):
    """Dies before its *n*-th call instead of failing it."""

    def _may_fail(self) -> None:
        if self._call():
            raise Killed


@pytest.mark.parametrize("ops_kind", [FailingOps, DyingOps])
@pytest.mark.parametrize("others", [0, 2])
def test_a_crash_or_a_fault_at_any_call_appends_each_once(
    tmp_path: Path, ops_kind: type[FailingOps], others: int
) -> None:
    """Also where egress appends its own leaves before it looks at the requests again."""
    for n in range(200):
        top = tmp_path / f"{ops_kind.__name__}-{others}-{n}"
        asking = Requests(top / "requests")
        for number in (1, 2, 3):
            asking.ask(leaf(number))
        (asking.folder / f"{'f' * 32}.asked").write_bytes(b"no leaf")
        ops = ops_kind(n, errno.EIO)
        with (
            suppress(Killed, LedgerError),
            Ledger.open(top / "ledger", ORIGIN, bytes(32), ops) as ledger,
        ):
            Requests(asking.folder, ops).serve(ledger)

        with opened(top / "ledger") as ledger:
            ledger.append([TRANSFER.to_bytes()] * others)
            asking.serve(ledger)
            asking.serve(ledger)
            leaves = [parse_leaf(entry) for entry in ledger.read(0)]

        assert sorted(leaves.index(leaf(number)) for number in (1, 2, 3))
        assert len(leaves) == 3 + others
        for number in (1, 2, 3):
            where = leaves.index(leaf(number))
            assert asking.answer(leaf(number).request) == Answer(leaf=where)
        assert asking.answer("f" * 32) is not None
        assert not list(asking.folder.glob("*.a*"))  # nothing waits, nothing is half done
        if not ops.has_failed:
            return
    pytest.fail("the run never got through")


def test_a_fault_while_it_asks_leaves_the_whole_request_or_none(tmp_path: Path) -> None:
    for n in range(30):
        asking = Requests(tmp_path / str(n) / "requests", FailingOps(n, errno.ENOSPC))
        with suppress(OSError):
            asking.ask(leaf(1))

        Requests(asking.folder, POSIX).ask(leaf(1))
        with opened(tmp_path / str(n) / "ledger") as ledger:
            Requests(asking.folder).serve(ledger)

            assert [parse_leaf(entry) for entry in ledger.read(0)] == [leaf(1)]


def test_one_that_was_taken_away_is_not_waited_for(requests: Requests, folder: Path) -> None:
    """Somebody removes a request between the look at the folder and the append."""
    requests.ask(leaf(1))
    requests.ask(leaf(2))

    class Removing(FailingOps):
        def replace(self, source: Path, target: Path) -> None:
            source.unlink() if leaf(1).request in source.name else POSIX.replace(source, target)
            if not target.exists():
                raise FileNotFoundError(errno.ENOENT, "gone")

    with opened(folder) as ledger:
        served = Requests(requests.folder, Removing(10**6, errno.EIO)).serve(ledger)

        assert served == Served(1)
        assert [parse_leaf(entry) for entry in ledger.read(0)] == [leaf(2)]
    assert verify(folder, None).problems == ()
