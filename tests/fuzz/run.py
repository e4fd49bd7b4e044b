"""Fuzz the way from raw bytes to minimal records.

    .venv/bin/python tests/fuzz/run.py --inputs 1000000 --jobs 2
    .venv/bin/python tests/fuzz/run.py --corpus        # the kept seeds alone

Every input must end as a crossing or in quarantine, within a bound of time and memory; where
there are several ways, all must agree on it. Exit code 0 if so, 1 if not, 130 interrupted.
Inputs at fault are kept, to become seeds.
"""

import hashlib
import json
import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from corpus import FOLDER, bases, seeds
from deciders import Decide, Outcome, deciders, decode_odd
from mutate import Mutator

BATCH = 64  # inputs decided together, broken and valid mixed
CPU_S = 0.5  # of one input; hundreds of times what a valid event of the same size takes
GROWTH_BYTES = 256 * 2**20  # of a process's memory over all its inputs
TOLD_S = 2.0
FOUND = Path(__file__).with_name("found")


@dataclass
class Tally:
    """What became of the inputs.

    Attributes:
        faults: What was wrong, by how often; empty is what is wanted.

    """

    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add another process's share."""
        self.inputs += other.inputs
        self.outcomes += other.outcomes
        self.faults += other.faults
        self.slowest_s = max(self.slowest_s, other.slowest_s)


def check(ways: dict[str, Decide], inputs: Sequence[bytes], tally: Tally, keep: Path) -> None:
    """Decide *inputs* every way; count, and keep what is at fault."""
    answers: dict[str, Sequence[Outcome]] = {}
    for name, decide in ways.items():
        began = time.thread_time()
        answers[name] = decide(inputs)
        spent = time.thread_time() - began
        if spent > CPU_S:  # which one of them was it?
            _slow(name, decide, inputs, tally, keep)
        else:
            tally.slowest_s = max(tally.slowest_s, spent / len(inputs))
    first = next(iter(answers.values()))
    for number, data in enumerate(inputs):
        tally.inputs += 1
        tally.outcomes[first[number].kind] += 1
        given = {name: answer[number] for name, answer in answers.items()}
        for name, one in given.items():
            if one.kind == "fault":
                _fault(f"{name} raises {one.detail}", data, tally, keep)
        if len(set(given.values())) > 1:
            told = ", ".join(f"{n}: {o.kind} {o.detail}" for n, o in given.items())
            _fault(f"ways disagree: {told}", data, tally, keep)


def _slow(name: str, decide: Decide, inputs: Sequence[bytes], tally: Tally, keep: Path) -> None:
    for data in inputs:
        began = time.thread_time()
        decide([data])
        spent = time.thread_time() - began
        tally.slowest_s = max(tally.slowest_s, spent)
        if spent > CPU_S:
            _fault(f"{name} takes more than {CPU_S} s", data, tally, keep)


def _fault(what: str, data: bytes, tally: Tally, keep: Path) -> None:
    tally.faults[what] += 1
    if tally.faults[what] <= 3:
        keep.mkdir(exist_ok=True)
        (keep / f"{hashlib.sha256(data).hexdigest()[:16]}.bin").write_bytes(data)


def check_corpus(ways: dict[str, Decide], keep: Path) -> Tally:
    """Return what became of the kept seeds, each decided alone."""
    tally = Tally()
    for data in seeds().values():
        check(ways, [data], tally, keep)
    for path in sorted((FOLDER / "odd").glob("*.avsc")):
        body = path.with_suffix(".bin").read_bytes()
        avro: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        check({"decode": lambda d, a=avro: [decode_odd(a, x) for x in d]}, [body], tally, keep)
    return tally


def mutated(seed: str, inputs: int) -> Iterator[list[bytes]]:
    """Yield batches of broken events, with a valid one here and there."""
    valid = list(bases().values())
    mutator = Mutator(valid, seed)
    for start in range(0, inputs, BATCH):
        batch = [mutator.next() for _ in range(min(BATCH, inputs - start))]
        batch[0] = valid[start // BATCH % len(valid)].data
        yield batch


def bounded() -> int:
    """Bound this process's memory; return its peak so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 4 * GROWTH_BYTES,) * 2)
    return peak


def share(number: int, inputs: int, seed: int, keep: Path, told: Any) -> None:
    """Fuzz one process's share; put a tally into *told* every few seconds, and at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ways, tally, last = dict(deciders()), Tally(), time.monotonic()
    next(mutated("warm", 1))
    peak = bounded()
    for batch in mutated(f"{seed}.{number}", inputs):
        check(ways, batch, tally, keep)
        if time.monotonic() - last > TOLD_S:
            last = time.monotonic()
            told.put((number, tally, False))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - peak
    if grown > GROWTH_BYTES:
        tally.faults[f"memory grew by {grown >> 20} MiB"] += 1
    told.put((number, tally, True))


def fuzz(inputs: int, seed: int, jobs: int, keep: Path) -> tuple[Tally, bool]:
    """Return what became of *inputs* broken events, and whether it was cut short."""
    context = multiprocessing.get_context("spawn")
    told: Any = context.Queue()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # children inherit it
    sizes = [inputs // jobs + (n < inputs % jobs) for n in range(jobs)]
    children = [
        context.Process(target=share, args=(n, size, seed, keep, told), daemon=True)
        for n, size in enumerate(sizes)
    ]
    for child in children:
        child.start()
    signal.signal(signal.SIGINT, before)
    latest: dict[int, Tally] = {}
    done: set[int] = set()
    is_cut = False
    try:
        while len(done) < jobs:
            number, tally, is_done = told.get(timeout=120)  # far longer than a batch may take
            latest[number] = tally
            done |= {number} if is_done else set()
            so_far = sum(t.inputs for t in latest.values())
            wrong = sum(t.faults.total() for t in latest.values())
            click.echo(f"{so_far:,} of {inputs:,} inputs, {wrong:,} faults", err=True)
    except KeyboardInterrupt:
        is_cut = True
        for child in children:
            child.terminate()
    whole = Tally()
    for tally in latest.values():
        whole.add(tally)
    return whole, is_cut


@click.command()
@click.option("--inputs", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The same makes the same.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--corpus", "corpus_only", is_flag=True, help="Only the kept seeds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), default=FOUND,
    show_default="tests/fuzz/found", help="Where inputs at fault go.",
)  # fmt: skip
def main(  # noqa: PLR0913, one per option
    *, inputs: int, seed: int, jobs: int, corpus_only: bool, as_json: bool, keep: Path
) -> None:
    """Break valid events in every way we know, and see that each ends within bounds."""
    ways = dict(deciders())
    tally, is_cut, began = check_corpus(ways, keep), False, time.monotonic()
    click.echo(f"{tally.inputs} seeds, {tally.faults.total()} faults", err=True)
    if not corpus_only:
        made, is_cut = fuzz(inputs, seed, jobs, keep)
        tally.add(made)
    seconds = time.monotonic() - began
    if as_json:
        document = {
            "ways": list(ways), "inputs": tally.inputs, "outcomes": dict(tally.outcomes),
            "faults": dict(tally.faults), "slowest_ms": round(tally.slowest_s * 1000, 3),
            "seconds": round(seconds, 1), "interrupted": is_cut,
        }  # fmt: skip
        click.echo(json.dumps(document))
    else:
        click.echo(f"{tally.inputs:,} inputs in {seconds:.0f} s, {', '.join(ways)}")
        for kind, times in tally.outcomes.most_common():
            click.echo(f"  {times:>10,}  {kind}")
        click.echo(f"slowest {tally.slowest_s * 1000:.1f} ms of CPU")
        for what, times in tally.faults.most_common():
            click.echo(f"  {times:>10,}  FAULT {what}; see {keep}")
    sys.exit(130 if is_cut else int(bool(tally.faults)))


if __name__ == "__main__":
    main()
