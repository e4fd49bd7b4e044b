"""One request within another: asked of the handler that answers it alone."""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from connectors.sandbox.call import Answer, Call, Inner, parse_json
from connectors.sandbox.composite.plan import Part, Plan, in_order
from connectors.sandbox.composite.references import UnresolvedError, resolve
from connectors.sandbox.dispatch import DISPATCHER, Kind
from connectors.sandbox.edition import settled
from connectors.sandbox.errors import ApiError, Problem, not_found
from connectors.sandbox.protocol import check_version
from connectors.sandbox.store import Store

T = TypeVar("T")
NULLS_SINCE = 52  # API version in which one may refer to an empty field
COLLECTIONS_SINCE = 43  # API version in which a composite may hold collections
FAILS_FROM = 400  # HTTP's client and server errors
HALTED = "PROCESSING_HALTED"

_COMPOSITE = frozenset({Kind.ROW, Kind.COLLECTION, Kind.QUERY})
_ROLLED_BACK = Problem(
    HALTED,
    "The transaction was rolled back since another operation in the same transaction failed.",
    None,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request within another.

    Attributes:
        url: A path below the server's name.
        headers: By lower-case name.

    """

    method: str
    url: str
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one part.

    Attributes:
        is_failed: It was refused, or a record of its collection was.

    """

    answer: Answer
    is_failed: bool

    def as_json(self, reference: str | None) -> dict[str, Any]:
        """Return the item of the composite's answer."""
        return {
            "body": self.answer.document,
            "httpHeaders": self.answer.headers,
            "httpStatusCode": self.answer.status,
            "referenceId": reference,
        }


async def ask(
    call: Call, asked: Asked, kinds: frozenset[Kind], store: Store | None = None
) -> Answer:
    """Return the answer of the handler for *asked*, or its refusal.

    Args:
        call: The request that it stands in.
        asked: What to do.
        kinds: Of resources that may stand there; any other does not exist.
        store: Whose transaction the whole of *call* runs in, if it runs in one.

    """
    try:
        found = call.request.app[DISPATCHER].find(asked.method, asked.url)
        check_version(found.version)
        if found.route.kind not in kinds:
            raise not_found()
        inner = Inner(found.parts, found.query, asked.headers, asked.body, store)

        async def act(edition: int) -> Answer:
            one = Call(call.org, call.session, found.version, call.request, edition, inner)
            return await found.route.handler(one)

        # on the writer's thread nothing is deployed meanwhile
        return await (settled(call.org, act) if store is None else act(call.edition))
    except ApiError as exc:
        return Answer(exc.body(), exc.status, dict(exc.headers))


async def run(call: Call, plan: Plan, store: Store | None = None) -> dict[str, Done]:
    """Carry out the parts; with a shared transaction, none after the first that fails."""
    done: dict[str, Done] = {}
    for part in in_order(plan):
        answer = await _carry_out(call, part, done, store)
        done[part.reference] = Done(answer, _is_failed(part, answer))
        if store is not None and done[part.reference].is_failed:
            break
    return done


def run_whole(call: Call, plan: Plan, store: Store) -> tuple[dict[str, Done], bool]:
    """Carry out all parts in one transaction, on the writer's thread, or none.

    Returns: What became of each part, and whether all is well.
    """
    with store.transaction() as change:
        done = _at_once(run(call, plan, store))
        failed = {name: d for name, d in done.items() if d.is_failed}
        if failed:
            change.take_back()
    if not failed:
        return done, True
    halted_parts = {p.reference: failed.get(p.reference, halted(_ROLLED_BACK)) for p in plan.parts}
    return halted_parts, False


def halted(problem: Problem) -> Done:
    """Return what becomes of a part that is not carried out."""
    return Done(Answer([problem.as_request_error()], 400), is_failed=True)


async def _carry_out(
    call: Call, part: Part, done: Mapping[str, Done], store: Store | None
) -> Answer:
    url, body, with_nulls = part.url, part.body, call.major >= NULLS_SINCE
    if part.needs:
        bodies = {name: _body(done[name]) for name in part.needs if name in done}
        try:
            url = resolve(
                url, bodies, with_nulls=with_nulls, escape=lambda text: quote(text, safe="")
            )
            body = resolve(body, bodies, with_nulls=with_nulls)
        except UnresolvedError as exc:
            return halted(Problem(HALTED, exc.text, None)).answer
    kinds = _COMPOSITE if call.major >= COLLECTIONS_SINCE else _COMPOSITE - {Kind.COLLECTION}
    return await ask(call, Asked(part.method, url or "", body, part.headers), kinds, store)


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*, which may not wait: the writer's thread is held meanwhile.

    With a shared store every read and write of a handler happens at once, see `Call.write`.
    """
    try:
        work.send(None)
    except StopIteration as exc:
        result: T = exc.value
        return result
    work.close()
    msg = "a handler waited inside an all-or-none composite"
    raise RuntimeError(msg)


def _is_failed(part: Part, answer: Answer) -> bool:
    if answer.status >= FAILS_FROM:
        return True
    is_collection = part.place is not None and part.place.kind is Kind.COLLECTION
    if not is_collection or not isinstance(answer.document, Sequence):
        return False
    return any(item is not None and item.get("success") is False for item in answer.document)


def _body(done: Done) -> Any:  # noqa: ANN401 -- any JSON
    """Return a part's body as a reference sees it; of one that was refused, nothing."""
    if done.answer.status >= FAILS_FROM:
        return None
    return parse_json(orjson.dumps(done.answer.document).decode("utf-8"))
