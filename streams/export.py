"""What an auditor takes away of a ledger: a folder that can be checked without us."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

import orjson
import rfc8785

from residency.ledger.errors import LedgerError
from residency.ledger.find import Span
from residency.ledger.note import Checkpoint, Verifier, encode_base64, open_checkpoint
from residency.ledger.published import SCHEMAS
from residency.ledger.reader import CHECKPOINT, VKEY, Reader
from residency.ledger.tiles import ENTRIES, TILE_WIDTH, Tile, split_entries, tiles_of
from residency.ledger.verify import verify
from residency.ledger.walk import Progress
from residency.plan.approved import digest_of, stored_plans
from schemas.errors import SetupError
from streams.inforce import policy_files

TAKEAWAY: Final = Path(__file__).with_name("takeaway")
README: Final = "README.md"


@dataclass(frozen=True, slots=True)
class Export:
    """What was written.

    Attributes:
        size: Leaves in the tree; the hashes of all of them are there.
        first: The first leaf of the span; None if no leaf is in it.
        last: The last one.
        entries: Entries written: the span's, and what else its bundles of 256 hold.
        plans: Digests of the plans that they name and that are there, sorted.
        unknown_plans: Those that are not among this release's approved plans.

    """

    size: int
    first: int | None
    last: int | None
    entries: int
    plans: tuple[str, ...]
    unknown_plans: tuple[str, ...]


def export(
    reader: Reader, log: Verifier, span: Span, out: Path, progress: Progress | None = None
) -> Export:
    """Write the ledger's hashes, and the entries of *span* with what explains them, to *out*.

    The checkpoint comes last, so an export that was cut short is no ledger.

    Args:
        reader: The ledger, whole; may be live.
        log: Its key.
        span: Of which leaves the entries are wanted. Clocks go backwards: all from the first
            to the last leaf in the span are taken.
        out: A folder that does not exist or is empty; made 0700.
        progress: Of the verification that comes first.

    Raises:
        SetupError: *out* is not empty, or cannot be written.
        LedgerError: The ledger does not verify; nothing is written.

    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out} is not an empty folder; name a new one with --out"
        raise SetupError(msg)
    data = reader.checkpoint()
    head = open_checkpoint(data, log)
    report = verify(reader.folder, str(log), progress)
    if not report.verified:
        msg = f"{report.problems[0]}; nothing is exported: run `homeport ledger verify`"
        raise LedgerError(msg)
    found = _span(reader, head, span)
    try:
        out.mkdir(0o700, parents=True, exist_ok=True)
        named = set(_write_tiles(reader, head, found, out))
        done = _done(head, found, named)
        _write_papers(done, head, out)
        (out / VKEY).write_bytes(f"{log}\n".encode())
        (out / CHECKPOINT).write_bytes(data)
    except OSError as exc:
        msg = f"{out}: cannot be written: {exc.strerror}; mend that and name another --out"
        raise SetupError(msg) from exc
    return done


def _span(reader: Reader, head: Checkpoint, span: Span) -> range:
    """Return the leaves from the first to the last whose time is in *span*."""
    first, stop = head.size, 0
    for index, entry in enumerate(reader.entries(0, head.size, head.size)):
        if span.holds(orjson.loads(entry)["time"]):
            first, stop = min(first, index), index + 1
    return range(first, stop)


def _bundles(found: range) -> range:
    """Return the numbers of the bundles that hold the leaves *found*."""
    return range(found.start // TILE_WIDTH, -(-found.stop // TILE_WIDTH)) if found else range(0)


def _write_tiles(reader: Reader, head: Checkpoint, found: range, out: Path) -> Iterator[str]:
    """Write all hashes and the bundles of *found*; yield the plans that their leaves name."""
    bundles = _bundles(found)
    for tile in tiles_of(head.size):
        if tile.level == ENTRIES and tile.n not in bundles:
            continue
        data = reader.tile(tile)
        _write(out / tile.path, data)
        yield from _plans(tile, data)


def _plans(tile: Tile, data: bytes) -> Iterator[str]:
    """Yield the plans that the leaves of a bundle name."""
    for entry in split_entries(data, tile.width) if tile.level == ENTRIES else ():
        plan = orjson.loads(entry).get("plan")
        if plan is not None:
            yield plan


def _done(head: Checkpoint, found: range, named: set[str]) -> Export:
    known = {digest_of(plan) for plan in stored_plans()}
    bundles = _bundles(found)
    entries = min(bundles.stop * TILE_WIDTH, head.size) - bundles.start * TILE_WIDTH
    return Export(
        size=head.size,
        first=found.start if found else None,
        last=found.stop - 1 if found else None,
        entries=entries if found else 0,
        plans=tuple(sorted(named & known)),
        unknown_plans=tuple(sorted(named - known)),
    )


def _write_papers(done: Export, head: Checkpoint, out: Path) -> None:
    """Write what explains the leaves, and how to check them."""
    for plan in stored_plans():
        if (digest := digest_of(plan)) in done.plans:
            # canonical, so that the file's own SHA-256 is the digest
            _write(out / f"plans/{digest}.json", rfc8785.dumps(dict(plan)))
    for name, path in policy_files().items():
        _write(out / "policy" / name, path.read_bytes())
    for path in SCHEMAS.glob("*.json"):
        _write(out / "schemas" / path.name, path.read_bytes())
    for path in (TAKEAWAY / "main.go", TAKEAWAY / "go.mod", TAKEAWAY / "go.sum"):
        _write(out / "check" / path.name, path.read_bytes())
    _write(out / README, _readme(done, head).encode())


def _readme(done: Export, head: Checkpoint) -> str:
    span = "No leaf is in the time span: only hashes are here."
    if done.entries:
        span = (
            f"Leaves {done.first} to {done.last} were asked for; the entries of {done.entries} "
            f"leaves are here, the hashes of all {done.size}."
        )
    unknown = "".join(
        f"\nPlan `{digest}` is named by leaves but is not among the approved plans of the release "
        "that made this export; ask for it by its digest.\n"
        for digest in done.unknown_plans
    )
    text = Template((TAKEAWAY / README).read_text("utf-8"))
    return text.substitute(
        origin=head.origin,
        size=head.size,
        root=encode_base64(head.root),
        span=span,
        unknown=unknown,
        part="" if done.entries == done.size else " --part",
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
