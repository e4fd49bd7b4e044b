"""Opens what one quarantine entry holds, for a person, and has the ledger say so before.

The order is the promise, as in `streams.looking.desk`: may this caller, one more for their count,
is its subject erased, the `access` leaf, and only then what it holds.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime

from connectors.kafka.errors import named
from connectors.postgres.vault.reader import VaultReader
from residency.ledger.accesses import Act, Purpose
from residency.seal import SealError
from residency.vault.looking import Refused, RefusedError, check_purpose
from residency.vault.subjects import NOBODY
from streams.again import Guard, fetch
from streams.looking.callers import Caller
from streams.looking.rates import Rates
from streams.looking.witness import PATIENCE_S, Witness
from streams.quarantine import Entry, opener, payload, plain_of, reader
from streams.settings import Settings, database
from streams.vault.keystores import open_keystore
from streams.vault.rawopener import RawOpener


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks, and why."""

    caller: Caller
    purpose: Purpose
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revealed:
    """What an entry holds.

    Attributes:
        value: As the worker had it that put it there; None where it was not carried.
        request: Names the `access` leaf; empty where nothing was carried, so nothing is seen.
        leaf: Its index; None while it waits for egress.

    """

    value: bytes | None = field(repr=False)
    request: str = ""
    leaf: int | None = None


def reveal(
    settings: Settings, entry: Entry, look: Look, now: datetime, patience_s: float = PATIENCE_S
) -> Revealed:
    """Return what *entry* holds, once the ledger is to say who sees it.

    Args:
        settings: Those of ``admin``, the principal of tools for people.
        entry: Of the region's quarantine.
        look: Whose role must export: a payload is everything that an event says.
        now: The time, UTC.
        patience_s: How long to wait for the leaf's index.

    Raises:
        RefusedError: The caller may not, or not so often.
        SealError: It does not open, or its subject is erased.
        RetriableError: Postgres or Kafka does not answer.
        LedgerError: The leaf was refused; nothing is told.

    """
    _check(settings, look)
    with closing(opener(settings)) as keys:
        value = payload(settings, entry, keys)
        if value is None:
            return Revealed(None)
        raw = _raw_of(settings, entry, keys) if entry.minimal else value
    subject = NOBODY
    if raw is not None:
        with closing(Guard(settings)) as guard:
            if guard.refuses(entry, raw):
                raise _erased(entry)
            subject = guard.owner(raw)
    request, leaf = Witness(settings.folder, patience_s).log(
        look.caller, Act.REVEAL, look.purpose, look.ticket, [subject], now
    )
    return Revealed(value, request, leaf)


def _check(settings: Settings, look: Look) -> None:
    """Refuse who may not have all that an event says, before anything is opened."""
    role = look.caller.may()
    check_purpose(look.purpose, look.ticket, role)
    if not role.exports:
        msg = f"role {role.id} may look at fields, and not at whole payloads"
        raise RefusedError(Refused.EXPORT, msg)
    with closing(Rates(settings.folder)) as rates:
        rates.take(look.caller, role)


def _raw_of(settings: Settings, entry: Entry, keys: RawOpener) -> bytes | None:
    """Return the raw record of a minimal one: whose it is only that says.

    From its topic, else from the vault; None where both have forgotten it.

    Raises:
        SealError: Its subject is erased, or no key opens it.

    """
    at = entry.raw
    with ExitStack() as stack:
        consumer = stack.enter_context(closing(reader(settings)))
        with named("quarantine", "run it again"):
            value = fetch(consumer, entry)
        if value is not None:
            return plain_of(entry, value, keys)
        ring = open_keystore(settings).load()
        vault = stack.enter_context(
            closing(VaultReader(database(settings.postgres, "admin"), ring))
        )
        kept = vault.record(entry.topic_id, at.partition, at.offset)
        if kept is None and vault.erased(entry.topic_id, at.partition, at.offset, at.offset + 1):
            raise _erased(entry)
    return None if kept is None else kept.value


def _erased(entry: Entry) -> SealError:
    return SealError(f"{entry.record}: its subject is erased; nobody is to read it")
