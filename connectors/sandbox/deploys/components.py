"""Components in both forms: source has a file for each part of an object, a package one in all.

The rules of names are Salesforce's: Object Reference, "API Field Names"; Metadata API Developer
Guide, "CustomField".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from connectors.sandbox.deploys.package import Member
from connectors.sandbox.markup import UnreadableXmlError, children, local, parse, text
from connectors.sfdx.places import PARTS, PLACES, source_path

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*", re.ASCII)
_CUSTOM = "__c"
_BY_ELEMENT = {folder: kind for kind, (folder, _) in PARTS.items()}
# Parts of an object that the org neither has nor may pass over: they change what rows may hold.
_UNKNOWN_PARTS = {
    "recordTypes": "RecordType",
    "businessProcesses": "BusinessProcess",
    "sharingReasons": "SharingReason",
    "indexes": "Index",
}


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of metadata.

    Attributes:
        kind: The Metadata API's type.
        name: Its full name: ``Order__c``, ``Order__c.Total__c``, ``Region_Sink``.
        file: The file it came in, as the package names it.
        content: Its file in source form; empty: it is to be taken away.

    """

    kind: str
    name: str
    file: str
    content: bytes = b""

    @property
    def is_deletion(self) -> bool:
        """Whether the component is to go."""
        return not self.content

    @property
    def path(self) -> str:
        """Its file in source form."""
        return path_of(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a component is not deployed.

    Attributes:
        line: In its file, from 1; None if it is about no line.
        is_warning: It is of the kind that a deployment may be told to ignore.
        fails: It fails the deployment, or its part of it.

    """

    kind: str
    name: str
    file: str
    text: str
    line: int | None = None
    column: int | None = None
    is_warning: bool = False
    fails: bool = True


def path_of(kind: str, name: str) -> str:
    """Return the file in source form of the component of that type and full name.

    Raises:
        KeyError: The org has no such type.

    """
    owner, _, part = name.partition(".")
    return source_path(kind, part, owner) if kind in PARTS else source_path(kind, name)


def names_of(paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the source files by type and full name; the inverse of `path_of`."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in (*PLACES, *PARTS)}
    folders = {folder: kind for kind, (folder, _) in PLACES.items()}
    parts = {folder: kind for kind, (folder, _) in PARTS.items()}
    for path in paths:
        names = path.split("/")
        name = names[-1].split(".", maxsplit=1)[0]
        if len(names) == 4:  # noqa: PLR2004 -- objects/X/fields/Y.field-meta.xml
            found[parts[names[2]]][f"{names[1]}.{name}"] = path
        else:
            found[folders[names[0]]][name] = path
    return found


def split(member: Member) -> tuple[list[Component], list[Problem]]:
    """Return the components in one file of a package, an object before its parts."""
    kind, name = member.kind, member.name
    if kind is None:
        words = f"The test org has no metadata of this kind: {member.file}"
        return [], [Problem("", name, member.file, words)]
    try:
        root = parse(member.content)
    except UnreadableXmlError as exc:
        words = f"Error parsing file: {exc.text}"
        return [], [Problem(kind, name, member.file, words, exc.line, exc.column)]
    if local(root) != kind:
        words = f"Unknown type name '{local(root)}' specified; {member.file} is a {kind}"
        return [], [Problem(kind, name, member.file, words)]
    if not _is_name(name, kind):
        return [], [Problem(kind, name, member.file, _bad_name(kind))]
    parts = [part for part in root if kind == "CustomObject" and local(part) in _BY_ELEMENT]
    rest = ET.Element(kind)
    rest.extend(part for part in root if not any(part is one for one in parts))
    components = [Component(kind, name, member.file, _bytes(kind, rest))]
    problems = [
        Problem(_UNKNOWN_PARTS[local(part)], f"{name}.{text(part, 'fullName')}", member.file, words)
        for part in rest
        if kind == "CustomObject" and local(part) in _UNKNOWN_PARTS
        for words in [f"The test org has no {_UNKNOWN_PARTS[local(part)]}"]
    ]
    for part in parts:
        part_kind, part_name = _BY_ELEMENT[local(part)], text(part, "fullName")
        full_name = f"{name}.{part_name}"
        if _is_name(part_name, part_kind):
            components.append(Component(part_kind, full_name, member.file, _bytes(part_kind, part)))
        else:
            problems.append(Problem(part_kind, full_name, member.file, _bad_name(part_kind)))
    return components, problems


def renamed(one: Component, name: str) -> Component:
    """Return the component under that full name, which differs in case only."""
    if one.name == name:
        return one
    root = parse(one.content)
    for stated in children(root, "fullName"):
        stated.text = name.rpartition(".")[2]
    return replace(one, name=name, content=_bytes(one.kind, root))


def is_required(one: Component) -> bool:
    """Return whether the component is a field that no permission set can grant."""
    root = parse(one.content)
    must = text(root, "required") == "true" or text(root, "type") == "MasterDetail"
    return one.kind == "CustomField" and must


def is_empty(component: Component) -> bool:
    """Return whether a component says nothing of itself: an object that only brings parts."""
    return len(parse(component.content)) == 0


def joined(name: str, files: Mapping[str, bytes], parts: Iterable[str]) -> bytes:
    """Return an object's file of a package.

    Args:
        name: The object.
        files: Source files by path.
        parts: Full names and paths: ``objects/X/X.object-meta.xml`` and those of its parts.

    """
    root = ET.Element("CustomObject")
    for path in sorted(parts):
        node = parse(files[path])
        folder = path.split("/")[2]
        if folder.startswith(f"{name}."):
            root.extend(node)
        else:
            node.tag = folder
            root.append(node)
    return _bytes("CustomObject", root)


def without_grants(content: bytes, gone: str) -> bytes:
    """Return a permission set that grants nothing on *gone*, an object or one of its fields."""
    root = parse(content)
    kept = ET.Element("PermissionSet")
    for node in root:
        granted = text(node, "field") or text(node, "object")
        if granted != gone and not granted.startswith(f"{gone}."):
            kept.append(node)
    return content if len(kept) == len(root) else _bytes("PermissionSet", kept)


def _is_name(name: str, kind: str) -> bool:
    stem = name.removesuffix(_CUSTOM)
    if kind == "CustomField" and stem == name:
        return False
    return _NAME.fullmatch(stem) is not None


def _bad_name(kind: str) -> str:
    if kind == "CustomField":
        return "fullName must end with: __c"
    return (
        "The name can only contain underscores and alphanumeric characters. It must be unique,"
        " begin with a letter, not include spaces, not end with an underscore, and not contain"
        " two consecutive underscores."
    )


def _bytes(kind: str, node: ET.Element) -> bytes:
    """Return an element's copy as a file: no prefixes, no attributes, nil elements left out."""
    root = ET.Element(kind, {"xmlns": NAMESPACE})
    _copy(node, root)
    ET.indent(root, "    ")
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _copy(source: ET.Element, target: ET.Element) -> None:
    if len(source) == 0:
        target.text = source.text
    for one in source:
        if one.get(_NIL) not in {"true", "1"}:
            _copy(one, ET.SubElement(target, local(one)))
