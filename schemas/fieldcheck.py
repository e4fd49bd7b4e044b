"""Find what is wrong with one schema file, field by field."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import re2

from schemas.branches import keys_of
from schemas.resolve import NAMED, PATTERN, PRIMITIVES, TAGS

CATEGORIES_FILE = Path(__file__).with_name("categories.toml")
MAX_PRECISION = 18  # digits; what a 64-bit unscaled integer holds for certain
LOGICAL = {
    "decimal": {"bytes", "fixed"},
    "date": {"int"},
    "timestamp-millis": {"long"},
    "timestamp-micros": {"long"},
    "uuid": {"string"},
}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to mend.

    Attributes:
        file: Relative to the avro folder, or ``ids.toml``.
        path: The field's path inside that file, or None for the whole file.
        text: What is wrong and what to do.

    """

    file: str
    path: str | None
    text: str

    def __str__(self) -> str:
        """Return ``file: path: text``."""
        return ": ".join(part for part in (self.file, self.path, self.text) if part)


@cache
def categories() -> frozenset[str]:
    """Return every category a field may be tagged with."""
    rows = tomllib.loads(CATEGORIES_FILE.read_text(encoding="utf-8"))
    return frozenset(rows["fides"]["keys"]) | frozenset(rows["homeport"])


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """Walks one file's own fields; shared types are checked in their own files.

    Attributes:
        file: Its name, for problems.
        names: Every named type it can refer to, by full and by short name.
        tagged: Whether leaves need a tag: events and shared types do, minimal records
            hold nothing but what a contract put there.

    """

    file: str
    names: Mapping[str, Mapping[str, Any]]
    tagged: bool

    def record(self, schema: Mapping[str, Any], prefix: str = "") -> Iterator[Problem]:
        """Yield the problems of a record's fields."""
        for field in schema.get("fields", ()):
            path = f"{prefix}{field.get('name', '?')}"
            kinds = set(self._kinds(field.get("type")))
            if self.tagged:
                yield from self._tags(field, path, kinds)
            if PATTERN in field:
                yield from self._pattern(field[PATTERN], path, kinds)
            yield from self._default(field, path, kinds)
            yield from self._type(field.get("type"), path)

    def _kinds(self, avro: Any) -> Iterator[str]:  # noqa: ANN401
        """Yield the kinds of value a field's type ends in; a record counts as one."""
        avro = self._named(avro)
        if isinstance(avro, list):
            for branch in avro:
                yield from self._kinds(branch)
        elif isinstance(avro, Mapping):
            kind = avro.get("type")
            if kind in {"array", "map"}:
                yield from self._kinds(avro.get("items" if kind == "array" else "values"))
            elif "logicalType" in avro:
                yield str(avro["logicalType"])
            elif isinstance(kind, str):
                yield kind
            else:
                yield from self._kinds(kind)
        elif avro != "null":
            yield str(avro)

    def _named(self, avro: Any) -> Any:  # noqa: ANN401
        return self.names.get(avro, avro) if isinstance(avro, str) else avro

    def _tags(self, field: Mapping[str, Any], path: str, kinds: set[str]) -> Iterator[Problem]:
        tags = field.get(TAGS, [])
        if kinds == {"record"}:
            if tags:
                yield self._at(path, "a record carries no tag; tag the fields inside it")
            return
        if not isinstance(tags, list) or len(tags) > 1:
            yield self._at(path, f"{TAGS} is a list of exactly one category")
            return
        if not tags:
            yield self._at(path, f"has no tag; add {TAGS} with one category")
        elif tags[0] not in categories():
            yield self._at(path, f"category {tags[0]!r} is unknown; see categories.toml")

    def _pattern(self, pattern: str, path: str, kinds: set[str]) -> Iterator[Problem]:
        if not kinds <= {"string", "uuid"}:
            yield self._at(path, f"{PATTERN} is for strings")
        if not is_anchored(pattern):
            yield self._at(path, f"{PATTERN} does not hold the whole string; write ^...$ around it")
        options = re2.Options()
        options.log_errors = False
        try:
            re2.compile(pattern, options)
        except re2.error:
            yield self._at(path, f"{PATTERN} is not an RE2 expression")

    def _default(self, field: Mapping[str, Any], path: str, kinds: set[str]) -> Iterator[Problem]:
        plain = (PRIMITIVES - {"bytes"}) | {"enum"}
        if field.get("default") not in (None, [], {}) and not kinds <= plain:
            yield self._at(path, "has a default that JSON cannot write; use null, [] or {}")

    def _type(self, avro: Any, path: str) -> Iterator[Problem]:  # noqa: ANN401
        """Yield the problems of a type that this file itself writes out."""
        if isinstance(avro, list):
            yield from self._union(avro, path)
        if not isinstance(avro, Mapping):
            return
        kind = avro.get("type")
        if kind == "record":
            yield from self.record(avro, f"{path}.")
        elif kind == "array":
            yield from self._type(avro.get("items"), f"{path}[]")
        elif kind == "map":
            if "record" in self._kinds(avro.get("values")):
                yield self._at(path, "the keys of a map of records have no tag; use an array")
            yield from self._type(avro.get("values"), f"{path}{{}}")
        elif kind not in NAMED and not isinstance(kind, str):
            yield from self._type(kind, path)
        yield from self._logical(avro, path)

    def _union(self, branches: list[Any], path: str) -> Iterator[Problem]:
        for branch in branches:
            yield from self._type(branch, path)
        bare = [self._named(branch) for branch in branches]
        records = [b for b in bare if isinstance(b, Mapping) and b.get("type") == "record"]
        for one, other in combinations(records, 2):
            if keys_of(one)[1] == keys_of(other)[1]:
                names = f"{one.get('name')} and {other.get('name')}"
                yield self._at(path, f"branches {names} have the same fields; rename one field")

    def _logical(self, avro: Mapping[str, Any], path: str) -> Iterator[Problem]:
        name = avro.get("logicalType")
        if name is None:
            return
        if avro.get("type") not in LOGICAL.get(name, set()):
            yield self._at(path, f"logical type {name!r} is not one we read on this type")
        elif name == "decimal":
            precision, scale = avro.get("precision", 0), avro.get("scale", 0)
            if not 0 <= scale <= precision <= MAX_PRECISION or precision == 0:
                yield self._at(path, f"a decimal has 1 to {MAX_PRECISION} digits, scale among them")

    def _at(self, path: str, text: str) -> Problem:
        return Problem(self.file, path, text)


_PIECE = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]|.", re.DOTALL
)  # an escape, a class, a character


def is_anchored(pattern: str) -> bool:
    """Return whether a pattern holds the whole string: ``^...$``, and no way around it.

    An alternative outside any bracket (``^a|b$``) is one, and so are inline flags, of which
    ``(?m)`` makes the anchors match at every line.
    """
    pieces = _PIECE.findall(pattern)
    if not pieces or (pieces[0], pieces[-1]) != ("^", "$"):
        return False
    if "(?" in pattern.replace("(?:", ""):
        return False
    depth = 0
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if piece == "|" and depth == 0:
            return False
    return True
