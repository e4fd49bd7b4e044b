"""Random Avro schemas, and random events of them as bytes: what no hand-made case thinks of.

Everything is drawn from one seeded generator, so a failing case is one number.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from schemas.registry import EventSchema
from schemas.resolve import PRIMITIVES, digest, named_types

TEXTS = (
    "", " ", "a", "DE", "GB", "SW1A 1AA", "10115", "ada@example.com", " Ada@Example.COM ",
    "+49 30 123456", "2001:db8::1", "203.0.113.77", "\x1f edge \x1c", "ß", "ſtraße", "Ａｄａ",
    "e\u0301" * 3, "\u0378", "\U0001f600", "\u202eevil", "x" * 70, "é" * 600, "k" * 1100, "\x00",
)  # fmt: skip
INTS = (0, 1, -1, 63, 64, -64, -65, 8191, 8192, 2**31 - 1, -(2**31), 20_000)
WIDE = (1_760_000_000_000, 2**31, 2**62, 2**63 - 1, -(2**63), -(2**62) - 5)


def varint(value: int) -> bytes:
    """Return a zig-zag integer as the specification writes it."""
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


@dataclass(slots=True)
class Types:
    """Draws types; each named one is declared once and may be referred to again."""

    rng: Random
    count: int = 0
    declared: list[str] = field(default_factory=list)

    def name(self, what: str) -> str:
        """Return a name that was not used yet."""
        self.count += 1
        return f"{what}{self.count}"

    def any(self, depth: int) -> Any:
        """Return any type; *depth* bounds how far it nests."""
        rng = self.rng
        leaf = depth <= 0 or rng.random() < 0.55
        if self.declared and rng.random() < 0.1:
            return rng.choice(self.declared)
        if leaf:
            return self.leaf()
        kind = rng.choice(("record", "array", "map", "union", "nullable", "nullable"))
        if kind == "record":
            return self.record(depth - 1)
        if kind == "array":
            return {"type": "array", "items": self.something(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.any(depth - 1)}
        if kind == "nullable":
            inner = self.bare(depth - 1)
            return ["null", inner] if rng.random() < 0.8 else [inner, "null"]
        records = [self.record(depth - 1) for _ in range(rng.randint(1, 3))]
        return ["null", *records] if rng.random() < 0.5 else records

    def something(self, depth: int) -> Any:
        """Return a type whose values take at least a byte."""
        return ["null", self.bare(depth)] if self.rng.random() < 0.3 else self.bare(depth)

    def bare(self, depth: int) -> Any:
        """Return a type that is no union and not null, with at least a byte."""
        while True:
            known = len(self.declared)
            found = self.any(depth)
            is_union = isinstance(found, list)
            if not is_union and found != "null" and not _is_empty(found):
                return found
            del self.declared[known:]

    def leaf(self) -> Any:
        """Return a type that holds no other."""
        rng = self.rng
        kind = rng.randrange(14)
        if kind < 8:
            return rng.choice(
                ("string", "string", "long", "int", "boolean", "bytes", "double", "float", "null")
            )
        if kind == 8:
            name = self.name("Enum")
            self.declared.append(f"t.{name}")
            symbols = [f"S{n}" for n in range(rng.randint(1, 5))]
            return {"type": "enum", "name": name, "namespace": "t", "symbols": symbols}
        if kind == 9:
            size = {"type": "fixed", "name": self.name("Fixed"), "namespace": "t"}
            if rng.random() < 0.5:
                return {**size, "size": rng.randint(1, 20)}
            amount = {"logicalType": "decimal", "precision": rng.choice((4, 18, 20)), "scale": 2}
            return {**size, "size": rng.choice((2, 9, 12)), **amount}
        if kind == 10:
            precision = rng.choice((1, 12, 18, 19, 30))
            amount = {"logicalType": "decimal", "precision": precision}
            return {"type": "bytes", **amount, "scale": min(2, precision)}
        if kind == 11:
            return {"type": "int", "logicalType": "date"}
        if kind == 12:
            return {"type": "long", "logicalType": "timestamp-millis"}
        return {"type": "string", "logicalType": "uuid"}

    def record(self, depth: int) -> dict[str, Any]:
        """Return a record type."""
        fields = [
            {"name": self.name("f"), "type": self.any(depth)} for _ in range(self.rng.randint(1, 4))
        ]
        return {"type": "record", "name": self.name("R"), "namespace": "t", "fields": fields}


def _is_empty(avro: Any) -> bool:
    """Tell whether a record may take no byte at all."""
    if not isinstance(avro, Mapping) or avro["type"] != "record":
        return False
    return all(one["type"] == "null" or _is_empty(one["type"]) for one in avro["fields"])


def event_schema(rng: Random, schema_id: int = 1) -> EventSchema:
    """Return a random schema of events; each has a string ``id`` and a ``time``."""
    types = Types(rng)
    time = {"type": "long", "logicalType": "timestamp-millis"}
    fields = [{"name": "id", "type": "string"}, {"name": "time", "type": time}]
    fields += [{"name": types.name("f"), "type": types.any(3)} for _ in range(rng.randint(2, 7))]
    avro = {"type": "record", "name": "Event", "namespace": "t", "fields": fields}
    return EventSchema(schema_id, "t.Event", 1, digest(avro), avro, "t")


@dataclass(frozen=True, slots=True)
class Values:
    """Draws values of a schema's types, as bytes.

    Attributes:
        wild: Also write blocks in the odd ways that the specification allows.
        distinct_keys: Write no key of a map twice.

    """

    rng: Random
    names: Mapping[str, Mapping[str, Any]]
    wild: bool
    distinct_keys: bool = False

    def write(self, avro: Any) -> bytes:
        """Return the encoding of a random value of type *avro*."""
        rng = self.rng
        if isinstance(avro, list):
            branch = rng.randrange(len(avro))
            return varint(branch) + self.write(avro[branch])
        if isinstance(avro, str):
            if avro in PRIMITIVES:
                return self._primitive(avro)
            return self.write(self.names[avro])
        kind = avro["type"]
        if kind == "record":
            return b"".join(self.write(one["type"]) for one in avro["fields"])
        if kind == "enum":
            return varint(rng.randrange(len(avro["symbols"])))
        if kind in {"array", "map"}:
            return self._many(avro)
        if avro.get("logicalType") == "decimal":
            return self._decimal(avro)
        if avro.get("logicalType") == "uuid":
            text = f"{rng.getrandbits(128):032x}"
            parts = (text[:8], text[8:12], text[12:16], text[16:20], text[20:])
            return varint(36) + "-".join(parts).encode()
        if avro.get("logicalType") == "date":
            return varint(rng.choice((0, 5_000, 20_000, -40_000, 2**31 - 1, rng.randrange(30_000))))
        return rng.randbytes(avro["size"]) if kind == "fixed" else self.write(kind)

    def _primitive(self, kind: str) -> bytes:
        rng = self.rng
        if kind == "null":
            return b""
        if kind == "boolean":
            return rng.choice((b"\0", b"\1"))
        if kind == "float":
            return struct.pack("<f", rng.choice((0.0, -1.5, float("nan"), float("inf"), 1e9)))
        if kind == "double":
            return struct.pack("<d", rng.choice((0.0, 52.51, float("nan"), -float("inf"), 1e300)))
        if kind == "string":
            raw = rng.choice(TEXTS).encode()
            return varint(len(raw)) + raw
        if kind == "bytes":
            raw = rng.randbytes(rng.randrange(12))
            return varint(len(raw)) + raw
        return varint(rng.choice(INTS if kind == "int" else INTS + WIDE))

    def _decimal(self, avro: Mapping[str, Any]) -> bytes:
        limit = 10 ** avro["precision"] - 1
        unscaled = self.rng.choice((0, 1, -1, 127, 128, -128, -129, 1999, limit, -limit))
        is_fixed = avro["type"] == "fixed"
        if is_fixed:
            most = 1 << (8 * avro["size"] - 1)
            unscaled = max(-most, min(most - 1, unscaled))
        unscaled = max(-limit, min(limit, unscaled))
        width = avro["size"] if is_fixed else (unscaled.bit_length() // 8 + 1)
        width += 0 if is_fixed else self.rng.choice((0, 0, 1, 6))  # padded is Avro, too
        raw = unscaled.to_bytes(width, "big", signed=True)
        return raw if is_fixed else varint(len(raw)) + raw

    def _many(self, avro: Mapping[str, Any]) -> bytes:
        rng, out = self.rng, bytearray()
        blocks = rng.randint(0, 2) if self.wild else 1
        keys = ["a", "b", "key", "", "ключ", *map(str, range(9))]
        for _ in range(blocks):
            items = [self._item(avro, keys) for _ in range(rng.choice((0, 1, 1, 2, 5)))]
            if items and self.wild and rng.random() < 0.5:
                body = b"".join(items)
                out += varint(-len(items)) + varint(len(body)) + body
            elif items:
                out += varint(len(items)) + b"".join(items)
        return bytes(out) + b"\0"

    def _item(self, avro: Mapping[str, Any], keys: list[str]) -> bytes:
        if avro["type"] == "array":
            return self.write(avro["items"])
        key = self.rng.choice(keys[:5])
        if self.distinct_keys:
            keys.remove(key)
        raw = key.encode()
        return varint(len(raw)) + raw + self.write(avro["values"])


def event_bytes(rng: Random, schema: EventSchema, *, wild: bool) -> bytes:
    """Return a random event of *schema* in the wire format."""
    body = Values(rng, named_types(schema.avro), wild).write(schema.avro)
    return b"\0" + schema.id.to_bytes(4, "big") + body
