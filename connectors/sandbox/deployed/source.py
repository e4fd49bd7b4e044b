"""Reads SFDX source (``connectors/sfdx``) into what is deployed in the org."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from connectors.sandbox.deployed.fields import custom_field, name_field
from connectors.sandbox.deployed.metadata import (
    SYSTEM_FIELDS,
    Field,
    FieldType,
    Metadata,
    ObjectAccess,
    PermissionSet,
    SObject,
)
from connectors.sandbox.deployed.standard import STANDARD
from connectors.sandbox.deployed.xmlfile import flag, parse, text
from connectors.sandbox.rules.formula import Column
from connectors.sandbox.rules.functions import Kind
from connectors.sandbox.rules.rule import Rule, compile_rule
from schemas.errors import SetupError

SFDX = Path(__file__).parents[2] / "sfdx/force-app/main/default"
DEFAULT_SESSION_MINUTES = 120

# what formulas may read: every custom field but references, and the name
_KINDS: Mapping[FieldType, Kind] = {
    "string": "text",
    "email": "text",
    "phone": "text",
    "url": "text",
    "textarea": "text",
    "boolean": "boolean",
    "date": "date",
    "datetime": "time",
    "int": "number",
    "double": "number",
    "currency": "number",
    "percent": "number",
    "picklist": "picklist",
}
_PERCENT_DIGITS = 2  # formulas see 50% as 0.5


def load_metadata(folder: Path = SFDX) -> Metadata:
    """Return what the SFDX source in *folder* deploys, and the standard objects.

    Raises:
        SetupError: A file is missing something, uses a field type this org does not have, a
            reference points at nothing, a validation rule's formula does not compile, or a
            permission set gives what none can.

    """
    objects = dict(STANDARD)
    for path in sorted((folder / "objects").iterdir()):
        objects[path.name] = _object(path)
    sets = [
        permission_set(parse(path), path.name.split(".", maxsplit=1)[0])
        for path in sorted((folder / "permissionsets").iterdir())
    ]
    check_references(objects)
    check_permissions(objects.values(), sets)
    policies = [parse(path) for path in sorted((folder / "extlClntAppOauthPolicies").iterdir())]
    return Metadata(
        objects=dict(sorted(objects.items())),
        permission_sets={s.name: s for s in sets},
        session_minutes={
            text(p, "externalClientApplication"): int(
                text(p, "sessionTimeoutInMinutes", str(DEFAULT_SESSION_MINUTES))
            )
            for p in policies
        },
    )


def _object(folder: Path) -> SObject:
    file = folder / f"{folder.name}.object-meta.xml"
    root = parse(file) if file.exists() or folder.name not in STANDARD else None
    files = sorted((folder / "fields").glob("*.xml"))
    fields = [custom_field(parse(path), path.name) for path in files]
    sobject = object_with(folder.name, root, fields)
    columns = rule_columns(sobject)
    rules = [
        rule_of(parse(path), f"{folder.name}/validationRules/{path.name}", columns)
        for path in sorted((folder / "validationRules").glob("*.xml"))
    ]
    return replace(sobject, rules=tuple(rule for rule in rules if rule is not None))


def object_with(name: str, root: ET.Element | None, fields: Sequence[Field]) -> SObject:
    """Return the object of that name with the custom *fields* added.

    Args:
        name: Its canonical name.
        root: The ``CustomObject``; None for a standard object that only gets fields.
        fields: In order; references make the object a detail of its master.

    Raises:
        SetupError: *root* leaves something out.

    """
    if name in STANDARD:
        base = STANDARD[name]
        return replace(base, fields=(*base.fields, *fields))
    if root is None:
        msg = f"{name}: the object is not described; restore its object-meta.xml"
        raise SetupError(msg)
    is_detail = any(field.is_master for field in fields)
    system = [
        name_field(root, is_text=_is_of_base(name)) if field.name == "Name" else field
        for field in SYSTEM_FIELDS
        if not (is_detail and field.name == "OwnerId")  # the master's owner owns it
    ]
    return SObject(
        name=name,
        label=text(root, "label"),
        plural=text(root, "pluralLabel"),
        is_private=text(root, "sharingModel") == "Private",
        fields=(*system, *fields),
    )


def _is_of_base(name: str) -> bool:
    """Return whether the org comes with that custom object.

    Its rows' names are text that anybody may write, whatever was deployed: who tries a client
    against the org counts on that. A real org that gets the same source numbers them.
    """
    return (SFDX / "objects" / name).is_dir()


def rule_columns(sobject: SObject) -> dict[str, Column]:
    """Return the fields that formulas may read, by lower-case name."""
    return {
        f.name.lower(): Column(
            f.name,
            _KINDS[f.type],
            f.scale + _PERCENT_DIGITS if f.type == "percent" else f.scale,
        )
        for f in sobject.fields
        if f.type in _KINDS and (f.is_custom or f.name == "Name" or f.is_permissionable)
    }


def rule_of(root: ET.Element, where: str, columns: Mapping[str, Column]) -> Rule | None:
    """Return the ``ValidationRule`` in *root*, or None if it is not active.

    Raises:
        SetupError: It is broken: such a one deploys neither way.

    """
    rule = compile_rule(
        where,
        columns,
        name=text(root, "fullName"),
        formula=text(root, "errorConditionFormula"),
        message=text(root, "errorMessage"),
        shown_at=root.findtext("{*}errorDisplayField"),
    )
    return rule if flag(root, "active") else None


def permission_set(root: ET.Element, name: str) -> PermissionSet:
    """Return the ``PermissionSet`` that *root* states."""
    fields = root.findall("{*}fieldPermissions")
    return PermissionSet(
        name=name,
        objects={
            text(o, "object"): ObjectAccess(
                read=flag(o, "allowRead"),
                create=flag(o, "allowCreate"),
                edit=flag(o, "allowEdit"),
                delete=flag(o, "allowDelete"),
                view_all=flag(o, "viewAllRecords"),
                view_all_fields=flag(o, "viewAllFields"),
            )
            for o in root.findall("{*}objectPermissions")
        },
        readable=frozenset(text(f, "field") for f in fields if flag(f, "readable")),
        editable=frozenset(text(f, "field") for f in fields if flag(f, "editable")),
        permissions=frozenset(
            text(p, "name") for p in root.findall("{*}userPermissions") if flag(p, "enabled")
        ),
    )


def check_references(objects: Mapping[str, SObject]) -> None:
    """Refuse references to objects that there are not, as a deployment does.

    Raises:
        SetupError: One points at nothing, or masters own each other.

    """
    for sobject in objects.values():
        for field in sobject.fields:
            for target in field.references:
                if target not in objects:
                    msg = f"{sobject.name}.{field.name}: referenceTo {target} does not exist"
                    raise SetupError(msg)
    for sobject in objects.values():
        if sobject.name in _owners(sobject, objects):
            msg = f"{sobject.name}: a master cannot be a detail of its own detail; use a Lookup"
            raise SetupError(msg)


def _owners(sobject: SObject, objects: Mapping[str, SObject]) -> set[str]:
    """Return the masters of *sobject*, and theirs, by name."""
    found: set[str] = set()
    left = [sobject]
    while left:
        masters = {f.references[0] for f in left.pop().fields if f.is_master} - found
        found |= masters
        left += [objects[name] for name in masters]
    return found


def check_permissions(objects: Iterable[SObject], sets: Sequence[PermissionSet]) -> None:
    """Refuse field permissions on required fields, as a deployment does.

    Raises:
        SetupError: A permission set has one.

    """
    required = {f"{o.name}.{f.name}" for o in objects for f in o.fields if f.is_required}
    for permissions in sets:
        listed = sorted(required & (permissions.readable | permissions.editable))
        if listed:
            msg = (
                f"You cannot deploy to a required field: {listed[0]}; take it out of the"
                f" fieldPermissions of {permissions.name}"
            )
            raise SetupError(msg)
