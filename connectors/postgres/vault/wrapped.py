"""Subjects' keys as the database has them, for those who open what the gateway sealed."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import LiteralString

from connectors.postgres.connection import Connection
from connectors.postgres.vault.arrays import ByteStrings
from connectors.postgres.vault.rows import Wrapped
from connectors.postgres.vault.tables import opened


class WrappedKeys:
    """One connection, one thread; a lost connection is made anew. Reads only."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def of(self, subjects: Collection[bytes]) -> Mapping[bytes, Sequence[Wrapped]]:
        """Return the wrapped keys of those *subjects* that have one; raises as `opened`.

        Two of whose key is about to be destroyed: a record lies under the one or the other.
        """
        wanted = ByteStrings(subjects)
        with opened(self._connection) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_KEYS, (wanted, wanted), prepare=True).fetchall()
        found = defaultdict[bytes, list[Wrapped]](list)
        for subject, kek, wrapped in rows:
            found[bytes(subject)].append(Wrapped(kek, bytes(wrapped)))
        return found


_KEYS: LiteralString = """
SELECT subject, kek, wrapped FROM vault.subjects WHERE subject = ANY(%b)
UNION ALL SELECT subject, kek, wrapped FROM vault.next_keys WHERE subject = ANY(%b)
"""
