"""Writes a leaf and its proof as two files, for whoever checks them without us."""

from pathlib import Path
from typing import Any

from residency.ledger.note import Verifier
from residency.ledger.proof import make_proof
from residency.ledger.reader import Reader


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
