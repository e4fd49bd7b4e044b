"""Custom fields as the Metadata API describes them, in files of their own or inside an object.

Source: Metadata API Developer Guide, "CustomField" and "CustomObject".
"""

from collections.abc import Mapping
from dataclasses import replace
from xml.etree import ElementTree as ET

from connectors.sandbox.deployed.metadata import SYSTEM_FIELDS, Constraint, Field, FieldType
from connectors.sandbox.deployed.xmlfile import flag, text
from schemas.errors import SetupError

_TYPES: Mapping[str, FieldType] = {
    "Text": "string",
    "AutoNumber": "string",
    "TextArea": "textarea",
    "LongTextArea": "textarea",
    "Email": "email",
    "Phone": "phone",
    "Url": "url",
    "Picklist": "picklist",
    "Checkbox": "boolean",
    "Date": "date",
    "DateTime": "datetime",
    "Number": "double",
    "Currency": "currency",
    "Percent": "percent",
    "Lookup": "reference",
    "MasterDetail": "reference",
}
# characters that Salesforce fixes; the others say their length
_LENGTHS = {
    "AutoNumber": 30,
    "TextArea": 255,
    "Email": 80,
    "Phone": 40,
    "Url": 255,
    "Picklist": 255,
    "Lookup": 18,
    "MasterDetail": 18,
}
_CONSTRAINTS: Mapping[str, Constraint] = {
    "SetNull": "SetNull",
    "Restrict": "Restrict",
    "Cascade": "Cascade",
}


def custom_field(root: ET.Element, where: str) -> Field:
    """Return the field that a ``CustomField``, or an object's ``fields``, states.

    Args:
        root: The element.
        where: Its file, for errors.

    Raises:
        SetupError: Something is missing, or the org has no such type of field.

    """
    kind = text(root, "type")
    if kind not in _TYPES:
        msg = f"{where}: the test org has no field type {kind}; add it to deployed/fields.py"
        raise SetupError(msg)
    field = Field(
        name=text(root, "fullName"),
        label=text(root, "label"),
        type=_TYPES[kind],
        length=_LENGTHS.get(kind, 0) or int(text(root, "length", "0")),
        precision=int(text(root, "precision", "0")),
        scale=int(text(root, "scale", "0")),
        is_required=flag(root, "required"),
        is_unique=flag(root, "unique"),
        is_external_id=flag(root, "externalId"),
        is_case_sensitive=flag(root, "caseSensitive"),
        values=tuple(text(v, "fullName") for v in root.iterfind("{*}valueSet//{*}value")),
        is_restricted=root.findtext("{*}valueSet/{*}restricted") == "true",
    )
    if kind == "AutoNumber":
        return _numbered(field, root)
    return _pointing(field, root, where) if field.type == "reference" else field


def name_field(root: ET.Element, *, is_text: bool) -> Field:
    """Return the field ``Name`` that an object's ``nameField`` states.

    Args:
        root: The object.
        is_text: Read a generated number as text that may be written.

    """
    field = next(f for f in SYSTEM_FIELDS if f.name == "Name")
    stated = root.find("{*}nameField")
    if stated is None:
        return field
    field = replace(field, label=text(stated, "label", field.label))
    is_number = text(stated, "type") == "AutoNumber" and not is_text
    return _numbered(field, stated) if is_number else field


def _numbered(field: Field, root: ET.Element) -> Field:
    return replace(
        field,
        display_format=text(root, "displayFormat", "{0}"),
        starts_at=int(text(root, "startingNumber", "1")),
        is_writable=False,
        is_required=False,
    )


def _pointing(field: Field, root: ET.Element, where: str) -> Field:
    is_master = text(root, "type") == "MasterDetail"
    children = root.findtext("{*}relationshipName")
    constraint = "Cascade" if is_master else text(root, "deleteConstraint", "SetNull")
    if constraint not in _CONSTRAINTS:
        msg = f"{where}: deleteConstraint {constraint} does not exist; take SetNull or Restrict"
        raise SetupError(msg)
    if field.is_required and constraint == "SetNull":
        constraint = "Restrict"  # a required lookup cannot be emptied
    return replace(
        field,
        references=(text(root, "referenceTo"),),
        relationship=f"{field.name.removesuffix('__c')}__r",
        child_relationship=f"{children}__r" if children else None,
        on_delete=_CONSTRAINTS[constraint],
        is_master=is_master,
        is_required=field.is_required or is_master,
        is_reparentable=flag(root, "reparentableMasterDetail"),
    )
