"""One connection to the region's Postgres that is made anew when it was lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from schemas.errors import RetriableError

CONNECT_S = 10


class Connection:
    """For one thread. Each statement commits by itself, outside of a transaction."""

    def __init__(self, dsn: str, tables: LiteralString = "", *, is_read_only: bool = False) -> None:
        """Remember where, and the statements that make what is missing, if that is our part."""
        self._dsn = dsn
        self._is_read_only = is_read_only
        self._tables: LiteralString = tables
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def open(self) -> Iterator[psycopg.Connection[Any]]:
        """Yield the connection, connecting if there is none that works.

        Raises:
            RetriableError: Postgres does not answer, or went away; call again.

        """
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._dsn, autocommit=True, connect_timeout=CONNECT_S
                )
                self._connection.read_only = self._is_read_only or None
                if self._tables:
                    self._connection.execute(self._tables)
            yield self._connection
        except psycopg.OperationalError as exc:
            self.close()
            msg = f"Postgres: {type(exc).__name__}; is the database up? see `homeport status`"
            raise RetriableError(msg) from None
