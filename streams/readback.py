"""What a reconciliation reads, and how it gets there: org, expected rows, ledger."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.postgres.expected_reader import ExpectedReader
from connectors.salesforce.access import Access
from connectors.salesforce.budget import CALLS, Budget
from connectors.salesforce.client import OrgClient
from connectors.salesforce.readback import OrgReader
from residency.contracts.needs import region_needs
from residency.contracts.read import load_contract
from residency.keys import secret
from residency.ledger.reader import Reader
from residency.reconcile.ledger_view import LedgerView
from residency.telemetry.setup import Recorder
from schemas.errors import SetupError
from schemas.registry import load_registry
from streams.settings import ReconcileSettings

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reconciliation reads.

    Attributes:
        ours: Ids of the users that the region writes as.
        key: 32 bytes, of the expected rows' HMACs.
        objects: Which ones to compare.
        sleep: Waits so many seconds.
        progress: Told an object and how many of its rows were read.

    """

    region: str
    org: OrgReader
    notes: ExpectedReader
    log: LedgerView
    ours: Collection[str]
    key: bytes = field(repr=False)
    objects: Sequence[str] = ()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    progress: Progress = lambda _object, _rows: None


@contextmanager
def connected(
    settings: ReconcileSettings,
    objects: Sequence[str],
    recorder: Recorder,
    progress: Progress,
) -> Iterator[Parts]:
    """Yield what a reconciliation of a region reads, connected.

    Args:
        settings: The region's.
        objects: Which ones; none: all of the contract.
        recorder: For the metrics of calls.
        progress: See `Parts`.

    Raises:
        SetupError: There is no such object, or no ledger.
        RetriableError: The org did not answer.

    """
    needs = region_needs(settings.region, load_contract(), load_registry())
    unknown = sorted(set(objects) - needs.keys())
    if unknown:
        msg = f"no contract writes {', '.join(unknown)}; have {', '.join(sorted(needs))}"
        raise SetupError(msg)
    ledger = Reader(settings.folder / "ledger")
    ledger.require()
    config, key = settings.salesforce, secret(settings.folder / "keys", "expected")
    other, file = (settings.folder / name for name in CALLS)
    budget = Budget(config.api_share, file, config.limit_pause_s, beside=[other])
    with closing(Access(config, budget=budget, recorder=recorder)) as access:
        client = OrgClient(config, settings.region, access=access)
        org = OrgReader(client, settings.region, needs, key)
        yield Parts(
            settings.region,
            org,
            ExpectedReader(settings.postgres.dsn),
            LedgerView(ledger),
            org.users(settings.sinks),
            key,
            list(dict.fromkeys(objects)) or sorted(needs),
            progress=progress,
        )
