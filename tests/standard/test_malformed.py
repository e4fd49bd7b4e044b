"""Promises 1 and 2 for bytes that are no event: quarantine, in bounded time and memory.

The short form of tests/fuzz: the whole kept corpus, and a few thousand mutations.
"""

import importlib
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from residency.plan.book import PlanBook
from schemas.errors import QuarantineError, Reason

FUZZ = Path(__file__).parents[1] / "fuzz"
CPU_S = 1.0  # of one seed; the largest takes a few milliseconds
BYTES_PER_BYTE = 200  # of memory per byte of input: what Python's smallest values take
OVERHEAD_BYTES = 2**20


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Any]:
    """Return the modules of tests/fuzz, which are scripts beside each other."""
    names = ("spans", "mutate", "deciders", "corpus", "run")
    sys.path.insert(0, str(FUZZ))
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(FUZZ))
    for name in names:
        del sys.modules[name]


def test_the_corpus_is_what_its_script_makes_of_the_valid_events() -> None:
    argv = [sys.executable, str(FUZZ / "corpus.py"), "--check"]

    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_every_seed_ends_as_a_crossing_or_in_quarantine_within_bounds(fuzz: Any) -> None:
    ways = fuzz["deciders"].deciders()
    seeds = fuzz["corpus"].seeds()
    inputs = {name: (data, ways) for name, data in seeds.items()}
    for name, (avro, data) in fuzz["corpus"].odd().items():
        inputs[name] = data, {"decode": lambda d, a=avro: [fuzz["deciders"].decode_odd(a, *d)]}
    for decide in ways.values():
        decide([data for name, data in seeds.items() if name.endswith("--valid.bin")])  # caches

    wrong: list[str] = []
    for name, (data, deciders) in inputs.items():
        tracemalloc.start()
        began = time.thread_time()
        outcomes = {way: decide([data])[0] for way, decide in deciders.items()}
        seconds, peak = time.thread_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if seconds > CPU_S or peak > OVERHEAD_BYTES + BYTES_PER_BYTE * len(data):
            wrong.append(f"{name}: {seconds:.1f} s, {peak} bytes")
        if len(set(outcomes.values())) != 1:
            wrong.append(f"{name}: {outcomes}")
        kind = next(iter(outcomes.values())).kind
        if kind not in {"crosses", *Reason}:
            wrong.append(f"{name}: {kind}")

    assert wrong == []


def test_valid_events_cross_and_each_is_broken_in_many_ways(fuzz: Any) -> None:
    (decide, *_) = fuzz["deciders"].deciders().values()
    seeds = fuzz["corpus"].seeds()

    ends = {name: decide([data])[0].kind for name, data in seeds.items()}

    assert {kind for name, kind in ends.items() if name.endswith("--valid.bin")} == {"crosses"}
    assert {"malformed", "unknown-schema", "format", "crosses"} <= set(ends.values())
    assert sum(kind == "malformed" for kind in ends.values()) > 200


def run(tmp_path: Path, *argv: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(FUZZ / "run.py"), "--json", "--keep", str(tmp_path / "found"), *argv],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def test_mutated_events_end_within_bounds(tmp_path: Path, long_run: bool) -> None:
    inputs = 1_000_000 if long_run else 5_000

    code, told = run(tmp_path, "--inputs", str(inputs), "--seed", "5")

    assert told["faults"] == {}
    assert code == 0
    assert told["inputs"] > inputs
    assert set(told["outcomes"]) <= {"crosses", *Reason}
    assert told["outcomes"]["crosses"] > inputs / 20  # else nothing behind the codec is tried


def test_the_same_seed_breaks_events_the_same_way(fuzz: Any) -> None:
    first, again, other = (list(fuzz["run"].mutated(seed, 200)) for seed in ("1", "1", "2"))

    assert first == again
    assert first != other


def spin(_book: PlanBook, _raw: Any) -> Any:
    until = time.thread_time() + 0.6
    while time.thread_time() < until:
        pass
    raise QuarantineError(Reason.MALFORMED)


def fail(_book: PlanBook, raw: Any) -> Any:
    return raw.value.decode("utf-16")


@pytest.mark.parametrize(
    ("planted", "told"), [(spin, "minimise takes more than 0.5 s"), (fail, "minimise raises")]
)
def test_a_decider_that_hangs_or_raises_is_at_fault_and_its_input_is_kept(
    fuzz: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, planted: Any, told: str
) -> None:
    tally = fuzz["run"].Tally()
    monkeypatch.setattr(PlanBook, "minimise", planted)

    fuzz["run"].check(fuzz["deciders"].deciders(), [b"\0\0\0\0\1\2\3"], tally, tmp_path)

    assert any(told in fault for fault in tally.faults)
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"\0\0\0\0\1\2\3"


def test_two_ways_that_disagree_are_at_fault(fuzz: Any, tmp_path: Path) -> None:
    outcome, tally = fuzz["deciders"].Outcome, fuzz["run"].Tally()
    ways = {
        "one": lambda inputs: [outcome("format", "currency")] * len(inputs),
        "other": lambda inputs: [outcome("format", "sku")] * len(inputs),
    }

    fuzz["run"].check(ways, [b"x"], tally, tmp_path)

    assert tally.faults.total() == 1
