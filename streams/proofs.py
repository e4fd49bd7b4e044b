"""A leaf and its proof as two files, written for whoever checks them without us, and checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from residency.ledger.errors import LedgerError
from residency.ledger.note import Verifier
from residency.ledger.proof import Proof, check_proof, make_proof
from residency.ledger.reader import Reader


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proof shows.

    Attributes:
        leaf: The index that it names; None if it cannot be read.
        size: Of the tree under which the log holds the entry; None if that is not shown.
        problem: Why it is not shown; None if it is.

    """

    leaf: int | None
    size: int | None
    problem: str | None


def check_files(proof: Path, entry: Path, log: Verifier) -> Checked:
    """Return whether *log* holds the file *entry* where the file *proof* says.

    Raises:
        OSError: One of the files cannot be read.

    """
    leaf = None
    try:
        parsed = Proof.parse(proof.read_bytes())
        leaf = parsed.index
        size = check_proof(parsed, entry.read_bytes(), log).size
    except LedgerError as exc:
        return Checked(leaf, None, str(exc))
    return Checked(leaf, size, None)


def write_proof(reader: Reader, log: Verifier, index: int, size: int, out: Path) -> dict[str, Any]:
    """Write ``<leaf>.tlog-proof`` and ``<leaf>.json``, the entry's exact bytes; return where.

    Raises:
        LedgerError: The ledger does not hold together at that leaf.

    """
    proof = make_proof(reader, log, index)
    proof_file, entry_file = out / f"{index}.tlog-proof", out / f"{index}.json"
    proof_file.write_bytes(bytes(proof))
    entry_file.write_bytes(next(reader.entries(index, index + 1, size)))
    return {"leaf": index, "proof": str(proof_file), "entry": str(entry_file)}
