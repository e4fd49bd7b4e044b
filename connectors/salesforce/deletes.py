"""Deletions: rows are found by their external id, and deleted by the org's own Id.

Never by external id: a deletion that the org carries out late would then hit a row that was
created since. A row that is not there is deleted already.

Source: REST API, "sObject Collections" (delete) and "Query"; SOQL reference, quoted strings.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote

from simple_salesforce.format import format_soql

from connectors.salesforce.codes import Handling, read_error
from connectors.salesforce.composite import UNREAD, Sender
from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.refusals import Call, api_name
from connectors.salesforce.rows import MAX_ROWS, RowResult

MAX_LIST = 8_000  # characters of external ids in a query, URL-encoded; a request line holds 16,384
DONE = RowResult(success=True, created=False)
GONE = frozenset({"ENTITY_IS_DELETED"})
# Said of an Id that is no row, or of one that we may not delete: the next look-up tells.
PERHAPS_GONE = frozenset({"INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND"})
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


class Finder(Sender, Protocol):
    """What deleting needs of `OrgClient`."""

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Iterator[dict[str, Any]]:
        """See `OrgClient.query_all`."""
        ...


class Purger(Protocol):
    """What deleting for good needs of `BulkWriter`: REST has no call for it."""

    def hard_delete(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        """Delete rows so that nobody can restore them; one result each, in order."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A row's Ids: at most one that lives, and, if asked for, those in the recycle bin."""

    live: tuple[str, ...] = ()
    binned: tuple[str, ...] = ()


class Deleter:
    """Deletes rows of the org. One thread."""

    def __init__(self, client: Finder, key_field: str, purger: Purger | None) -> None:
        """Take a client, the external id field and, where objects are purged, who does it."""
        self._client = client
        self._key_field = key_field
        self._purger = purger

    def delete(self, sobject: str, keys: Sequence[str], *, hard: bool) -> list[RowResult]:
        """Delete the rows with these external ids; return what became of each, in order.

        Args:
            sobject: Their object.
            keys: No one twice.
            hard: Also out of the recycle bin, where what was deleted earlier lies for 15 days.

        Raises:
            RetriableError: No answer within the deadline; rows may be gone.
            HaltError: The org's set-up or ours is wrong; the text says what.

        """
        found = self._find(sobject, keys, with_deleted=hard)
        if hard:
            purged = self._purge(sobject, found)
            return [purged[key] for key in keys]
        live = {found[key].live[0]: key for key in keys if found[key].live}
        results = dict.fromkeys(keys, DONE)
        for start in range(0, len(live), MAX_ROWS):
            ids = list(live)[start : start + MAX_ROWS]
            results |= {live[i]: r for i, r in zip(ids, self._call(sobject, ids), strict=True)}
        return [results[key] for key in keys]

    def _purge(self, sobject: str, found: Mapping[str, _Found]) -> dict[str, RowResult]:
        """Delete for good at once what lives, and what lies in the recycle bin.

        Never by way of the bin: whether a job purges what lies there is not documented.
        """
        owner = {i: key for key, one in found.items() for i in (*one.live, *one.binned)}
        results = dict.fromkeys(found, DONE)
        if not owner or self._purger is None:
            return results
        told = zip(owner, self._purger.hard_delete(sobject, list(owner)), strict=True)
        for identity, result in told:
            key = owner[identity]
            if result.success or not results[key].success:
                continue
            if result.code not in GONE | PERHAPS_GONE:
                results[key] = result
            elif identity in found[key].live:  # somebody else deleted it: it may be in the bin now
                results[key] = replace(result, handling=Handling.RACE)
        return results

    def _find(
        self, sobject: str, keys: Sequence[str], *, with_deleted: bool
    ) -> Mapping[str, _Found]:
        live: dict[str, list[str]] = defaultdict(list)
        binned: dict[str, list[str]] = defaultdict(list)
        wanted = frozenset(keys)
        for piece in _pieces(keys):
            deleted = ", IsDeleted" if with_deleted else ""
            soql = format_soql(
                "SELECT Id, {key:literal}{deleted:literal} FROM {sobject:literal}"
                " WHERE {key:literal} IN {keys}",
                key=api_name(self._key_field),
                deleted=deleted,
                sobject=api_name(sobject),
                keys=piece,
            )
            for row in self._client.query_all(soql, with_deleted=with_deleted):
                identity, key = row.get("Id"), row.get(self._key_field)
                if not isinstance(identity, str) or not _ID.fullmatch(identity):
                    msg = f"query {sobject}: Salesforce answered with a row without an Id"
                    raise OrgUnavailableError(msg)
                if key in wanted:  # a query may compare without case
                    (binned if row.get("IsDeleted") else live)[key].append(identity)
        return {key: _Found(tuple(live[key]), tuple(binned[key])) for key in keys}

    def _call(self, sobject: str, ids: Sequence[str]) -> list[RowResult]:
        params = {"ids": ",".join(ids), "allOrNone": "false"}
        call = Call("delete", sobject, "DELETE", "composite/sobjects", params=params)
        answer = self._client.send(call).content
        if not isinstance(answer, list) or len(answer) != len(ids):
            return [UNREAD] * len(ids)
        return [_read(item) for item in answer]


def _read(item: object) -> RowResult:
    if not isinstance(item, Mapping) or not isinstance(item.get("success"), bool):
        return UNREAD
    if item["success"]:
        return DONE
    error = read_error(item.get("errors"), (), "")
    if error.code in GONE:
        return DONE
    if error.code in PERHAPS_GONE:
        return RowResult.refused(replace(error, handling=Handling.RACE))
    return RowResult.refused(error)


def _pieces(keys: Sequence[str]) -> Iterator[list[str]]:
    """Yield *keys* in lists that a query's URL can hold."""
    piece: list[str] = []
    size = 0
    for key in keys:
        length = len(quote(f"'{key}',"))
        if piece and (len(piece) == MAX_ROWS or size + length > MAX_LIST):
            yield piece
            piece, size = [], 0
        piece.append(key)
        size += length
    if piece:
        yield piece
