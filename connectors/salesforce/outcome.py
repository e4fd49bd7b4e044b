"""How the crossing of one record ended, or why it waits."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas.events import LoggedRecord, RecordId

BEHIND: Final = "BEHIND"  # an earlier record of the same external id is parked
FATE_UNKNOWN: Final = "FATE_UNKNOWN"  # a late upsert could bring the deleted row back


class Result(StrEnum):
    """Every way a record can come back from the sink."""

    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"  # the row is newer already: egress saw it, or the org said so
    REJECTED = "rejected"  # the org refused the row's data
    PARKED = "parked"  # the org cannot take the row now; the caller keeps it and sends it later


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record.

    Attributes:
        record: The record that was written, or was not.
        result: How it ended.
        code: Why it was rejected or parked: the org's error code, or `BEHIND`, or
            `FATE_UNKNOWN`; else None.
        created: The org says that the row was new. A hint: False after a retry whose first
            try did commit.
        fields: Fields the error names, of those we sent, sorted.
        sent_with: Every record whose fields went out in the same merged row, itself included,
            oldest first; empty for a record that was sent alone.

    """

    record: LoggedRecord
    result: Result
    code: str | None
    created: bool
    fields: tuple[str, ...] = ()
    sent_with: tuple[RecordId, ...] = ()
