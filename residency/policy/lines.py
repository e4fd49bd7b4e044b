"""Where in a TOML file a value stands; the standard parser keeps no positions.

A path is the keys and positions that lead to a value: ``("rule", 3, "how")``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]
_PARSER = Parser(Language(tree_sitter_toml.language()))


def line_of(text: str, path: Path) -> int:
    """Return the line, from 1, of the value at *path*, or of the nearest thing that holds it."""
    lines = _lines(text)
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)


@cache
def _lines(text: str) -> Mapping[Path, int]:
    found: dict[Path, int] = {}
    arrays: Counter[Path] = Counter()
    for node in _PARSER.parse(text.encode()).root_node.named_children:
        if node.type == "pair":
            found.update(_pair(node, ()))
        elif node.type in {"table", "table_array_element"}:
            head, *body = node.named_children
            path = _heading(_keys(head), arrays, is_array=node.type != "table")
            found[path] = node.start_point.row + 1
            for pair in body:
                found.update(_pair(pair, path))
    return found


def _heading(keys: Path, arrays: Counter[Path], *, is_array: bool) -> Path:
    """Return the path of a ``[table]`` or a ``[[table]]``, positions included."""
    path: Path = ()
    for key in keys[:-1]:
        path += (key,)
        if path in arrays:
            path += (arrays[path] - 1,)
    path += keys[-1:]
    if not is_array:
        return path
    arrays[path] += 1
    return (*path, arrays[path] - 1)


def _pair(node: Node, under: Path) -> Iterator[tuple[Path, int]]:
    if node.type != "pair" or len(node.named_children) < 2:  # noqa: PLR2004, a key and a value
        return
    key, value = node.named_children[:2]
    path = under + _keys(key)
    yield path, node.start_point.row + 1
    yield from _value(value, path)


def _value(node: Node, path: Path) -> Iterator[tuple[Path, int]]:
    if node.type == "inline_table":
        for pair in node.named_children:
            yield from _pair(pair, path)
    elif node.type == "array":
        members = [child for child in node.named_children if child.type != "comment"]
        for position, member in enumerate(members):
            yield (*path, position), member.start_point.row + 1
            yield from _value(member, (*path, position))


def _keys(node: Node) -> Path:
    if node.type == "dotted_key":
        return tuple(key for child in node.named_children for key in _keys(child))
    text = (node.text or b"").decode()
    return (text.strip("\"'") if node.type == "quoted_key" else text,)
