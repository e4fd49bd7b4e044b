"""The sink: logged records become rows, or delete them, and every record gets an outcome.

Records of one external id are written one after the other, in the batch's order; a later one
starts when the earlier ones are settled. Records of different ids share requests freely.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Protocol

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.errors import (
    BodyRefusedError,
    OrgUnavailableError,
    UnsendableValueError,
)
from connectors.salesforce.outcome import Outcome, Result
from connectors.salesforce.refusals import halt_text
from connectors.salesforce.rows import MAX_ROWS, RowResult
from schemas.errors import HaltError
from schemas.events import LoggedRecord

AGAIN = frozenset({Handling.RACE, Handling.BUSY})


class RowWriter(Protocol):
    """The calls of `OrgClient` that the sink needs."""

    def upsert(
        self, sobject: str, key_field: str, rows: Sequence[Mapping[str, Any]]
    ) -> list[RowResult]:
        """See `OrgClient.upsert`."""
        ...

    def delete(self, sobject: str, key_field: str, key: str) -> RowResult:
        """See `OrgClient.delete`."""
        ...


@dataclass(frozen=True, slots=True)
class RowRetry:
    """How often to send a locked row again, and the bounds of the waits between, in seconds."""

    attempts: int = 5
    first_wait_s: float = 1.0
    max_wait_s: float = 30.0

    def wait_s(self, attempt: int, chance: float) -> float:
        """Return the wait after try number *attempt* (from 1); *chance* is in [0, 1).

        Half of it is fixed, as a lock's holder needs time; half keeps rivals out of step.
        """
        bound: float = min(self.max_wait_s, self.first_wait_s * 2 ** (attempt - 1))
        return bound / 2 + chance * bound / 2


class SalesforceSink:
    """Writes records of any objects as rows of the org."""

    def __init__(
        self,
        client: RowWriter,
        external_id_field: str = "External_Id__c",
        *,
        retry: RowRetry = RowRetry(),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take a client and the field, on every object, that is external id and unique."""
        self._client = client
        self._key_field = external_id_field
        self._retry = retry
        self._sleep = sleep
        self._chance = SystemRandom().random

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        """Write *batch* and return an outcome per record, in its order.

        Sending the same batch again is always safe: rows are upserted, and deleted, by a
        unique id.

        Raises:
            RetriableError: Nothing is known of any record; send the same batch again.
            HaltError: The org's set-up or ours is wrong; names object, field and next step.

        """
        keys = [(record.record.object, self._key(record)) for record in batch]
        outcomes: dict[int, Outcome] = {}
        for wave in waves(keys):
            for places in _requests(wave, [record.record.deletes for record in batch]):
                records = [batch[place] for place in places]
                results = self._settle(records)
                outcomes |= {
                    place: _outcome(record, result)
                    for place, record, result in zip(places, records, results, strict=True)
                }
        return [outcomes[place] for place in range(len(batch))]

    def _key(self, record: LoggedRecord) -> str:
        key = record.fields.get(self._key_field)
        if not isinstance(key, str) or not key:
            msg = f"{record.record.id}: {record.record.object} has no {self._key_field}"
            raise HaltError(msg)
        return key

    def _settle(self, records: Sequence[LoggedRecord]) -> list[RowResult]:
        """Send rows of one object until each is accepted or rejected for good."""
        results = self._send(records)
        for attempt in range(1, self._retry.attempts):
            again = [i for i, result in enumerate(results) if result.handling in AGAIN]
            if not again:
                return results
            self._sleep(self._retry.wait_s(attempt, self._chance()))
            fresh = self._send([records[i] for i in again])
            for i, result in zip(again, fresh, strict=True):
                results[i] = result
        for record, result in zip(records, results, strict=True):
            if result.handling is Handling.BUSY:
                msg = f"{record.record.id}: {record.record.object} is still {result.code}"
                raise OrgUnavailableError(msg)
        return results

    def _send(self, records: Sequence[LoggedRecord]) -> list[RowResult]:
        """Send rows in one request; halve it when the org refuses it whole because of a row."""
        sobject = records[0].record.object
        if records[0].record.deletes:
            return [self._client.delete(sobject, self._key_field, self._key(r)) for r in records]
        try:
            results = self._client.upsert(sobject, self._key_field, [r.fields for r in records])
        except UnsendableValueError as exc:
            msg = f"{records[exc.row].record.id}: {sobject}.{exc.field}: {exc.problem}"
            raise HaltError(msg) from None
        except BodyRefusedError as exc:
            if len(records) == 1:
                return [RowResult.refused(exc.error)]
        else:
            _halt_on_setup(records, results)
            return results
        middle = len(records) // 2
        return self._send(records[:middle]) + self._send(records[middle:])


def waves(keys: Sequence[tuple[str, str]]) -> list[list[int]]:
    """Return the positions of *keys* (object, external id) in groups to send in turn.

    A group is of one object and holds no key twice. The n-th record of a key is in the n-th
    group of its object, so that a key's records keep their order; every position is in exactly
    one group.
    """
    groups: dict[str, list[list[int]]] = {}
    seen: dict[tuple[str, str], int] = {}
    for place, key in enumerate(keys):
        turn = seen[key] = seen.get(key, -1) + 1
        turns = groups.setdefault(key[0], [])
        if turn == len(turns):
            turns.append([])
        turns[turn].append(place)
    return [wave for turns in groups.values() for wave in turns]


def _requests(wave: Sequence[int], deletes: Sequence[bool]) -> list[list[int]]:
    """Return a wave in pieces that one request can hold: rows to write, or rows to delete."""
    kinds = ([p for p in wave if not deletes[p]], [p for p in wave if deletes[p]])
    return [
        places[start : start + MAX_ROWS]
        for places in kinds
        for start in range(0, len(places), MAX_ROWS)
    ]


def _halt_on_setup(records: Sequence[LoggedRecord], results: Sequence[RowResult]) -> None:
    for record, result in zip(records, results, strict=True):
        if result.handling is Handling.HALT and result.code is not None:
            error = OrgError(result.code, result.fields, result.handling)
            raise HaltError(halt_text(f"{record.record.id}: {record.record.object}", error))


def _outcome(record: LoggedRecord, result: RowResult) -> Outcome:
    if result.success:
        return Outcome(record, Result.ACCEPTED, None, result.created)
    return Outcome(record, Result.REJECTED, result.code, created=False)
