"""Arrays of byte strings as PostgreSQL's binary protocol takes them.

psycopg looks at each element of a list for its type; the thousands of subjects of a batch have one.
Source: PostgreSQL 18, `array_send`: dimensions, has nulls, type, size, first index.
"""

from collections.abc import Collection
from struct import Struct
from typing import Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_BYTEA, _BYTEA_ARRAY = 17, 1001  # of pg_type, the same in every database
_HEAD = Struct(">iiiii").pack
_LENGTH = Struct(">i").pack
_EMPTY: Final = Struct(">iii").pack(0, 0, _BYTEA)


class ByteStrings:
    """Byte strings as a parameter of a statement: ``%b::bytea[]``."""

    __slots__ = ("encoded",)

    def __init__(self, strings: Collection[bytes]) -> None:
        """Take any number of them, of any length."""
        head = _HEAD(1, 0, _BYTEA, len(strings), 1) if strings else _EMPTY
        lengths = set(map(len, strings))
        if len(lengths) == 1:
            self.encoded = head + _LENGTH(*lengths).join((b"", *strings))
        else:
            self.encoded = head + b"".join([_LENGTH(len(one)) + one for one in strings])


class _ByteStringsDumper(Dumper):
    format = Format.BINARY
    oid = _BYTEA_ARRAY

    def dump(self, obj: ByteStrings) -> bytes:
        """Return the parameter's bytes."""
        return obj.encoded


psycopg.adapters.register_dumper(ByteStrings, _ByteStringsDumper)
