"""Plain JSON to Avro values and back: what the gateway and `dry-run` speak.

No union wrappers; bytes are base64, decimals strings, dates and timestamps RFC 3339, uuids
and enums strings. A field the schema does not know is refused: silence is refusal.
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from schemas.branches import fitting
from schemas.registry import EventSchema
from schemas.scalars import (
    PlainJsonError,
    bytes_of,
    from_primitive,
    from_scalar,
    of_type,
    text_of,
    to_scalar,
)

__all__ = ["PlainJsonError", "from_plain", "to_plain"]


def from_plain(schema: EventSchema, data: object) -> dict[str, Any]:
    """Return the record that plain JSON writes, with defaults filled in.

    Timestamps are cut to the schema's unit. Of JSON objects with a repeated key, the
    parser has already chosen one.

    Args:
        schema: The schema the event claims to be of.
        data: Parsed JSON.

    Raises:
        PlainJsonError: The first thing found wrong.

    """
    value: dict[str, Any] = _Reader(schema.types).read(schema.avro, data, "")
    return value


def to_plain(
    schema: EventSchema, value: Mapping[str, Any], only: Collection[str] | None = None
) -> dict[str, Any]:
    """Return the plain JSON of a decoded record; the inverse of `from_plain`.

    Args:
        schema: Of the record.
        value: As `schemas.codec.decode` gives it.
        only: The record's own fields that are wanted; None: all.

    """
    write = _Writer(schema.types).write
    return {
        field["name"]: write(field["type"], value[field["name"]])
        for field in schema.avro["fields"]
        if only is None or field["name"] in only
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads plain JSON along a schema."""

    names: Mapping[str, Mapping[str, Any]]

    def read(self, avro: Any, data: object, path: str) -> Any:  # noqa: ANN401
        """Return the Avro value of *data*, which lies at *path*."""
        if isinstance(avro, list):
            return self.union([self.bare(branch) for branch in avro], data, path)
        avro = self.bare(avro)
        if isinstance(avro, str):
            return from_primitive(avro, data, path)
        if avro["type"] == "record":
            return self.record(avro, data, path)
        if avro["type"] in {"array", "map"}:
            return self.many(avro, data, path)
        return _enum_or_scalar(avro, data, path)

    def many(self, avro: Mapping[str, Any], data: object, path: str) -> Any:  # noqa: ANN401
        """Return the values of an array or a map."""
        if avro["type"] == "array":
            items = of_type(data, list, "an array", path)
            return [self.read(avro["items"], item, path + "[]") for item in items]
        entries = of_type(data, dict, "an object", path)
        return {
            text_of(key, path): self.read(avro["values"], item, path + "{}")
            for key, item in entries.items()
        }

    def bare(self, avro: Any) -> Any:  # noqa: ANN401
        """Return a name's type, and an annotated type that means nothing more as it is."""
        if isinstance(avro, str):
            return self.names.get(avro, avro)
        nested = isinstance(avro, Mapping) and not isinstance(avro["type"], str)
        return self.bare(avro["type"]) if nested else avro

    def record(self, avro: Mapping[str, Any], data: object, path: str) -> dict[str, Any]:
        """Return a record; every key must be a field of it."""
        content = of_type(data, dict, "an object", path)
        prefix = f"{path}." if path else ""
        value: dict[str, Any] = {}
        for field in avro["fields"]:
            name = field["name"]
            if name in content:
                value[name] = self.read(field["type"], content[name], prefix + name)
            elif "default" in field:
                value[name] = deepcopy(field["default"])
            else:
                raise PlainJsonError(prefix + name, "is missing")
        if len(value) < len(content) or not content.keys() <= value.keys():
            raise PlainJsonError(path or None, "has a field that the schema does not know")
        return value

    def union(self, branches: Sequence[Any], data: object, path: str) -> Any:  # noqa: ANN401
        """Return the value of the one branch that fits."""
        if data is None:
            if "null" in branches:
                return None
            raise PlainJsonError(path, "may not be null")
        others = [branch for branch in branches if branch != "null"]
        if len(others) == 1:
            return self.read(others[0], data, path)
        records = [b for b in others if isinstance(b, Mapping) and b["type"] == "record"]
        if isinstance(data, dict) and records:
            branch = fitting(records, data)
            if branch is None:
                raise PlainJsonError(path, "fits no branch of the union, or more than one")
            return self.record(branch, data, path)
        fits: list[Any] = []
        for branch in others:
            try:
                fits.append(self.read(branch, data, path))
            except PlainJsonError:
                continue
        if len(fits) != 1:
            raise PlainJsonError(path, "fits no branch of the union, or more than one")
        return fits[0]


def _enum_or_scalar(avro: Mapping[str, Any], data: object, path: str) -> Any:  # noqa: ANN401
    if avro["type"] == "enum":
        if data not in avro["symbols"]:
            raise PlainJsonError(path, "is not one of the enum's symbols")
        return data
    if avro["type"] == "fixed" and "logicalType" not in avro:
        content = bytes_of(data, path)
        if len(content) != avro["size"]:
            raise PlainJsonError(path, "has not the size that the schema says")
        return content
    return from_scalar(avro, data, path)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes decoded values as plain JSON along a schema."""

    names: Mapping[str, Mapping[str, Any]]

    def write(self, avro: Any, value: Any) -> Any:  # noqa: ANN401
        """Return the plain JSON of one value."""
        if value is None:
            return None
        if isinstance(avro, str):
            avro = self.names.get(avro, avro)
        if isinstance(avro, list):
            return self.union(avro, value)
        kind = avro["type"] if isinstance(avro, Mapping) else avro
        if kind == "record":
            return {f["name"]: self.write(f["type"], value[f["name"]]) for f in avro["fields"]}
        if kind == "array":
            return [self.write(avro["items"], item) for item in value]
        if kind == "map":
            return {key: self.write(avro["values"], item) for key, item in value.items()}
        return to_scalar(avro, value) if isinstance(kind, str) else self.write(kind, value)

    def union(self, branches: Sequence[Any], value: Any) -> Any:  # noqa: ANN401
        """Return the plain JSON of a union's value, which says its branch by its shape."""
        bare = [self.names.get(b, b) if isinstance(b, str) else b for b in branches]
        kinds = {"record", "map"} if isinstance(value, Mapping) else {"array"}
        nested = [b for b in bare if isinstance(b, Mapping) and b["type"] in kinds]
        records = [b for b in nested if b["type"] == "record"]
        if isinstance(value, Mapping) and records:
            return self.write(fitting(records, value) or nested[0], value)
        if isinstance(value, Mapping | list):
            return self.write(nested[0], value)
        scalars = [b for b in bare if b != "null"]
        return to_scalar(scalars[0] if len(scalars) == 1 else "", value)
