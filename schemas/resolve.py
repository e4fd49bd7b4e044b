"""Turn schema files that share types into self-contained Avro schemas, and list their leaves."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import SetupError

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "enum", "fixed"})
TAGS = "confluent:tags"
PATTERN = "homeport.pattern"
_STEP = re.compile(r"[^.\[\]{}]+|\[\]|\{\}")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One place in a schema where a value lies that is not a record.

    Attributes:
        path: Such as ``customer.email``, ``items[].sku`` or ``attributes{}``. The branches
            of a union share their field's path: ``payment.iban``.
        category: Its one tag; empty if it has none or several, which nothing allows.
        avro: Its Avro type, with names resolved, and without ``null`` where one other
            branch is left. For ``skus[]`` this is the type of one item.
        pattern: The anchored RE2 expression that the whole string must match, or None.
        nullable: Whether nothing may stand here: it, or a record around it, is optional.

    """

    path: str
    category: str
    avro: Any
    pattern: str | None
    nullable: bool


def steps_of(path: str) -> list[str]:
    """Return the steps of a leaf's path: names of fields, ``[]`` and ``{}``."""
    return _STEP.findall(path)


def read_avsc(path: Path) -> dict[str, Any]:
    """Return the schema that a file holds.

    Raises:
        SetupError: The file is not a JSON object.

    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        msg = f"{path.name}: not readable as JSON ({type(exc).__name__}); mend the file"
        raise SetupError(msg) from exc
    if not isinstance(schema, dict):
        msg = f"{path.name}: a schema file holds one JSON object; mend the file"
        raise SetupError(msg)
    return schema


def read_types(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the shared types of ``types/*.avsc`` by full name."""
    shared = (read_avsc(path) for path in sorted((folder / "types").glob("*.avsc")))
    return {full_name(schema): schema for schema in shared}


def full_name(schema: Mapping[str, Any], namespace: str = "") -> str:
    """Return the full name of a named type; *namespace* is that of what is around it."""
    name = str(schema.get("name", ""))
    own = schema.get("namespace", namespace)
    return name if "." in name or not own else f"{own}.{name}"


def resolve(
    schema: Mapping[str, Any], types: Mapping[str, Mapping[str, Any]], file: str
) -> dict[str, Any]:
    """Return *schema* with each shared type written out where it is first used.

    Each named type in the result says its namespace.

    Args:
        schema: A record schema as its file has it.
        types: The shared types by full name.
        file: The file's name, for errors.

    Raises:
        SetupError: A type is unknown, or contains itself.

    """
    resolved: dict[str, Any] = _Resolver(types, file).resolve(schema, "", ())
    return resolved


class _Resolver:
    """Walks one schema and remembers which names it has written out."""

    def __init__(self, types: Mapping[str, Mapping[str, Any]], file: str) -> None:
        """Start with nothing written out."""
        self._types = types
        self._file = file
        self._written: set[str] = set()

    def resolve(self, schema: Any, namespace: str, inside: tuple[str, ...]) -> Any:  # noqa: ANN401
        """Return one type, resolved; *inside* names the records around it."""
        if isinstance(schema, str):
            return self._by_name(schema, namespace, inside)
        if isinstance(schema, list):
            return [self.resolve(branch, namespace, inside) for branch in schema]
        if not isinstance(schema, Mapping) or "type" not in schema:
            msg = f"{self._file}: a type is neither a name, a union nor an object; mend the file"
            raise SetupError(msg)
        kind = schema["type"]
        if not isinstance(kind, str):  # an object around a whole type adds nothing that is read
            return self.resolve(kind, namespace, inside)
        if kind in NAMED:
            return self._named(schema, namespace, inside)
        if kind in {"array", "map"}:
            inner = "items" if kind == "array" else "values"
            return {**schema, inner: self.resolve(schema.get(inner), namespace, inside)}
        found = self.resolve(kind, namespace, inside)
        return {**schema, "type": found} if isinstance(found, str) else found

    def _by_name(self, name: str, namespace: str, inside: tuple[str, ...]) -> Any:  # noqa: ANN401
        if name in PRIMITIVES:
            return name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in inside:
            msg = f"{self._file}: {full} contains itself; leaves must be finite"
            raise SetupError(msg)
        if full in self._written:
            return full
        if full not in self._types:
            msg = f"{self._file}: type {name!r} is unknown; add it under types/"
            raise SetupError(msg)
        return self._named(self._types[full], "", inside)

    def _named(self, schema: Mapping[str, Any], namespace: str, inside: tuple[str, ...]) -> Any:  # noqa: ANN401
        full = full_name(schema, namespace)
        if full in self._written:
            msg = f"{self._file}: {full} is declared twice; refer to it by name"
            raise SetupError(msg)
        self._written.add(full)
        own, _, name = full.rpartition(".")
        placed = {**schema, "name": name, "namespace": own}  # whoever looks it up needs no context
        if schema["type"] != "record":
            return placed
        fields = [
            {**field, "type": self.resolve(field.get("type"), own, (*inside, full))}
            for field in schema.get("fields", ())
        ]
        return {**placed, "fields": fields}


def digest(schema: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of a resolved schema's canonical JSON.

    Sorted keys, no spaces, UTF-8. It covers everything, tags, patterns and words too.
    """
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def named_types(schema: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every named type that a resolved schema declares, by full name."""
    names: dict[str, dict[str, Any]] = {}
    _collect(schema, names)
    return names


def _collect(schema: Any, names: dict[str, dict[str, Any]]) -> None:  # noqa: ANN401
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, names)
    elif isinstance(schema, dict):
        if schema["type"] in NAMED:
            names[full_name(schema)] = schema
        for field in schema.get("fields", ()):
            _collect(field["type"], names)
        for key in ("items", "values", "type"):
            _collect(schema.get(key), names)


def leaves(schema: Mapping[str, Any]) -> tuple[Leaf, ...]:
    """Return the leaves of a resolved record schema, in the order of its fields.

    Raises:
        SetupError: Two branches of a union have a leaf of the same path that is not the
            same in type, tag and pattern: its path would not say which rule holds.

    """
    found: dict[str, Leaf] = {}
    for leaf in _Leaves(named_types(schema)).record(schema, "", optional=False):
        known = found.setdefault(leaf.path, leaf)
        same = (known.category, known.avro, known.pattern) == (
            leaf.category,
            leaf.avro,
            leaf.pattern,
        )
        if not same:
            msg = f"{full_name(schema)}: branches disagree on {leaf.path}; rename one of the two"
            raise SetupError(msg)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of a field while walking down its type."""

    path: str
    category: str
    pattern: str | None
    optional: bool


@dataclass(frozen=True, slots=True)
class _Leaves:
    """Walks a resolved schema down to its leaves."""

    names: Mapping[str, Mapping[str, Any]]

    def record(self, schema: Mapping[str, Any], prefix: str, *, optional: bool) -> Iterator[Leaf]:
        """Yield the leaves of a record whose fields' paths start with *prefix*."""
        for field in schema["fields"]:
            tags = field.get(TAGS, ())
            category = tags[0] if isinstance(tags, list) and len(tags) == 1 else ""
            place = _Place(prefix + field["name"], category, field.get(PATTERN), optional)
            yield from self._type(field["type"], place)

    def _type(self, avro: Any, place: _Place) -> Iterator[Leaf]:  # noqa: ANN401
        avro = self._bare(avro)
        if isinstance(avro, list):
            branches = [branch for branch in avro if branch != "null"]
            optional = place.optional or len(avro) > 1
            for branch in branches or ["null"]:
                yield from self._type(
                    branch, _Place(place.path, place.category, place.pattern, optional)
                )
            return
        kind = avro["type"] if isinstance(avro, Mapping) else avro
        if kind == "record":
            yield from self.record(avro, place.path + ".", optional=place.optional)
        elif kind in {"array", "map"}:
            mark, inner = ("[]", avro["items"]) if kind == "array" else ("{}", avro["values"])
            yield from self._type(
                inner, _Place(place.path + mark, place.category, place.pattern, optional=False)
            )
        else:
            yield Leaf(place.path, place.category, avro, place.pattern, place.optional)

    def _bare(self, avro: Any) -> Any:  # noqa: ANN401
        """Return a name's type, and ``{"type": X}`` without annotations as X."""
        if isinstance(avro, str) and avro not in PRIMITIVES:
            return self.names[avro]
        if isinstance(avro, Mapping) and not isinstance(avro["type"], str):
            return self._bare(avro["type"])
        return avro


def without_logical(avro: Any) -> Any:  # noqa: ANN401, an Avro schema is JSON
    """Return *avro* with every ``logicalType`` taken away, so that each value reads as it lies."""
    if isinstance(avro, list):
        return [without_logical(branch) for branch in avro]
    if isinstance(avro, dict):
        return {k: without_logical(v) for k, v in avro.items() if k != "logicalType"}
    return avro
