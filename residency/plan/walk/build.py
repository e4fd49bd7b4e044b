"""Give every path that a plan reads a slot, and every value that Python makes a fill."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from residency.generalise import generaliser
from residency.plan.model import FieldPlan, Plan, leaf_path
from residency.plan.walk import ops
from residency.plan.walk.emission import Emission, Source, write_emission
from residency.plan.walk.fills import (
    Fill,
    FormatCheck,
    GeneralisedFill,
    Operand,
    TokenFill,
    reader_of,
    text,
    varint,
)
from residency.plan.walk.wish import UnwalkableError, Wish
from residency.policy.rules import Action
from residency.tokens import Kind, Tokeniser
from schemas.registry import EventSchema, Registry

_HOW = {"sum": ops.SUM, "min": ops.LEAST, "max": ops.MOST}
_WRITE: Mapping[str, Callable[[Any], bytes]] = {
    "string": lambda made: text(made.encode()),
    "decimal": text,
    "long": varint,
    "timestamp-millis": varint,
}


class Builder:
    """What a plan's outputs need of a walk, gathered while they are built.

    Attributes:
        wish: What the walk has to note.
        fills: What Python makes between the kernels, in order.
        checks: Formats to hold kept strings to.
        slots: How many there are.

    """

    def __init__(self, plan: Plan, schema: EventSchema, tokeniser: Tokeniser) -> None:
        """Start with nothing taken."""
        self._plan = plan
        self._tokeniser = tokeniser
        self._leaves = {leaf.path: leaf for leaf in schema.leaves}
        self._taken: dict[tuple[str, int], int] = {}
        self.wish = Wish()
        self.fills: list[Fill] = []
        self.checks: list[FormatCheck] = []
        self.slots = 0

    def slot(self, path: str, how: int = ops.SET) -> int:
        """Return the slot of the value at *path*."""
        key = path, how
        if key not in self._taken:
            self._taken[key] = self.slots
            self.wish.at(path).stores.append((self.slots, how))
            self.slots += 1
        return self._taken[key]

    def output(self, number: int, registry: Registry) -> tuple[Emission, int]:
        """Return an output's emission and the fill of its external id."""
        output = self._plan.outputs[number]
        external = self._tokens(output.external_id, is_required=True)
        source = self._asked if output.labels else self._source
        sources = {made.name: source(made) for made in output.fields}
        sources[output.external_id.name] = external
        emission = write_emission(
            output, registry.by_id(output.schema_id), sources, self._plan.region
        )
        return emission, external.fill

    def _asked(self, made: FieldPlan) -> Source:
        """Return where a request's field comes from: a text as it is, or whose it is."""
        if made.action is Action.LABEL:
            return Source(self.slot(made.path or ""))
        return self._tokens(made, is_required=True)

    def _source(self, made: FieldPlan) -> Source:
        path = made.path or ""
        if made.source == "count":
            slot = self.slots
            self.slots += 1
            self.wish.at(path).counts.append(slot)
            return Source(slot)
        if made.source in _HOW:
            return Source(self.slot(path, _HOW[made.source]))
        if made.source != "path":
            return Source()
        match made.action:
            case Action.TOKENISE:
                return self._tokens(made)
            case Action.GENERALISE:
                return self._generalised(made)
            case Action.KEEP:
                return self._kept(made)
            case _:
                msg = f"{made.name}: a plan never maps a field whose action is {made.action}"
                raise UnwalkableError(msg)

    def _tokens(self, made: FieldPlan, *, is_required: bool = False) -> Source:
        kind: Kind = "identity" if made.identity else "attribute"
        slot = self.slot(made.path or "")
        return self._filled(TokenFill(slot, kind, made.domain or "", self._tokeniser, is_required))

    def _filled(self, fill: Fill) -> Source:
        self.fills.append(fill)
        return Source(fill=len(self.fills) - 1)

    def _operand(self, path: str) -> Operand:
        return Operand(self.slot(path), reader_of(self._leaves[leaf_path(path)].avro))

    def _generalised(self, made: FieldPlan) -> Source:
        return self._filled(
            GeneralisedFill(
                self._operand(made.path or ""),
                generaliser(made.how or ""),
                _WRITE[made.to],
                self._operand(made.country) if made.country else None,
                self._operand(made.at) if made.at else None,
            )
        )

    def _kept(self, made: FieldPlan) -> Source:
        path = made.path or ""
        leaf, slot = self._leaves[leaf_path(path)], self.slot(path)
        if made.pattern is not None:
            self.checks.append(FormatCheck(slot, re.compile(made.pattern)))
        is_enum = isinstance(leaf.avro, Mapping) and leaf.avro["type"] == "enum"
        return Source(slot, symbols=leaf.avro["symbols"] if is_enum else ())
