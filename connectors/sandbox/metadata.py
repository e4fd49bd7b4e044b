"""What is deployed in the org, read from SFDX source (``connectors/sfdx``)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

from schemas.errors import SetupError

SFDX = Path(__file__).parents[1] / "sfdx/force-app/main/default"
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
        values: The closed set of a restricted picklist, in order.

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
        SetupError: A file is missing something or uses a field type this org does not have.

    """
    objects = [_object(path) for path in sorted((folder / "objects").iterdir())]
    sets = [_permission_set(path) for path in sorted((folder / "permissionsets").iterdir())]
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
    fields = [_field(path) for path in sorted((folder / "fields").iterdir())]
    return SObject(
        name=folder.name,
        label=_text(root, "label"),
        plural=_text(root, "pluralLabel"),
        is_private=_text(root, "sharingModel") == "Private",
        fields=(*SYSTEM_FIELDS, *fields),
    )


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
