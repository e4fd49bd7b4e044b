"""Reads the Metadata API's XML; names are found whatever their namespace."""

from pathlib import Path
from xml.etree import ElementTree as ET

from schemas.errors import SetupError


def parse(path: Path) -> ET.Element:
    """Return the root element of *path*.

    Raises:
        SetupError: It cannot be read, or is no XML.

    """
    try:
        return ET.fromstring(path.read_bytes())  # noqa: S314 -- our own source tree
    except (OSError, ET.ParseError) as exc:
        msg = f"{path}: not readable as metadata; restore it from the repository"
        raise SetupError(msg) from exc


def text(node: ET.Element, name: str, default: str | None = None) -> str:
    """Return what the child *name* holds, or *default*.

    Raises:
        SetupError: There is neither.

    """
    found = node.findtext(f"{{*}}{name}", default)
    if found is None:
        msg = f"metadata: <{node.tag.rpartition('}')[2]}> has no <{name}>"
        raise SetupError(msg)
    return found


def flag(node: ET.Element, name: str) -> bool:
    """Return whether the child *name* says true; without it, it does not."""
    return text(node, name, "false") == "true"
