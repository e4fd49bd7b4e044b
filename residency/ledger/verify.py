"""Check a ledger from its files alone, as an outsider would: whole, what is new, or a part."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from residency.ledger import disk
from residency.ledger.errors import LedgerError
from residency.ledger.history import History
from residency.ledger.note import Checkpoint, Verifier, encode_base64, open_checkpoint
from residency.ledger.reader import VKEY, Reader, open_head
from residency.ledger.walk import Problem, Progress, Walk


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found.

    Attributes:
        origin: The log's name; None if its checkpoint cannot be trusted.
        size: Its size, 0 without a checkpoint.
        root: Its root, base64 as in the checkpoint; None without one.
        problems: What is wrong, in the order of the leaves; at most 100.
        first_bad_leaf: Index of the first leaf that a problem concerns; None if there is no
            problem, or none that points at a leaf.
        start: The first leaf that was looked at; 0 unless only what is new was asked for.
        absent: Leaves from *start* on whose entries are not here: their hashes were checked,
            what they say was not. 0 unless a part was asked for.
        unlinked: Outcomes whose transfer is among those.

    """

    origin: str | None
    size: int
    root: str | None
    problems: tuple[str, ...]
    first_bad_leaf: int | None = None
    start: int = 0
    absent: int = 0
    unlinked: int = 0

    @property
    def verified(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems


def verify(
    folder: Path,
    vkey: str | None,
    progress: Progress | None = None,
    *,
    since: bytes | None = None,
    is_part: bool = False,
) -> Report:
    """Return what is wrong with the ledger in *folder*, if anything.

    Checks the checkpoint's signature; every entry against its hash, every tile of every level
    and the root; every leaf's form; that each record has at most one transfer and one outcome,
    which follows the transfer that it names or, if the gate refused the record, has none; and
    that no file pretends to be part of the ledger, nor a ``vkey`` to be the log's.

    Args:
        folder: The ledger; may be live, or a copy.
        vkey: The log's key, from a trusted place; None takes the one in *folder*, which
            proves only that the folder agrees with itself.
        progress: Called with (leaves done, leaves in all) per 256 leaves.
        since: A checkpoint file that somebody kept: the ledger must have grown from it, and
            only what is new is looked at. Not seen: a transfer or outcome that repeats one
            from before it, and company (`sent_with`) that was announced before it.
        is_part: Entries may be missing, as in an export of a time span. All hashes are still
            needed; what the missing entries say is not checked, and is counted.

    Raises:
        SetupError: There is no ledger in *folder*.

    """
    reader = Reader(folder)
    reader.require()
    try:
        log = reader.verifier() if vkey is None else Verifier.parse(vkey.removesuffix("\n"))
        head = open_head(reader, log)
    except LedgerError as exc:
        return Report(None, 0, None, (f"checkpoint: {exc}",))
    root = encode_base64(head.root)
    check = Walk(reader, head, is_part, History(is_whole=since is None and not is_part))
    if since is not None:
        try:
            check.grown(open_checkpoint(since, log))
        except LedgerError as exc:
            return Report(head.origin, head.size, root, (f"kept checkpoint: {exc}",))
    problems = [*_key(reader, log), *check.all(progress)]
    return Report(
        head.origin,
        head.size,
        root,
        tuple(problem.text for problem in problems),
        first_leaf(problems),
        check.start,
        check.absent,
        check.unlinked,
    )


def _key(reader: Reader, log: Verifier) -> Iterator[Problem]:
    """Yield a problem if the ledger has a ``vkey`` file that is not *log*'s; a copy needs none."""
    if disk.read_file(reader.folder / VKEY) not in {None, f"{log}\n".encode()}:
        yield Problem(f"{VKEY}: not the key that the checkpoint was checked with", VKEY)


def examine(reader: Reader, head: Checkpoint, progress: Progress | None = None) -> list[Problem]:
    """Return what does not hold under *head*, whose signature the caller has checked.

    At most 100 problems, in the order of the leaves.
    """
    return Walk(reader, head).all(progress)


def first_leaf(problems: Iterable[Problem]) -> int | None:
    """Return the first leaf that any of *problems* concerns, if one does."""
    return min((p.leaf for p in problems if p.leaf is not None), default=None)
