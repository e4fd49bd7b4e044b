"""SFDX source made for one test: objects with fields of any type, beside what Homeport deploys."""

from pathlib import Path
from shutil import copytree

from connectors.sandbox.deployed.source import SFDX

_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
TEXT_NAME = "<nameField><label>Name</label><type>Text</type></nameField>"


def source(folder: Path) -> Path:
    """Return a copy of the deployed source, to add objects to."""
    return Path(copytree(SFDX, folder / "sfdx"))


def add_object(folder: Path, name: str, *fields: str, head: str = TEXT_NAME) -> None:
    """Add a custom object whose fields are elements made by `field`."""
    root = folder / "objects" / name
    (root / "fields").mkdir(parents=True)
    label = name.removesuffix("__c").replace("_", " ")
    described = (
        f"<CustomObject {_XMLNS}><label>{label}</label><pluralLabel>{label}s</pluralLabel>{head}"
        "<deploymentStatus>Deployed</deploymentStatus><sharingModel>ReadWrite</sharingModel>"
        "</CustomObject>"
    )
    (root / f"{name}.object-meta.xml").write_text(described, "utf-8")
    add_fields(folder, name, *fields)


def add_fields(folder: Path, name: str, *fields: str) -> None:
    """Add custom fields to an object, also to a standard one."""
    root = folder / "objects" / name / "fields"
    root.mkdir(parents=True, exist_ok=True)
    for number, element in enumerate(fields):
        (root / f"made{number}.field-meta.xml").write_text(element, "utf-8")


def field(name: str, kind: str, **members: object) -> str:
    """Return a ``CustomField``; *members* are its other elements, booleans as XML writes them."""
    stated = {"fullName": name, "label": name.removesuffix("__c"), "type": kind, **members}
    texts = {k: str(v).lower() if isinstance(v, bool) else v for k, v in stated.items()}
    inside = "".join(f"<{k}>{v}</{k}>" for k, v in texts.items())
    return f"<CustomField {_XMLNS}>{inside}</CustomField>"
