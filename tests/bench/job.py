"""The job that stream processors are compared on: an event less some fields, others cut or hashed.

``{"drop": [paths], "hmac_sha256_hex": [paths], "year": [paths], "prefix3": [paths]}``; a path reads
``customer.email``, ``items[].note`` (``items.note`` means the same) or ``attributes{}``. The walker
carries it out as a `Projection`; `reference` does the same on decoded values, slowly.
"""

import hmac
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import fastavro
import numpy as np

from residency.plan.kinds import kind_of
from residency.plan.walk.fills import Column, text, varint
from residency.plan.walk.program import Acts
from residency.plan.walk.projection import Edit, Places, Projection
from residency.tokens import Mac
from schemas.errors import SetupError
from schemas.resolve import Leaf, leaves, resolve, without_logical
from schemas.strict import compile_check

HEADER_IN, HEADER_OUT = b"\0\0\0\0\1", b"\0\0\0\0\2"  # Confluent ids 1 and 2
EDITS = ("hmac_sha256_hex", "year", "prefix3")
_EPOCH = date(1970, 1, 1)
_DAY_MS = 86_400_000
_PREFIX, _YEAR = 3, 4  # characters

Value = Callable[[Any], Any]


@dataclass(frozen=True)
class Job:
    """A job, ready to run.

    Attributes:
        projection: How the walker does it.
        schema_in: The events' schema.
        schema_out: The results' schema.
        drops: Paths that are left out, arrays and maps marked.
        values: Path of an edited leaf to the function that makes its new value.

    """

    projection: Projection
    schema_in: Mapping[str, Any]
    schema_out: Mapping[str, Any]
    drops: frozenset[str]
    values: Mapping[str, Value]

    @classmethod
    def load(cls, schema_in: str, schema_out: str, job: str, key: str) -> "Job":
        """Return the job of three JSON texts and the text of an HMAC key.

        Raises:
            SetupError: The job and the schemas do not belong together.

        """
        reads, writes = _schema(schema_in), _schema(schema_out)
        asked: dict[str, list[str]] = json.loads(job)
        if not isinstance(asked, dict) or not all(map(_is_paths, asked.values())):
            msg = 'job: an object of lists of paths, such as {"drop": ["gift_note"]}'
            raise SetupError(msg)
        unknown = asked.keys() - {"drop", *EDITS}
        if unknown:
            msg = (
                f"job: {', '.join(sorted(unknown))} is nothing to do; have drop, {', '.join(EDITS)}"
            )
            raise SetupError(msg)
        known = {leaf.path: leaf for leaf in leaves(reads)}
        made = {leaf.path: leaf for leaf in leaves(writes)}
        drops = frozenset(_node(path, known) for path in asked.get("drop", ()))
        edits: list[Edit] = []
        places: dict[str, int] = {}
        values: dict[str, Value] = {}
        for kind in EDITS:
            for path in asked.get(kind, ()):
                place = _leaf(path, known)
                places[place] = len(edits)
                edit, values[place] = _edit(kind, known[place], made.get(place), key.encode())
                edits.append(edit)
        kept = {p for p in known if not any(_is_under(p, drop) for drop in drops)}
        if kept != made.keys():
            odd = ", ".join(sorted(kept ^ made.keys()))
            msg = f"schema-out: {odd}: must have what schema-in has less what is dropped"
            raise SetupError(msg)
        projection = Projection(reads, Acts(drops, places), edits, HEADER_OUT)
        return cls(projection, reads, writes, drops, values)

    def reference(self, wire: bytes) -> bytes:
        """Return the result of one event by way of decoded values: what `projection` must say.

        Raises:
            ValueError: It is not Avro, or LookupError, where it ends too early.

        """
        compile_check(self.schema_in)(wire[len(HEADER_IN) :])
        reads, writes = (
            fastavro.parse_schema(without_logical(dict(schema)))
            for schema in (self.schema_in, self.schema_out)
        )
        value = fastavro.schemaless_reader(
            io.BytesIO(wire[len(HEADER_IN) :]), reads, None, return_record_name=True
        )
        out = io.BytesIO(HEADER_OUT)
        out.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(out, writes, self._edited(value, ""))
        return out.getvalue()

    def _edited(self, value: Any, path: str) -> Any:
        if isinstance(value, tuple):  # a union's record, with its name
            return value[0], self._edited(value[1], path)
        if isinstance(value, list):
            return [self._edited(item, path + "[]") for item in value]
        if path in self.values and value is not None:
            return self.values[path](value)
        if not isinstance(value, dict):
            return value
        is_map = any(known.startswith(path + "{}") for known in self._paths) and path != ""
        if is_map:
            return {name: self._edited(item, path + "{}") for name, item in value.items()}
        below = {name: f"{path}.{name}" if path else name for name in value}
        return {
            name: self._edited(item, below[name])
            for name, item in value.items()
            if below[name] not in self.drops
        }

    @property
    def _paths(self) -> list[str]:
        return [leaf.path for leaf in leaves(self.schema_in)]


def _schema(text_: str) -> dict[str, Any]:
    avro = json.loads(text_)
    if not isinstance(avro, dict) or avro.get("type") != "record":
        msg = "a schema is a record"
        raise SetupError(msg)
    return resolve(avro, {}, "schema")


def _is_paths(asked: object) -> bool:
    return isinstance(asked, list) and all(isinstance(path, str) for path in asked)


def _plain(path: str) -> str:
    return re.sub(r"\[\]|\{\}", "", path)


def _is_under(path: str, node: str) -> bool:
    return path == node or path.startswith((node + ".", node + "[]", node + "{}"))


def _leaf(path: str, known: Mapping[str, Leaf]) -> str:
    found = [leaf for leaf in known if path in {leaf, _plain(leaf)}]
    if len(found) != 1:
        msg = f"job: schema-in has no single leaf {path!r}"
        raise SetupError(msg)
    return found[0]


def _node(path: str, known: Mapping[str, Leaf]) -> str:
    """Return the path of a node with the marks of the arrays and maps around it."""
    for leaf in known:
        marks = [m.end() for m in re.finditer(r"[^.\[\]{}]+", leaf)]
        for end in marks:
            if path in {leaf[:end], _plain(leaf[:end])}:
                return leaf[:end]
    msg = f"job: schema-in has no {path!r}"
    raise SetupError(msg)


def _edit(kind: str, leaf: Leaf, made: Leaf | None, key: bytes) -> tuple[Edit, Value]:
    """Return how an edit is made of spans, and of a decoded value."""
    is_text = kind_of(leaf.avro) == "string"
    if made is None:
        msg = f"job: {leaf.path} is edited and dropped"
        raise SetupError(msg)
    if kind == "hmac_sha256_hex" and is_text:
        return _hmac_hex(key), lambda value: hmac.digest(key, value.encode(), "sha256").hex()
    if kind == "prefix3" and is_text:
        return _cut(_PREFIX), lambda value: value[:_PREFIX]
    if kind == "year" and is_text:
        return _cut(_YEAR), lambda value: value[:_YEAR]
    if kind == "year" and kind_of(leaf.avro) in {"date", "timestamp-millis"}:
        unit = 1 if kind_of(leaf.avro) == "date" else _DAY_MS
        year = _years(unit, is_text=kind_of(made.avro) == "string")
        write = (lambda y: text(y.encode())) if kind_of(made.avro) == "string" else varint
        return lambda _data, firsts, _lasts: _column(
            [write(year(f)) for f in firsts.tolist()]
        ), year
    msg = f"job: {kind} does nothing with {leaf.path}, a {kind_of(leaf.avro)}"
    raise SetupError(msg)


def _hmac_hex(key: bytes) -> Edit:
    """Return HMAC-SHA256 as 64 hex digits, made as the product's tokens are."""
    mac, length = Mac(key), varint(64)

    def edit(data: bytes, firsts: Places, lasts: Places) -> Column:
        spans = zip(firsts.tolist(), lasts.tolist(), strict=True)
        digests = mac.digests([data[first:last] for first, last in spans], 32)
        rows = np.empty((len(digests), len(length) + 64), np.uint8)
        rows[:, : len(length)] = np.frombuffer(length, np.uint8)
        digits = np.frombuffer(b"".join(digests).hex().encode(), np.uint8)
        rows[:, len(length) :] = digits.reshape(-1, 64)
        return Column(rows.tobytes(), [rows.shape[1]] * len(digests))

    return edit


def _column(pieces: Sequence[bytes]) -> Column:
    return Column(b"".join(pieces), [len(piece) for piece in pieces])


def _cut(size: int) -> Edit:
    """Return what keeps the first characters of a text."""
    length = varint(size)

    def edit(data: bytes, firsts: Places, lasts: Places) -> Column:
        if len(firsts) and (lasts - firsts >= size).all():
            heads = np.frombuffer(data, np.uint8)[firsts[:, None] + np.arange(size)]
            if (heads < 0x80).all():  # a character each
                rows = np.empty((len(firsts), len(length) + size), np.uint8)
                rows[:, : len(length)] = np.frombuffer(length, np.uint8)
                rows[:, len(length) :] = heads
                return Column(rows.tobytes(), [rows.shape[1]] * len(firsts))
        spans = zip(firsts.tolist(), lasts.tolist(), strict=True)
        return _column([text(data[f:z].decode()[:size].encode()) for f, z in spans])

    return edit


def _years(unit: int, *, is_text: bool) -> Value:
    """Return the function from days, or milliseconds, since 1970 to a year."""

    def year(value: int) -> int | str:
        try:
            found = (_EPOCH + timedelta(days=value // unit)).year
        except OverflowError:
            found = 0
        return str(found) if is_text else found

    return year
