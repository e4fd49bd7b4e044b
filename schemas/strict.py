"""Check that bytes are one Avro value, and nothing else, before fastavro reads them.

fastavro is generous: it takes overlong integers, reads index -1 of an enum or a union as
the last one, and rounds a decimal that has too many digits. Each would let a value in that
its schema does not allow, or let two readers disagree on one. This walk refuses them. It
also bounds every length and count by the bytes that are left, and takes no array whose
items take no bytes, so that no input can make the reader work or allocate more than its size.

Source: Apache Avro 1.12 specification, "Binary encoding".
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from schemas.resolve import full_name, named_types

Check = Callable[[bytes, int], int]  # (bytes, position) -> position after the value

MAX_VARINT_BYTES = 10  # 64 bits in groups of seven
MORE = 0x80  # this bit of a byte says that another one follows
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_UUID = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class NotAvroError(ValueError):
    """The bytes are not the schema's. Says what was wrong, never what it read."""


def compile_check(schema: Mapping[str, Any]) -> Callable[[bytes], None]:
    """Return a function that accepts exactly the encodings of one value of *schema*.

    The function raises `NotAvroError`, or IndexError where the bytes end too early.
    It leaves UTF-8 and the range of dates to the reader, which refuses what is wrong.
    """
    check = _Compiler(named_types(schema)).compile(schema)

    def whole(data: bytes) -> None:
        if check(data, 0) != len(data):
            msg = "the value does not end where the bytes end"
            raise NotAvroError(msg)

    return whole


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Return a zig-zag variable-length integer of at most 64 bits and the place after it.

    Raises:
        NotAvroError: It is longer than it need be, or than 64 bits.
        IndexError: The bytes end inside it.

    """
    byte = data[at]
    if byte < MORE:
        return (byte >> 1) ^ -(byte & 1), at + 1
    value, shift, start = byte & 0x7F, 7, at
    while byte & MORE:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if at - start >= MAX_VARINT_BYTES:
            break
    if byte == 0 or value >> 64 or at - start >= MAX_VARINT_BYTES:
        msg = "an integer is overlong"
        raise NotAvroError(msg)
    return (value >> 1) ^ -(value & 1), at + 1


def _null(_data: bytes, at: int) -> int:
    return at


def _boolean(data: bytes, at: int) -> int:
    if data[at] > 1:
        msg = "a boolean is neither 0 nor 1"
        raise NotAvroError(msg)
    return at + 1


def _long(data: bytes, at: int) -> int:
    return read_long(data, at)[1]


def _int(data: bytes, at: int) -> int:
    value, end = read_long(data, at)
    if not _INT_MIN <= value <= _INT_MAX:
        msg = "an int needs more than 32 bits"
        raise NotAvroError(msg)
    return end


def _skip(data: bytes, at: int, size: int) -> int:
    if not 0 <= size <= len(data) - at:
        msg = "a length is negative or more than the bytes left"
        raise NotAvroError(msg)
    return at + size


def _string(data: bytes, at: int) -> int:
    size, start = read_long(data, at)
    return _skip(data, start, size)


def _sized(size: int) -> Check:
    return lambda data, at: _skip(data, at, size)


def _uuid(data: bytes, at: int) -> int:
    size, start = read_long(data, at)
    end = _skip(data, start, size)
    if _UUID.fullmatch(data, start, end) is None:
        msg = "a uuid is not written as one"
        raise NotAvroError(msg)
    return end


def _decimal(span: Check, *, prefixed: bool, precision: int) -> Check:
    limit = 10**precision

    def check(data: bytes, at: int) -> int:
        end = span(data, at)
        start = read_long(data, at)[1] if prefixed else at
        unscaled = int.from_bytes(data[start:end], "big", signed=True)
        if start == end or not -limit < unscaled < limit:
            msg = "a decimal has no digit or too many"
            raise NotAvroError(msg)
        return end

    return check


def _index(count: int) -> Callable[[bytes, int], tuple[int, int]]:
    def read(data: bytes, at: int) -> tuple[int, int]:
        index, end = read_long(data, at)
        if not 0 <= index < count:
            msg = "an enum or union has no such member"
            raise NotAvroError(msg)
        return index, end

    return read


def _enum(count: int) -> Check:
    read = _index(count)
    return lambda data, at: read(data, at)[1]


def _union(branches: list[Check]) -> Check:
    read = _index(len(branches))

    def check(data: bytes, at: int) -> int:
        index, start = read(data, at)
        return branches[index](data, start)

    return check


def _record(fields: list[Check]) -> Check:
    def check(data: bytes, at: int) -> int:
        for field in fields:
            at = field(data, at)
        return at

    return check


def _blocks(item: Check, *, is_empty: bool) -> Check:
    """Return the check of an array or map; *is_empty*: its items take no bytes."""

    def check(data: bytes, at: int) -> int:
        while True:
            count, at = read_long(data, at)
            if count == 0:
                return at
            end = None
            if count < 0:  # a negative count is followed by the block's size in bytes
                size, at = read_long(data, at)
                end = _skip(data, at, size)
            if is_empty:
                # Bytes do not bound these: in many blocks, or in arrays of arrays, a few
                # kilobytes would announce billions, and the reader would make them all.
                msg = "an array has items that take no bytes"
                raise NotAvroError(msg)
            if abs(count) > len(data) - at:
                msg = "a block has more items than bytes are left"
                raise NotAvroError(msg)
            for _ in range(abs(count)):
                at = item(data, at)
            if end not in {None, at}:
                msg = "a block is not as long as it says"
                raise NotAvroError(msg)

    return check


_PRIMITIVES: Mapping[str, Check] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _sized(4),
    "double": _sized(8),
    "bytes": _string,
    "string": _string,
}


class _Compiler:
    """Turns types into checks; a named type is compiled once."""

    def __init__(self, names: Mapping[str, Mapping[str, Any]]) -> None:
        """Start with the named types of one resolved schema."""
        self._names = names
        self._done: dict[str, Check] = dict(_PRIMITIVES)

    def compile(self, avro: Any) -> Check:  # noqa: ANN401
        """Return the check of one type."""
        if isinstance(avro, list):
            return _union([self.compile(branch) for branch in avro])
        if isinstance(avro, str):
            return self._done[avro] if avro in self._done else self.compile(self._names[avro])
        kind = avro["type"]
        if kind == "array":
            return _blocks(self.compile(avro["items"]), is_empty=self._is_empty(avro["items"]))
        if kind == "map":
            return _blocks(_record([_string, self.compile(avro["values"])]), is_empty=False)
        if kind in {"record", "enum", "fixed"}:
            check = self._done[full_name(avro)] = self._named(avro)
            return check
        base = self.compile(kind)
        return _logical(base, avro)

    def _is_empty(self, avro: Any) -> bool:  # noqa: ANN401
        """Return whether every value of a type takes no bytes: null, or a record of such."""
        if isinstance(avro, list):
            return False  # the branch's index takes one
        if isinstance(avro, str):
            return avro == "null" or (avro in self._names and self._is_empty(self._names[avro]))
        kind = avro["type"]
        if kind == "record":
            return all(self._is_empty(field["type"]) for field in avro["fields"])
        if kind == "fixed":
            return bool(avro["size"] == 0)
        return kind not in {"enum", "array", "map"} and self._is_empty(kind)

    def _named(self, avro: Mapping[str, Any]) -> Check:
        if avro["type"] == "record":
            return _record([self.compile(field["type"]) for field in avro["fields"]])
        if avro["type"] == "enum":
            return _enum(len(avro["symbols"]))
        return _logical(_sized(avro["size"]), avro)


def _logical(base: Check, avro: Mapping[str, Any]) -> Check:
    """Return the check of an annotated type; *base* is that of the type it annotates."""
    match avro.get("logicalType"):
        case "decimal":
            return _decimal(base, prefixed=avro["type"] == "bytes", precision=avro["precision"])
        case "uuid":
            return _uuid
        case _:
            return base
