"""Look over a ledger's folder, file by file, and say what its writer or a person has to do.

`verify` answers whether a ledger holds; `fsck` also names what is there without need (what a
crash left, partial tiles that wider ones replace, drafts) and foretells the writer's next start
with the writer's own code. It changes nothing unless told to repair, and then removes only
what a sound ledger shows to be of no use. A damaged ledger is evidence and is left as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from residency.ledger import disk, recovery
from residency.ledger.disk import POSIX, FileOps
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.files import LOCK
from residency.ledger.findings import Finding, Kind
from residency.ledger.note import Checkpoint, Verifier, encode_base64, open_checkpoint
from residency.ledger.reader import CHECKPOINT, TILES, VKEY, Reader, parse_vkey_file
from residency.ledger.tiles import TILE_WIDTH, Tile, level_width, parse_path
from residency.ledger.verify import examine, first_leaf
from residency.ledger.walk import Problem, Progress
from schemas.errors import SetupError

_TRIES = 10  # looks at a folder whose checkpoint changes meanwhile


@dataclass(frozen=True, slots=True)
class NextStart:
    """What a writer with the log's key does when it next opens the folder.

    Attributes:
        action: ``opens``: nothing to mend; ``mends``: takes a torn append back, removes drafts
            or writes the vkey file, and opens; ``makes``: there is no ledger yet, so it signs
            the empty tree; ``refuses``: leaves all as it is, and a person has to help.
        text: It in words.

    """

    action: Literal["opens", "mends", "makes", "refuses"]
    text: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What `fsck` found.

    Attributes:
        origin: The log's name; None if its checkpoint cannot be trusted.
        size: Its size; 0 without a checkpoint to trust.
        root: Its root, base64; None without one.
        findings: What is wrong first (at most 100 of that), then the rest by path.
        first_bad_leaf: Index of the first leaf that something wrong concerns, if it can be told.
        next_start: What the writer will do.
        removed: Paths that the repair removed; they are not among the findings.

    """

    origin: str | None
    size: int
    root: str | None
    findings: tuple[Finding, ...]
    first_bad_leaf: int | None
    next_start: NextStart
    removed: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Return whether the ledger holds and its writer will start on it."""
        return self.next_start.action != "refuses" and not any(f.is_wrong for f in self.findings)


def fsck(
    folder: Path,
    vkey: str | None = None,
    *,
    repair: bool = False,
    progress: Progress | None = None,
    ops: FileOps = POSIX,
) -> FsckReport:
    """Return what is the matter with each file of the ledger in *folder*.

    Args:
        folder: The ledger. May be live: then an append under way looks like a torn one.
        vkey: The log's key, from a trusted place; None takes the one in *folder*.
        repair: Remove stale partial tiles and drafts, under the writer's lock, if nothing is
            wrong. What lies beyond the checkpoint stays: only the writer knows it to be torn.
        progress: Called with (leaves done, leaves in all) per 256 leaves.
        ops: How to reach the disk.

    Raises:
        SetupError: There is no ledger in *folder*, or *vkey* is none.
        LockedError: To repair, while a writer has the ledger open.
        LedgerError: A repair failed on the disk.

    """
    reader = Reader(folder)
    reader.require()
    log = None if vkey is None else _parse(vkey)
    if not repair:
        return _look(reader, log, progress)
    try:
        held = disk.lock(folder / LOCK)
        try:
            report = _look(reader, log, progress)
            return _repair(folder, report, ops) if report.is_sound else report
        finally:
            disk.unlock(held)
    except OSError as exc:
        msg = f"{folder}: repair failed: {exc.strerror or 'I/O error'}; mend the disk, try again"
        raise LedgerError(msg) from exc


def _parse(vkey: str) -> Verifier:
    try:
        return Verifier.parse(vkey.removesuffix("\n"))
    except FormatError as exc:
        msg = f"the verifier key does not hold: {exc}"
        raise SetupError(msg) from exc


def _look(reader: Reader, log: Verifier | None, progress: Progress | None) -> FsckReport:
    findings = list(_key(reader, log))
    if log is None and not findings:
        log = reader.verifier()
    if log is None:
        text = "whether it will start cannot be told without the log's key; give its vkey"
        return FsckReport(None, 0, None, tuple(findings), None, NextStart("refuses", text))
    next_start = _next_start(reader.folder, log)
    try:
        head = open_checkpoint(reader.checkpoint(), log)
    except LedgerError as exc:
        is_there = (reader.folder / CHECKPOINT).exists()
        if next_start.action != "makes":
            kind = Kind.ALTERED if is_there else Kind.MISSING
            findings.append(Finding(kind, CHECKPOINT, str(exc)))
        return FsckReport(None, 0, None, tuple(findings), None, next_start)
    problems = examine(reader, head, progress)
    findings += [Finding(Kind(p.fault), p.path, p.text, p.leaf) for p in problems]
    findings += _harmless(reader.folder, head, problems)
    root = encode_base64(head.root)
    return FsckReport(
        head.origin, head.size, root, tuple(findings), first_leaf(problems), next_start
    )


def _key(reader: Reader, log: Verifier | None) -> Iterator[Finding]:
    """Yield what is wrong with the ``vkey`` file."""
    try:
        found = reader.verifier()
    except LedgerError as exc:
        is_there = (reader.folder / VKEY).exists()
        yield Finding(Kind.ALTERED if is_there else Kind.MISSING, VKEY, str(exc))
        return
    if log is not None and found != log:
        yield Finding(Kind.ALTERED, VKEY, f"vkey is not the key of {log.name} that was given")


def _next_start(folder: Path, log: Verifier) -> NextStart:
    """Return what the writer will do; beside one at work, as of a moment between two appends."""
    reader = Reader(folder)
    before, found = _checkpoint(reader), _foretell(folder, log)
    for _ in range(_TRIES):
        after = _checkpoint(reader)
        if found.action != "refuses" or after == before:
            break
        before, found = after, _foretell(folder, log)
    return found


def _checkpoint(reader: Reader) -> bytes | None:
    try:
        return reader.checkpoint()
    except LedgerError:
        return None


def _foretell(folder: Path, log: Verifier) -> NextStart:
    try:
        start = recovery.look(folder, log)
    except LedgerError as exc:
        return NextStart("refuses", str(exc))
    steps = [f"removes {len(start.garbage)} file(s) and folder(s) that a crash left"]
    steps = steps if start.garbage else []
    if start.lacks_vkey:
        steps.append("writes the vkey file")
    if start.checkpoint is None:
        return NextStart("makes", ", ".join([*steps, "signs the empty tree"]))
    action: Literal["mends", "opens"] = "mends" if steps else "opens"
    return NextStart(action, ", ".join([*steps, f"goes on from {start.edge.frontier.size} leaves"]))


def _harmless(folder: Path, head: Checkpoint, problems: Sequence[Problem]) -> Iterator[Finding]:
    """Yield what is there without need, by path."""
    wrong = {problem.path for problem in problems}
    drafts = {disk.draft_of(folder / name).name for name in (CHECKPOINT, VKEY)}
    for path in disk.files_below(folder):
        if path in {CHECKPOINT, VKEY, LOCK} | wrong:
            continue
        if path in drafts:
            yield Finding(Kind.DRAFT, path, f"{path} was not renamed to its place")
        elif path.startswith(f"{TILES}/"):
            yield from _needless(path, head.size)
        else:
            name = disk.shown(path)
            yield Finding(Kind.FOREIGN, name, f"{name} is no file of a ledger")


def _needless(path: str, size: int) -> Iterator[Finding]:
    """Yield a finding if the tree of *size* does not need the tile at *path*."""
    try:
        tile = parse_path(path)
    except FormatError:
        return  # a stranger, reported as a problem unless there were too many
    needed = min(level_width(tile.level, size) - tile.n * TILE_WIDTH, TILE_WIDTH)
    if tile.width > needed:
        yield Finding(Kind.TORN, path, f"{path} lies beyond the checkpoint's {size} leaves")
    elif tile.width < needed:
        wider = Tile(tile.level, tile.n, needed).path
        yield Finding(Kind.STALE, path, f"{path} is replaced by {wider}")


def _repair(folder: Path, report: FsckReport, ops: FileOps) -> FsckReport:
    """Remove what a sound ledger does not need, and return what is left to say."""
    gone = [f for f in report.findings if _may_go(folder, report, f)]
    for finding in gone:
        ops.remove(folder / finding.path)
    for parent in dict.fromkeys((folder / f.path).parent for f in gone if f.kind is Kind.STALE):
        if not disk.names(parent):
            ops.remove(parent)
    key = parse_vkey_file(disk.read_file(folder / VKEY) or b"")
    return FsckReport(
        report.origin,
        report.size,
        report.root,
        tuple(f for f in report.findings if f not in gone),
        report.first_bad_leaf,
        _next_start(folder, key),
        tuple(f.path for f in gone),
    )


def _may_go(folder: Path, report: FsckReport, finding: Finding) -> bool:
    """Return whether a file is of no use, whatever happened: not even as evidence."""
    if finding.kind is Kind.STALE:
        return True  # `examine` compared it with the wider one
    if finding.kind is not Kind.DRAFT:
        return False
    data = disk.read_file(folder / finding.path) or b""
    try:  # a signed head beyond ours would show that an older checkpoint was put back
        key = parse_vkey_file(disk.read_file(folder / VKEY) or b"")
        return open_checkpoint(data, key).size <= report.size
    except LedgerError:
        return True
