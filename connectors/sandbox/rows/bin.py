"""The recycle bin: rows that were deleted, for 15 days; back to life, or gone for good.

Source: SOAP API, "undelete()" and "emptyRecycleBin()"; help 000386040, "Unable to Restore a
Deleted Record". The REST API has no resource for either.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from connectors.sandbox.access import User
from connectors.sandbox.errors import NO_ACCESS, Problem, malformed_id, too_many_ids
from connectors.sandbox.ids import is_id, record_id, sequence_of
from connectors.sandbox.org import Org
from connectors.sandbox.rows.checks import clashes
from connectors.sandbox.rows.writer import MAX_RECORDS, Outcome, Writer
from connectors.sandbox.store import Store

KEPT_S = 15 * 24 * 3600  # how long the bin keeps a row
PURGED_AT_ONCE = 1000  # rows; other writes get their turn in between
_TABLES = "SELECT o.name FROM objects o JOIN sqlite_master m USING (name) WHERE m.type = 'table'"

_NOT_TO_RESTORE = Problem("UNDELETE_FAILED", "Entity is not in the recycle bin")
_NOT_TO_EMPTY = Problem(
    "INVALID_ID_FIELD", "invalid record id; no recycle bin entry found", ("Id",)
)


def undelete(org: Org, store: Store, user: User, ids: Sequence[str]) -> list[Outcome]:
    """Bring up to 200 rows of any objects back to life; outcomes are in order.

    Runs on the writer's thread. Each row comes back alone or is refused alone: one whose key a
    new row has taken since stays in the bin.

    Raises:
        ApiError: There are more than 200 ids; nothing is done.

    """
    return _each(store, _writers(org, store, user), ids, _restore, _NOT_TO_RESTORE)


def empty_recycle_bin(org: Org, store: Store, user: User, ids: Sequence[str]) -> list[Outcome]:
    """Remove up to 200 rows from the bin for good; outcomes are in order.

    Runs on the writer's thread.

    Raises:
        ApiError: There are more than 200 ids; nothing is done.

    """
    return _each(store, _writers(org, store, user), ids, _purge, _NOT_TO_EMPTY)


async def purge_expired(org: Org) -> int:
    """Remove the rows that have lain in the bin for 15 days; return how many there were."""
    before, count = int(time.time()) - KEPT_S, 0
    for (name,) in await org.read(lambda store: store.select(_TABLES)):
        purged = PURGED_AT_ONCE
        while purged == PURGED_AT_ONCE:
            purged = await org.write(partial(_purge_before, sobject=name, before=before))
            count += purged
    return count


def deleted_at(store: Store, sobject: str, sequence: int) -> int:
    """Return when the deleted row of that number was deleted, in seconds since 1970.

    Nothing writes a row in the bin, so its last change is its deletion.
    """
    sql = f'SELECT SystemModstamp FROM "{sobject}" WHERE Id = ?'  # noqa: S608 -- metadata
    return int(store.select(sql, (sequence,))[0][0])


def _writers(org: Org, store: Store, user: User) -> dict[str, Writer]:
    """Return the write path of each object that *user* sees, by key prefix."""
    return {view.prefix: org.writer(store, view, user) for view in org.views.all(user)}


def _each(
    store: Store,
    writers: Mapping[str, Writer],
    ids: Sequence[str],
    act: Callable[[Writer, int], Sequence[Problem]],
    not_there: Problem,
) -> list[Outcome]:
    """Return the outcomes of *act* on the row of each id that lies in the bin."""
    if len(ids) > MAX_RECORDS:
        raise too_many_ids(MAX_RECORDS)
    outcomes: list[Outcome] = []
    with store.transaction():
        for text in ids:
            writer = writers.get(text[:3])
            sequence = sequence_of(text[:3], text)
            problems = _refusals(writer, sequence, text, not_there)
            if not problems and writer is not None and sequence is not None:
                problems = act(writer, sequence)
            known = None if problems or sequence is None else record_id(text[:3], sequence)
            outcomes.append(Outcome(known, problems=tuple(problems)))
    return outcomes


def _refusals(
    writer: Writer | None, sequence: int | None, text: str, not_there: Problem
) -> Sequence[Problem]:
    """Return why the row of that id cannot be taken out of the bin, if there is a reason."""
    if not is_id(text):
        return [malformed_id(text)]
    if writer is None or sequence is None:
        return [not_there]
    view = writer.view
    found = writer.store.find_row(view.name, sequence)
    if found is None or not found[1]:
        return [not_there]
    if not view.access.delete or not view.may_see(found[0], writer.user):
        return [NO_ACCESS]
    if deleted_at(writer.store, view.name, sequence) < writer.now - KEPT_S:
        return [not_there]
    return []


def _restore(writer: Writer, sequence: int) -> Sequence[Problem]:
    problems = clashes(writer.store, writer.view, sequence)
    if not problems:
        writer.restore(sequence)
    return problems


def _purge(writer: Writer, sequence: int) -> Sequence[Problem]:
    writer.store.purge(writer.view.name, sequence)
    return ()


def _purge_before(store: Store, sobject: str, before: int) -> int:
    """Remove some rows deleted before that second since 1970; return how many."""
    sql = (
        f'DELETE FROM "{sobject}" WHERE Id IN (SELECT Id FROM "{sobject}"'  # noqa: S608 -- metadata
        " WHERE IsDeleted = 1 AND SystemModstamp < ? LIMIT ?)"
    )
    with store.transaction():
        count = store.run(sql, (before, PURGED_AT_ONCE))
        if count:
            store.note_purge(sobject)
    return count
