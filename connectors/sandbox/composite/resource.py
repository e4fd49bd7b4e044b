"""Composite: up to 25 requests in one call, which may refer to each other's answers.

Source: REST API, "Composite"; one call against the limits, whatever is in it.
"""

from connectors.sandbox.call import Answer, Call
from connectors.sandbox.composite.parts import halted, run, run_whole
from connectors.sandbox.composite.plan import Reading, parse_composite, too_many_parts
from connectors.sandbox.composite.references import may_refer
from connectors.sandbox.dispatch import DISPATCHER

COMPOSITE_SINCE = 38  # API version
_RESOURCES = {"tree": 34, "batch": 34, "sobjects": 42, "graph": 50}  # since which API version


async def get_composite(call: Call) -> Answer:
    """List the composite resources."""
    base = f"/services/data/v{call.version}/composite"
    return Answer({n: f"{base}/{n}" for n, since in _RESOURCES.items() if call.major >= since})


async def post_composite(call: Call) -> Answer:
    """Carry out a composite request."""
    call.since(COMPOSITE_SINCE)
    body = await call.body()
    reading = Reading(call.request.app[DISPATCHER], call.major, may_refer(body))
    plan = parse_composite(call.document(body), reading)
    too_many = too_many_parts(plan.parts)
    if too_many is not None:
        return Answer({"compositeResponse": [halted(too_many).as_json(None)]})
    if plan.all_or_none:
        done, _ = await call.org.write(lambda store: run_whole(call, plan, store))
    else:
        done = await run(call, plan)
    items = [done[part.reference].as_json(part.reference) for part in plan.parts]
    return Answer({"compositeResponse": items})
