"""sObject Collections: create, update, upsert, delete and retrieve many rows in one call.

Source: REST API, "sObject Collections"; one call against the limits, whatever is in it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.errors import parse_error, refuse, too_many_ids
from connectors.sandbox.ids import sequence_of
from connectors.sandbox.rows.deletes import delete_any
from connectors.sandbox.rows.matching import check_upsert, external_id_field
from connectors.sandbox.rows.rendering import fields_of, rendered
from connectors.sandbox.rows.writer import MAX_RECORDS, ROLLED_BACK, Outcome, Writer
from connectors.sandbox.store import Store

COLLECTIONS_SINCE, UPSERT_SINCE = 42, 46  # API versions
MAX_CHUNKS = 10  # of consecutive records of one type
MAX_RETRIEVED = 2000  # ids in one call

Records = list[dict[str, Any]]
_Many = Callable[[Writer, Records], list[Outcome]]


async def post_collection(call: Call) -> Answer:
    """Create up to 200 rows of any objects."""
    body = await call.body()
    return await _in_chunks(call, body, lambda w, r: w.create_all(r, body, all_or_none=False))


async def patch_collection(call: Call) -> Answer:
    """Update up to 200 rows of any objects by their ids."""
    body = await call.body()
    return await _in_chunks(call, body, lambda w, r: w.update_all(r, body, all_or_none=False))


async def upsert_collection(call: Call) -> Answer:
    """Create or update up to 200 rows of one object, matched by an external id."""
    call.since(UPSERT_SINCE)
    view = call.view()
    key = external_id_field(view, call.part("field"))
    check_upsert(view, key)
    body = await call.body()

    def work(store: Store) -> list[dict[str, Any]]:
        records, all_or_none = _records(call.document(body))
        for record in records:
            _check_type(_type(record), view)
        writer = call.org.writer(store, view, call.user)
        outcomes = writer.upsert(key, records, body, all_or_none=all_or_none)
        return [outcome.as_json(with_flag=True) for outcome in outcomes]

    return Answer(await call.write(work))


async def delete_collection(call: Call) -> Answer:
    """Put up to 200 rows of any objects into the recycle bin."""
    call.since(COLLECTIONS_SINCE)
    ids = _listed(call, "ids")
    all_or_none = call.param("allOrNone", "false").lower() == "true"
    _check_count(len(ids), MAX_RECORDS)
    views = {view.prefix: view for view in call.org.views.all(call.user)}

    def work(store: Store) -> list[dict[str, Any]]:
        writers = {p: call.org.writer(store, v, call.user) for p, v in views.items()}
        return _together(store, lambda: delete_any(writers, ids), all_or_none=all_or_none)

    return Answer(await call.write(work))


async def get_collection(call: Call) -> Answer:
    """Read rows of one object, their ids in the URL."""
    return await _retrieve(call, _listed(call, "ids"), _listed(call, "fields"))


async def retrieve_collection(call: Call) -> Answer:
    """Read up to 2000 rows of one object, their ids in the body."""
    document = call.record(await call.body())
    return await _retrieve(call, _texts(document, "ids"), _texts(document, "fields"))


async def _in_chunks(call: Call, body: str, write: _Many) -> Answer:
    """Write the records of the body, each run of one type at once, in one transaction."""
    call.since(COLLECTIONS_SINCE)

    def work(store: Store) -> list[dict[str, Any]]:
        records, all_or_none = _records(call.document(body))
        chunks = [(name, list(run)) for name, run in groupby(records, lambda r: _type(r).lower())]
        if len(chunks) > MAX_CHUNKS:
            text = (
                f"Cannot have more than {MAX_CHUNKS} chunks in a single operation. Please rearrange"
                " the data to reduce chunking."
            )
            raise refuse(400, "LIMIT_EXCEEDED", text)
        parts = [(_writer(call, store, _type(run[0])), run) for _, run in chunks]
        return _together(
            store,
            lambda: [outcome for writer, run in parts for outcome in write(writer, run)],
            all_or_none=all_or_none,
        )

    return Answer(await call.write(work))


def _writer(call: Call, store: Store, name: str) -> Writer:
    view = call.org.views.find(call.user, name)
    if view is None:
        raise refuse(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
    return call.org.writer(store, view, call.user)


def _together(
    store: Store, write: Callable[[], Sequence[Outcome]], *, all_or_none: bool
) -> list[dict[str, Any]]:
    """Return the answer's items for what *write* does in one transaction, in order."""
    with store.transaction() as change:
        outcomes = write()
        if all_or_none and any(outcome.problems for outcome in outcomes):
            change.take_back()
    if not change.is_taken_back:
        return [outcome.as_json() for outcome in outcomes]
    return [_rolled_back(outcome).as_json() for outcome in outcomes]


def _rolled_back(outcome: Outcome) -> Outcome:
    """Return what is left of *outcome*: a row that was there before keeps its id."""
    if outcome.problems:
        return outcome
    return Outcome(None if outcome.created else outcome.id, problems=(ROLLED_BACK,))


async def _retrieve(call: Call, ids: Sequence[str], names: Sequence[str]) -> Answer:
    """Read the rows of those ids, in their order; in place of one that is not to be seen, null."""
    call.since(COLLECTIONS_SINCE)
    _check_count(len(ids), MAX_RETRIEVED)
    view = call.view()
    fields = fields_of(view, names)
    numbers = [sequence_of(view.prefix, text) for text in ids]
    wanted = {number for number in numbers if number is not None}

    def work(store: Store) -> list[dict[str, Any] | None]:
        with store.snapshot():
            rows = store.find_rows(view.name, ["OwnerId", "IsDeleted"], wanted)
            seen = [
                number
                for number, row in rows.items()
                if not row["IsDeleted"] and view.may_see(int(row["OwnerId"] or 0), call.user)
            ]
            found = rendered(store, call.version, view, fields, seen)
        return [None if number is None else found.get(number) for number in numbers]

    return Answer(await call.read(work))


def _records(document: object) -> tuple[Records, bool]:
    """Return (records, allOrNone) of a request's body.

    Raises:
        ApiError: It is not such a body, or holds more than 200 records.

    """
    if not isinstance(document, dict) or not isinstance(document.get("records"), list):
        text = "The request body must be an object with a list of records"
        raise refuse(400, "INVALID_INPUT", text)
    records: list[Any] = document["records"]
    all_or_none = document.get("allOrNone", False)
    if not isinstance(all_or_none, bool):
        text = "Cannot deserialize instance of boolean: allOrNone"
        raise parse_error(text)
    _check_count(len(records), MAX_RECORDS)
    return records, all_or_none


def _type(record: object) -> str:
    """Return the object that *record* says it belongs to.

    Raises:
        ApiError: It does not say so.

    """
    attributes = record.get("attributes") if isinstance(record, dict) else None
    kind = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(kind, str):
        raise refuse(400, "INVALID_INPUT", "Each record needs attributes with a type")
    return kind


def _check_type(kind: str, view: View) -> None:
    if kind.lower() != view.name.lower():
        text = f"Record type {kind} does not match the resource's type {view.name}"
        raise refuse(400, "INVALID_INPUT", text)


def _check_count(count: int, maximum: int) -> None:
    if count > maximum:
        raise too_many_ids(maximum)


def _listed(call: Call, name: str) -> list[str]:
    """Return what the URL's parameter of that name lists, one at least."""
    found = [part.strip() for part in call.param(name).split(",") if part.strip()]
    if not found:
        raise refuse(400, "MISSING_ARGUMENT", f"The {name} parameter is required")
    return found


def _texts(document: Mapping[str, Any], name: str) -> list[str]:
    """Return the list of texts that the body holds under that name, one at least."""
    found = document.get(name)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        text = f"Cannot deserialize instance of list of texts: {name}"
        raise parse_error(text)
    if not found:
        raise refuse(400, "MISSING_ARGUMENT", f"The {name} parameter is required")
    return found
