"""Seals events at the gateway, each under its subject's key, before Kafka gets them.

The event loop never waits for Postgres: a thread of its own asks for the keys of all events that
came meanwhile, in one transaction that also makes the keys of new subjects. No key is remembered
from one batch to the next, so one that is destroyed seals nothing that comes after.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.postgres.vault.store import VaultStore
from connectors.postgres.vault.tables import permitted
from residency.vault.keyring import KeyStore
from residency.vault.rawseal import RawSeal
from schemas.errors import RetriableError
from streams.patience import retrying
from streams.settings import Settings, database
from streams.vault.keystores import open_keystore
from streams.vault.subjectkeys import SubjectKeys

LOG = logging.getLogger("homeport.gateway.seal")
MAX_BATCH = 500  # events sealed in one transaction
MAX_WAITING = 10_000  # events; more are refused at once
PATIENCE_S = 10.0  # for which an event waits for its seal
DELIVERY_S = 30.0  # for which Kafka is tried, once it is sealed
# After so long nothing sealed before is still on its way to its topic; some seconds for our loop.
PUBLISHED_S = PATIENCE_S + DELIVERY_S + 10.0
UNSEALED = "vault"  # what a client is told that must repeat: no key could be had


@dataclass(frozen=True, slots=True)
class _Event:
    topic: str
    subject: bytes = field(repr=False)
    value: bytes = field(repr=False)
    sealed: "asyncio.Future[bytes]" = field(repr=False)


class RawSealer:
    """The seals of one gateway. Its coroutines belong to one event loop."""

    def __init__(self, dsn: str, keystore: KeyStore) -> None:
        """Take by which role to ask for keys, and load what wraps them; raises as `load`."""
        self._store = VaultStore(dsn)
        self._keys = SubjectKeys(keystore)
        self._pool = ThreadPoolExecutor(1, "sealing")
        self._waiting: list[_Event] = []
        self._work: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None

    async def begin(self, halt: threading.Event) -> None:
        """Wait until Postgres answers, or until *halt*.

        Raises:
            SetupError: It has not this release's migrations.
            RetriableError: It does not answer, and *halt* is set.

        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, retrying(halt), self._check_tables)

    def _check_tables(self) -> None:
        with permitted():
            self._store.check()

    def check(self) -> None:
        """Raise what made sealing impossible, if something did."""
        if self._fault is not None:
            raise self._fault

    async def close(self) -> None:
        """Seal what waits, for a while, then close the connection."""
        if self._work is not None:
            await asyncio.wait([self._work], timeout=PATIENCE_S)
        self._store.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def seal(self, topic: str, subject: bytes, value: bytes) -> bytes:
        """Return *value* sealed for *topic* under its subject's key, to be published at once.

        Events come back in the order in which they were given.

        Raises:
            ConnectionError: No key can be had now, or it is too old by now: whoever erases no
                longer waits for what lies under it. The event must not be published.

        """
        if self._fault is not None or len(self._waiting) >= MAX_WAITING:
            raise ConnectionError(UNSEALED)
        began = time.monotonic()
        sealed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Event(topic, subject, value, sealed))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._all())
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await sealed
        except TimeoutError:
            raise ConnectionError(UNSEALED) from None
        if time.monotonic() - began > PATIENCE_S:  # both came while this process stood still
            raise ConnectionError(UNSEALED)
        return found

    async def _all(self) -> None:
        """Seal what waits, batch by batch, until nothing does."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                values = await loop.run_in_executor(self._pool, self._seal, batch)
            except RetriableError as error:
                LOG.warning("%d events are not taken: %s", len(batch), error)
                _refuse(batch)
            except BaseException as error:  # noqa: BLE001 - `check` raises it where it ends the worker
                self._fault = error
                _refuse([*batch, *self._waiting])
                self._waiting = []
            else:
                for event, value in zip(batch, values, strict=True):
                    if not event.sealed.done():  # nobody waits for it any more
                        event.sealed.set_result(value)

    def _seal(self, batch: Sequence[_Event]) -> list[bytes]:
        """Return the sealed values of a batch; every key is durable when this returns."""
        subjects = list({event.subject: None for event in batch})
        try:
            with permitted(), self._store.writing() as writing:
                now = datetime.now(UTC)
                known = self._keys.of(writing, subjects, now, for_raw=True)
                writing.await_events(subjects, now)
        finally:
            self._keys.forget()
        seals = {subject: RawSeal(subject, known[subject].data_key) for subject in subjects}
        return [seals[event.subject].close(event.topic, event.value) for event in batch]


def _refuse(events: Sequence[_Event]) -> None:
    for event in events:
        if not event.sealed.done():
            event.sealed.set_exception(ConnectionError(UNSEALED))


def sealer_of(settings: Settings) -> RawSealer | None:
    """Return what seals a gateway's events, or None where its settings leave them plain."""
    if not settings.seal_raw:
        return None
    return RawSealer(database(settings.postgres, "gateway"), open_keystore(settings))
