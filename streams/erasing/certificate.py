"""The certificate of an erasure: what was done, with proofs that anybody can check.

    <region>/erasures/<request>/
      certificate.json                what was done, by names and counts; no value, no token
      <leaf>.json, <leaf>.tlog-proof  the erasure's leaf and each transfer leaf that it names

The certificate is written last: where it lies, all of it does.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from residency.ledger.disk import POSIX, replace_durably, write_durably
from residency.ledger.erasures import ErasureLeaf
from residency.ledger.leaves import quantise
from residency.ledger.note import Verifier
from residency.ledger.reader import Reader, open_head
from residency.vault.erasure import Erasure, RowAbroad
from streams.proofs import write_proof

FOLDER: Final = "erasures"
CERTIFICATE: Final = "certificate.json"
FORMAT: Final = 1
REMAINS: Final = (
    "the raw topics, in plain text, until their retention has taken the records",
    (
        "the topic of requests to the region's model, with texts in plain text, until its retention"
        " has taken them"
    ),
    (
        "the quarantine topic, sealed, until its retention has taken the entries that are named in"
        " `homeport quarantine list`"
    ),
    (
        "older backups of the database, which no longer open once `homeport vault restore` has been"
        " given them, or the key-encryption key is retired"
    ),
    "the ledger's leaves, which hold no value and no token",
    "the rows abroad that were anonymised, with the fields that the contract keeps",
)


def leaf_of(one: Erasure, commitment: str, time: str) -> ErasureLeaf:
    """Return the leaf that says an erasure is carried out; the same for the same arguments."""
    by = "command" if one.asked_by == "command" else "event"
    return ErasureLeaf(time, one.request, commitment, _minute(one), by, one.state.logged)


def write_certificate(folder: Path, log: Verifier, one: Erasure, leaf: ErasureLeaf) -> Path:
    """Write the certificate of *one*, whose leaf the ledger has; return where it lies.

    May be repeated: the proofs are then under a later head of the same ledger.

    Args:
        folder: The region's.
        log: The ledger's key.
        one: With its rows and the index of its leaf.
        leaf: The leaf.

    Raises:
        LedgerError: The ledger does not hold together at one of the leaves.
        OSError: The disk is full or failing.

    """
    reader, index = Reader(folder / "ledger"), one.leaf or 0
    head = open_head(reader, log)
    out = folder / FOLDER / one.request
    draft = out.with_name(f".{one.request}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    for number in (index, *one.state.leaves):
        write_proof(reader, log, number, head.size, draft)
    told = {
        "format": FORMAT,
        "request": one.request,
        "subject": leaf.subject,
        "asked": leaf.asked,
        "by": leaf.by,
        "done": leaf.time,
        "counts": dict(leaf.counts),
        "ledger": {"origin": head.origin, "vkey": str(log), "leaf": index},
        "abroad": [_row(row) for row in one.state.rows],
        "undecided": list(one.state.undecided),
        "remains": list(REMAINS),
        "check": f"homeport ledger check {index}.tlog-proof {index}.json --vkey VKEY",
    }
    text = orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"
    replace_durably(POSIX, draft / CERTIFICATE, text)
    shutil.rmtree(out, ignore_errors=True)
    draft.rename(out)
    write_durably(POSIX, [], [out.parent])
    return out / CERTIFICATE


def _row(row: RowAbroad) -> dict[str, Any]:
    return {
        "record": row.name,
        "object": row.object,
        "action": "delete" if row.deletes else "anonymise",
        "result": row.result,
        "transfer": row.leaf,
    }


def _minute(one: Erasure) -> str:
    return quantise(datetime.fromtimestamp(one.asked_at, UTC))
