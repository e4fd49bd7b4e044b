"""What the resources of single rows share: finding, deleting, and the forms of the answers.

Source: REST API, "sObject Rows" and "sObject Rows by External ID".
"""

from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import IS_DELETED, NO_ACCESS, ApiError, Problem, not_found
from connectors.sandbox.ids import is_id, record_id, sequence_of
from connectors.sandbox.rows.conditions import check_read, state_of
from connectors.sandbox.rows.deletes import delete_row
from connectors.sandbox.rows.matching import external_id_field
from connectors.sandbox.rows.rendering import fields_of, rendered, url_of
from connectors.sandbox.rows.writer import Outcome
from connectors.sandbox.store import Store

Match = tuple[int, int]  # number and owner of a live row


def find_row(store: Store, view: View, call: Call, text: str) -> Match:
    """Return the live row with the id *text*.

    Raises:
        ApiError: 404: no id, unknown, not this user's, or deleted.

    """
    if not is_id(text):
        external_id_field(view, text)  # a path that ends there names no row
        raise not_found()
    sequence = sequence_of(view.prefix, text)
    row = store.find_row(view.name, sequence)
    if sequence is None or row is None or not view.may_see(row[0], call.user):
        raise not_found()
    owner, is_deleted = row
    if is_deleted:
        raise ApiError(404, [IS_DELETED])
    return sequence, owner


async def show(call: Call, view: View, sequence: int) -> Answer:
    """Return the row of that number, with the fields the request asks for."""
    wanted = call.param("fields")
    fields = fields_of(view, wanted.split(",")) if wanted else list(view.fields.values())

    def work(store: Store) -> Answer:
        with store.snapshot():
            state = state_of(store, view, sequence)
            unchanged = check_read(call, state)
            if unchanged is not None:
                return unchanged
            row = rendered(store, call.version, view, fields, [sequence])[sequence]
        return Answer(row, headers=state.headers())

    return await call.read(work)


def delete(store: Store, call: Call, view: View, sequence: int) -> None:
    """Put the row of that number into the recycle bin.

    Raises:
        ApiError: It was refused.

    """
    with store.transaction():
        writer = call.org.writer(store, view, call.user)
        accepted(delete_row(writer, record_id(view.prefix, sequence)))


def accepted(outcome: Outcome) -> Outcome:
    """Return *outcome* if its row was written.

    Raises:
        ApiError: It was not.

    """
    if outcome.id is not None:
        return outcome
    status = 403 if outcome.problems[0] == NO_ACCESS else 400
    raise ApiError(status, outcome.problems)


def created(call: Call, view: View, outcome: Outcome, *, with_flag: bool) -> Answer:
    """Return the answer to a row that was created, or changed by an upsert."""
    document: dict[str, Any] = {"id": outcome.id, "success": True, "errors": []}
    if with_flag:
        document["created"] = outcome.created
    if not outcome.created:
        return Answer(document)
    sequence = sequence_of(view.prefix, outcome.id or "")
    url = url_of(call.version, view, sequence or 0)
    return Answer(document, 201, {"Location": url})


def without(record: dict[str, Any], *fields: Field | None) -> dict[str, Any]:
    """Return *record* if it has none of *fields*, which the path already says.

    Raises:
        ApiError: 400 INVALID_FIELD.

    """
    for field in fields:
        if field is not None and any(name.lower() == field.name.lower() for name in record):
            text = f"The {field.name} field should not be specified in the sobject data."
            raise ApiError(400, [Problem("INVALID_FIELD", text, None)])
    return record
