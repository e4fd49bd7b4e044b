"""The sObject resources: one row at a time, and collections of up to 200."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.deployed.describe import describe, describe_global, summary
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import ApiError, no_such_column, not_found, refuse
from connectors.sandbox.ids import record_id, sequence_of
from connectors.sandbox.rows.values import renderer
from connectors.sandbox.rows.writer import Outcome, external_id_field, parse_collection
from connectors.sandbox.store import Store

CREATED_SINCE = 46  # API version that answers upserts with a body and knows collections' upsert
FORBIDDEN = frozenset(
    {"INSUFFICIENT_ACCESS_OR_READONLY", "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"}
)  # answered with 403 where there is only one row


async def get_sobjects(call: Call) -> Answer:
    """List the objects."""
    return Answer(describe_global(call.org.views.all(call.user), call.version))


async def get_sobject(call: Call) -> Answer:
    """Show one object's flags."""
    return Answer({"objectDescribe": summary(call.view(), call.version), "recentItems": []})


async def get_describe(call: Call) -> Answer:
    """Describe one object."""
    view = call.view()
    return Answer(describe(view, call.org.views.children(call.user, view), call.version))


async def patch_collection(call: Call) -> Answer:
    """Upsert up to 200 rows by an external id, in one transaction."""
    if _major(call) < CREATED_SINCE:
        raise not_found()
    view = call.view()
    key = external_id_field(view, call.part("field"))
    body = await call.body()

    def work(store: Store) -> list[dict[str, Any]]:
        records, all_or_none = parse_collection(call.document(body), view)
        writer = call.org.writer(store, view, call.user)
        outcomes = writer.upsert(key, records, body, all_or_none=all_or_none)
        return [outcome.as_json() for outcome in outcomes]

    return Answer(await call.write(work))


async def post_row(call: Call) -> Answer:
    """Create one row."""
    view, body = call.view(), await call.body()
    outcome = await call.write(
        lambda store: call.org.writer(store, view, call.user).create(call.record(body), body)
    )
    return _created(call, view, _accepted(outcome), with_flag=False)


async def get_row(call: Call) -> Answer:
    """Read one row by its id."""
    view = call.view()
    row = await call.read(lambda store: _find_by_id(store, view, call))
    return Answer(await _rendered(call, view, row))


async def patch_row(call: Call) -> Answer:
    """Update one row by its id."""
    view, body = call.view(), await call.body()

    def work(store: Store) -> Outcome:
        sequence, owner = _find_by_id(store, view, call)
        writer = call.org.writer(store, view, call.user)
        return writer.update(sequence, owner, call.record(body), body)

    _accepted(await call.write(work))
    return Answer(status=204)


async def delete_row(call: Call) -> Answer:
    """Put one row into the recycle bin."""
    view = call.view()

    def work(store: Store) -> None:
        sequence, _ = _find_by_id(store, view, call)
        _delete(store, call, view, sequence)

    await call.write(work)
    return Answer(status=204)


async def get_by_key(call: Call) -> Answer:
    """Read one row by an external id."""
    view = call.view()
    key = external_id_field(view, call.part("field"))
    matches = await call.read(lambda store: _find_by_key(store, view, key, call))
    return _several(call, view, matches) or Answer(await _rendered(call, view, matches[0]))


async def patch_by_key(call: Call) -> Answer:
    """Upsert one row by an external id."""
    view, body = call.view(), await call.body()
    key = external_id_field(view, call.part("field"))

    def work(store: Store) -> Outcome:
        record = call.record(body)
        for name in record:
            if name.lower() in {key.name.lower(), "id"}:
                text = f"The {name} field should not be specified in the sobject data."
                raise refuse(400, "INVALID_FIELD", text, (name,))
        keyed = {key.name: call.part("value"), **record}
        writer = call.org.writer(store, view, call.user)
        return writer.upsert(key, [keyed], body, all_or_none=True)[0]

    outcome = _accepted(await call.write(work))
    if not outcome.created and _major(call) < CREATED_SINCE:
        return Answer(status=204)
    return _created(call, view, outcome, with_flag=_major(call) >= CREATED_SINCE)


async def delete_by_key(call: Call) -> Answer:
    """Put one row, found by an external id, into the recycle bin."""
    view = call.view()
    key = external_id_field(view, call.part("field"))

    def work(store: Store) -> list[tuple[int, int]]:
        matches = _find_by_key(store, view, key, call)
        if len(matches) == 1:
            _delete(store, call, view, matches[0][0])
        return matches

    return _several(call, view, await call.write(work)) or Answer(status=204)


async def _rendered(call: Call, view: View, row: tuple[int, int]) -> dict[str, Any]:
    """Return the row of that number, with the fields the request asks for."""
    wanted = call.param("fields")
    fields = _fields(view, wanted.split(",")) if wanted else list(view.fields.values())
    names = ", ".join(f'"{f.name}"' for f in fields)
    sql = f'SELECT {names} FROM "{view.name}" WHERE Id = ?'  # noqa: S608 -- metadata names
    values = (await call.read(lambda store: store.select(sql, (row[0],))))[0]
    return {"attributes": {"type": view.name, "url": _url(call, view, row[0])}} | {
        f.name: renderer(f, view.prefix)(v) for f, v in zip(fields, values, strict=True)
    }


def _fields(view: View, names: Sequence[str]) -> list[Field]:
    found: dict[str, Field] = {}
    for name in names:
        field = view.field(name.strip())
        if field is None:
            raise ApiError(400, [no_such_column(name.strip(), view.name)])
        found[field.name] = field
    return list(found.values())


def _find_by_id(store: Store, view: View, call: Call) -> tuple[int, int]:
    """Return (sequence, owner) of the live row named in the path.

    Raises:
        ApiError: 404: malformed, unknown, not this user's, or deleted.

    """
    text = call.part("id")
    sequence = sequence_of(view.prefix, text)
    row = store.find_row(view.name, sequence)
    if sequence is None or row is None or not view.may_see(row[0], call.user):
        raise not_found()
    owner, is_deleted = row
    if is_deleted:
        raise refuse(404, "ENTITY_IS_DELETED", "entity is deleted", ())
    return sequence, owner


def _find_by_key(store: Store, view: View, key: Field, call: Call) -> list[tuple[int, int]]:
    """Return the live rows with the external id in the path.

    Raises:
        ApiError: 404, there is none that this user sees.

    """
    found = [m for f in store.find_keys(view.name, key, [call.part("value")]).values() for m in f]
    seen = [match for match in found if view.may_see(match[1], call.user)]
    if not seen:
        raise not_found()
    return seen


def _delete(store: Store, call: Call, view: View, sequence: int) -> None:
    if not view.access.delete:
        text = "insufficient access rights on object id"
        raise refuse(403, "INSUFFICIENT_ACCESS_OR_READONLY", text, ())
    writer = call.org.writer(store, view, call.user)
    problem = writer.hindrance(sequence)
    if problem is not None:
        raise ApiError(400, [problem])
    writer.delete(sequence)


def _several(call: Call, view: View, matches: Sequence[tuple[int, int]]) -> Answer | None:
    """Return the 300 of an external id that several rows hold, or None."""
    if len(matches) == 1:
        return None
    return Answer([_url(call, view, sequence) for sequence, _ in matches], 300)


def _accepted(outcome: Outcome) -> Outcome:
    """Return *outcome* if its row was written.

    Raises:
        ApiError: It was not.

    """
    if outcome.id is not None:
        return outcome
    status = 403 if outcome.problems[0].code in FORBIDDEN else 400
    raise ApiError(status, outcome.problems)


def _created(call: Call, view: View, outcome: Outcome, *, with_flag: bool) -> Answer:
    document: dict[str, Any] = {"id": outcome.id, "success": True, "errors": []}
    if with_flag:
        document["created"] = outcome.created
    headers: Mapping[str, str] = {}
    if outcome.created:
        url = f"/services/data/v{call.version}/sobjects/{view.name}/{quote(outcome.id or '')}"
        headers = {"Location": url}
    return Answer(document, 201 if outcome.created else 200, dict(headers))


def _url(call: Call, view: View, sequence: int) -> str:
    base = f"/services/data/v{call.version}/sobjects/{view.name}"
    return f"{base}/{record_id(view.prefix, sequence)}"


def _major(call: Call) -> int:
    return int(call.version.partition(".")[0])
