"""Stream the ledger once: each partition's claims go to a file, so that memory stays flat."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.note import Checkpoint, Verifier
from residency.ledger.reader import Reader, open_head
from residency.ledger.tiles import TILE_WIDTH
from residency.ledger.tree import Frontier, leaf_hash
from residency.replay.claims import PACKED, TRANSFER, Claim, TermsBook, claim_of
from residency.replay.found import Finding, Found, Verdict
from schemas.events import RecordId

Where = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Spooled:
    """What the ledger says, taken apart.

    Attributes:
        head: The checkpoint below which all leaves were read, and which they hash to.
        terms: Of all claims.
        strays: Claims on topics or partitions that are none now.

    """

    head: Checkpoint
    terms: TermsBook
    strays: Found


class Spool:
    """The claims by partition, as files of one folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; `fill` makes its files."""
        self._folder = folder

    def clear(self) -> None:
        """Forget all of the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def fill(  # noqa: PLR0913, one argument per thing that is asked
        self,
        reader: Reader,
        log: Verifier,
        known: Mapping[str, tuple[str, int]],
        asked: Collection[str],
        *,
        with_strays: bool,
        with_outcomes: bool = False,
    ) -> Spooled:
        """Write what the ledger says of the *asked* topics, and return the rest of it.

        Args:
            reader: The region's ledger; may be live.
            log: Its key, from a trusted place.
            known: The region's raw topics: id and number of partitions.
            asked: The topics that are replayed.
            with_strays: Note also what leaves say of topics and partitions that are none now.
            with_outcomes: Write every outcome, not the gate's refusals alone.

        Raises:
            LedgerError: The leaves are not what the checkpoint commits to, or one is malformed.

        """
        self._folder.mkdir(parents=True, exist_ok=True)
        head = open_head(reader, log)
        terms, strays = TermsBook(), Found()
        with ExitStack() as stack:
            files: dict[Where, BinaryIO] = {}
            for index, record, packed in _claims(reader, head, terms, with_outcomes=with_outcomes):
                topic, partition = where = record.at.topic, record.at.partition
                topic_id, partitions = known.get(topic, ("", 0))
                if topic in known and topic not in asked:
                    continue
                if record.topic_id != topic_id or partition >= partitions:
                    if with_strays and Claim(*PACKED.unpack(packed)).what == TRANSFER:
                        is_old = topic in known and record.topic_id != topic_id
                        _stray(strays, index, record, is_old=is_old)
                    continue
                if where not in files:
                    files[where] = stack.enter_context(self._file(where).open("wb"))
                files[where].write(packed)
        return Spooled(head, terms, strays)

    def read(self, topic: str, partition: int) -> bytes:
        """Return the packed claims on one partition."""
        path = self._file((topic, partition))
        return path.read_bytes() if path.exists() else b""

    def _file(self, where: Where) -> Path:
        topic, partition = where
        return self._folder / f"{topic}-{partition}.claims"


def _claims(
    reader: Reader, head: Checkpoint, book: TermsBook, *, with_outcomes: bool
) -> Iterator[tuple[int, RecordId, bytes]]:
    """Yield index, record and packed claim of each leaf that makes one.

    Raises at the end if the tree is not the signed one.
    """
    frontier = Frontier()
    for first in range(0, head.size, TILE_WIDTH):
        entries = list(reader.entries(first, min(first + TILE_WIDTH, head.size), head.size))
        frontier, _ = frontier.extend(map(leaf_hash, entries))
        for index, entry in enumerate(entries, first):
            try:
                claim = claim_of(index, entry, book, with_outcomes=with_outcomes)
            except FormatError as error:
                msg = f"leaf {index}: {error}"
                raise LedgerError(msg) from None
            if claim is not None:
                yield index, *claim
    if frontier.root() != head.root:
        msg = f"{reader.folder}: the entries are not what its checkpoint signs; "
        raise LedgerError(msg + "run `homeport ledger verify`, which names the first bad leaf")


def _stray(strays: Found, index: int, record: RecordId, *, is_old: bool) -> None:
    """Note a claim whose raw record is on no topic or partition of now."""
    verdict = Verdict.RAW_GONE if is_old else Verdict.RAW_MISSING
    at = record.at
    strays.note(Finding(at.topic, at.partition, at.offset, str(record), index, verdict))
