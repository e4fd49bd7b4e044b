"""From what a field must take to the field: type, length, digits, picklist values.

Texts and numbers get room to grow, because a longer one is another deployment.
"""

from collections.abc import Mapping

from connectors.sfdx.classes import Classification
from connectors.sfdx.xmlfile import Node
from residency.contracts.needs import FieldNeed, ObjectNeed

CURRENCY = "Currency__c"  # the field that says which currency a row's amounts are in
CODE_LENGTH = 3  # characters; texts up to this are codes of fixed width
TOKEN_LENGTH = 128  # characters; an external id may have 255
MAX_TEXT = 255  # characters of a Text, set by Salesforce
SHORT_NUMBER, LONG_NUMBER, MAX_NUMBER = 4, 9, 18  # digits; Salesforce's greatest is 18


def field_node(owner: ObjectNeed, need: FieldNeed, held: Classification) -> Mapping[str, Node]:
    """Return the CustomField that takes *need*, a field of *owner*."""
    return {
        "fullName": need.name,
        "label": label_of(need.name),
        "description": need.doc,
        **_typed(owner, need),
        "businessStatus": "Active",
        "securityClassification": held.security,
        "complianceGroup": ";".join(sorted(held.groups)),
    }


def label_of(name: str) -> str:
    """Return the label of an API name: ``Email_Token__c`` is ``Email Token``."""
    return name.removesuffix("__c").replace("_", " ")


def is_required(need: FieldNeed) -> bool:
    """Tell whether the org refuses a row without it: the external id, which every row has."""
    return need.is_key


def _typed(owner: ObjectNeed, need: FieldNeed) -> Mapping[str, Node]:
    match need.type:
        case "boolean":
            return {"type": "Checkbox", "defaultValue": False}
        case "timestamp":
            return {"type": "DateTime", "required": False}
        case "decimal":
            kind = "Currency" if CURRENCY in owner.fields else "Number"
            digits: Mapping[str, Node] = {"precision": MAX_NUMBER, "scale": need.scale}
            return {"type": kind, **digits, "required": False}
        case "long":
            return {"type": "Number", "precision": precision(need), "scale": 0, "required": False}
        case _:
            return _text(need)


def _text(need: FieldNeed) -> Mapping[str, Node]:
    if need.values is not None:
        return {"type": "Picklist", "required": False, "valueSet": _value_set(need.values)}
    key = {"externalId": True, "unique": True, "caseSensitive": True} if need.is_key else {}
    return {"type": "Text", "length": length(need), **key, "required": is_required(need)}


def length(need: FieldNeed) -> int:
    """Return a text's characters: a code's own width; else the power of two above its double."""
    if need.is_token:
        return TOKEN_LENGTH
    if need.longest <= CODE_LENGTH:
        return need.longest
    return min(MAX_TEXT, 1 << (2 * need.longest - 1).bit_length())


def precision(need: FieldNeed) -> int:
    """Return an integer's digits: few as they are, more with room."""
    if need.digits <= SHORT_NUMBER:
        return need.digits
    return LONG_NUMBER if need.digits <= LONG_NUMBER else MAX_NUMBER


def _value_set(values: frozenset[str]) -> Mapping[str, Node]:
    rows: list[Node] = [{"fullName": v, "default": False, "label": v} for v in sorted(values)]
    return {"restricted": True, "valueSetDefinition": {"sorted": False, "value": rows}}
