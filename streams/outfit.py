"""What egress works with: connected when it starts, let go of when it stops or halts."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

from confluent_kafka import Producer

from connectors.postgres.bulk_jobs import BulkJobs
from connectors.postgres.egress_store import EgressStore
from connectors.salesforce.access import Access
from connectors.salesforce.budget import CALLS, Budget
from connectors.salesforce.bulk.writer import BulkWriter
from connectors.salesforce.client import OrgClient
from connectors.salesforce.preflight import preflight
from connectors.salesforce.sink import Clock, SalesforceSink
from inference.accepted import accepted_models
from residency.contracts.needs import region_needs
from residency.contracts.read import load_contract
from residency.gate.approvals import load_hard_deletes
from residency.gate.check import Gate
from residency.keys import ledger_keys, secret
from residency.ledger.files import Ledger
from residency.plan.approved import APPROVED_FILE
from residency.seal import EGRESS, Seal
from residency.telemetry.setup import Recorder
from schemas.errors import HaltError
from schemas.registry import load_registry
from streams.crossing import Parts
from streams.inforce import InForce, rules_of
from streams.lastrun import LastRun
from streams.patience import free, retrying, sleep
from streams.quarantining import Quarantine
from streams.resuming import require_permit
from streams.sending import Licence, LicensedSink
from streams.settings import Settings
from streams.switch import Switch


@contextmanager
def outfit(
    settings: Settings, recorder: Recorder, switch: Switch, halt: threading.Event
) -> Iterator[Parts]:
    """Yield what one run of egress works with.

    Args:
        settings: Egress's own.
        recorder: For metrics of the org.
        switch: Says whether egress may run.
        halt: Set when it is to stop.

    Raises:
        BreachError: It may not run, or the ledger does not hold.
        HaltError: The set-up is wrong.
        RetriableError: Told to stop while something did not answer.

    """
    if settings.postgres is None or settings.salesforce is None:
        msg = "egress's settings name no database or no org; run `homeport up` again"
        raise HaltError(msg)
    licence = Licence(switch)
    config = settings.salesforce
    file, other = (settings.folder / name for name in CALLS)  # the count outlives this process
    budget = Budget(config.api_share, file, config.limit_pause_s, beside=[other])
    access = Access(config, budget=budget, recorder=recorder, licence=licence.check)
    client = OrgClient(config, settings.region, access=access)
    _preflight(settings.region, client, halt)
    keys = ledger_keys(settings.folder / "keys", settings.region)
    seal = Seal(secret(settings.folder / "keys", EGRESS))
    producer = Producer(settings.kafka.librdkafka(enable_idempotence=True, linger_ms=5))
    options, clock = config.sink, Clock(sleep=partial(sleep, halt))
    with (
        closing(access),
        closing(EgressStore(settings.postgres.dsn)) as store,
        closing(BulkJobs(settings.postgres.dsn)) as jobs,
        free(halt)(
            Ledger.open,
            settings.folder / "ledger",
            keys.origin,
            keys.seed,
            at_least=store.indexed,
        ) as ledger,
    ):
        require_permit(switch, ledger)
        last = LastRun(switch.folder)
        left_nothing = last.take(ledger.size) or ledger.size == 0
        sink = SalesforceSink(
            client,
            bulk=BulkWriter(client, jobs, options.bulk, clock),
            options=options,
            clock=clock,
            is_tight=lambda: budget.is_tight,
            settled=left_nothing,
            hard_deletes=load_hard_deletes(APPROVED_FILE, settings.region),
        )
        yield Parts(
            gate=Gate.load(settings.region, APPROVED_FILE, accepted_models()),
            ledger=ledger,
            store=store,
            sink=LicensedSink(sink, ledger, keys.root, licence),
            keys=keys,
            expected_key=secret(settings.folder / "keys", "expected"),
            quarantine=Quarantine(producer, seal, settings.region).put,
            stays=switch.stays(),
            is_tight=lambda: budget.is_tight,
            state_rules=InForce(switch.folder, *rules_of(settings.region, APPROVED_FILE)).state,
        )
        # told to stop: whatever else ends a run comes as an exception, and leaves no mark
        if sink.is_settled:
            last.leave(ledger.size)


def _preflight(region: str, client: OrgClient, halt: threading.Event) -> None:
    """Compare the org with what we write, before the first record is read."""
    needs = region_needs(region, load_contract(), load_registry())
    problems = retrying(halt)(preflight, client, needs)
    if problems:
        raise HaltError("the org cannot take our records: " + "; ".join(map(str, problems)))
