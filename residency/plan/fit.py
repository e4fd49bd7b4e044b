"""Whether the org's fields can hold all that the plans can send: type, length, values, digits."""

from collections.abc import Iterator, Mapping, Sequence

from residency.contracts.model import Contract, Output
from residency.contracts.org import LOOKUPS, Org, OrgField, OrgObject
from residency.plan.faults import Fault
from residency.plan.model import FieldPlan, OutputPlan, Plan, leaf_path
from residency.plan.possible import Texts, texts
from schemas.events import LABEL_VERSION, VersionKind
from schemas.registry import EventSchema, Leaf, Registry

EXTERNAL_ID, BASE_VERSION = "External_Id__c", "Base_Version__c"
TYPES: Mapping[str, frozenset[str]] = {
    "string": frozenset({"Text", "TextArea", "LongTextArea", "Picklist"}),
    "long": frozenset({"Number"}),
    "decimal": frozenset({"Number", "Currency"}),
    "boolean": frozenset({"Checkbox"}),
    "timestamp-millis": frozenset({"DateTime"}),
}
_DEPLOY = "name it in a grammar, then run homeport salesforce deploy --update"
KEY_TRAITS = {
    "is_external_id": "an external id",
    "is_unique": "unique",
    "is_case_sensitive": "case-sensitive",
}


def org_faults(
    contract: Contract, plans: Sequence[Plan], registry: Registry, org: Org
) -> list[Fault]:
    """Return where *org* cannot take what *plans* send, which *contract* asked for."""
    faults: list[Fault] = []
    for plan in plans:
        schema = registry.by_id(plan.schema_id)
        wanted = {(o.object, o.kind): o for o in contract.outputs.get(plan.subject, ())}
        for output in plan.outputs:
            kind: VersionKind = "labels" if output.labels else "base"
            check = _Fit(plan, schema, output, wanted[output.object, kind], org)
            faults += [check.fault(name, text) for name, text in check.problems()]
    return faults


class _Fit:
    """One output of one plan beside the org's object."""

    def __init__(
        self, plan: Plan, schema: EventSchema, output: OutputPlan, wanted: Output, org: Org
    ) -> None:
        self._plan = plan
        self._schema = schema
        self._leaves = {leaf.path: leaf for leaf in schema.leaves}
        self._output = output
        self._wanted = wanted
        self._org = org

    def fault(self, name: str | None, text: str) -> Fault:
        """Return a problem with its place."""
        place = self._wanted.place(name or "")
        version, region = self._schema.version, self._plan.region
        return Fault(place, self._schema.subject, version, region, name, text)

    def problems(self) -> Iterator[tuple[str | None, str]]:
        """Yield (field, what is wrong)."""
        found = self._org.get(self._output.object)
        if found is None:
            yield None, f"the org has no object {self._output.object}; {_DEPLOY}"
            return
        yield from self._key(found)
        if self._output.labels:
            yield from self._labels(found)
            return
        for field in (self._output.external_id, *self._output.fields):
            column = found.fields.get(field.name)
            if column is None:
                text = f"{found.name} has no such field in the org; {_DEPLOY}"
                yield field.name, text
            else:
                yield from ((field.name, text) for text in self._field(field, column))
        if not self._output.deletes:
            yield from self._missing(found)

    def _key(self, found: OrgObject) -> Iterator[tuple[str, str]]:
        """Yield what the row's name and version lack."""
        key = found.fields.get(EXTERNAL_ID)
        lacking = [text for trait, text in KEY_TRAITS.items() if key and not getattr(key, trait)]
        if lacking:
            yield EXTERNAL_ID, f"the org's field must be {', '.join(lacking)}"
        version = LABEL_VERSION if self._output.labels else BASE_VERSION
        if version not in found.fields:
            yield EXTERNAL_ID, f"{found.name} has no {version} in the org, the row's version"

    def _labels(self, found: OrgObject) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the fields that take labels; the row is there already."""
        for label in self._output.labels:
            column = found.fields.get(label.field)
            if column is None:
                yield label.field, f"{found.name} has no such field in the org; {_DEPLOY}"
            elif column.type not in TYPES["string"]:
                yield label.field, f"the org's field is a {column.type}, which takes no string"
            else:
                possible = Texts(max(map(len, label.values)), frozenset(label.values))
                yield from ((label.field, text) for text in _room(possible, column))

    def _missing(self, found: OrgObject) -> Iterator[tuple[None, str]]:
        """Yield the fields without which the org creates no row."""
        set_here = {EXTERNAL_ID, BASE_VERSION, *(field.name for field in self._output.fields)}
        for column in found.fields.values():
            if column.is_required and column.name not in set_here:
                yield None, f"the org creates no {found.name} without {column.name}; map it"

    def _field(self, field: FieldPlan, column: OrgField) -> Iterator[str]:
        parent = self._wanted.fields[field.name].parent if field.name != EXTERNAL_ID else None
        if column.type in LOOKUPS:
            yield (
                f"the org's field is a {column.type} to {column.refers_to}, which takes no row"
                " before its parent; make it a Text that holds the parent's external id"
            )
            return
        if parent is not None and parent not in self._org:
            yield f"the org has no object {parent}, its parent; {_DEPLOY}"
        if column.type not in TYPES[field.to]:
            yield f"the org's field is a {column.type}, which takes no {field.to}"
        elif field.to == "string":
            yield from self._text(field, column)
        elif field.to in {"long", "decimal"} and field.source != "clear":
            yield from _number(field, column)

    def _text(self, field: FieldPlan, column: OrgField) -> Iterator[str]:
        leaf: Leaf | None = self._leaves[leaf_path(field.path)] if field.path else None
        yield from _room(texts(field, self._plan.region, leaf), column)


def _room(possible: Texts, column: OrgField) -> Iterator[str]:
    """Yield which of the possible texts a field cannot take."""
    if column.values is not None:
        strange = sorted((possible.values or frozenset()) - column.values)
        if possible.values is None:
            yield "the org's picklist is closed, and what can come is not; make it a Text"
        elif strange:
            yield f"the org's picklist lacks {', '.join(strange)}; add the values"
    elif possible.longest is None:
        yield f"its pattern has no greatest length, the org's field has {column.length}"
    elif possible.longest > column.length:
        yield (
            f"it can have {possible.longest} characters, the org's field takes"
            f" {column.length}; make that longer"
        )


def _number(field: FieldPlan, column: OrgField) -> Iterator[str]:
    if field.range is None:
        yield "it has no bounds; give the minimal field a homeport.range"
        return
    digits = max(len(str(abs(bound))) for bound in field.range)
    room = column.precision - column.scale
    if digits > room:
        yield f"it can have {digits} digits before the point, the org's field takes {room}"
    if (field.scale or 0) > column.scale:
        yield f"it has {field.scale} digits after the point, the org's field takes {column.scale}"
