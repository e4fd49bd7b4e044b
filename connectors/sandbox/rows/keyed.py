"""The resources that find one row by an external id, or by its ``Id`` used as one.

Source: REST API, "sObject Rows by External ID".
"""

from collections.abc import Sequence

from connectors.sandbox.access import View
from connectors.sandbox.call import Answer, Call
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import InvalidValueError, not_found
from connectors.sandbox.protocol import not_allowed
from connectors.sandbox.rows.matching import check_upsert, external_id_field
from connectors.sandbox.rows.rendering import url_of
from connectors.sandbox.rows.single import (
    Match,
    accepted,
    created,
    delete,
    find_row,
    show,
    without,
)
from connectors.sandbox.rows.values import coercer
from connectors.sandbox.rows.writer import Outcome
from connectors.sandbox.store import Store

INSERT_SINCE = 37  # API version that takes a POST to .../Id
FLAG_SINCE = 46  # that tells of an upsert whether it created the row
UPDATE_ONLY_SINCE = 62  # that knows the parameter


async def post_by_key(call: Call) -> Answer:
    """Create one row by a POST to ``.../Id``: an upsert by an id that there is not yet."""
    view = call.view()
    if call.part("id").lower() != "id" or call.major < INSERT_SINCE:
        method = "POST"
        raise not_allowed(method, ("HEAD", "GET", "PATCH", "DELETE"))
    body = await call.body()

    def work(store: Store) -> Outcome:
        record = without(call.record(body), view.field("Id"))
        return call.org.writer(store, view, call.user).create(record, body)

    outcome = accepted(await call.write(work))
    return created(call, view, outcome, with_flag=call.major >= FLAG_SINCE)


async def get_by_key(call: Call) -> Answer:
    """Read one row."""
    view = call.view()
    key = _key(view, call)
    matches = await call.read(lambda store: _find(store, view, key, call))
    return _several(call, view, matches) or await show(call, view, matches[0][0])


async def patch_by_key(call: Call) -> Answer:
    """Upsert one row; with ``updateOnly`` one that there is not stays away."""
    view = call.view()
    key, body = _key(view, call), await call.body()
    is_update = call.major >= UPDATE_ONLY_SINCE and call.param("updateOnly").lower() == "true"

    def work(store: Store) -> Outcome | list[Match]:
        record = without(call.record(body), key, view.field("Id"))
        writer = call.org.writer(store, view, call.user)
        if key.type == "id":
            (match,) = _find(store, view, key, call)
            return writer.update(*match, record, body)
        check_upsert(view, key)
        matches = _holders(store, view, key, call)
        if len(matches) > 1:
            return [match for match in matches if view.may_see(match[1], call.user)]
        if not matches and is_update:
            raise not_found()
        keyed = {key.name: call.part("value"), **record}
        return writer.upsert(key, [keyed], body, all_or_none=True)[0]

    result = await call.write(work)
    if isinstance(result, list):
        return _listed(call, view, result)
    outcome = accepted(result)
    if not outcome.created and call.major < FLAG_SINCE:
        return Answer(status=204)
    return created(call, view, outcome, with_flag=call.major >= FLAG_SINCE)


async def delete_by_key(call: Call) -> Answer:
    """Put one row into the recycle bin."""
    view = call.view()
    key = _key(view, call)

    def work(store: Store) -> list[Match]:
        matches = _find(store, view, key, call)
        if len(matches) == 1:
            delete(store, call, view, matches[0][0])
        return matches

    return _several(call, view, await call.write(work)) or Answer(status=204)


def _key(view: View, call: Call) -> Field:
    """Return the field named in the path.

    Raises:
        ApiError: 404, it is no external id that the user sees.

    """
    name = call.part("field")
    field = view.field(name) if name.lower() == "id" else None
    return field or external_id_field(view, name)


def _find(store: Store, view: View, key: Field, call: Call) -> list[Match]:
    """Return the live rows with the value in the path.

    Raises:
        ApiError: 404, there is none that this user sees.

    """
    if key.type == "id":
        return [find_row(store, view, call, call.part("value"))]
    matches = _holders(store, view, key, call)
    seen = [match for match in matches if view.may_see(match[1], call.user)]
    if not seen:
        raise not_found()
    return seen


def _holders(store: Store, view: View, key: Field, call: Call) -> list[Match]:
    """Return the live rows with the value in the path, whoever may see them."""
    try:
        value = coercer(key)(call.part("value"))
    except InvalidValueError:
        return []  # no row can hold it; an upsert says what is wrong with it
    found = store.find_keys(view.name, key, [] if value is None else [value])
    return [match for matches in found.values() for match in matches]


def _several(call: Call, view: View, matches: Sequence[Match]) -> Answer | None:
    """Return the 300 of an external id that several rows hold, or None."""
    return None if len(matches) == 1 else _listed(call, view, matches)


def _listed(call: Call, view: View, matches: Sequence[Match]) -> Answer:
    return Answer([url_of(call.version, view, sequence) for sequence, _ in matches], 300)
