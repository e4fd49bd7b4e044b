"""What a hop is told: where records come from and go to, and what is made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connectors.kafka.clients import MAX_POLL_MS
from connectors.kafka.headers import Headers
from residency.plan.model import Plan
from residency.telemetry.names import SpanName
from schemas.errors import QuarantineError, RetriableError
from schemas.events import RawBatch
from streams.place import Verdict

BATCH = 2_000  # records; a transaction costs about 5 ms however many it carries


class NotNowError(RetriableError):
    """What decides does not answer now; the records wait, and nobody starts afresh."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a hop's records come from and go to, and as whom it takes part.

    Attributes:
        generations: Source topics, each with its generation: the high part of row versions.
        target: Topic of what is made, where `Duties.stamp` names no other.
        quarantine: Topic of what cannot be decided.
        group: Consumer group; its workers share the partitions.
        member: ``group.instance.id``, stable per slot: a restart is no rebalance.
        transactional: ``transactional.id``, stable per slot: a restart fences its zombie.
        max_poll_ms: A worker that takes longer over a batch is no member any more.
        batch: Records taken together, at most.
        is_detailed: Duties look at headers and times too; reading them takes longer.
        is_confirmed: Duties are asked once more before a batch is committed, see `confirm`.
        span: Around each transaction.

    """

    generations: Mapping[str, int]
    target: str
    quarantine: str
    group: str
    member: str
    transactional: str
    max_poll_ms: int = MAX_POLL_MS
    batch: int = BATCH
    is_detailed: bool = False
    is_confirmed: bool = False
    span: SpanName = "border.batch"


class Duties(Protocol):
    """What a hop is for."""

    def decide(self, batch: RawBatch) -> Sequence[Verdict]:
        """Return a verdict per record, in order. Nothing is open yet: raising is clean.

        Raises:
            NotNowError: It cannot be said now; call again with those that are still ours.

        """
        ...

    def stamp(self, topic: str, plan: Plan) -> Sequence[tuple[str, Headers]] | None:
        """Return per output of *plan* where its records go and the headers all of them share.

        None: they go to the route's target, without headers.
        """
        ...

    def refuse(
        self, record: str, topic: str, error: QuarantineError, value: bytes
    ) -> tuple[bytes | None, Headers]:
        """Return value and headers of a quarantined record's entry."""
        ...

    def assigned(self, partitions: int) -> None:
        """Take note of how many partitions are this worker's now."""
        ...

    def confirm(self, batch: RawBatch) -> None:
        """Say that what was decided still holds, where the route asks.

        Kafka has all of it then, not committed.

        Raises:
            RetriableError: It does not; the batch is aborted, and the worker starts afresh.

        """
        ...

    def committed(self, batch: RawBatch, verdicts: Sequence[Verdict], seconds: float) -> None:
        """Take note of a batch that is committed, and how long it took."""
        ...

    def aborted(self) -> None:
        """Take note of a transaction that was not committed."""
        ...

    def observed(self) -> None:
        """Take note that `Hop.reading` or `Hop.writing` has new numbers."""
        ...
