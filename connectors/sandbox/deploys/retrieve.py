"""What is deployed, given back as a package that deploys again; and lists of it.

Source: Metadata API Developer Guide, "retrieve()", "listMetadata()", "describeMetadata()".
"""

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from connectors.sandbox.deploys.components import NAMESPACE, joined, names_of
from connectors.sandbox.deploys.messages import component_id, stamp
from connectors.sandbox.ids import USER_PREFIX, record_id
from connectors.sandbox.store import ADMIN
from connectors.sfdx.places import PARTS, PLACES

_ALL = "*"
_OBJECT = "CustomObject"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the format's first: the same metadata is the same zip
_ADMIN_ID = record_id(USER_PREFIX, 1)


def retrieve(
    files: Mapping[str, bytes], wanted: Mapping[str, Iterable[str]], version: str, *, folder: str
) -> tuple[dict[str, Any], bytes]:
    """Return what a retrieve says, and its zip.

    Args:
        files: Source files by path.
        wanted: Members by type; ``*`` is all of them.
        version: The manifest's, such as ``62.0``.
        folder: In which the package lies within the zip, ``/`` at its end; empty: at its root.

    """
    there = names_of(files)
    messages: list[dict[str, str]] = []
    found: dict[str, list[str]] = {}
    for kind, members in wanted.items():
        found[kind] = _found(kind, set(members), there, messages, folder)
    packed = {
        f"{folder}{place}/{name}.{suffix}": files[there[kind][name]]
        for kind, (place, suffix) in PLACES.items()
        for name in found.get(kind, [])
        if kind != _OBJECT
    }
    place, suffix = PLACES[_OBJECT]
    for name, parts in _objects(found, there).items():
        packed[f"{folder}{place}/{name}.{suffix}"] = joined(name, files, parts)
    packed[f"{folder}package.xml"] = _manifest(found, version)
    properties = [
        file_properties(kind, name, _file_of(kind, name, folder))
        for kind, names in found.items()
        for name in names
    ]
    return {"fileProperties": properties, "messages": messages}, _zip(packed)


def listed(files: Iterable[str], kind: str) -> list[dict[str, Any]]:
    """Return the FileProperties of every component of a type, by name."""
    names = sorted(names_of(files).get(kind, {}))
    return [file_properties(kind, name, _file_of(kind, name, "")) for name in names]


def described() -> dict[str, Any]:
    """Return the DescribeMetadataResult: the types that the org has."""
    kinds = [
        {
            "childXmlNames": list(PARTS) if kind == _OBJECT else [],
            "directoryName": folder,
            "inFolder": False,
            "metaFile": False,
            "suffix": suffix,
            "xmlName": kind,
        }
        for kind, (folder, suffix) in sorted(PLACES.items())
    ]
    return {
        "metadataObjects": kinds,
        "organizationNamespace": "",
        "partialSaveAllowed": True,
        "testRequired": False,
    }


def file_properties(kind: str, name: str, file: str) -> dict[str, Any]:
    """Return a component's FileProperties; the org keeps no dates of its metadata."""
    return {
        "createdById": _ADMIN_ID,
        "createdByName": ADMIN,
        "createdDate": stamp(0),
        "fileName": file,
        "fullName": name,
        "id": component_id(kind, name),
        "lastModifiedById": _ADMIN_ID,
        "lastModifiedByName": ADMIN,
        "lastModifiedDate": stamp(0),
        "manageableState": "unmanaged",
        "type": kind,
    }


def _found(
    kind: str,
    members: set[str],
    there: Mapping[str, Mapping[str, str]],
    messages: list[dict[str, str]],
    folder: str,
) -> list[str]:
    """Return the names of a type that there are, and note in *messages* those that are not."""
    file = f"{folder}package.xml"
    if kind not in there:
        text = f"Entity type: '{kind}' is unknown"
        messages.append({"fileName": file, "problem": text})
        return []
    known = set(there[kind])
    if kind == _OBJECT:  # a standard one has only the parts that were deployed
        known |= {name.partition(".")[0] for part in PARTS for name in there[part]}
    for name in sorted(members - known - {_ALL}):
        text = f"Entity of type '{kind}' named '{name}' cannot be found"
        messages.append({"fileName": file, "problem": text})
    return sorted(known if _ALL in members else members & known)


def _objects(
    found: Mapping[str, list[str]], there: Mapping[str, Mapping[str, str]]
) -> dict[str, list[str]]:
    """Return the source files of each object to give back, whole or single parts of it."""
    objects: dict[str, set[str]] = {}
    for name in found.get(_OBJECT, []):
        objects[name] = {p for n, p in there[_OBJECT].items() if n == name}
        for kind in PARTS:
            objects[name] |= {p for n, p in there[kind].items() if n.startswith(f"{name}.")}
    for kind in PARTS:
        for name in found.get(kind, []):
            objects.setdefault(name.partition(".")[0], set()).add(there[kind][name])
    return {name: sorted(parts) for name, parts in sorted(objects.items())}


def _file_of(kind: str, name: str, folder: str) -> str:
    place, suffix = PLACES[_OBJECT if kind in PARTS else kind]
    return f"{folder}{place}/{name.partition('.')[0]}.{suffix}"


def _manifest(found: Mapping[str, list[str]], version: str) -> bytes:
    root = ET.Element("Package", {"xmlns": NAMESPACE})
    for kind in sorted(found):
        if found[kind]:
            types = ET.SubElement(root, "types")
            for name in found[kind]:
                ET.SubElement(types, "members").text = name
            ET.SubElement(types, "name").text = kind
    ET.SubElement(root, "version").text = version
    ET.indent(root, "    ")
    body: bytes = ET.tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return packed.getvalue()
