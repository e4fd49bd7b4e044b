"""Subjects' keys as the database has them, for those who open what the gateway sealed."""

from collections.abc import Collection

from connectors.postgres.connection import Connection
from connectors.postgres.vault.arrays import ByteStrings
from connectors.postgres.vault.store import KEYS, Wrapped
from connectors.postgres.vault.tables import opened


class WrappedKeys:
    """One connection, one thread; a lost connection is made anew. Reads only."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects."""
        self._connection = Connection(dsn)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def of(self, subjects: Collection[bytes]) -> dict[bytes, Wrapped]:
        """Return the wrapped keys of those *subjects* that have one; raises as `opened`."""
        with opened(self._connection) as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(KEYS, (ByteStrings(subjects),), prepare=True).fetchall()
        return {bytes(row[0]): Wrapped(row[1], bytes(row[2])) for row in rows}
