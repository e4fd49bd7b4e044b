"""The kept seeds: events broken one way each. Writes them again from the valid ones.

    .venv/bin/python tests/fuzz/corpus.py          # writes tests/fuzz/corpus/
    .venv/bin/python tests/fuzz/corpus.py --check  # exit code 1 if what lies there is not that

A seed is named ``<schema id>--<what is wrong>.bin``; ``<schema id>--valid.bin`` are the
events that all others are made of. Schemas that no event has lie in ``odd/``.
"""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutate import BAD_UTF8, EXTREME, VARINTS, Base, base, overlong, varint

from schemas.codec import HEADER
from schemas.registry import load_registry

FOLDER = Path(__file__).with_name("corpus")
VALID = "--valid.bin"
BROKEN = {1002, 1006, 1010}  # an order, a customer, a message: the others have no part of their own
BOMB = 2**40  # items in a block that takes six bytes to announce
PRIMITIVE = {"null": b"", "double": struct.pack("<d", float("nan")), "string": b"\x02a"}


def bases() -> dict[int, Base]:
    """Return the valid events by schema id."""
    found: dict[int, Base] = {}
    for path in sorted(FOLDER.glob(f"*{VALID}")):
        schema = load_registry().by_id(int(path.name.partition("--")[0]))
        found[schema.id] = base(schema.avro, path.read_bytes())
    return found


def seeds() -> dict[str, bytes]:
    """Return every seed of an event's schema by file name, the valid ones too."""
    found: dict[str, bytes] = {}
    for schema_id, one in bases().items():
        found[f"{schema_id}{VALID}"] = one.data
        for name, data in broken(one) if schema_id in BROKEN else ():
            found[f"{schema_id}--{name}.bin"] = data
    return found


def broken(one: Base) -> Iterator[tuple[str, bytes]]:
    """Yield *one* broken in every way, with a name each."""
    data, size = one.data, len(one.data)
    yield "empty", b""
    yield "header-only", data[: HEADER.size]
    yield "header-cut", data[:3]
    yield "wrong-magic", b"\1" + data[1:]
    yield "unknown-schema", HEADER.pack(0, 2**32 - 1) + data[HEADER.size :]
    yield "other-schema", HEADER.pack(0, 1001 + data[4] % 11) + data[HEADER.size :]
    yield "trailing-byte", data + b"\0"
    yield "twice", data + data
    yield "half", data[: size // 2]
    yield "cut-by-one", data[:-1]
    for kind in sorted(VARINTS):
        parts = [part for part in one.parts if part.kind == kind]
        if not parts:
            continue
        part = parts[len(parts) // 2]
        for more in (1, 9):
            yield f"{kind}-overlong-{more}", _with(one, part, overlong(1, more))
        yield f"{kind}-endless", _with(one, part, b"\xff" * 64)
        for value in (EXTREME[-1], -1, 2**31, 2**63 - 1, BOMB):
            yield f"{kind}-{value}", _with(one, part, varint(value))
    yield from _lying_blocks(one)
    texts = [part for part in one.parts if part.kind == "text" and part.end - part.start > 4]
    for number, part in enumerate(texts):
        bad = BAD_UTF8[number % len(BAD_UTF8)]
        new = (bad + data[part.start : part.end])[: part.end - part.start]
        yield f"utf8{part.path}-{number}", _with(one, part, new)
    for part in one.parts:
        if part.kind == "flag":
            yield f"boolean{part.path}", _with(one, part, b"\2")


def _lying_blocks(one: Base) -> Iterator[tuple[str, bytes]]:
    counts = [part for part in one.parts if part.kind == "count"]
    for part in counts[:2]:
        for size in (0, 1, -1, 2**62):
            yield f"block{part.path}-size-{size}", _with(one, part, varint(-3) + varint(size))
        yield f"block{part.path}-count-least", _with(one, part, varint(-(2**63)) + varint(8))
        yield f"block{part.path}-many-empty", _with(one, part, b"\1\0" * 200)


def _with(one: Base, part: Any, new: bytes) -> bytes:
    return one.data[: part.start] + new + one.data[part.end :]


def odd() -> dict[str, tuple[dict[str, Any], bytes]]:
    """Return bodies under schemas that no event has: bombs of nothing, depth, NaN."""
    nothing = {"type": "record", "name": "Nothing", "fields": []}
    fixed = {"type": "fixed", "name": "None0", "size": 0}
    deep: Any = "null"
    for _ in range(60):
        deep = {"type": "array", "items": deep}
    bomb = varint(BOMB) + b"\0"
    sized = varint(-BOMB) + varint(0) + b"\0"
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
    uuid = {"type": "string", "logicalType": "uuid"}
    return {
        "nulls-bomb": (_odd({"type": "array", "items": "null"}), bomb),
        "nulls-sized-bomb": (_odd({"type": "array", "items": "null"}), sized),
        "empty-records-bomb": (_odd({"type": "array", "items": nothing}), bomb),
        "empty-fixed-bomb": (_odd({"type": "array", "items": fixed}), bomb),
        "empty-keys-bomb": (_odd({"type": "map", "values": nothing}), varint(BOMB) + b"\0" * 64),
        "nulls-in-many-blocks": (_odd({"type": "array", "items": "null"}), _quadratic(20_000)),
        "empty-records-in-many-blocks": (
            _odd({"type": "array", "items": {"type": "array", "items": nothing}}),
            varint(6_000) + b"".join(varint(left) + b"\0" for left in range(20_000, 2_000, -3)),
        ),
        "many-blocks": (_odd({"type": "array", "items": "null"}), b"\2" * 50_000 + b"\0"),
        "deep": (_odd(deep), b"\2" * 60 + b"\0" * 60),
        "deep-open": (_odd(deep), b"\2" * 60),
        "deep-bomb": (_odd(deep), varint(BOMB) * 60),
        "nan": (_odd("double"), PRIMITIVE["double"]),
        "signalling-nan": (_odd("double"), b"\1\0\0\0\0\0\xf0\x7f"),
        "infinity": (_odd("float"), b"\0\0\x80\x7f"),
        "float-cut": (_odd("float"), b"\0\0\x80"),
        "decimal-empty": (_odd(decimal), b"\0"),
        "decimal-wide": (_odd(decimal), b"\x06\x7f\xff\xff"),
        "decimal-huge": (_odd(decimal), varint(4_000) + b"\x7f" * 4_000),
        "uuid-empty": (_odd(uuid), b"\0"),
        "uuid-braces": (_odd(uuid), varint(38) + b"{12345678-1234-1234-1234-123456789abc}"),
        "uuid-newline": (_odd(uuid), varint(37) + b"12345678-1234-1234-1234-123456789abc\n"),
        "date-never": (_odd({"type": "int", "logicalType": "date"}), varint(2**31 - 1)),
        "time-never": (_odd({"type": "long", "logicalType": "timestamp-millis"}), varint(2**62)),
        "union-second": (_odd(["null", "string"]), b"\4\2a"),
    }


def _quadratic(size: int) -> bytes:
    """Return blocks that each announce as many items of no bytes as there are bytes left."""
    out = bytearray()
    while len(out) < size:
        out += varint(size - len(out) - 4)
    return bytes(out) + b"\0"


def _odd(avro: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Odd", "fields": [{"name": "it", "type": avro}]}


def files() -> dict[str, bytes]:
    """Return all that should lie in the corpus, by path below it."""
    found = seeds()
    for name, (avro, body) in odd().items():
        found[f"odd/{name}.avsc"] = json.dumps(avro).encode() + b"\n"
        found[f"odd/{name}.bin"] = body
    return found


def main() -> int:
    """Write the corpus, or check it."""
    wanted = files()
    there = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file()}
    if "--check" in sys.argv:
        wrong = [n for n, d in wanted.items() if n not in there or (FOLDER / n).read_bytes() != d]
        told = f"{len(wanted)} seeds, {len(wrong)} differ, {len(there - wanted.keys())} too many"
        sys.stderr.write(f"{told}\n")
        return 1 if wrong or there - wanted.keys() else 0
    for name, data in wanted.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in there - wanted.keys():
        (FOLDER / name).unlink()
    sys.stderr.write(f"{len(wanted)} files, {sum(map(len, wanted.values()))} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
