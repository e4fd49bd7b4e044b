"""Composite: many requests in one call, each by the handler that answers it alone.

Source: REST API, "Composite"; one call against the limits, whatever is in it.
"""

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from connectors.sandbox.call import Answer, Call, Inner, parse_json
from connectors.sandbox.composite.plan import (
    Part,
    Plan,
    in_order,
    parse_composite,
    too_many_parts,
)
from connectors.sandbox.composite.references import UnresolvedError, resolve
from connectors.sandbox.dispatch import DISPATCHER, Kind
from connectors.sandbox.errors import ApiError, Problem
from connectors.sandbox.protocol import check_version
from connectors.sandbox.store import Store

T = TypeVar("T")
_HALTED = "PROCESSING_HALTED"
_ROLLED_BACK = Problem(
    _HALTED,
    "The transaction was rolled back since another operation in the same transaction failed.",
    None,
)


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


async def post_composite(call: Call) -> Answer:
    """Carry out a composite request."""
    body = await call.body()
    plan = parse_composite(call.document(body), call.request.app[DISPATCHER])
    too_many = too_many_parts(plan)
    if too_many is not None:
        return Answer({"compositeResponse": [_halted(too_many).as_json(None)]})
    if plan.all_or_none:
        done = await call.org.write(lambda store: _run_whole(call, plan, store))
    else:
        done = await _run(call, plan, None)
    items = [done[part.reference].as_json(part.reference) for part in plan.parts]
    return Answer({"compositeResponse": items})


async def carry_out(
    call: Call, part: Part, done: Mapping[str, Done], store: Store | None
) -> Answer:
    """Return the answer of one part: its handler's, or why it could not be asked.

    Args:
        call: The composite request.
        part: What to do.
        done: The parts before it.
        store: Whose transaction all parts share, if they do.

    """
    try:
        bodies = {name: _body(done[name]) for name in part.needs if name in done}
        url = resolve(part.url, bodies, lambda text: quote(text, safe=""))
        document = resolve(part.body, bodies)
        found = call.request.app[DISPATCHER].find(part.method, url)
        check_version(found.version)
        inner = Inner(found.parts, found.query, part.headers, document, store)
        return await found.route.handler(
            Call(call.org, call.session, found.version, call.request, inner)
        )
    except UnresolvedError as exc:
        return _halted(Problem(_HALTED, exc.text, None)).answer
    except ApiError as exc:
        return Answer(exc.body(), exc.status)


async def _run(call: Call, plan: Plan, store: Store | None) -> dict[str, Done]:
    """Carry out the parts; with a shared transaction, none after the first that fails."""
    done: dict[str, Done] = {}
    for part in in_order(plan):
        answer = await carry_out(call, part, done, store)
        done[part.reference] = Done(answer, _is_failed(part, answer))
        if store is not None and done[part.reference].is_failed:
            break
    return done


def _run_whole(call: Call, plan: Plan, store: Store) -> dict[str, Done]:
    """Carry out all parts in one transaction, on the writer's thread, or none."""
    with store.transaction() as change:
        done = _at_once(_run(call, plan, store))
        failed = {name: d for name, d in done.items() if d.is_failed}
        if failed:
            change.take_back()
    if not failed:
        return done
    halted = _halted(_ROLLED_BACK)
    return {part.reference: failed.get(part.reference, halted) for part in plan.parts}


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
    if answer.status >= 400:  # noqa: PLR2004 -- HTTP's client and server errors
        return True
    if part.kind is not Kind.COLLECTION or not isinstance(answer.document, Sequence):
        return False
    return any(not item["success"] for item in answer.document)


def _body(done: Done) -> Any:  # noqa: ANN401 -- any JSON
    """Return a part's body as a reference sees it; of one that was refused, nothing."""
    if done.answer.status >= 400:  # noqa: PLR2004 -- HTTP's client and server errors
        return None
    return parse_json(orjson.dumps(done.answer.document).decode("utf-8"))


def _halted(problem: Problem) -> Done:
    return Done(Answer([problem.as_request_error()], 400), is_failed=True)
