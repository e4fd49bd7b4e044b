"""XML from strangers in, XML out. Names are compared without namespace and case.

A document type is refused: no entity is ever expanded and no other document read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape

MAX_DEPTH = 100  # elements within each other; metadata has some ten
MAX_NODES = 500_000  # elements and attributes of a document; each takes some 200 bytes of memory
# what no XML can hold, not even as a reference
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# A list is the same element several times; None is left out.
Node: TypeAlias = "str | bool | int | float | Mapping[str, Node] | Sequence[Node] | None"


class UnreadableXmlError(ValueError):
    """What was sent is no XML that the org reads.

    Attributes:
        text: What is wrong, in the words of the answer.
        line: Where, from 1.
        column: Where, from 1.

    """

    def __init__(self, text: str, line: int = 1, column: int = 1) -> None:
        """Say what is wrong, and where."""
        super().__init__(f"line {line}: {text}")
        self.text, self.line, self.column = text, line, column


def parse(body: bytes) -> ET.Element:
    """Return the document in *body*, tags as ElementTree writes them.

    Raises:
        UnreadableXmlError: It is not well formed, has a document type, or is nested too deep or
            too large.

    """
    builder, parser = ET.TreeBuilder(), expat.ParserCreate(namespace_separator="}")
    depth = nodes = 0
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, nodes
        depth += 1
        nodes += 1 + len(attributes)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            text = f"Elements are more than {MAX_NODES}, or nested more than {MAX_DEPTH} deep"
            raise UnreadableXmlError(text, parser.CurrentLineNumber)
        builder.start(_tag(tag), {_tag(name): value for name, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_tag(tag))

    def refuse_doctype(*_: object) -> None:
        text = "DOCTYPE is not allowed"
        raise UnreadableXmlError(text, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_doctype
    try:
        parser.Parse(body, True)  # noqa: FBT003 -- expat takes it by position only
    except expat.ExpatError as exc:
        raise UnreadableXmlError(
            expat.errors.messages[exc.code], exc.lineno, exc.offset + 1
        ) from exc
    except (ValueError, LookupError) as exc:  # also an encoding that there is not
        if isinstance(exc, UnreadableXmlError):
            raise
        text = "unknown encoding"
        raise UnreadableXmlError(text) from exc
    return builder.close()


def local(node: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return node.tag.rpartition("}")[2]


def children(node: ET.Element, name: str) -> Iterator[ET.Element]:
    """Return the elements of that name directly below *node*, in order."""
    wanted = name.lower()
    return (one for one in node if local(one).lower() == wanted)


def child(node: ET.Element | None, *path: str) -> ET.Element | None:
    """Return the first element at *path* below *node*, or None."""
    for name in path:
        node = None if node is None else next(children(node, name), None)
    return node


def text(node: ET.Element | None, *path: str) -> str:
    """Return the text of the first element at *path*, stripped; empty if there is none."""
    found = child(node, *path)
    return "" if found is None else (found.text or "").strip()


def texts(node: ET.Element | None, name: str) -> list[str]:
    """Return the texts of the elements of that name below *node*, stripped, in order."""
    return [] if node is None else [(one.text or "").strip() for one in children(node, name)]


def to_xml(name: str, node: Node) -> str:
    """Return the element *name* that holds *node*; a list is several, None is none."""
    if node is None:
        return ""
    if isinstance(node, Mapping):
        return f"<{name}>{''.join(to_xml(n, v) for n, v in node.items())}</{name}>"
    if isinstance(node, bool):
        return f"<{name}>{'true' if node else 'false'}</{name}>"
    if isinstance(node, (str, int, float)):
        return f"<{name}>{escaped(str(node))}</{name}>"
    return "".join(to_xml(name, one) for one in node)


def escaped(words: str) -> str:
    """Return *words* as an element's text; what XML cannot hold is U+FFFD."""
    return escape(_ILLEGAL.sub("\ufffd", words))


def _tag(name: str) -> str:
    return "{" + name if "}" in name else name
