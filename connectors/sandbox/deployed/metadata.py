"""What is deployed in the org, read from SFDX source (``connectors/sfdx``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from connectors.sandbox.rules.formula import Column
from connectors.sandbox.rules.functions import Kind
from connectors.sandbox.rules.rule import Rule, compile_rule
from schemas.errors import SetupError

SFDX = Path(__file__).parents[2] / "sfdx/force-app/main/default"
NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
DEFAULT_SESSION_MINUTES = 120

FieldType = Literal[
    "id", "reference", "string", "boolean", "datetime", "double", "currency", "picklist"
]
_TYPES: Mapping[str, FieldType] = {
    "Text": "string",
    "Checkbox": "boolean",
    "DateTime": "datetime",
    "Number": "double",
    "Currency": "currency",
    "Picklist": "picklist",
}
# what formulas may read: every custom field, and the name
_KINDS: Mapping[FieldType, Kind] = {
    "string": "text",
    "boolean": "boolean",
    "datetime": "time",
    "double": "number",
    "currency": "number",
    "picklist": "picklist",
}
_NAME_LENGTH, _PICKLIST_LENGTH = 80, 255  # characters; Salesforce fixes both


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object.

    Attributes:
        name: API name in its canonical case.
        length: Characters, for text.
        precision: Digits in all, for numbers.
        scale: Digits after the point, for numbers.
        is_required: Refused when empty, at create and at update.
        is_writable: May be set over the API at all.
        values: A picklist's values, in order.
        is_restricted: It takes no other value than these.

    """

    name: str
    label: str
    type: FieldType
    length: int = 0
    precision: int = 0
    scale: int = 0
    is_required: bool = False
    is_unique: bool = False
    is_external_id: bool = False
    is_case_sensitive: bool = False
    is_writable: bool = True
    values: tuple[str, ...] = ()
    is_restricted: bool = False

    @property
    def is_custom(self) -> bool:
        """Whether it came with the metadata and not with every object."""
        return self.name.endswith("__c")


SYSTEM_FIELDS = (
    Field("Id", "Record ID", "id", length=18, is_writable=False),
    Field("OwnerId", "Owner ID", "reference", length=18),
    Field("IsDeleted", "Deleted", "boolean", is_writable=False),
    Field("Name", "Name", "string", length=_NAME_LENGTH),
    Field("CreatedDate", "Created Date", "datetime", is_writable=False),
    Field("CreatedById", "Created By ID", "reference", length=18, is_writable=False),
    Field("LastModifiedDate", "Last Modified Date", "datetime", is_writable=False),
    Field("LastModifiedById", "Last Modified By ID", "reference", length=18, is_writable=False),
    Field("SystemModstamp", "System Modstamp", "datetime", is_writable=False),
)


@dataclass(frozen=True, slots=True)
class SObject:
    """One custom object; *fields* starts with the system fields."""

    name: str
    label: str
    plural: str
    is_private: bool  # users without View All see only rows they own
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()

    def field(self, name: str) -> Field | None:
        """Return the field of that name, whatever its case."""
        wanted = name.lower()
        return next((f for f in self.fields if f.name.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class ObjectAccess:
    """What a permission set allows on one object."""

    read: bool
    create: bool
    edit: bool
    delete: bool
    view_all: bool


@dataclass(frozen=True, slots=True)
class PermissionSet:
    """Object and field permissions of a user who has nothing else.

    Attributes:
        objects: By object.
        readable: ``Object.Field`` names.
        editable: ``Object.Field`` names; a subset of *readable*.
        permissions: Names of user permissions, such as ``BulkApiHardDelete``.

    """

    name: str
    objects: Mapping[str, ObjectAccess]
    readable: frozenset[str]
    editable: frozenset[str]
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything deployed.

    Attributes:
        objects: By canonical name, sorted.
        session_minutes: Inactivity time-out by External Client App.

    """

    objects: Mapping[str, SObject]
    permission_sets: Mapping[str, PermissionSet]
    session_minutes: Mapping[str, int]


def load_metadata(folder: Path = SFDX) -> Metadata:
    """Return what the SFDX source in *folder* deploys.

    Raises:
        SetupError: A file is missing something, uses a field type this org does not have, a
            validation rule's formula does not compile, or a permission set gives what none can.

    """
    objects = [_object(path) for path in sorted((folder / "objects").iterdir())]
    sets = [_permission_set(path) for path in sorted((folder / "permissionsets").iterdir())]
    _check_permissions(objects, sets)
    policies = [_parse(path) for path in sorted((folder / "extlClntAppOauthPolicies").iterdir())]
    return Metadata(
        objects={o.name: o for o in objects},
        permission_sets={s.name: s for s in sets},
        session_minutes={
            _text(p, "externalClientApplication"): int(
                _text(p, "sessionTimeoutInMinutes", str(DEFAULT_SESSION_MINUTES))
            )
            for p in policies
        },
    )


def _object(folder: Path) -> SObject:
    root = _parse(folder / f"{folder.name}.object-meta.xml")
    fields = (*SYSTEM_FIELDS, *(_field(path) for path in sorted((folder / "fields").iterdir())))
    columns = {
        f.name.lower(): Column(f.name, _KINDS[f.type], f.scale)
        for f in fields
        if f.is_custom or f.name == "Name"
    }
    rules = [_rule(path, columns) for path in sorted((folder / "validationRules").glob("*.xml"))]
    return SObject(
        name=folder.name,
        label=_text(root, "label"),
        plural=_text(root, "pluralLabel"),
        is_private=_text(root, "sharingModel") == "Private",
        fields=fields,
        rules=tuple(rule for rule in rules if rule is not None),
    )


def _rule(path: Path, columns: Mapping[str, Column]) -> Rule | None:
    """Return the rule in *path*, or None if it is not active; a broken one deploys neither way."""
    root = _parse(path)
    rule = compile_rule(
        f"{path.parent.parent.name}/validationRules/{path.name}",
        columns,
        name=_text(root, "fullName"),
        formula=_text(root, "errorConditionFormula"),
        message=_text(root, "errorMessage"),
        shown_at=root.findtext(f"{NAMESPACE}errorDisplayField"),
    )
    return rule if _flag(root, "active") else None


def _field(path: Path) -> Field:
    root = _parse(path)
    kind = _text(root, "type")
    if kind not in _TYPES:
        msg = f"{path.name}: the test org has no field type {kind}; add it to metadata.py"
        raise SetupError(msg)
    values = tuple(_text(v, "fullName") for v in root.iter(f"{NAMESPACE}value"))
    length = _PICKLIST_LENGTH if kind == "Picklist" else int(_text(root, "length", "0"))
    return Field(
        name=_text(root, "fullName"),
        label=_text(root, "label"),
        type=_TYPES[kind],
        length=length,
        precision=int(_text(root, "precision", "0")),
        scale=int(_text(root, "scale", "0")),
        is_required=_flag(root, "required"),
        is_unique=_flag(root, "unique"),
        is_external_id=_flag(root, "externalId"),
        is_case_sensitive=_flag(root, "caseSensitive"),
        values=values,
        is_restricted=root.findtext(f"{NAMESPACE}valueSet/{NAMESPACE}restricted") == "true",
    )


def _permission_set(path: Path) -> PermissionSet:
    root = _parse(path)
    fields = root.findall(f"{NAMESPACE}fieldPermissions")
    return PermissionSet(
        name=path.name.split(".", maxsplit=1)[0],
        objects={
            _text(o, "object"): ObjectAccess(
                read=_flag(o, "allowRead"),
                create=_flag(o, "allowCreate"),
                edit=_flag(o, "allowEdit"),
                delete=_flag(o, "allowDelete"),
                view_all=_flag(o, "viewAllRecords"),
            )
            for o in root.findall(f"{NAMESPACE}objectPermissions")
        },
        readable=frozenset(_text(f, "field") for f in fields if _flag(f, "readable")),
        editable=frozenset(_text(f, "field") for f in fields if _flag(f, "editable")),
        permissions=frozenset(
            _text(p, "name")
            for p in root.findall(f"{NAMESPACE}userPermissions")
            if _flag(p, "enabled")
        ),
    )


def _check_permissions(objects: Sequence[SObject], sets: Sequence[PermissionSet]) -> None:
    """Refuse field permissions on required fields, as a deployment does."""
    required = {f"{o.name}.{f.name}" for o in objects for f in o.fields if f.is_required}
    for permissions in sets:
        listed = sorted(required & (permissions.readable | permissions.editable))
        if listed:
            msg = (
                f"permission set {permissions.name}: you cannot deploy to a required field:"
                f" {listed[0]}; take its fieldPermissions out"
            )
            raise SetupError(msg)


def _parse(path: Path) -> ET.Element:
    try:
        return ET.fromstring(path.read_bytes())  # noqa: S314 -- our own source tree
    except (OSError, ET.ParseError) as exc:
        msg = f"{path}: not readable as metadata; restore it from the repository"
        raise SetupError(msg) from exc


def _text(node: ET.Element, name: str, default: str | None = None) -> str:
    text = node.findtext(f"{NAMESPACE}{name}", default)
    if text is None:
        msg = f"metadata: <{node.tag.removeprefix(NAMESPACE)}> has no <{name}>"
        raise SetupError(msg)
    return text


def _flag(node: ET.Element, name: str) -> bool:
    return _text(node, name, "false") == "true"
