"""What a region may send, field by field: what an org must be able to take.

The gate's grammar says what may leave, the minimal schemas say of which type it is, and the
contracts say which rows are deleted. The org is checked against this, and shaped by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from residency.contracts.model import EXTERNAL_ID, Contract
from residency.gate.rules import Rule, load_grammar
from residency.gate.wire import DELETED, load_schemas
from schemas.errors import SetupError
from schemas.events import LABEL_VERSION
from schemas.registry import Registry

BASE_VERSION = "Base_Version__c"
VERSIONS = (BASE_VERSION, LABEL_VERSION)
_VERSION_DIGITS = 16  # of 2**53 - 1, the greatest version


@dataclass(frozen=True, slots=True)
class FieldNeed:
    """What one field of the org must take.

    Attributes:
        type: ``string``, ``long``, ``decimal``, ``timestamp`` or ``boolean``.
        longest: Characters of the longest text, else 0.
        digits: Digits before the point of the greatest number, else 0.
        scale: Digits after the point, else 0.
        values: All texts there can be, or None where they are not listed.
        is_token: The text is a token.
        always_sent: In every row that is not deleted.
        doc: What it holds, in words.

    """

    name: str
    type: str
    longest: int = 0
    digits: int = 0
    scale: int = 0
    values: frozenset[str] | None = None
    is_token: bool = False
    always_sent: bool = False
    doc: str = ""

    @property
    def is_key(self) -> bool:
        """Tell whether rows are upserted by it."""
        return self.name == EXTERNAL_ID


@dataclass(frozen=True, slots=True)
class ObjectNeed:
    """What one object of the org must take.

    Attributes:
        fields: By name; the external id and both versions are among them.
        deletes: A contract deletes rows of it.
        may_delete: Its minimal records can say that a row is to be deleted.
        hard: A contract deletes rows of it for good.

    """

    name: str
    fields: Mapping[str, FieldNeed]
    deletes: bool = False
    may_delete: bool = False
    hard: bool = False


Needs = Mapping[str, ObjectNeed]


def region_needs(region: str, contract: Contract, registry: Registry) -> Needs:
    """Return what the org must take of *region*, by object.

    Raises:
        SetupError: The region has no grammar, or one that does not fit the minimal schemas.

    """
    wire = load_schemas()
    grammar = load_grammar(region, wire)
    deleted = {o.object for outputs in contract.outputs.values() for o in outputs if o.deletes}
    deleted |= {erasure.object for erasure in contract.erasures.values() if erasure.deletes}
    hard = {o.object for outputs in contract.outputs.values() for o in outputs if o.hard}
    hard |= {erasure.object for erasure in contract.erasures.values() if erasure.hard}
    needs = {}
    for name in dict.fromkeys(schema.object for schema in wire.values()):
        schemas = [schema for schema in wire.values() if schema.object == name]
        docs = {
            row["name"]: row.get("doc", "")
            for schema in schemas
            for row in registry.by_id(schema.id).avro["fields"]
        }
        types = {one for schema in schemas for one in schema.types}
        scales = {one: scale for schema in schemas for one, scale in schema.scales.items()}
        rules = grammar.get(name, {})
        fields = {
            one: _need(rule, scales.get(one, 0), docs[one])
            for one, rule in rules.items()
            if one != DELETED
        }
        fields |= {one: _version(one) for one in VERSIONS if one not in fields}
        needs[name] = ObjectNeed(name, fields, name in deleted, DELETED in types, name in hard)
    return needs


def merged_needs(regions: Iterable[Needs]) -> Needs:
    """Return what one org must take of all *regions* together.

    Raises:
        SetupError: There are none.

    """
    merged: dict[str, ObjectNeed] = {}
    for needs in regions:
        for name, need in needs.items():
            merged[name] = _either(merged[name], need) if name in merged else need
    if not merged:
        msg = "no region has a grammar: nothing can leave, and no org is needed"
        raise SetupError(msg)
    return merged


def _either(one: ObjectNeed, other: ObjectNeed) -> ObjectNeed:
    names = dict.fromkeys([*one.fields, *other.fields])
    fields = {
        name: _wider(one.fields.get(name) or other.fields[name], other.fields.get(name))
        for name in names
    }
    deletes, hard = one.deletes or other.deletes, one.hard or other.hard
    return ObjectNeed(one.name, fields, deletes, one.may_delete, hard)


def _wider(one: FieldNeed, other: FieldNeed | None) -> FieldNeed:
    if other is None:
        return one
    is_listed = one.values is not None and other.values is not None
    return FieldNeed(
        one.name,
        one.type,
        longest=max(one.longest, other.longest),
        digits=max(one.digits, other.digits),
        scale=one.scale,
        values=(one.values or frozenset()) | (other.values or frozenset()) if is_listed else None,
        is_token=one.is_token and other.is_token,
        always_sent=one.always_sent and other.always_sent,
        doc=one.doc,
    )


def _need(rule: Rule, scale: int, doc: str) -> FieldNeed:
    longest = rule.max_length or max(map(len, rule.values or ()), default=0)
    is_number = rule.type in {"long", "decimal"}
    return FieldNeed(
        rule.field,
        rule.type,
        longest=longest,
        digits=max(_digits(rule.min), _digits(rule.max)) if is_number else 0,
        scale=scale,
        values=rule.values,
        is_token=rule.is_token,
        always_sent=rule.required and rule.field == EXTERNAL_ID,  # labels have no base version
        doc=doc,
    )


def _digits(bound: Any) -> int:  # noqa: ANN401  int or Decimal
    return len(str(abs(int(bound))))


def _version(name: str) -> FieldNeed:
    doc = "Topic generation and raw offset of the event the row's labels are from, as one number."
    return FieldNeed(name, "long", digits=_VERSION_DIGITS, doc=doc)
