"""A leaf that somebody asked for is appended once, whenever the ledger's writer is killed."""

import dataclasses
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from egress_world import KEYS

from residency.ledger.leaves import parse_leaf
from residency.ledger.replays import ReplayLeaf
from residency.ledger.requests import FOLDER, Answer, Requests
from residency.ledger.verify import verify
from streams.leaf_requests import new_request, writer

LEAF = ReplayLeaf(
    "2026-11-23T16:40Z", "0" * 32, "ab" * 32, 7, "0.1.0", ("a",), None, None, 9, {"same": 9}
)
KILLS = 8


def leaf() -> ReplayLeaf:
    return dataclasses.replace(LEAF, request=new_request())


APPEND = """
import sys
from pathlib import Path
from egress_world import KEYS
from residency.ledger.requests import FOLDER, Requests
from streams.leaf_requests import writer
folder = Path(sys.argv[1])
with writer(folder, KEYS)() as ledger:
    print("on", flush=True)
    while True:
        Requests(folder / FOLDER).serve(ledger)
"""


def test_kills_of_the_writer_lose_no_leaf_and_append_none_twice(tmp_path: Path) -> None:
    top = Path(__file__).parents[2]
    requests, asked, dice = Requests(tmp_path / FOLDER), list[ReplayLeaf](), random.Random(3)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", APPEND, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": f"{top}:{top / 'tests/support'}"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        until = time.monotonic() + dice.uniform(0.02, 0.2)
        while time.monotonic() < until:
            asked.append(leaf())
            requests.ask(asked[-1])
        process.send_signal(signal.SIGKILL)
        process.communicate()

    with writer(tmp_path, KEYS)() as ledger:
        while requests.serve(ledger).appended:
            pass
        found = [parse_leaf(entry) for entry in ledger.read(0)]

    assert len(asked) > KILLS
    assert sorted(one.request for one in found) == sorted(one.request for one in asked)  # type: ignore[union-attr]
    for one in asked:
        assert requests.answer(one.request) == Answer(leaf=found.index(one))
    assert verify(tmp_path / "ledger", None).problems == ()
