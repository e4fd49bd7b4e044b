"""Deletes by record id: into the recycle bin, or for good.

Source: REST API, "Delete Multiple Records with sObject Collections"; Bulk API 2.0, hardDelete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.sandbox.access import View
from connectors.sandbox.errors import (
    IS_DELETED,
    NO_ACCESS,
    NO_SUCH_ROW,
    Problem,
    malformed_id,
)
from connectors.sandbox.faults.hindrances import Hindrances, hindrances
from connectors.sandbox.ids import is_id, record_id, sequence_of
from connectors.sandbox.rows.writer import Outcome, Writer


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
        writer.purge(sequence)
    else:
        writer.delete(sequence)
    return Outcome(record_id(view.prefix, sequence))


def _refusal(
    view: View, writer: Writer, found: tuple[int, bool] | None, *, is_hard: bool
) -> Problem | None:
    """Return why the row *found*, (owner, deleted), may not be deleted."""
    if found is None:
        return NO_SUCH_ROW
    owner, is_deleted = found
    if is_deleted and not is_hard:
        return IS_DELETED
    if not view.access.delete or not view.may_see(owner, writer.user):
        return NO_ACCESS
    return None


def delete_any(writers: Mapping[str, Writer], ids: Sequence[str]) -> list[Outcome]:
    """Put rows of any objects into the recycle bin, inside the caller's transaction.

    Args:
        writers: By key prefix, one for each object that the user sees.
        ids: Outcomes are in their order.

    """

    def one(text: str, hindrances: Hindrances) -> Outcome:
        writer = writers.get(text[:3])
        if writer is None:
            return _not_of_ours(text)
        return delete_row(replace(writer, hindrances=hindrances), text)

    each = hindrances().spread(len(ids))
    return [one(text, of) for text, of in zip(ids, each, strict=True)]


def _not_of_ours(text: str) -> Outcome:
    """Return the refusal of what is no id, or none of these objects."""
    return _refused(NO_SUCH_ROW if is_id(text) else malformed_id(text))


def _refused(problem: Problem) -> Outcome:
    return Outcome(None, problems=(problem,))
