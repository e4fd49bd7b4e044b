"""Write what crosses the border into the ledger: the only maker of `LoggedRecord`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, commitment, month_key, month_of, quantise
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import LoggedRecord, MinimalRecord


@dataclass(frozen=True, slots=True)
class Draft:
    """A minimal record that passed the gate and is to be logged.

    Attributes:
        record: The record.
        fields: Its fields, as the gate decoded them.
        basis: Transfer-basis ids of the rules that let it pass, in any order.
        release: The software release that made it, which may not be the one that logs it.
        model: Digest of the model that gave its labels, hex; None: it has none.

    """

    record: MinimalRecord
    fields: Mapping[str, Any] = field(repr=False)
    basis: tuple[str, ...]
    release: str
    model: str | None = None


def transfer_leaf(draft: Draft, *, time: str, key: bytes) -> TransferLeaf:
    """Return the leaf that says *draft* is about to be sent.

    Args:
        draft: What is about to be sent.
        time: See `quantise`.
        key: The month key of *time*, see `month_key`.

    Raises:
        FormatError: A part of the draft is not of a leaf's form.

    """
    record = draft.record
    return TransferLeaf(
        time=time,
        record=record.id,
        object=record.object,
        schema=record.schema_id,
        plan=record.plan,
        keys=record.keys,
        release=draft.release,
        basis=tuple(sorted(set(draft.basis))),
        deletes=record.deletes,
        model=draft.model,
        commitment=commitment(key, record.id, record.value),
    )


def log_transfers(
    ledger: Ledger, drafts: Sequence[Draft], *, now: datetime, root: bytes
) -> list[LoggedRecord]:
    """Return *drafts* as records that may be sent, once their leaves are durable.

    One append for the whole batch: all of it is logged, or none.

    Args:
        ledger: The region's ledger.
        drafts: In the order in which they will be sent; may be empty.
        now: The time, with a time zone.
        root: The region's commitment root key, see `month_key`.

    Raises:
        FormatError: A draft is not of a leaf's form; nothing is logged.
        LedgerError: The ledger cannot be written; nothing may be sent.

    """
    time = quantise(now)
    key = month_key(root, month_of(time))
    leaves = [transfer_leaf(draft, time=time, key=key) for draft in drafts]
    indexes = ledger.append([leaf.to_bytes() for leaf in leaves])
    return [
        LoggedRecord(draft.record, index, draft.fields)
        for draft, index in zip(drafts, indexes, strict=True)
    ]


def resume(draft: Draft, *, leaf: int, month: str, committed: str, root: bytes) -> LoggedRecord:
    """Return *draft* as the record that an earlier leaf already announced.

    After a crash the outcome of a logged record is unknown; the same bytes go out again.

    Args:
        draft: The record as it lies in Kafka now.
        leaf: Index of its transfer leaf.
        month: ``YYYY-MM`` of that leaf's time.
        committed: That leaf's commitment.
        root: The region's commitment root key.

    Raises:
        LedgerError: The bytes are not those that the leaf commits to.

    """
    record = draft.record
    if commitment(month_key(root, month), record.id, record.value) != committed:
        msg = (
            f"{record.id}: leaf {leaf} commits to other bytes; nothing is sent: "
            "compare the topics of minimal and label records with it"
        )
        raise LedgerError(msg, records=(str(record.id),))
    return LoggedRecord(record, leaf, draft.fields)


def log_outcomes(ledger: Ledger, outcomes: Sequence[OutcomeLeaf]) -> range:
    """Return the indexes of the outcome leaves, now durable; one append for all.

    Raises:
        LedgerError: The ledger cannot be written.

    """
    return ledger.append([leaf.to_bytes() for leaf in outcomes])
