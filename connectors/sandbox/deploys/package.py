"""A deployment's zip, looked through before anything of it is unpacked.

Nothing is ever written under a name from the zip: files are read into memory, the manifests and
the types this org has, and no others.

Source: Metadata API Developer Guide, "Deploy Metadata with Apex Testing Using REST" (39 MB,
629,145,600 bytes unpacked, 10,000 files) and "Deleting Components from an Organization".
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias
from xml.etree import ElementTree as ET

from connectors.sandbox.markup import UnreadableXmlError, children, parse, text, texts
from connectors.sfdx.places import PLACES

MAX_ZIP = 39 * 2**20  # bytes
MAX_UNZIPPED = 600 * 2**20  # bytes, all files together
MAX_FILES = 10_000
MAX_READ = 50 * 2**20  # bytes of those that are read; the org's own limit
MANIFEST = "package.xml"
_DESTRUCTIVE = ("destructiveChangesPre.xml", "destructiveChanges.xml", "destructiveChangesPost.xml")
_BY_FOLDER = {folder: (kind, suffix) for kind, (folder, suffix) in PLACES.items()}


_Files: TypeAlias = Mapping[str, zipfile.ZipInfo]


class PackageError(Exception):
    """The zip as a whole is refused.

    Attributes:
        text: Why.
        file: The file at fault, empty if it is the zip.

    """

    def __init__(self, text: str, file: str = "") -> None:
        """Say what is wrong; it quotes the zip's own names and nothing else."""
        super().__init__(text)
        self.text, self.file = text, file


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a type that the org has.

    Attributes:
        kind: Its component's type; None if the org has no such type.
        name: Its component's full name.
        file: Its path in the zip.
        content: Its bytes; empty if the org has no such type.

    """

    kind: str | None
    name: str
    file: str
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Package:
    """What one ``package.xml`` names, beside the files that lie with it.

    Attributes:
        file: The manifest's path in the zip.
        wanted: Members by type; ``*`` is all of them.
        members: The files, in the zip's order.
        deleted: (manifest, type, full name) of what is to go.

    """

    file: str
    wanted: Mapping[str, frozenset[str]]
    members: tuple[Member, ...]
    deleted: tuple[tuple[str, str, str], ...]


def read_packages(content: bytes, *, is_single: bool) -> list[Package]:
    """Return the packages in a zip: one at its root, or one in each folder.

    Raises:
        PackageError: It is no zip, too large, has unsafe names, or no manifest.

    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [one for one in archive.infolist() if not one.is_dir()]
            _check(entries)
            roots = [""] if is_single else _roots(entries)
            _check_read(_below(entries, root) for root in roots)
            found = [_package(archive, _below(entries, root)) for root in roots]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as exc:
        text = "Deployment zip file is not valid"
        raise PackageError(text) from exc
    if not found:
        text = f"No {MANIFEST} found"
        raise PackageError(text, MANIFEST)
    return found


def read_manifest(root: ET.Element) -> dict[str, frozenset[str]]:
    """Return the members by type that a manifest's element names; ``*`` is all of them."""
    wanted: dict[str, frozenset[str]] = {}
    for one in children(root, "types"):
        kind = text(one, "name")
        wanted[kind] = wanted.get(kind, frozenset()) | frozenset(texts(one, "members"))
    return wanted


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES:
        text = f"Maximum number of files exceeded: {len(entries)}, at most {MAX_FILES}"
        raise PackageError(text)
    if sum(one.file_size for one in entries) > MAX_UNZIPPED:
        text = f"Maximum size of the unzipped files exceeded, at most {MAX_UNZIPPED} bytes"
        raise PackageError(text)
    seen: set[str] = set()
    for one in entries:
        parts = PurePosixPath(one.filename).parts
        if one.filename.startswith("/") or ".." in parts or set(one.filename) & set("\\:\0"):
            text = f"The zip holds a file with an unsafe name: {one.filename}"
            raise PackageError(text)
        if one.filename in seen:
            text = f"The zip holds a file twice: {one.filename}"
            raise PackageError(text)
        seen.add(one.filename)


def _roots(entries: list[zipfile.ZipInfo]) -> list[str]:
    """Return the folders, ``/`` at their end, in which a manifest lies; the zip's root is one."""
    names = [one.filename for one in entries]
    return sorted(n.removesuffix(MANIFEST) for n in names if PurePosixPath(n).name == MANIFEST)


def _below(entries: list[zipfile.ZipInfo], root: str) -> _Files:
    """Return the files below a package's root, by their names there."""
    return {e.filename.removeprefix(root): e for e in entries if e.filename.startswith(root)}


def _package(archive: zipfile.ZipFile, below: _Files) -> Package:
    if MANIFEST not in below:
        text = f"No {MANIFEST} found"
        raise PackageError(text, MANIFEST)
    deleted: list[tuple[str, str, str]] = []
    for name in _DESTRUCTIVE:
        if name in below:
            for kind, names in _manifest(archive, below[name]).items():
                deleted += [(below[name].filename, kind, one) for one in sorted(names)]
    members = []
    for name, one in below.items():
        if "/" not in name:
            continue
        known, full_name = _kind(name)
        content = archive.read(one) if known else b""
        members.append(Member(known, full_name, one.filename, content))
    wanted = _manifest(archive, below[MANIFEST])
    return Package(below[MANIFEST].filename, wanted, tuple(members), tuple(deleted))


def _check_read(packages: Iterable[_Files]) -> None:
    """Refuse packages whose files that are read are too large together."""
    read = (
        one.file_size
        for files in packages
        for name, one in files.items()
        if "/" not in name or _kind(name)[0]
    )
    if sum(read) > MAX_READ:
        text = f"The test org reads at most {MAX_READ} bytes of metadata"
        raise PackageError(text)


def _manifest(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> dict[str, frozenset[str]]:
    try:
        return read_manifest(parse(archive.read(entry)))
    except UnreadableXmlError as exc:
        text = f"Error parsing file: {exc.text} at line {exc.line}"
        raise PackageError(text, entry.filename) from exc


def _kind(name: str) -> tuple[str | None, str]:
    """Return type and full name of the component in a file, by where it lies in its package."""
    folder, _, rest = name.partition("/")
    kind, suffix = _BY_FOLDER.get(folder, (None, ""))
    if kind is None or "/" in rest or not rest.endswith(f".{suffix}"):
        return None, rest
    return kind, rest.removesuffix(f".{suffix}")
