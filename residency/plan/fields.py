"""Make one field of a plan: what a contract asks for, met by what the policy gives, or why not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from residency.contracts.model import FieldSource
from residency.generalise import Generaliser, generaliser
from residency.generalise.numbers import SCALE
from residency.generalise.numbers import UNIT as SCALE_UNIT
from residency.plan.kinds import digits, kind_of
from residency.plan.model import Each, FieldPlan, leaf_path, parse_path
from residency.policy.rules import Action, Decision
from schemas.registry import Leaf

KEEPS_AS = {
    "string": "string",
    "enum": "string",
    "long": "long",
    "boolean": "boolean",
    "decimal": "decimal",
    "timestamp-millis": "timestamp-millis",
}
ADDS_UP = frozenset({"long", "decimal"})  # kinds of which a sum is one of the kind
COMPARES = ADDS_UP | {"timestamp-millis"}


@dataclass(frozen=True, slots=True)
class Decided:
    """A leaf of the event's schema and what the policy says about it."""

    leaf: Leaf
    decision: Decision


@dataclass(frozen=True, slots=True)
class Target:
    """A field of a minimal schema.

    Attributes:
        kind: See `kind_of`.
        range: In which its numbers must lie, in whole units, or None.
        precision: Digits of a decimal, else 0.
        scale: Those of them after the point.

    """

    name: str
    kind: str
    range: tuple[int, int] | None
    precision: int
    scale: int

    @classmethod
    def read(cls, field: Mapping[str, Any]) -> Self:
        """Return what the plan needs to know of a field of an Avro record."""
        limits = field.get("homeport.range")
        return cls(
            field["name"],
            kind_of(field["type"]),
            (limits[0], limits[1]) if limits else None,
            *digits(field["type"]),
        )

    @property
    def misfit(self) -> str:
        """Say what the field takes, where something else was given."""
        return f"the minimal field is {self.kind}"


class Shortfall(str):
    """What the policy gives less than is asked, or a schema has not: `omit` may pass over it.

    Any other problem is the contract's own, and nothing passes over it.
    """

    __slots__ = ()


def make_field(
    target: Target, source: FieldSource, leaves: Mapping[str, Decided]
) -> FieldPlan | str:
    """Return the plan of a field, or what is in its way: a `Shortfall`, or a fault of the contract.

    Args:
        target: The field.
        source: Where the contract wants it to come from.
        leaves: Those of the event's schema, by path.

    """
    name, to = target.name, target.kind
    if source.path is not None:
        return _from_path(target, source, source.path, leaves)
    if source.aggregate is not None:
        how, path = source.aggregate
        if how == "count":
            return _counted(target, path, leaves)
        return _aggregated(target, how, path, leaves)
    made = FieldPlan(name, to, "clear")
    if source.region:
        made = FieldPlan(name, to, "region")
    elif source.constant is not None:
        made = FieldPlan(name, to, "constant", value=source.constant)
    return made if source.clear or to == "string" else target.misfit


def make_text(target: Target, path: str, leaves: Mapping[str, Decided]) -> FieldPlan | str:
    """Return the plan of a request's text, or what is in its way; see `make_field`.

    The text is copied as it is, whatever format the schema declares: nothing of it leaves, and
    nothing of it may fail the request.
    """
    if Each() in parse_path(path):
        return f"{path} is many values; name a position"
    found = leaves.get(leaf_path(path))
    if found is None:
        return Shortfall(f"the schema has no leaf {path!r}")
    if found.decision.action not in {Action.LABEL, Action.KEEP}:
        return _not_given(found, path, "a label tells something of it")
    if kind_of(found.leaf.avro) != "string":
        return f"{path} is {kind_of(found.leaf.avro)}, and a task reads text"
    return FieldPlan(target.name, target.kind, "path", path, action=Action.LABEL)


def rests_on(field: FieldPlan, leaves: Mapping[str, Decided]) -> list[Decided]:
    """Return the leaves of which the field tells something: what it is made of and made with."""
    if field.path is None:
        return []
    if field.source == "count":
        return [one for one in _inside(field.path, leaves) if one.decision.action is Action.KEEP]
    return [leaves[leaf_path(p)] for p in (field.path, field.country, field.at) if p is not None]


def _inside(array: str, leaves: Mapping[str, Decided]) -> list[Decided]:
    """Return the leaves of an array's elements."""
    return [one for at, one in leaves.items() if at.startswith(leaf_path(array) + "[]")]


def _counted(target: Target, path: str, leaves: Mapping[str, Decided]) -> FieldPlan | str:
    """Return the plan of an array's length: the array is one of which something is kept."""
    inside = _inside(path, leaves)
    if not inside:
        return Shortfall(f"the schema has no array {path!r}")
    if not any(one.decision.action is Action.KEEP for one in inside):
        return Shortfall(f"the policy keeps nothing of {path}, so its length may not leave either")
    if target.kind != "long":
        return target.misfit
    return FieldPlan(target.name, target.kind, "count", path=path, range=target.range)


def _aggregated(
    target: Target,
    source: Literal["sum", "min", "max"],
    path: str,
    leaves: Mapping[str, Decided],
) -> FieldPlan | str:
    """Return the plan of a sum, a lowest or a highest value: of a kept leaf below an array."""
    if Each() not in parse_path(path):
        return f"{source} is over every element; {path} names no array with []"
    found = leaves.get(leaf_path(path))
    if found is None:
        return Shortfall(f"the schema has no leaf {path!r}")
    if found.decision.action is not Action.KEEP:
        return _not_given(found, path, f"{source} is for what it keeps")
    kind = kind_of(found.leaf.avro)
    if kind not in (ADDS_UP if source == "sum" else COMPARES):
        return f"{path} is {kind}, which has no {source}"
    if source == "sum" and target.range is None:
        return "a sum can grow out of its field; give the minimal field a homeport.range"
    made = FieldPlan(target.name, target.kind, source, path, action=Action.KEEP)
    return _kept(made, target, found.leaf, kind)


def _from_path(
    target: Target, source: FieldSource, path: str, leaves: Mapping[str, Decided]
) -> FieldPlan | str:
    if Each() in parse_path(path):
        return f"{path} is many values; name a position, or use count, sum, min or max"
    found = leaves.get(leaf_path(path))
    if found is None:
        return Shortfall(f"the schema has no leaf {path!r}")
    leaf, decision, kind = found.leaf, found.decision, kind_of(found.leaf.avro)
    made = FieldPlan(target.name, target.kind, "path", path, action=decision.action)
    match decision.action:
        case Action.DROP | Action.LABEL:
            return _not_given(found, path)
        case Action.TOKENISE:
            return _tokenised(made, target, leaf, source.identity, kind)
        case Action.GENERALISE:
            made = replace(made, country=source.country, at=source.at)
            return _beside(made, leaves) or _generalised(made, target, decision.how or "", leaf)
        case Action.KEEP:
            return _kept(made, target, leaf, kind, source.identity)


def _not_given(found: Decided, path: str, *more: str) -> Shortfall:
    rules = ", ".join(r.id for r in found.decision.rules) or "no rule"
    return Shortfall(
        "; ".join([f"the policy gives {found.decision.action} for {path} ({rules})", *more])
    )


def _tokenised(
    made: FieldPlan, target: Target, leaf: Leaf, identity: str | None, kind: str
) -> FieldPlan | str:
    if made.to != "string" or kind != "string":
        text = f"a token is made of text and is text; {leaf.path} is {kind}, {target.misfit}"
        return Shortfall(text)
    return replace(made, identity=identity is not None, domain=identity or leaf.category)


def _beside(made: FieldPlan, leaves: Mapping[str, Decided]) -> str | None:
    """Return what is wrong with the paths that a generaliser reads beside the value.

    It tells something of them, so they have to be leaves that the policy keeps.
    """
    for path, kind in ((made.country, "string"), (made.at, "timestamp-millis")):
        if path is None:
            continue
        found = leaves.get(leaf_path(path))
        if found is None:
            return Shortfall(f"the schema has no leaf {path!r}")
        if Each() in parse_path(path):
            return f"{path} is many values; name a position"
        if kind_of(found.leaf.avro) != kind:
            return f"{path} is {kind_of(found.leaf.avro)}, and a generaliser reads {kind} there"
        if found.decision.action is not Action.KEEP:
            text = f"a generaliser tells something of {path}, and the policy does not keep it"
            return Shortfall(text)
    return None


def _generalised(made: FieldPlan, target: Target, how: str, leaf: Leaf) -> FieldPlan | str:
    """Return the plan of a leaf that leaves less precise, if the field can hold every result."""
    way, kind = generaliser(how), kind_of(leaf.avro)
    if kind not in way.takes or way.output != made.to:
        text = f"{how} makes {way.output} of {'/'.join(way.takes)}, not {made.to} of {kind}"
        return Shortfall(text)
    misfit = _unfit(way, target, digits(leaf.avro)[1] if kind == "decimal" else SCALE)
    if misfit is not None:
        return misfit.format(how=how, path=leaf.path)
    lacking = [need for need in way.needs if getattr(made, need) is None]
    if lacking:
        return f"{how} needs {' and '.join(lacking)} beside the path of {leaf.path}"
    return replace(made, how=how, range=target.range)


def _unfit(way: Generaliser, target: Target, scale: int) -> str | None:
    """Return why a generaliser cannot read a number of a scale, or the field hold its results."""
    if scale != SCALE:
        return f"{{how}} reads amounts of scale {SCALE}; {{path}} has {scale}"
    if way.output == "decimal" and target.scale != SCALE:
        return f"{{how}} makes amounts of scale {SCALE}; the minimal field has {target.scale}"
    unit = SCALE_UNIT if way.output == "decimal" else 1
    if way.range and target.range and not _holds(target.range, way.range, unit):
        return "{how} makes numbers that are outside the minimal field's homeport.range"
    if way.range and way.output == "decimal" and not _fits(way.range, target.precision):
        return f"{{how}} makes amounts of more than the minimal field's {target.precision} digits"
    return None


def _fits(numbers: tuple[int, int], precision: int) -> bool:
    return max(map(abs, numbers)) < int(10**precision)


def _holds(outer: tuple[int, int], inner: tuple[int, int], unit: int) -> bool:
    return outer[0] * unit <= inner[0] and inner[1] <= outer[1] * unit


def _kept(
    made: FieldPlan, target: Target, leaf: Leaf, kind: str, identity: str | None = None
) -> FieldPlan | str:
    """Return the plan of a leaf that leaves as it is, if the field can hold all of it."""
    if identity is not None:
        return f"the policy keeps {leaf.path}, so it cannot be an identity token"
    if KEEPS_AS.get(kind) != made.to:
        return f"{leaf.path} is {kind}, {target.misfit}"
    if kind == "string" and leaf.pattern is None:
        return f"{leaf.path} is kept text without a homeport.pattern; free text may not leave"
    precision, scale = digits(leaf.avro)
    if scale != target.scale:
        return f"{leaf.path} has {scale} digits after the point, the minimal field {target.scale}"
    if precision > target.precision and target.range is None:
        return f"{leaf.path} has {precision} digits; give the minimal field a homeport.range"
    kept = replace(made, pattern=leaf.pattern, range=target.range)
    return replace(kept, scale=scale) if kind == "decimal" else kept
