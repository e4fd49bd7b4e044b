"""The components as SFDX source, and as the zip that the Metadata API takes."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from connectors.sfdx.components import Component
from connectors.sfdx.places import PARTS, PLACES, source_path
from connectors.sfdx.xmlfile import Node, to_xml

API_VERSION = "63.0"  # the first with "viewAllFields"
FOLDER = Path(__file__).parent
SOURCE, PROJECT = "force-app/main/default", "sfdx-project.json"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the format's first: the same metadata is the same zip


def source_files(components: Iterable[Component]) -> Mapping[str, bytes]:
    """Return the project's files by path, ``sfdx-project.json`` among them."""
    project = {
        "packageDirectories": [{"path": "force-app", "default": True}],
        "name": "homeport",
        "namespace": "",
        "sfdcLoginUrl": "https://login.salesforce.com",
        "sourceApiVersion": API_VERSION,
    }
    files = {PROJECT: json.dumps(project, indent=2).encode() + b"\n"}
    for one in components:
        files[f"{SOURCE}/{source_path(one.kind, one.name, one.owner)}"] = to_xml(one.kind, one.node)
    return files


def write_source(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Make *folder*'s metadata exactly *files*; return which were not.

    What else lies beside the metadata stays, and what is right already is not touched.
    """
    changed = drift(files, folder)
    for name in changed:
        path = folder / name
        if name in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name])
        else:
            path.unlink()
    return changed


def drift(files: Mapping[str, bytes], folder: Path = FOLDER) -> list[str]:
    """Return which files of *folder*'s project are missing, stale or not what *files* say."""
    there = {PROJECT} if (folder / PROJECT).is_file() else set()
    there |= {
        path.relative_to(folder).as_posix()
        for path in (folder / "force-app").rglob("*")
        if path.is_file()
    }
    changed = {n for n in files.keys() & there if (folder / n).read_bytes() != files[n]}
    return sorted(changed | (files.keys() ^ there))


def package(components: Sequence[Component]) -> bytes:
    """Return the zip to deploy: ``package.xml`` and the components, objects with their parts."""
    files = {"package.xml": to_xml("Package", _manifest(components))}
    for one in components:
        if one.kind in PLACES:
            folder, suffix = PLACES[one.kind]
            files[f"{folder}/{one.name}.{suffix}"] = to_xml(one.kind, _whole(one, components))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return packed.getvalue()


def _manifest(components: Sequence[Component]) -> Mapping[str, Node]:
    members = {kind: sorted(one.name for one in components if one.kind == kind) for kind in PLACES}
    rows: list[Node] = [
        {"members": members[kind], "name": kind} for kind in sorted(members) if members[kind]
    ]
    return {"types": rows, "version": API_VERSION}


def _whole(one: Component, components: Sequence[Component]) -> Mapping[str, Node]:
    parts: dict[str, list[Node]] = {}
    for part in components:
        if part.owner and part.owner == one.name:
            parts.setdefault(PARTS[part.kind][0], []).append(part.node)
    return {**one.node, **parts}
