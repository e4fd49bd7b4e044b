"""Describe: an object as one user sees it, in the real API's words. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.access import Link, View
from connectors.sandbox.deployed.metadata import (
    NUMBER_TYPES,
    SYSTEM_NAMES,
    TEXT_TYPES,
    Field,
    FieldType,
)

BYTES_PER_CHARACTER = 3  # byteLength counts UTF-8 as Salesforce stores it
INT_DIGITS = 8  # a standard number without decimals
_SOAP_TYPES: Mapping[FieldType, str] = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    **dict.fromkeys(TEXT_TYPES, "xsd:string"),
}
LONG_TEXT = 255  # characters; longer text is neither filtered nor sorted by


def describe_global(views: list[View], version: str) -> dict[str, Any]:
    """Return the answer of ``/sobjects``."""
    sobjects = [summary(view, version) for view in views]
    return {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": sobjects}


def summary(view: View, version: str) -> dict[str, Any]:
    """Return the flags and urls of one object."""
    url = f"/services/data/v{version}/sobjects/{view.name}"
    access = view.access
    return {
        "activateable": False,
        "createable": access.create,
        "custom": view.sobject.is_custom,
        "customSetting": False,
        "deletable": access.delete,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": view.prefix,
        "label": view.sobject.label,
        "labelPlural": view.sobject.plural,
        "layoutable": True,
        "mergeable": False,
        "mruEnabled": False,
        "name": view.name,
        "queryable": access.read,
        "replicateable": True,
        "retrieveable": access.read,
        "searchable": True,
        "triggerable": True,
        "undeletable": access.delete,
        "updateable": access.edit,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def describe(view: View, children: Iterable[Link], version: str) -> dict[str, Any]:
    """Return the answer of ``/sobjects/{T}/describe``; a field the user cannot see is absent.

    Args:
        view: The object.
        children: What points at it.
        version: Of the API, such as ``62.0``; part of the urls.

    """
    return {
        **summary(view, version),
        "actionOverrides": [],
        "childRelationships": [_child(*link) for link in children],
        "compactLayoutable": True,
        "fields": [_field(f, view) for f in view.fields.values()],
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [],
        "supportedScopes": [{"label": f"All {view.sobject.plural}", "name": "everything"}],
    }


def _field(field: Field, view: View) -> dict[str, Any]:
    is_editable = field.name in view.editable
    is_number = field.type in NUMBER_TYPES
    is_text, is_key = field.type in TEXT_TYPES, field.type in {"id", "reference"}
    is_long = field.type == "textarea" and field.length > LONG_TEXT
    return {
        "aggregatable": field.type != "boolean" and not is_long,
        "autoNumber": field.display_format is not None,
        "byteLength": field.length * (BYTES_PER_CHARACTER if is_text else 1),
        "calculated": False,
        "cascadeDelete": field.is_master or field.on_delete == "Cascade",
        "caseSensitive": field.is_case_sensitive,
        "createable": is_editable and view.access.create,
        "custom": field.is_custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultedOnCreate": _is_defaulted(field),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": INT_DIGITS if field.type == "int" else 0,
        "encrypted": False,
        "externalId": field.is_external_id,
        "filterable": not is_long,
        "groupable": not (is_number and field.type != "int")
        and field.type != "datetime"
        and not is_long,
        "htmlFormatted": False,
        "idLookup": field.is_external_id or field.name in {"Id", "Name"},
        "label": field.label,
        "length": field.length if is_text or is_key else 0,
        "name": field.name,
        "nameField": field.name == "Name",
        "namePointing": False,
        "nillable": _is_nillable(field),
        "permissionable": field.is_permissionable,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": v, "validFor": None, "value": v}
            for v in field.values
        ],
        "polymorphicForeignKey": False,
        "precision": 0 if field.type == "int" else field.precision,
        "referenceTo": list(field.references),
        "relationshipName": field.relationship,
        "relationshipOrder": 0 if field.is_master else None,
        "restrictedDelete": field.on_delete == "Restrict",
        "restrictedPicklist": field.is_restricted,
        "scale": field.scale,
        "soapType": _SOAP_TYPES[field.type],
        "sortable": not is_long,
        "type": field.type,
        "unique": field.is_unique,
        "updateable": is_editable and view.access.edit and not _is_fixed(field),
        "writeRequiresMasterRead": False,
    }


def _child(view: View, field: Field) -> dict[str, Any]:
    return {
        "cascadeDelete": field.is_master or field.on_delete == "Cascade",
        "childSObject": view.name,
        "deprecatedAndHidden": False,
        "field": field.name,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": field.child_relationship,
        "restrictedDelete": field.on_delete == "Restrict",
    }


def _is_fixed(field: Field) -> bool:
    """Whether the field is set once: a detail stays with its master unless that is allowed."""
    return field.is_master and not field.is_reparentable


def _is_nillable(field: Field) -> bool:
    if field.name == "Name":
        return not field.is_required and field.display_format is None
    return not (field.is_required or field.type == "boolean" or field.name in SYSTEM_NAMES)


def _is_defaulted(field: Field) -> bool:
    """Whether the org fills the field when it is left out."""
    if field.name == "Name":
        return not field.is_required
    is_filled = field.name in SYSTEM_NAMES or field.display_format is not None
    return is_filled or field.type == "boolean"
