"""What the ledger costs: durable appends, a whole verification, a proof, and all that per size.

    .venv/bin/python tests/bench/ledger.py --json

One process, one core at a time, real files. Bars are of a local disk; `plain` is what the same
disk takes for the same bytes in one file with one fsync, so that ratios hold on a shared machine.
"""

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import jsonschema
from common import machine, percentiles, run, say

from residency.ledger import published
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.note import Signer
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.proof import make_proof
from residency.ledger.reader import Reader
from residency.ledger.recovery import MAX_BATCH
from residency.ledger.tree import Frontier, leaf_hash
from residency.ledger.verify import verify
from schemas.errors import HaltError
from schemas.events import Coordinates, RecordId

ORIGIN, SEED = "ledger.bench.example/transfers", bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier
BATCHES = {5_000: 30, 1_000: 40, 50: 300}  # entries in an append: rounds
AT_LEAST = {5_000: 50_000, 50: 2_000}  # durable leaves a second
VERIFY_S, PROOF_MS, FLAT = 15.0, 10.0, 1.5  # CPU per 1,000,000; median; dearest by cheapest
SIZES = (10_000, 100_000, 1_000_000)
HUGE = 10_000_000
SAMPLE = 2_000  # leaves held to their JSON Schema
PROOFS = 300
KINDS = ("transfer", "outcome")


def _templates() -> tuple[bytes, bytes]:
    """Return a transfer to fill in with two numbers, and its outcome with two."""
    record = RecordId(Coordinates("eu.commerce.orders.v1", 7, 0), topic_id="mKf0Jv4aQ3ywXKzQ5L0abc")
    time_, basis = "2026-11-23T16:40Z", ("eu-gdpr:A45-3", "eu-gdpr:A49-1-b")
    transfer = TransferLeaf(
        time_, record, "Commerce_Order__c", 4, "ab" * 32, 1, "0.7.0", basis, "0" * 64
    )
    outcome = OutcomeLeaf(time_, record, 0, "accepted", None)
    named = [leaf.to_bytes().replace(b"@0#", b"@%d#") for leaf in (transfer, outcome)]
    return named[0].replace(b"0" * 64, b"%064x"), named[1].replace(b'r":0', b'r":%d')


TRANSFER, OUTCOME = _templates()


def entries(start: int, stop: int) -> list[bytes]:
    """Return leaves *start* to *stop* of the bench's ledger: transfers, each with its outcome."""
    made: list[bytes] = []
    for n in range(start, stop):
        record = n // 2
        # keys are sorted: commitment before record, record before transfer
        made.append(OUTCOME % (record, n - 1) if n % 2 else TRANSFER % (record, record))
    return made


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took."""

    wall_s: float
    cpu_s: float


def clocked(work: Callable[[], Any]) -> Cost:
    """Return what *work* took, this process's CPU of all its threads included."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def appends(folder: Path, batch: int, rounds: int) -> dict[str, Any]:
    """Return how many leaves a second become durable, *batch* at a time, and the disk's own."""
    whole = entries(0, batch * rounds)
    costs, plain = [], []
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        for start in range(0, batch * rounds, batch):
            part = whole[start : start + batch]
            costs.append(clocked(lambda part=part: ledger.append(part)))  # type: ignore[misc]
            plain.append(clocked(lambda part=part: _plain(folder / "plain", part)))  # type: ignore[misc]
    walls = sorted(cost.wall_s for cost in costs)
    ours, disk = sum(walls), sum(cost.wall_s for cost in plain)
    return {
        "batch": batch,
        "leaves_per_s": round(batch * rounds / ours),
        "median_per_s": round(batch / walls[rounds // 2]),
        "best_per_s": round(batch / walls[0]),
        "cpu_us_per_leaf": _us(sum(cost.cpu_s for cost in costs), batch * rounds),
        "append_ms": percentiles(walls, 1e3),
        "plain_write_and_fsync_ms": percentiles([cost.wall_s for cost in plain], 1e3),
        "times_the_plain": round(ours / disk, 1),
        "at_least_per_s": AT_LEAST.get(batch),
    }


def _plain(path: Path, part: Sequence[bytes]) -> None:
    with path.open("wb") as file:
        file.write(b"".join(part))
        file.flush()
        os.fsync(file.fileno())


def _us(seconds: float, leaves: int) -> float:
    return round(seconds / leaves * 1e6, 2)


def sizes(folder: Path, wanted: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield what an append, a verification and a proof cost in one ledger that grows."""
    for size in wanted:
        say(f"{size:,} leaves ...")
        with Ledger.open(folder, ORIGIN, SEED) as ledger:
            while ledger.size < size:
                stop = min(size, ledger.size + MAX_BATCH)
                ledger.append(entries(ledger.size, stop))
        cost = clocked(lambda: _check(folder))
        proofs = _proofs(folder, size)
        batch = entries(size, size + 5_000)
        with Ledger.open(folder, ORIGIN, SEED) as ledger:
            append = clocked(lambda: ledger.append(batch))  # noqa: B023 -- called at once
        yield {
            "leaves": size,
            "append_cpu_us_per_leaf": _us(append.cpu_s, len(batch)),
            "verify_wall_s": round(cost.wall_s, 2),
            "verify_cpu_s": round(cost.cpu_s, 2),
            "verify_cpu_us_per_leaf": _us(cost.cpu_s, size),
            "proof_ms": percentiles([proof.wall_s for proof in proofs], 1e3),
            "proof_cpu_ms": percentiles([proof.cpu_s for proof in proofs], 1e3),
        }


def _check(folder: Path) -> None:
    report = verify(folder, str(LOG))
    if report.problems:
        msg = f"the bench's own ledger does not verify: {report.problems[0]}"
        raise HaltError(msg)


def _proofs(folder: Path, size: int) -> list[Cost]:
    rng, reader = random.Random(1), Reader(folder)
    leaves = [rng.randrange(size) for _ in range(PROOFS)]
    return [clocked(lambda n=n: make_proof(reader, LOG, n)) for n in leaves]  # type: ignore[misc]


def shares(folder: Path) -> dict[str, float]:
    """Return the parts of a verification, in us of CPU per leaf, and JSON Schema beside them."""
    some = list(Reader(folder).entries(0, SIZES[0], SIZES[0]))
    files = {kind: json.loads((published.SCHEMAS / f"{kind}.json").read_text()) for kind in KINDS}
    validators = {kind: jsonschema.Draft202012Validator(text) for kind, text in files.items()}
    rows = [json.loads(entry) for entry in some[:SAMPLE]]
    hashing = clocked(lambda: Frontier().extend(map(leaf_hash, some)))
    forms = clocked(lambda: [parse_leaf(entry) for entry in some])
    schema = clocked(lambda: [validators[row["kind"]].validate(row) for row in rows])
    return {
        "hashing": _us(hashing.cpu_s, len(some)),
        "form_of_each_leaf": _us(forms.cpu_s, len(some)),
        "json_schema_apart": _us(schema.cpu_s, len(rows)),
    }


def measure(folder: Path, wanted: Sequence[int]) -> dict[str, Any]:
    """Return all of it, and which bars are met."""
    rows = []
    for batch, rounds in BATCHES.items():
        say(f"appends of {batch} ...")
        rows.append(appends(folder / str(batch), batch, rounds))
    grown = list(sizes(folder / "grown", wanted))
    million = [row for row in grown if row["leaves"] >= SIZES[-1]]
    spans = {
        name: round(max(row[name] for row in grown) / min(row[name] for row in grown), 2)
        for name in ("append_cpu_us_per_leaf", "verify_cpu_us_per_leaf")
    }
    bars = {f"append {row['batch']}": _is_fast(row) for row in rows if row["at_least_per_s"]}
    bars["verify"] = all(row["verify_cpu_us_per_leaf"] <= VERIFY_S for row in million)
    bars["proof"] = all(row["proof_ms"]["p50"] <= PROOF_MS for row in grown)
    bars["flat"] = all(span <= FLAT for span in spans.values())
    return {
        "machine": machine(),
        "append": rows,
        "size": grown,
        "dearest_by_cheapest_size": spans,
        "cpu_us_per_leaf": shares(folder / "grown"),
        "bars_met": bars,
    }


def _is_fast(row: dict[str, Any]) -> bool:
    return bool(row["median_per_s"] >= row["at_least_per_s"])


@click.command()
@click.option("--huge", is_flag=True, help=f"Also {HUGE:,} leaves: some 4 GB and ten minutes.")
@click.option("--small", is_flag=True, help=f"Only up to {SIZES[1]:,} leaves.")
@click.option(
    "--dir", "parent", type=click.Path(path_type=Path, exists=True), help="Where, on a local disk."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(*, huge: bool, small: bool, parent: Path | None, as_json: bool) -> None:
    """Measure the ledger against its bars.

    Example: .venv/bin/python tests/bench/ledger.py --json
    """
    folder = Path(tempfile.mkdtemp(prefix="homeport-bench-", dir=parent))
    wanted = SIZES[: 2 if small else 3] + ((HUGE,) if huge else ())
    try:
        found = measure(folder, wanted)
    finally:
        shutil.rmtree(folder)
    click.echo(json.dumps(found, indent=None if as_json else 2))


if __name__ == "__main__":
    run(main)
