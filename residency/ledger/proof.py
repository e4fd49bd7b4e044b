"""A proof for one entry in one file, checked offline with the entry and the log's key.

Source: C2SP tlog-proof, extension ``.tlog-proof``. The ``extra`` line is read and written but
not authenticated, so nothing here looks into it.
"""

import re
from dataclasses import dataclass
from typing import Self

from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.note import (
    Checkpoint,
    Verifier,
    decode_base64,
    encode_base64,
    open_checkpoint,
)
from residency.ledger.reader import Reader
from residency.ledger.tiles import node_reader
from residency.ledger.tree import HASH_BYTES, inclusion_proof, inclusion_root, leaf_hash

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 2_000_000
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class ProofError(LedgerError):
    """A proof does not show that its log holds the entry."""


@dataclass(frozen=True, slots=True)
class Proof:
    """That a leaf is in the tree of a checkpoint.

    Attributes:
        index: The leaf's index.
        hashes: The audit path, the leaf's sibling first.
        checkpoint: The signed checkpoint, verbatim.
        extra: Opaque, unauthenticated; not trusted here or anywhere.

    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __bytes__(self) -> bytes:
        """Return the proof as it is stored; the inverse of `parse`."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_base64, self.hashes)]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the proof in *data*; the checkpoint in it is not looked at.

        Raises:
            FormatError: It is too long or not of the form.

        """
        head, blank, checkpoint = data.partition(b"\n\n")
        lines = head.decode("utf-8", "replace").split("\n")
        if len(data) > MAX_PROOF_BYTES or not blank or lines.pop(0) != HEADER:
            msg = f"not a proof: its first line is not {HEADER}, or no empty line follows"
            raise FormatError(msg)
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "), "the extra data of a proof")
        match = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if match is None:
            msg = "a proof without a plain 'index' line"
            raise FormatError(msg)
        hashes = tuple(decode_base64(line, "a hash of a proof") for line in lines)
        if any(len(node) != HASH_BYTES for node in hashes):
            msg = f"a hash of a proof has not {HASH_BYTES} bytes"
            raise FormatError(msg)
        return cls(int(match[1]), hashes, checkpoint, extra)


def make_proof(reader: Reader, log: Verifier, index: int) -> Proof:
    """Return the proof for leaf *index* under the ledger's current checkpoint, checked.

    Raises:
        LedgerError: The ledger does not hold together at that leaf.
        ValueError: There is no such leaf.

    """
    data = reader.checkpoint()
    head = open_checkpoint(data, log)
    hashes = inclusion_proof(index, head.size, node_reader(head.size, reader.tile))
    proof = Proof(index, tuple(hashes), data)
    entry = next(reader.entries(index, index + 1, head.size))
    check_proof(proof, entry, log)
    return proof


def check_proof(proof: Proof, entry: bytes, log: Verifier) -> Checkpoint:
    """Return the checkpoint under which *log* holds *entry* at the proof's index.

    Raises:
        FormatError: The checkpoint is malformed.
        SignatureError: *log* did not sign it.
        ProofError: The hashes do not lead from the entry to the checkpoint's root.

    """
    head = open_checkpoint(proof.checkpoint, log)
    root = inclusion_root(proof.index, head.size, leaf_hash(entry), proof.hashes)
    if root != head.root:
        msg = (
            f"the proof does not lead from this entry, as leaf {proof.index}, to the root of "
            f"{head.origin} at size {head.size}: the entry or the proof was altered"
        )
        raise ProofError(msg)
    return head
