"""The last look before a record goes to the sink: a durable leaf must have announced it.

`log_transfers` and `resume` made each `LoggedRecord`, so the answer is always yes, unless there is
a fault in between, or somebody made one by hand. It is asked of the files, not of the object.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson

from residency.ledger.errors import UnloggedError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, commitment, month_key, month_of
from residency.ledger.tiles import TILE_WIDTH
from schemas.events import LoggedRecord, RecordId


def require_logged(ledger: Ledger, batch: Sequence[LoggedRecord], root: bytes) -> None:
    """Make sure that each record's own transfer leaf is under the signed head, on disk.

    Reads one bundle per 256 leaves, whatever the order of *batch*.

    Args:
        ledger: The region's ledger, open for writing: its head is the signed one.
        batch: What is about to be sent.
        root: The region's commitment root key, see `month_key`.

    Raises:
        UnloggedError: One has no such leaf, or is not what it commits to; names it, and the leaf.
        LedgerError: A bundle is missing or malformed.

    """
    size = ledger.size
    months: dict[str, bytes] = {}
    bundle: list[bytes] = []
    held = -1  # the number of *bundle*
    for one in sorted(batch, key=attrgetter("leaf")):
        if not 0 <= one.leaf < size:
            raise _unlogged(one, f"the signed head has {size} leaves")
        number, place = divmod(one.leaf, TILE_WIDTH)
        if number != held:
            first = number * TILE_WIDTH
            bundle, held = list(ledger.read(first, min(first + TILE_WIDTH, size))), number
        leaf = _announced(bundle[place], one.record.id)
        if leaf is None:
            raise _unlogged(one, "that leaf announces something else")
        month = month_of(leaf["time"])
        key = months.get(month) or months.setdefault(month, month_key(root, month))
        if commitment(key, one.record.id, one.record.value) != leaf["commitment"]:
            raise _unlogged(one, "that leaf commits to other bytes")


def _announced(entry: bytes, name: RecordId) -> Mapping[str, Any] | None:
    """Return the transfer leaf of *name* in *entry*, if it is one.

    Not by `parse_leaf`: what we wrote a moment ago has its form, and the strict look at each
    field costs several times the rest.
    """
    try:
        row = orjson.loads(entry)
    except orjson.JSONDecodeError:
        return None
    is_its = isinstance(row, dict) and row.get("record") == str(name)
    is_its = is_its and row["topic_id"] == name.topic_id and row["kind"] == TransferLeaf.kind
    return row if is_its else None


def _unlogged(one: LoggedRecord, why: str) -> UnloggedError:
    name = str(one.record.id)
    return UnloggedError(
        f"{name}: was to be sent as leaf {one.leaf}, but {why}; nothing of the batch was sent: "
        "find what made it",
        records=(name,),
    )
