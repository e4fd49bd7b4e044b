"""Read which objects and fields SFDX source deploys, whatever their type."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from residency.contracts.org import OrgField, OrgObject
from schemas.errors import SetupError

OBJECTS = Path(__file__).parent / "force-app/main/default/objects"
_NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
_FIXED_LENGTH = 255  # characters; Salesforce fixes it where a type has no <length>


def read_org(folder: Path = OBJECTS) -> Mapping[str, OrgObject]:
    """Return the objects whose source lies in *folder*, by name.

    Raises:
        SetupError: A file is not readable as metadata.

    """
    return {path.name: _object(path) for path in sorted(folder.iterdir()) if path.is_dir()}


def _object(folder: Path) -> OrgObject:
    fields = [_field(path) for path in sorted((folder / "fields").glob("*.field-meta.xml"))]
    return OrgObject(folder.name, {field.name: field for field in fields})


def _field(path: Path) -> OrgField:
    try:
        root = ET.fromstring(path.read_bytes())  # noqa: S314 -- our own source tree
        kind = _text(root, "type")
        restricted = root.findtext(f"{_NAMESPACE}valueSet/{_NAMESPACE}restricted") == "true"
        values = frozenset(_text(value, "fullName") for value in root.iter(f"{_NAMESPACE}value"))
        fixed = _FIXED_LENGTH if kind in {"Picklist", "TextArea"} else 0
        is_open = kind == "Picklist" and not restricted
        return OrgField(
            name=_text(root, "fullName"),
            type="Text" if is_open else kind,
            length=int(_text(root, "length", str(fixed))),
            precision=int(_text(root, "precision", "0")),
            scale=int(_text(root, "scale", "0")),
            values=values if restricted else None,
            refers_to=root.findtext(f"{_NAMESPACE}referenceTo"),
            is_required=_text(root, "required", "false") == "true",
            is_unique=_text(root, "unique", "false") == "true",
            is_external_id=_text(root, "externalId", "false") == "true",
            is_case_sensitive=_text(root, "caseSensitive", "false") == "true",
        )
    except (OSError, ET.ParseError, ValueError) as exc:
        msg = f"{path.parent.parent.name}/{path.name}: not readable as metadata; mend the file"
        raise SetupError(msg) from exc


def _text(node: ET.Element, name: str, default: str | None = None) -> str:
    text = node.findtext(f"{_NAMESPACE}{name}", default)
    if text is None:
        msg = f"no <{name}>"
        raise ValueError(msg)
    return text
