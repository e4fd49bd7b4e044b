"""What a region may decide about how its rows are written; part of the service file."""

from dataclasses import field
from typing import Annotated

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.rows import MAX_BYTES, MAX_ROWS

FATE_S = 600.0  # Salesforce ends a call after ten minutes; until then it may still commit
BULK_FROM = 2_000  # rows of one object; from here on a job is cheaper than requests
Size = Annotated[int, Field(ge=1, le=MAX_ROWS)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, config=_STRICT)
class RowRetry:
    """How often to send a row again that the org could not take, and how long to wait between.

    Attributes:
        sizes: Rows per request, try by try. Smaller requests hold fewer locks, for less time.
        first_wait_s: Longest wait after the first try, in seconds; it doubles from try to try.
        max_wait_s: Bound of every wait, in seconds.

    """

    sizes: Annotated[tuple[Size, ...], Field(min_length=1)] = (MAX_ROWS, MAX_ROWS, 50, 50, 1)
    first_wait_s: PositiveFloat = 1.0
    max_wait_s: PositiveFloat = 30.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Return the wait after try number *attempt* (from 1); *chance* is in [0, 1).

        Half of it is fixed, as a lock's holder needs time; half keeps rivals out of step.
        """
        bound: float = min(self.max_wait_s, self.first_wait_s * 2 ** (attempt - 1))
        return bound / 2 + chance * bound / 2


@dataclass(frozen=True, slots=True, config=_STRICT)
class SinkOptions:
    """How the sink writes.

    Attributes:
        external_id_field: On every object an external id, unique and case-sensitive.
        fate_s: How long a request that was not answered may still be carried out, in seconds;
            so long its rows are not deleted.
        max_bytes: Of one HTTP request's rows, encoded; a larger row goes alone.
        bulk_from: So many rows of one object at once go by Bulk API.
        bulk: How its jobs are made and waited for.
        parent_field: Rows are sorted by what this field holds, where they have it, so that
            requests lock parents in the same order.
        retry: For rows that the org cannot take at once.

    """

    external_id_field: str = "External_Id__c"
    fate_s: NonNegativeFloat = FATE_S
    max_bytes: PositiveInt = MAX_BYTES
    bulk_from: PositiveInt = BULK_FROM
    bulk: BulkOptions = field(default_factory=BulkOptions)
    parent_field: str = "Customer_Key__c"
    retry: RowRetry = field(default_factory=RowRetry)
