"""What takes part in a crossing: a record that arrived, one that stays, and egress's parts."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from connectors.postgres.egress_store import EgressStore
from connectors.postgres.expected_rows import Key
from connectors.salesforce.outcome import Outcome
from residency.gate.check import Gate
from residency.keys import LedgerKeys
from residency.ledger.files import Ledger
from schemas.errors import Reason
from schemas.events import LoggedRecord, MinimalRecord
from streams.limit import LimitPolicy
from streams.parking import ParkPolicy

# Clean records have no hits at all (docs/measurements.md): so many are a fault of ours.
SCANNER_LIMIT: Final = LimitPolicy(window=5_000, share=0.02, at_least=50)


class Sink(Protocol):
    """Writes logged records to the destination."""

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        """Return one outcome per record, in order, or raise: then nothing is known."""
        ...

    def doubt(self, keys: Iterable[Key]) -> None:
        """Take it that requests for these rows may still be under way."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A minimal record as it came from Kafka, with what its border claims of it.

    Attributes:
        basis: Transfer-basis ids.
        release: Of the software that made it.
        model: Digest of the model that gave its labels; None: it has none.

    """

    record: MinimalRecord
    basis: tuple[str, ...]
    release: str
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that stays: why, and where in it.

    Attributes:
        path: The field's path that the gate refused, or None.
        code: Salesforce's error code, if it was the org that refused.
        fields: Names of the fields that the org's error names.

    """

    record: MinimalRecord
    reason: Reason
    path: str | None = None
    code: str | None = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a carrier works with; each knows nothing of the others.

    Attributes:
        stays: Names of records that stay if the gate halts at them: a person said so.
        is_tight: Says whether the org's daily calls are running low.
        state_rules: Sees that the ledger names the rules in force; before what crosses by them.

    """

    gate: Gate
    ledger: Ledger
    store: EgressStore
    sink: Sink
    keys: LedgerKeys
    expected_key: bytes = field(repr=False)
    quarantine: Callable[[Sequence[Refused]], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    limit: LimitPolicy = SCANNER_LIMIT
    parking: ParkPolicy = field(default_factory=ParkPolicy)
    stays: Collection[str] = frozenset()
    is_tight: Callable[[], bool] = lambda: False
    state_rules: Callable[[Ledger, datetime], None] = lambda _ledger, _now: None


def key_of(record: MinimalRecord) -> Key:
    """Return which row a record is of: object and external id."""
    return record.object, record.external_id
