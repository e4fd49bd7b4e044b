"""What a region may decide about its Bulk API jobs; part of the service file."""

from typing import Annotated

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

MAX_UPLOAD = 100_000_000  # bytes of one job's CSV; the org counts 150 MB after base64
MAX_ROWS = 150_000  # rows of one job, ours: what memory carries well
Upload = Annotated[int, Field(ge=1, le=MAX_UPLOAD)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class BulkOptions:
    """How jobs are made and waited for.

    Attributes:
        max_bytes: Of one job's CSV; a row that is larger goes alone.
        max_rows: Of one job.
        first_poll_s: Wait before the first look at a running job, in seconds; each next one is
            half as long again.
        max_poll_s: Bound of these waits, in seconds.
        deadline_s: How long a job may take, in seconds. After that the batch is handed back,
            and nothing else is written before the job has ended.
        result_reads: How often to read results that do not account for every row.

    """

    max_bytes: Upload = MAX_UPLOAD
    max_rows: PositiveInt = MAX_ROWS
    first_poll_s: PositiveFloat = 1.0
    max_poll_s: PositiveFloat = 30.0
    deadline_s: PositiveFloat = 7_200.0
    result_reads: PositiveInt = 3
