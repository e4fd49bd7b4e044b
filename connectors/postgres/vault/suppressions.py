"""Who is erased: the suppressions in the region's Postgres, looked up batch by batch."""

from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, LiteralString

from connectors.postgres.connection import Connection
from connectors.postgres.vault.arrays import ByteStrings
from connectors.postgres.vault.tables import opened
from residency.vault.suppress import Suppression

_OF: Final[LiteralString] = """
SELECT subject, since, request, lifted_at FROM vault.suppressions WHERE subject = ANY(%b::bytea[])
"""
_OF_TOKENS: Final[LiteralString] = """
SELECT token_digest, subject, since, request, lifted_at FROM vault.suppressions
WHERE token_digest = ANY(%b::bytea[])
"""
_LIFT: Final[LiteralString] = """
UPDATE vault.suppressions SET lifted_at = %(at)s
WHERE subject = %(subject)s AND since < %(at)s AND (lifted_at IS NULL OR lifted_at > %(at)s)
"""


class Suppressions:
    """One connection, one thread; a lost connection is made anew.

    Every call raises `RetriableError` where Postgres does not answer, and `SetupError` where it
    has no vault, or hides it from this role.
    """

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def of(self, subjects: Collection[bytes]) -> dict[bytes, Suppression]:
        """Return the suppressions of those *subjects* that were ever erased, lifted ones too.

        A lifted one still refuses what is older than the registration that lifted it.
        """
        rows = self._found(_OF, ByteStrings(subjects)) if subjects else ()
        return {bytes(row[0]): Suppression(bytes(row[0]), *row[1:]) for row in rows}

    def of_tokens(self, tokens: Collection[str]) -> dict[str, Suppression]:
        """Return the suppressions of customers who were ever erased, by their token.

        Lifted ones too, as `of`.
        """
        digests = {token_digest(token): token for token in tokens}
        rows = self._found(_OF_TOKENS, ByteStrings(digests)) if digests else ()
        return {digests[bytes(row[0])]: Suppression(bytes(row[1]), *row[2:]) for row in rows}

    def lift(self, subject: bytes, at: datetime) -> None:
        """Lift a subject's suppression as of *at*, if it is older than that, for good.

        May be repeated: the earliest time after the erasure stays.
        """
        with opened(self._connection) as connection:
            connection.execute(_LIFT, {"subject": subject, "at": at})

    def _found(
        self, query: LiteralString, wanted: ByteStrings | list[bytes]
    ) -> list[tuple[Any, ...]]:
        with opened(self._connection) as connection, connection.cursor(binary=True) as cursor:
            return cursor.execute(query, (wanted,), prepare=True).fetchall()


def token_digest(token: str) -> bytes:
    """Return what a customer's token is found by: 32 bytes."""
    return sha256(token.encode()).digest()
