"""Let a halted egress run again: a leaf that says so, then the permit."""

from collections.abc import Collection
from contextlib import closing
from datetime import datetime

from connectors.postgres.egress_store import EgressStore
from residency.keys import ledger_keys
from residency.ledger.files import Ledger
from residency.ledger.leaves import commit, month_key, month_of, parse_leaf, quantise
from residency.ledger.resumes import ResumeLeaf
from schemas.errors import BreachError, Cause, SetupError
from streams.halts import Halt
from streams.leaf_requests import new_request, writer
from streams.settings import Settings
from streams.switch import Resuming, Switch


def resume(settings: Settings, reason: str, now: datetime, stays: Collection[str] = ()) -> Resuming:
    """Return the halt that ended, and the index of the leaf that says so.

    Takes the ledger's lock, so egress has let go of it, and of the org, before anything happens.

    Args:
        settings: Egress's own.
        reason: Why it may go on: any text; it stays in the region.
        now: The time, with a time zone.
        stays: Names of records that are to stay if the gate halts at them.

    Raises:
        LockedError: Egress has not stopped yet; try again.
        LedgerError: The ledger is shorter than its index, or does not hold: mend it first.
        RetriableError: Postgres does not answer.
        HaltError: Egress is not halted.

    """
    if settings.postgres is None:
        msg = f"the settings of egress in {settings.region} name no postgres"
        raise SetupError(msg)
    keys = ledger_keys(settings.folder / "keys", settings.region)
    switch = Switch(settings.folder)
    with switch.resuming(reason, now) as resuming:
        leaf = resume_leaf(resuming.halt, reason, now, keys.root)
        with (
            closing(EgressStore(settings.postgres.dsn)) as store,
            writer(settings.folder, keys, store.indexed)() as ledger,
        ):
            (index,) = ledger.append([leaf.to_bytes()])
        if stays:
            switch.keep(stays)
        resuming.logged(index)
    return resuming


def require_permit(switch: Switch, ledger: Ledger) -> None:
    """Make sure that egress may run, and that its ledger says so; an empty ledger always does.

    Raises:
        BreachError: There is no permit, or no such `resume` leaf.

    """
    if ledger.size == 0:
        switch.first_use()
    leaf = switch.permitted()
    if leaf is None:
        return
    entries = list(ledger.read(leaf, leaf + 1)) if leaf < ledger.size else []
    if not any(isinstance(parse_leaf(entry), ResumeLeaf) for entry in entries):
        msg = f"the permit names leaf {leaf}, which is no `resume` leaf of this ledger"
        raise BreachError(msg, Cause.SWITCH)


def resume_leaf(halt: Halt, reason: str, now: datetime, root: bytes) -> ResumeLeaf:
    """Return the leaf that ends *halt*, with a commitment to *reason* by the region's *root*."""
    time = quantise(now)
    key = month_key(root, month_of(time))
    bound = commit(key, f"resume/{halt.id}".encode(), reason.encode()).hex()
    return ResumeLeaf(time, new_request(), halt.id, halt.cause, quantise(halt.since), bound)
