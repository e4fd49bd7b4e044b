"""Where each part of an event lies in its bytes: what a mutation aims at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas.resolve import PRIMITIVES, named_types
from schemas.strict import read_long

Kind = Literal["long", "length", "count", "index", "symbol", "text", "raw", "flag", "end"]


@dataclass(frozen=True, slots=True)
class Span:
    """One part of an event.

    Attributes:
        kind: ``length`` is of the text or bytes that follow, ``count`` of a block's items.

    """

    path: str
    kind: Kind
    start: int
    end: int


def spans(avro: Mapping[str, Any], data: bytes, at: int) -> list[Span]:
    """Return the parts of a valid event that begins at *at*, in order."""
    walk = _Walk(named_types(avro), data)
    found = list(walk.type(avro, at, ""))
    return [span for span in found if span.kind != "end"]


@dataclass(frozen=True, slots=True)
class _Walk:
    names: Mapping[str, Any]
    data: bytes

    def type(self, avro: Any, at: int, path: str) -> Iterator[Span]:
        """Yield the parts of one value; the last one is its end."""
        while isinstance(avro, dict) and not isinstance(avro["type"], str):
            avro = avro["type"]
        if isinstance(avro, str) and avro not in PRIMITIVES:
            avro = self.names[avro]
        if isinstance(avro, list):
            index, start = read_long(self.data, at)
            yield Span(path, "index", at, start)
            yield from self.type(avro[index], start, path)
            return
        kind = avro["type"] if isinstance(avro, dict) else avro
        if kind == "record":
            for field in avro["fields"]:
                at = yield from self._through(field["type"], at, f"{path}.{field['name']}")
            yield Span(path, "end", at, at)
        elif kind in {"array", "map"}:
            yield from self._blocks(avro, at, path)
        else:
            yield from self._leaf(kind, avro, at, path)

    def _through(self, avro: Any, at: int, path: str) -> Any:
        for span in self.type(avro, at, path):
            at = span.end
            if span.kind != "end":
                yield span
        return at

    def _blocks(self, avro: Any, at: int, path: str) -> Iterator[Span]:
        while True:
            count, start = read_long(self.data, at)
            yield Span(path, "count", at, start)
            at = start
            if count == 0:
                yield Span(path, "end", at, at)
                return
            if count < 0:
                _, start = read_long(self.data, at)
                yield Span(path, "length", at, start)
                at = start
            for _ in range(abs(count)):
                if "values" in avro:
                    at = yield from self._through("string", at, path + "{key}")
                at = yield from self._through(avro.get("items", avro.get("values")), at, path)

    def _leaf(self, kind: str, avro: Any, at: int, path: str) -> Iterator[Span]:
        if kind in {"string", "bytes"}:
            size, start = read_long(self.data, at)
            yield Span(path, "length", at, start)
            yield Span(path, "text" if kind == "string" else "raw", start, start + size)
        elif kind in {"int", "long", "enum"}:
            _, end = read_long(self.data, at)
            yield Span(path, "symbol" if kind == "enum" else "long", at, end)
        elif kind == "boolean":
            yield Span(path, "flag", at, at + 1)
        elif kind == "null":
            yield Span(path, "end", at, at)
        else:
            size = {"float": 4, "double": 8}.get(kind) or avro["size"]
            yield Span(path, "raw", at, at + size)
