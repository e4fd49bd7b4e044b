"""Metadata as XML: values in, one file's bytes out, elements in the order of ``order.toml``."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
ORDER_FILE = Path(__file__).with_name("order.toml")
_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_INDENT = "    "

# A list is the same element several times; True is written as true.
Node: TypeAlias = "str | bool | int | Mapping[str, Node] | Sequence[Node]"


def to_xml(kind: str, node: Mapping[str, Node]) -> bytes:
    """Return the file of a component of type *kind*.

    Raises:
        KeyError: ``order.toml`` does not know the type, or one of its elements.

    """
    root = ET.Element(kind, {"xmlns": NAMESPACE})
    _fill(root, kind, node)
    ET.indent(root, _INDENT)
    body: bytes = ET.tostring(root, encoding="utf-8")
    return _DECLARATION + body + b"\n"


@cache
def order() -> Mapping[str, Sequence[str]]:
    """Return the elements of each type, in the order in which they are written."""
    return tomllib.loads(ORDER_FILE.read_text(encoding="utf-8"))


# What stands for a type of its own within another.
_ALIASES = {"fields": "CustomField", "validationRules": "ValidationRule"}


def _fill(parent: ET.Element, kind: str, node: Mapping[str, Node]) -> None:
    known = order()[kind]
    if unknown := sorted(node.keys() - set(known)):
        msg = f"{kind}: {unknown[0]} is not in {ORDER_FILE.name}"
        raise KeyError(msg)
    for name in known:
        if name in node:
            value = node[name]
            is_list = isinstance(value, Sequence) and not isinstance(value, str)
            for one in value if is_list else [value]:  # type: ignore[union-attr]
                _add(parent, name, one)


def _add(parent: ET.Element, name: str, value: Node) -> None:
    element = ET.SubElement(parent, name)
    if isinstance(value, Mapping):
        _fill(element, _ALIASES.get(name, name), value)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    else:
        element.text = str(value)
