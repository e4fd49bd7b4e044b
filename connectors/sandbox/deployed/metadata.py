"""The model of what is deployed in the org: objects, fields, permission sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from connectors.sandbox.ids import USER_PREFIX
from connectors.sandbox.rules.rule import Rule

FieldType = Literal[
    "id",
    "reference",
    "string",
    "email",
    "phone",
    "url",
    "textarea",
    "picklist",
    "boolean",
    "date",
    "datetime",
    "int",
    "double",
    "currency",
    "percent",
]
TEXT_TYPES = frozenset[FieldType]({"string", "email", "phone", "url", "textarea", "picklist"})
NUMBER_TYPES = frozenset[FieldType]({"int", "double", "currency", "percent"})
Constraint = Literal["SetNull", "Restrict", "Cascade"]
NAME_LENGTH = 80  # characters of a custom object's name; Salesforce fixes it


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object.

    A reference is stored as the number of the row it names, a number as an integer scaled by
    its decimals, a datetime as seconds since 1970, a date as ``YYYY-MM-DD``.

    Attributes:
        name: API name in its canonical case.
        length: Characters, for text.
        precision: Digits in all, for numbers.
        scale: Digits after the point, for numbers.
        is_required: Refused when empty, at create and at update.
        is_writable: May be set over the API at all.
        values: A picklist's values, in order.
        is_restricted: It takes no other value than these.
        references: Objects that a reference may point at.
        relationship: What a path to the parent is called, such as ``Account`` or ``Parent__r``.
        child_relationship: How the parent lists such rows, such as ``Contacts``.
        key_prefix: Of the object that a reference points at; set once that is deployed.
        on_delete: What becomes of the rows when the one they point at is deleted.
        is_master: The parent owns the row: a reference that must be set.
        is_reparentable: A master's row may be given to another one.
        display_format: Of a generated number, such as ``RC-{00000000}``.
        starts_at: The first generated number.

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
    references: tuple[str, ...] = ()
    relationship: str | None = None
    child_relationship: str | None = None
    key_prefix: str = ""
    on_delete: Constraint | None = None
    is_master: bool = False
    is_reparentable: bool = False
    display_format: str | None = None
    starts_at: int = 1

    @property
    def is_custom(self) -> bool:
        """Whether it came with the metadata and not with every object."""
        return self.name.endswith("__c")

    @property
    def is_permissionable(self) -> bool:
        """Whether permission sets say who sees it; others see all who see the object."""
        return not (self.is_required or self.is_master or self.name in SYSTEM_NAMES)


def _of_user(name: str, label: str, *, is_writable: bool = False) -> Field:
    return Field(
        name,
        label,
        "reference",
        length=18,
        is_writable=is_writable,
        references=("User",),
        relationship=name.removesuffix("Id"),
        key_prefix=USER_PREFIX,
    )


SYSTEM_FIELDS = (
    Field("Id", "Record ID", "id", length=18, is_writable=False),
    _of_user("OwnerId", "Owner ID", is_writable=True),
    Field("IsDeleted", "Deleted", "boolean", is_writable=False),
    Field("Name", "Name", "string", length=NAME_LENGTH),
    Field("CreatedDate", "Created Date", "datetime", is_writable=False),
    _of_user("CreatedById", "Created By ID"),
    Field("LastModifiedDate", "Last Modified Date", "datetime", is_writable=False),
    _of_user("LastModifiedById", "Last Modified By ID"),
    Field("SystemModstamp", "System Modstamp", "datetime", is_writable=False),
)
SYSTEM_NAMES = frozenset(field.name for field in SYSTEM_FIELDS)


@dataclass(frozen=True, slots=True)
class SObject:
    """One object; *fields* starts with the system fields.

    Attributes:
        is_private: Users without View All see only rows they own.
        prefix: Key prefix of a standard object; custom ones get theirs when they are deployed.
        rows: SQL that gives the rows of an object which nobody writes; None: it has a table.
        named_by: Fields that a person's name is put together from.

    """

    name: str
    label: str
    plural: str
    is_private: bool
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    prefix: str | None = None
    rows: str | None = None
    named_by: tuple[str, ...] = ()

    @property
    def is_custom(self) -> bool:
        """Whether it came with the metadata."""
        return self.name.endswith("__c")

    @property
    def master(self) -> Field | None:
        """The first reference to a master: whoever owns that one owns the row."""
        return next((f for f in self.fields if f.is_master), None)

    def field(self, name: str) -> Field | None:
        """Return the field of that name, whatever its case."""
        wanted = name.lower()
        return next((f for f in self.fields if f.name.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class ObjectAccess:
    """What a permission set allows on one object.

    Attributes:
        view_all: Read every row, whoever owns it.
        view_all_fields: Read every field, those deployed later too.

    """

    read: bool
    create: bool
    edit: bool
    delete: bool
    view_all: bool
    view_all_fields: bool = False


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
