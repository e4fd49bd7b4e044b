"""How the crossing of one record ended, as the ledger's ``outcome`` leaf says it."""

from dataclasses import dataclass
from enum import StrEnum

from schemas.events import LoggedRecord


class Result(StrEnum):
    """Every way a crossing can end."""

    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"  # decided by egress, before the sink: the row is newer already
    REJECTED = "rejected"  # the org refused the row's data


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record.

    Attributes:
        record: The record that was written, or was not.
        result: How it ended.
        code: The org's error code of a rejected record, else None.
        created: The org says that the row was new. A hint: False after a retry whose first
            try did commit.

    """

    record: LoggedRecord
    result: Result
    code: str | None
    created: bool
