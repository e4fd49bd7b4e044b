"""Rows of the vault's tables as PostgreSQL's binary COPY takes them.

For each value of each row psycopg looks up how to write it. The writer knows the form of its rows,
and that most values of a row are those of the row before it.

Source: PostgreSQL 18, COPY, "Binary Format": big-endian, a length before each value.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, LiteralString

from residency.vault.index import DIGEST_BYTES, Kind
from residency.vault.subjects import SUBJECT_BYTES

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
TRAILER: Final = b"\xff\xff"
EPOCH_US: Final = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01 UTC
EVENTS: Final[LiteralString] = """
COPY vault.events (event, kept_at, topic, topic_id, partition, "offset", subject, schema_id, sealed)
FROM STDIN (FORMAT BINARY)
"""
TERMS: Final[LiteralString] = """
COPY vault.blind_index (digest, subject, kind) FROM STDIN (FORMAT BINARY)
"""
_COUNT, _LENGTH = Struct(">h").pack, Struct(">i").pack
_INTEGER, _SMALL = Struct(">ii").pack, Struct(">ih").pack  # each with its length
_BIG: Final = 8  # bytes of a timestamp, of an offset
_TERM, _OF = _COUNT(3) + _LENGTH(DIGEST_BYTES), _LENGTH(SUBJECT_BYTES)


class Alike:
    """What rows of one event type, partition and schema have in common, ready to be filled in."""

    __slots__ = ("_before", "_between", "_fill", "_schema_id")

    def __init__(
        self, event: str, topic: str, topic_id: str, partition: int, schema_id: int
    ) -> None:
        """Take that."""
        self._schema_id = schema_id
        self._before = _COUNT(9) + _text(event) + _LENGTH(_BIG)
        self._between = _text(topic) + _text(topic_id) + _INTEGER(4, partition) + _LENGTH(_BIG)
        # time, between, offset, length and subject, length and schema id, length of the sealed
        self._fill = Struct(f">q{len(self._between)}sqi{SUBJECT_BYTES}siii").pack

    def row(self, kept_at_us: int, offset: int, subject: bytes, sealed: bytes) -> bytes:
        """Return one row of `EVENTS`.

        Args:
            kept_at_us: Microseconds since 1970.
            offset: Of the raw record.
            subject: 16 bytes.
            sealed: The event.

        """
        at, schema_id = kept_at_us - EPOCH_US, self._schema_id
        filled = self._fill(
            at, self._between, offset, SUBJECT_BYTES, subject, 4, schema_id, len(sealed)
        )
        return self._before + filled + sealed


def term_rows(kind: Kind, digests: Iterable[bytes], subjects: Iterable[bytes]) -> Sequence[bytes]:
    """Return rows of `TERMS`, in order; as bytes they sort by digest."""
    last = _SMALL(2, kind)
    pairs = zip(digests, subjects, strict=True)
    return [_TERM + digest + _OF + subject + last for digest, subject in pairs]


def _text(value: str) -> bytes:
    data = value.encode()
    return _LENGTH(len(data)) + data
