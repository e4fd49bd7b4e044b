"""Strip: the one place where a classified event becomes minimal records, and requests for labels.

Slow, obvious, on decoded values: the definition of what leaves. It reads Avro's physical
values (days, milliseconds, two's-complement bytes), so that no strange date of birth can
make it fail: a failure would tell something about a value that must stay.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from residency.contracts.model import EXTERNAL_ID, SUBJECT
from residency.generalise import Context, generaliser
from residency.plan.model import Each, FieldPlan, MapKey, OutputPlan, Plan, Step, parse_path
from residency.plan.processors import NO_PROCESSORS, Processors, apply_processors
from residency.policy.rules import Action
from residency.tokens import Tokeniser
from schemas.codec import encode
from schemas.errors import HaltError, QuarantineError, Reason
from schemas.events import ClassifiedEvent, LabelRequest, MinimalRecord, RecordId, row_version
from schemas.registry import CLEARED, DELETED, Registry


def strip(
    event: ClassifiedEvent,
    plan: Plan,
    tokeniser: Tokeniser,
    registry: Registry,
    processors: Processors = NO_PROCESSORS,
) -> tuple[MinimalRecord, ...]:
    """Return what may leave of *event*: a record per output of *plan* without labels, maybe none.

    Args:
        event: Written under the plan's schema.
        plan: Approved by the caller.
        tokeniser: Holds the region's keys.
        registry: Knows the minimal schemas.
        processors: Those that the plan names, by name.

    Raises:
        QuarantineError: A kept value does not match its declared format or range. A
            regulated value never causes this.
        HaltError: Event and plan do not belong together: our fault.

    """
    _check(event, plan, tokeniser)
    return tuple(
        _record(event, plan, number, tokeniser, registry, processors)
        for number, output in enumerate(plan.outputs)
        if not output.labels
    )


def ask(event: ClassifiedEvent, plan: Plan, tokeniser: Tokeniser) -> tuple[LabelRequest, ...]:
    """Return what the region's model is asked about *event*: a request per output with labels.

    It stays in the region. Its texts are copied as they are: none can fail or skip it.

    Raises:
        HaltError: As `strip`.

    """
    _check(event, plan, tokeniser)
    return tuple(
        _request(event, plan, number, tokeniser)
        for number, output in enumerate(plan.outputs)
        if output.labels
    )


def _check(event: ClassifiedEvent, plan: Plan, tokeniser: Tokeniser) -> None:
    """Check that event, plan and keys belong together."""
    if event.schema_id != plan.schema_id:
        msg = f"{event.raw.at}: plan for schema {plan.schema_id}, event of {event.schema_id}"
        raise HaltError(msg)
    if tokeniser.normaliser != plan.normaliser:
        msg = f"{event.raw.at}: plan of normaliser {plan.normaliser}, not {tokeniser.normaliser}"
        raise HaltError(msg)


def _request(event: ClassifiedEvent, plan: Plan, number: int, tokeniser: Tokeniser) -> LabelRequest:
    output, raw = plan.outputs[number], event.raw
    texts = {made.name: made for made in output.fields}
    subject = texts.pop(SUBJECT)
    return LabelRequest(
        id=RecordId(raw.at, number, 0, raw.topic_id),
        object=output.object,
        external_id=_identity(event.values, output.external_id, tokeniser),
        subject=_identity(event.values, subject, tokeniser),
        version=row_version(raw.generation, raw.at.offset),
        schema_id=output.schema_id,
        plan=plan.digest,
        keys=tokeniser.version,
        texts={name: look_up(event.values, made.path or "") for name, made in texts.items()},
    )


def _record(  # noqa: PLR0913, PLR0917
    event: ClassifiedEvent,
    plan: Plan,
    number: int,
    tokeniser: Tokeniser,
    registry: Registry,
    processors: Processors,
) -> MinimalRecord:
    output, raw = plan.outputs[number], event.raw
    version = row_version(raw.generation, raw.at.offset)
    made = _values(event.values, output, plan.region, tokeniser)
    values = apply_processors(made, output.processors, processors)
    schema = registry.by_id(output.schema_id)
    unset = {field["name"]: None for field in schema.avro["fields"]}
    external_id: str = values[EXTERNAL_ID]
    return MinimalRecord(
        id=RecordId(raw.at, number, 0, raw.topic_id),
        object=output.object,
        external_id=external_id,
        version=version,
        schema_id=schema.id,
        plan=plan.digest,
        keys=tokeniser.version,
        value=encode(schema, {**unset, **values, "Base_Version__c": version}),
        deletes=output.deletes,
    )


def _values(
    event: Mapping[str, Any], output: OutputPlan, region: str, tokeniser: Tokeniser
) -> dict[str, Any]:
    """Return the minimal record's fields; a mapped field that is null is listed as cleared."""
    made = {field.name: _value(event, field, region, tokeniser) for field in output.fields}
    return {
        EXTERNAL_ID: _identity(event, output.external_id, tokeniser),
        **{name: value for name, value in made.items() if value is not None},
        CLEARED: [name for name, value in made.items() if value is None],
        DELETED: output.deletes,
    }


def _identity(event: Mapping[str, Any], field: FieldPlan, tokeniser: Tokeniser) -> str:
    """Return the token of an id; that of the empty one where it is absent: it fails no record."""
    value = look_up(event, field.path or "")
    return tokeniser.identity(field.domain or "", "" if value is None else value)


def _value(event: Mapping[str, Any], field: FieldPlan, region: str, tokeniser: Tokeniser) -> Any:  # noqa: ANN401, any Avro value
    match field.source:
        case "constant":
            return field.value
        case "region":
            return region
        case "clear":
            return None
        case "count" | "sum" | "min" | "max":
            return _aggregate(event, field)
        case "path":
            value = look_up(event, field.path or "")
            return None if value is None else _act(event, field, value, tokeniser)


def _act(
    event: Mapping[str, Any],
    field: FieldPlan,
    value: Any,  # noqa: ANN401, any Avro value
    tokeniser: Tokeniser,
) -> Any:  # noqa: ANN401, any Avro value
    domain = field.domain or ""
    match field.action:
        case Action.TOKENISE if field.identity:
            return tokeniser.identity(domain, value)
        case Action.TOKENISE:
            return tokeniser.attribute(domain, value)
        case Action.GENERALISE:
            country = look_up(event, field.country) if field.country else None
            at = look_up(event, field.at) if field.at else None
            return generaliser(field.how or "").apply(value, Context(country, at))
        case Action.KEEP:
            return _keep(field, value)
        case _:
            msg = f"{field.name}: a plan never maps a field whose action is {field.action}"
            raise HaltError(msg)


def _aggregate(event: Mapping[str, Any], field: FieldPlan) -> Any:  # noqa: ANN401, any Avro value
    """Return what *field* says of all the values at its path: exact, absent ones passed over."""
    values = find_all(event, field.path or "")
    if field.source == "count":
        return _in_range(field, sum(len(value) for value in values if isinstance(value, list)))
    numbers = [_number(field, value) for value in values]
    match field.source:
        case "sum":
            made = sum(numbers)
        case "min" | "max" if not numbers:
            return None
        case "min":
            made = min(numbers)
        case _:
            made = max(numbers)
    return _physical(field, _in_range(field, made))


def _keep(field: FieldPlan, value: Any) -> Any:  # noqa: ANN401, any Avro value
    if field.pattern is not None and not _compiled(field.pattern).fullmatch(value):
        raise QuarantineError(Reason.FORMAT, field.path)
    return _physical(field, _in_range(field, _number(field, value)))


def _number(field: FieldPlan, value: Any) -> Any:  # noqa: ANN401, any Avro value
    """Return a decimal as its unscaled whole number; anything else as it is."""
    return value if field.scale is None else int.from_bytes(value, "big", signed=True)


def _physical(field: FieldPlan, value: Any) -> Any:  # noqa: ANN401, any Avro value
    """Return a decimal's fewest bytes, as its canonical encoding has; the inverse of `_number`."""
    if field.scale is None:
        return value
    width = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return value.to_bytes(width, "big", signed=True)


def _in_range(field: FieldPlan, value: Any) -> Any:  # noqa: ANN401, any Avro value
    if field.range is not None:
        unit = 10 ** (field.scale or 0)  # ranges are in whole units
        if not field.range[0] * unit <= value <= field.range[1] * unit:
            raise QuarantineError(Reason.FORMAT, field.path)
    return value


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_steps = cache(parse_path)


def look_up(event: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401, any Avro value
    """Return the value at *path*, or None where it or something on the way is absent."""
    value: Any = event
    for step in _steps(path):
        value = _follow(value, step)
        if value is None:
            return None
    return value


def find_all(event: Mapping[str, Any], path: str) -> list[Any]:
    """Return every value at *path* that is not null, in the order of the arrays on the way."""
    found: list[Any] = [event]
    for step in _steps(path):
        if isinstance(step, Each):
            found = [one for value in found if isinstance(value, list) for one in value]
        else:
            found = [_follow(value, step) for value in found]
        found = [one for one in found if one is not None]
    return found


def _follow(value: Any, step: Step) -> Any:  # noqa: ANN401, any Avro value
    """Return what one step leads to, or None."""
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else None
    key = step.key if isinstance(step, MapKey) else step
    return value.get(key) if isinstance(value, Mapping) else None
