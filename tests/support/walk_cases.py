"""Small schemas for the walk, and bytes at the bounds of what each takes."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from fastavro import schemaless_reader
from random_avro import varint

from residency.plan.walk.accelerator import IS_ACCELERATED
from residency.plan.walk.found import Found, walk_all
from residency.plan.walk.program import write_program
from residency.plan.walk.wish import Wish
from schemas.strict import NotAvroError, compile_check

SOON_S = 2.0  # of the processor
HEAD = b"\0\0\0\0\1"
LEAST, MOST = -(2**63), 2**63 - 1
UUID = {"type": "string", "logicalType": "uuid"}
ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
LONGS = {"type": "array", "items": "long"}
MAP = {"type": "map", "values": "long"}
UUID_TEXT = b"0b0b8a3e-7a41-4a61-9f0f-0000000000ff"


def record(*types: Any) -> dict[str, Any]:
    """Return a record type with the fields f0, f1 and so on."""
    fields = [{"name": f"f{n}", "type": avro} for n, avro in enumerate(types)]
    return {"type": "record", "name": "R", "namespace": "t", "fields": fields}


class EndlessError(BaseException):
    """A walk went on and on. No `Exception`: Hypothesis would look for a smaller one."""


@contextmanager
def soon() -> Iterator[None]:
    """Fail where the interpreted walk of a few bytes does not end."""

    def stop(_number: int, _frame: object) -> None:
        raise EndlessError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0 if IS_ACCELERATED else SOON_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def walked(avro: Any, body: bytes, wish: Wish, slots: int) -> Found:
    """Return what a walk finds in one event."""
    program = write_program(avro, wish)
    with soon():
        return walk_all(program, [HEAD + body], slots)


def verdict(avro: Any, body: bytes) -> int:
    """Return what the walk says of one event."""
    return int(walked(avro, body, Wish(), 0).status[0])


def is_strict(avro: Any, body: bytes) -> bool:
    """Tell whether the definition takes the bytes."""
    try:
        compile_check(avro)(body)
        # The other half of the definition: strings are UTF-8.
        physical = json.loads(json.dumps(avro).replace("logicalType", "was"))
        schemaless_reader(BytesIO(body), physical, None)
    except (NotAvroError, IndexError, UnicodeDecodeError):
        return False
    return True


def decimal(precision: int, size: int | None = None) -> dict[str, Any]:
    """Return a decimal type: of *size* bytes, or of any number."""
    amount = {"logicalType": "decimal", "precision": precision, "scale": 0}
    if size is None:
        return {"type": "bytes", **amount}
    return {"type": "fixed", "name": "D", "namespace": "t", "size": size, **amount}


def two(value: int, size: int) -> bytes:
    """Return a number in two's complement."""
    return value.to_bytes(size, "big", signed=True)


def prefixed(raw: bytes) -> bytes:
    """Return bytes as Avro writes them."""
    return varint(len(raw)) + raw


BOUNDS = [
    *(("int", varint(n)) for n in (2**31 - 1, 2**31, 2**31 + 1, -(2**31), -(2**31) - 1)),
    *(("long", varint(n)) for n in (MOST, LEAST)),
    *(("boolean", bytes([n])) for n in (0, 1, 2)),
    *((ENUM, varint(n)) for n in (-1, 0, 1, 2)),
    *((["null", "int"], body) for body in (varint(-1), varint(0), varint(1), varint(2), b"\2\2")),
    *(("string", varint(n) + b"ab") for n in (-1, 0, 1, 2, 3, MOST)),
    *(("bytes", varint(n) + b"ab") for n in (-1, 0, 1, 2, 3, MOST)),
    *(({"type": "fixed", "name": "F", "size": 2}, b"abc"[:n]) for n in (1, 2, 3)),
    *(("double", bytes(n)) for n in (7, 8, 9)),
    *((decimal(2), prefixed(two(n, 1))) for n in (99, 100, -99, -100)),
    *((decimal(18), prefixed(two(n, 8))) for n in (10**18 - 1, 10**18, 1 - 10**18, -(10**18))),
    *((decimal(18), prefixed(two(n, 9))) for n in (10**18 - 1, 10**18, 1 - 10**18, -(10**18))),
    *((decimal(18), prefixed(two(n, 12))) for n in (2**63 - 1, 2**63, 2**70, -(2**63) - 1, 5)),
    *((decimal(2, 3), two(n, 3)) for n in (99, 100, -99, -100)),
    *((decimal(2), body) for body in (b"\0", b"\1", b"\x04\1", b"\x01\1")),
    *(({"type": "array", "items": "int"}, body) for body in (
        b"\0", b"\2\2\0", b"\4\2\0", b"\2\2\2\2\0", b"\1\2\2\0", b"\1\4\2\0",
        b"\1\0\2\0", b"\1\1\2\0",
        varint(LEAST) + b"\2\2\0", varint(MOST), b"\1" + varint(MOST) + b"\2\0", b"\2\2", b"",
    )),
    *(({"type": "map", "values": "int"}, body) for body in (
        b"\0", b"\2\2a\2\0", b"\2\1a\2\0", b"\2\x08a\2\0", b"\2\2a\2\2\2a\4\0",
    )),
    *((kind, b"") for kind in ("int", "boolean", "string", "double", UUID, LONGS, decimal(2))),
    *((kind, raw) for kind in ("int", "long") for raw in (b"\x80", b"\x80\0", b"\x80\1")),
    *(("long", b"\xff" * 9 + raw) for raw in (b"", b"\1", b"\2", b"\xff", b"\xff\1", b"\x81\1")),
    *(("string", prefixed(raw)) for raw in (b"", b"\x80", b"a\x80", b"\xc3\xa9")),
    *(("string", prefixed(raw)) for raw in (b"\xc3(", b"\xc3")),
    *((MAP, b"\2" + prefixed(raw) + b"\2\0") for raw in (b"", b"\x80", b"\xc3\xa9", b"\xc3")),
    *((MAP, b"\2" + raw) for raw in (b"\2a", b"\4a", b"\1a\2\0", b"\2a\2")),
    ({"type": "map", "values": "null"}, b"\2\2a\0"),
    ({"type": "map", "values": "null"}, b"\2\2a"),
    *((UUID, prefixed(UUID_TEXT[:n])) for n in (0, 35, 36)),
    *((UUID, varint(n) + UUID_TEXT[: n - 1]) for n in (35, 36)),
    (decimal(2, 3), two(5, 2)),
    (decimal(18), varint(9) + bytes(8)),
    *((LONGS, raw) for raw in (b"\1\x80", b"\1\x80\0", b"\1\2", b"\1\2\2", b"\1\2\2\0")),
    *(({"type": "array", "items": decimal(30, size)}, b"\1\x80\0") for size in range(1, 10)),
]  # fmt: skip
