"""The vault's tables as a worker of another service meets them, with few rights of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from connectors.postgres.connection import Connection
from schemas.errors import SetupError


@contextmanager
def permitted() -> Iterator[None]:
    """Name what it means that a table is not there, or hidden from this role.

    Raises:
        SetupError: It is.

    """
    try:
        yield
    except psycopg.ProgrammingError as exc:
        msg = f"Postgres: {type(exc).__name__} at the vault; run `homeport vault migrate`"
        raise SetupError(msg) from None


@contextmanager
def opened(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection to ask the vault's tables by.

    Raises:
        RetriableError: Postgres does not answer.
        SetupError: It has no vault, or hides it from this role.

    """
    with permitted(), connection.open() as found:
        yield found
