"""Deletes by record id: into the recycle bin, or for good.

Source: REST API, "Delete Multiple Records with sObject Collections"; Bulk API 2.0, hardDelete.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import Problem, refuse
from connectors.sandbox.faults.hindrances import Hindrances, hindrances
from connectors.sandbox.ids import is_id, record_id, sequence_of
from connectors.sandbox.rows.writer import MAX_RECORDS, ROLLED_BACK, Outcome, Writer
from connectors.sandbox.store import Store

_DELETED = Problem("ENTITY_IS_DELETED", "entity is deleted")
_UNKNOWN = Problem("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
_NO_ACCESS = Problem("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")


async def delete_collection(call: Call) -> Answer:
    """Put up to 200 rows of any objects into the recycle bin, in one transaction."""
    ids = [part.strip() for part in call.param("ids").split(",") if part.strip()]
    all_or_none = call.param("allOrNone", "false").lower() == "true"
    if not ids:
        raise refuse(400, "MISSING_ARGUMENT", "The ids parameter is required")
    if len(ids) > MAX_RECORDS:
        text = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call"
        raise refuse(400, "EXCEEDED_ID_LIMIT", text)
    views = {view.prefix: view for view in call.org.views.all(call.user)}

    def work(store: Store) -> list[dict[str, Any]]:
        writers = {p: call.org.writer(store, v, call.user) for p, v in views.items()}
        return _delete_all(store, writers, ids, all_or_none=all_or_none)

    return Answer(await call.write(work))


def delete_row(writer: Writer, text: str, *, is_hard: bool = False) -> Outcome:
    """Delete the row with that id, inside the caller's transaction.

    Args:
        writer: Of the object that the id must belong to.
        text: The id, 15 or 18 characters.
        is_hard: Remove the row, also one that lies in the recycle bin.

    """
    view, store = writer.view, writer.store
    sequence = sequence_of(view.prefix, text)
    if sequence is None:
        return _not_of_ours(text)
    found = store.find_row(view.name, sequence)
    problem = _refusal(view, writer, found, is_hard=is_hard) or writer.hindrance(sequence)
    if problem is not None:
        return _refused(problem)
    if is_hard:
        store.purge(view.name, sequence)
    else:
        writer.delete(sequence)
    return Outcome(record_id(view.prefix, sequence))


def _refusal(
    view: View, writer: Writer, found: tuple[int, bool] | None, *, is_hard: bool
) -> Problem | None:
    """Return why the row *found*, (owner, deleted), may not be deleted."""
    if found is None:
        return _UNKNOWN
    owner, is_deleted = found
    if is_deleted and not is_hard:
        return _DELETED
    if not view.access.delete or not view.may_see(owner, writer.user):
        return _NO_ACCESS
    return None


def _delete_all(
    store: Store, writers: dict[str, Writer], ids: Sequence[str], *, all_or_none: bool
) -> list[dict[str, Any]]:
    """Delete the rows and return the answer's items, in order."""
    with store.transaction() as change:
        each = hindrances().spread(len(ids))
        outcomes = [_delete_any(writers, text, of) for text, of in zip(ids, each, strict=True)]
        if all_or_none and any(o.id is None for o in outcomes):
            change.take_back()
    if change.is_taken_back:
        return [_rolled_back(o) if o.id else o.as_json() for o in outcomes]
    return [_item(outcome) for outcome in outcomes]


def _delete_any(writers: dict[str, Writer], text: str, hindrances: Hindrances) -> Outcome:
    writer = writers.get(text[:3])
    if writer is None:
        return _not_of_ours(text)
    return delete_row(replace(writer, hindrances=hindrances), text)


def _not_of_ours(text: str) -> Outcome:
    """Return the refusal of what is no id, or none of these objects."""
    malformed = Problem("MALFORMED_ID", f"malformed id {text}")
    return _refused(_UNKNOWN if is_id(text) else malformed)


def _refused(problem: Problem) -> Outcome:
    return Outcome(None, problems=(problem,))


def _item(outcome: Outcome) -> dict[str, Any]:
    item = outcome.as_json()
    item.pop("created", None)  # a delete's outcome has none
    return item


def _rolled_back(outcome: Outcome) -> dict[str, Any]:
    errors = [ROLLED_BACK.as_record_error()]
    return {"id": outcome.id, "success": False, "errors": errors}
