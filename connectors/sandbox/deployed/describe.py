"""Describe: an object as one user sees it, in the real API's words. Pure."""

from typing import Any

from connectors.sandbox.access import View
from connectors.sandbox.deployed.metadata import Field

BYTES_PER_CHARACTER = 3  # byteLength counts UTF-8 as Salesforce stores it
_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "string": "xsd:string",
    "picklist": "xsd:string",
    "boolean": "xsd:boolean",
    "datetime": "xsd:dateTime",
    "double": "xsd:double",
    "currency": "xsd:double",
}
_DEFAULTED = frozenset({"Name", "OwnerId"})  # the org fills them when they are left out


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
        "custom": True,
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


def describe(view: View, version: str) -> dict[str, Any]:
    """Return the answer of ``/sobjects/{T}/describe``; a field the user cannot see is absent."""
    return {
        **summary(view, version),
        "actionOverrides": [],
        "childRelationships": [],
        "compactLayoutable": True,
        "fields": [_field(f, view) for f in view.fields.values()],
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [],
        "supportedScopes": [{"label": f"All {view.sobject.plural}", "name": "everything"}],
    }


def _field(field: Field, view: View) -> dict[str, Any]:
    is_editable = field.name in view.editable
    is_text = field.type in {"string", "id", "reference", "picklist"}
    is_number = field.type in {"double", "currency"}
    return {
        "aggregatable": field.type != "boolean",
        "autoNumber": False,
        "byteLength": field.length * (BYTES_PER_CHARACTER if field.type == "string" else 1),
        "calculated": False,
        "caseSensitive": field.is_case_sensitive,
        "createable": is_editable and view.access.create,
        "custom": field.is_custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultedOnCreate": _is_defaulted(field),
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 0,
        "encrypted": False,
        "externalId": field.is_external_id,
        "filterable": True,
        "groupable": not is_number and field.type != "datetime",
        "idLookup": field.is_external_id or field.name in {"Id", "Name"},
        "label": field.label,
        "length": field.length if is_text else 0,
        "name": field.name,
        "nameField": field.name == "Name",
        "nillable": _is_nillable(field),
        "permissionable": field.is_custom and not field.is_required,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": v, "validFor": None, "value": v}
            for v in field.values
        ],
        "precision": field.precision,
        "referenceTo": ["User"] if field.type == "reference" else [],
        "relationshipName": _relationship(field),
        "restrictedPicklist": field.is_restricted,
        "scale": field.scale,
        "soapType": _SOAP_TYPES[field.type],
        "sortable": True,
        "type": field.type,
        "unique": field.is_unique,
        "updateable": is_editable and view.access.edit,
    }


def _is_nillable(field: Field) -> bool:
    if not field.is_custom:
        return field.name == "Name"
    return not field.is_required and field.type != "boolean"


def _is_defaulted(field: Field) -> bool:
    is_filled_by_org = not field.is_custom and (not field.is_writable or field.name in _DEFAULTED)
    return is_filled_by_org or field.type == "boolean"


def _relationship(field: Field) -> str | None:
    return field.name.removesuffix("Id") if field.type == "reference" else None
