"""A plan as a value, its canonical JSON and its digest."""

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal, TypeAlias

import rfc8785

from residency.policy.rules import Action

Source = Literal["path", "count", "sum", "min", "max", "constant", "region", "clear"]
FORMAT = 4  # of the plan's JSON


@dataclass(frozen=True, slots=True)
class MapKey:
    """A step to the value that a map has under one key."""

    key: str


@dataclass(frozen=True, slots=True)
class Each:
    """A step to every element of an array, for what is counted or added up."""


Step: TypeAlias = str | int | MapKey | Each
Steps: TypeAlias = tuple[Step, ...]
# Of an array's element, or of a map's key, dots included. No event has a million elements, and
# the walker's tables hold no number of any length.
_MARK = r"\[[0-9]{0,6}\]|\{[^{}]+\}"
_FIELD = re.compile(rf"([^.\[\]{{}}]+)((?:{_MARK})*)(\.|$)")


def parse_path(path: str) -> Steps:
    """Return the steps of a path.

    ``items[0].sku`` is ``("items", 0, "sku")``, ``items[].sku`` is ``("items", Each(),
    "sku")`` and ``attributes{gift}`` is ``("attributes", MapKey("gift"))``.

    Raises:
        ValueError: *path* is not a dotted path with array positions and map keys.

    """
    steps: list[Step] = []
    at, more = 0, True
    while more:
        match = _FIELD.match(path, at)
        if match is None:
            msg = (
                f"{path!r} is not a path; it reads like customer.email, items[0].sku,"
                " items[].quantity or attributes{gift}"
            )
            raise ValueError(msg)
        steps += [match[1], *map(_step, re.findall(_MARK, match[2]))]
        at, more = match.end(), match[3] == "."
    return tuple(steps)


def _step(mark: str) -> Step:
    inner = mark[1:-1]
    if mark[0] == "{":
        return MapKey(inner)
    return int(inner) if inner else Each()


def leaf_path(path: str) -> str:
    """Return the schema's name of a path.

    ``items[0].sku`` is ``items[].sku`` and ``attributes{gift}`` is ``attributes{}``.
    """
    return re.sub(r"\[\d+\]", "[]", re.sub(r"\{[^{}]+\}", "{}", path))


@dataclass(frozen=True, slots=True)
class LeafDecision:
    """What the policy says about one leaf of the schema.

    Attributes:
        rules: Ids of the rules that determined it; empty: no rule spoke, so `drop`.
        basis: W3C DPV ids of the transfer bases of those rules.

    """

    path: str
    category: str
    action: Action
    how: str | None
    rules: tuple[str, ...]
    sources: tuple[str, ...]
    basis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one CRM field is made.

    Attributes:
        name: Salesforce field.
        to: Kind of the minimal field: ``string``, ``long``, ``decimal``, ...
        source: Which source it has.
        path: The leaf, or the array that is counted; with ``[]`` for every element of
            what is counted, added up or compared.
        action: What is done with the leaf; None for constants and the like.
        domain: Token domain: an identity's name, or the leaf's category.
        country: The leaf with the country that the leaf belongs to, for generalisers.
        at: The leaf with the event's time, for generalisers.
        pattern: A kept text must match it.
        range: A number must lie in it, both ends included; in whole units.
        scale: Digits after the point, of the leaf as of the field; decimals only.

    """

    name: str
    to: str
    source: Source
    path: str | None = None
    value: str | None = None
    action: Action | None = None
    how: str | None = None
    identity: bool = False
    domain: str | None = None
    country: str | None = None
    at: str | None = None
    pattern: str | None = None
    range: tuple[int, int] | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessorRef:
    """A processor as a plan names it: with its file, so that another file is another plan."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How the region's model makes one CRM field of a text.

    Attributes:
        field: Salesforce field.
        task: Name of the task.
        version: Of the task.
        sha256: Of the task's file, hex: another file is another plan.
        text: The request's field with the text.
        values: All that can come out, sorted.

    """

    field: str
    task: str
    version: int
    sha256: str
    text: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasurePlan:
    """What becomes of a row when its person is erased.

    Attributes:
        deletes: It goes; there is nothing else then.
        hard: As of `OutputPlan`.
        cleared: Fields that are emptied, sorted.
        fields: Fields that are set, each to a constant, sorted by name; a checkbox to off.

    """

    deletes: bool = False
    cleared: tuple[str, ...] = ()
    fields: tuple[FieldPlan, ...] = ()
    hard: Literal[True] | None = None


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One minimal record that the event becomes, at once or by way of the region's model.

    Attributes:
        schema_id: Of what the border writes: a minimal record; where there are labels, a
            request, which does not leave.
        fields: What the border writes: CRM fields; of a request, the customer's token and texts.
        deletes: The record says that the row is to be deleted; it then has no fields.
        labels: What the model makes of the request; none: the border makes the minimal record.
        label_schema_id: Of the minimal record with the labels.
        erasure: What becomes of the row when its person is erased; None of a request.
        hard: A row that is deleted goes for good, not by way of the org's recycle bin. None, and
            no part of the plan's JSON, where it goes softly: plans of before keep their digests.

    """

    object: str
    schema_id: int
    external_id: FieldPlan
    fields: tuple[FieldPlan, ...]
    basis: tuple[str, ...]
    deletes: bool = False
    processors: tuple[ProcessorRef, ...] = ()
    labels: tuple[LabelPlan, ...] = ()
    label_schema_id: int | None = None
    erasure: ErasurePlan | None = None
    hard: Literal[True] | None = None


@dataclass(frozen=True)
class Plan:
    """Contract and policy for one schema in one region.

    Attributes:
        not_after: The earliest expiry among the rules and certificates it rests on;
            nothing is sent under it after that day. None if nothing expires.

    """

    region: str
    destination: str
    subject: str
    schema_id: int
    schema_digest: str
    normaliser: int
    decisions: tuple[LeafDecision, ...]
    outputs: tuple[OutputPlan, ...]
    not_after: date | None

    def to_json(self) -> bytes:
        """Return the plan as canonical JSON (RFC 8785): same plan, same bytes."""
        return rfc8785.dumps(_plain({"format": FORMAT, **asdict(self)}))

    @cached_property
    def requests(self) -> int:
        """How many of the outputs are requests; they come last."""
        return sum(1 for output in self.outputs if output.labels)

    @cached_property
    def hard_deletes(self) -> tuple[str, ...]:
        """Objects whose rows, where this plan deletes them, go for good; sorted.

        Whether the event deletes them or an erasure does: contracts let the two say one thing.
        """
        found = {one.object for one in self.outputs if one.hard}
        found |= {one.object for one in self.outputs if one.erasure and one.erasure.hard}
        return tuple(sorted(found))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return hashlib.sha256(self.to_json()).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401, JSON is Any
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.isoformat() if isinstance(value, date) else value
