"""Requests to the region's model, and the minimal records that its labels become.

The border makes the request, which does not leave; whoever has the labels makes the record. Both
follow the plan: it names the texts and lists, for each label, all that it can be.
"""

from collections.abc import Mapping
from typing import Any, Final

from residency.contracts.model import EXTERNAL_ID, SUBJECT
from residency.plan.model import OutputPlan, Plan
from schemas.codec import decode_physical, encode
from schemas.errors import HaltError, QuarantineError
from schemas.events import LABEL_VERSION, LabelRequest, MinimalRecord, RecordId
from schemas.registry import REQUESTS, Registry

BASE_VERSION: Final = "Base_Version__c"


def request_value(request: LabelRequest, registry: Registry) -> bytes:
    """Return *request* in the wire format; the inverse of `read_request`."""
    schema = registry.by_id(request.schema_id)
    return encode(
        schema,
        {
            **dict.fromkeys(row["name"] for row in schema.avro["fields"]),
            EXTERNAL_ID: request.external_id,
            BASE_VERSION: request.version,
            SUBJECT: request.subject,
            **request.texts,
        },
    )


def read_request(
    at: RecordId, plan: str, keys: int, value: bytes, registry: Registry
) -> LabelRequest:
    """Return the request that lies on the region's topic of requests.

    Args:
        at: Its name.
        plan: Digest of the plan that made it.
        keys: Version of the token keys.
        value: As it lies there.
        registry: Knows the request schemas.

    Raises:
        HaltError: It is no request: only our border writes there, so somebody else did, or the
            border is broken.

    """
    try:
        schema, fields = decode_physical(registry, value)
    except QuarantineError:
        raise _foreign(at) from None
    if schema.domain != REQUESTS:
        raise _foreign(at)
    return LabelRequest(
        id=at,
        object=schema.object or "",
        external_id=fields.pop(EXTERNAL_ID),
        subject=fields.pop(SUBJECT),
        version=fields.pop(BASE_VERSION),
        schema_id=schema.id,
        plan=plan,
        keys=keys,
        texts=fields,
    )


def _foreign(at: RecordId) -> HaltError:
    return HaltError(f"{at}: not a request of our border; see who else may write to this topic")


def label_record(
    request: LabelRequest, plan: Plan, labels: Mapping[str, str], registry: Registry
) -> MinimalRecord:
    """Return what may leave of a labelled request: nothing of it but tokens, and the labels.

    Args:
        request: What was asked.
        plan: The plan that made it.
        labels: CRM field to label, for each label that the plan names.
        registry: Knows the minimal schemas.

    Raises:
        HaltError: Request, plan and labels do not belong together, or a label is none of those
            that the plan lists: our fault.

    """
    output = _output(request, plan)
    values = {one.field: one.values for one in output.labels}
    if labels.keys() != values.keys():
        named = ", ".join(values)
        msg = f"{request.id}: the plan wants a label for {named}, no more and no fewer"
        raise HaltError(msg)
    for name, label in labels.items():
        if label not in values[name]:
            msg = f"{request.id}: {name}: not a label of its task; see what answered"
            raise HaltError(msg)
    schema = registry.by_id(output.label_schema_id or 0)
    unset: dict[str, Any] = dict.fromkeys(row["name"] for row in schema.avro["fields"])
    tokens = {EXTERNAL_ID: request.external_id, LABEL_VERSION: request.version}
    return MinimalRecord(
        id=request.id,
        object=request.object,
        external_id=request.external_id,
        version=request.version,
        schema_id=schema.id,
        plan=request.plan,
        keys=request.keys,
        value=encode(schema, {**unset, **labels, **tokens}),
    )


def _output(request: LabelRequest, plan: Plan) -> OutputPlan:
    """Return the output of *plan* that made *request*."""
    number = request.id.output
    output = plan.outputs[number] if number < len(plan.outputs) else None
    if (
        output is None
        or plan.digest != request.plan
        or not output.labels
        or (output.object, output.schema_id) != (request.object, request.schema_id)
    ):
        msg = f"{request.id}: the plan at hand did not make this request; look it up by its digest"
        raise HaltError(msg)
    return output
