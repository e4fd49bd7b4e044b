"""What a region's database holds before the first row: roles, each with a schema of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from connectors.embedded.ports import HOST
from connectors.embedded.postgres import DATABASE, SUPERUSER
from connectors.postgres.vault.migrate import OWNER, migrate
from schemas.errors import SetupError

ROLES = ("gateway", "border", "egress", "enrich", "vault", "lookup", "erase", "replay", "resend")
CONNECT_S = 2


@dataclass(frozen=True, slots=True)
class Grant:
    """What a role may do with the tables of another's schema, those to come included."""

    role: str
    schema: str
    privileges: LiteralString


# Rights on the vault's tables stand in its migrations, table by table.
GRANTS = (
    Grant("replay", "enrich", "SELECT"),
    Grant("erase", "enrich", "SELECT, DELETE"),
    Grant("erase", "egress", "SELECT, DELETE"),
)


def dsn(port: int, user: str, password: str, database: str = DATABASE) -> str:
    """Return a libpq connection string; it holds the password, so never log it."""
    return f"host={HOST} port={port} user={user} dbname={database} password={password}"


def is_ready(port: int, password: str) -> bool:
    """Return whether the server lets the superuser in."""
    try:
        with _connect(port, password, "postgres"):
            return True
    except psycopg.OperationalError:
        return False


def provision(port: int, password: str, role_passwords: Mapping[str, str]) -> None:
    """Make the database, the roles and their schemas; may be repeated.

    Args:
        port: The server's.
        password: The superuser's.
        role_passwords: By role of `ROLES`; the vault's tables are made where all are given.

    Raises:
        SetupError: The server refused; the text has its SQLSTATE.

    """
    try:
        with _connect(port, password, "postgres") as connection:
            _database(connection)
            for role, role_password in role_passwords.items():
                _role(connection, role, role_password)
        with _connect(port, password, DATABASE) as connection:
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for role in role_passwords:
                _schema(connection, role)
            for grant in GRANTS:
                if {grant.role, grant.schema} <= role_passwords.keys():
                    _grant(connection, grant)
        if set(ROLES) <= role_passwords.keys():
            with psycopg.connect(
                dsn(port, OWNER, role_passwords[OWNER]), connect_timeout=CONNECT_S
            ) as connection:
                migrate(connection)
    except psycopg.Error as exc:
        msg = f"PostgreSQL refused the set-up ({exc.sqlstate}); see `homeport logs`"
        raise SetupError(msg) from exc


def _connect(port: int, password: str, database: str) -> psycopg.Connection:
    return psycopg.connect(
        dsn(port, SUPERUSER, password, database), autocommit=True, connect_timeout=CONNECT_S
    )


def _database(connection: psycopg.Connection) -> None:
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
    if found.fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    for name in (DATABASE, "postgres", "template1"):
        connection.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
        )


def _role(connection: psycopg.Connection, role: str, password: str) -> None:
    # the verifier, made here: the server's log never sees the password
    verifier = connection.pgconn.encrypt_password(
        password.encode(), role.encode(), b"scram-sha-256"
    ).decode()
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    verb = "CREATE" if found.fetchone() is None else "ALTER"
    connection.execute(
        sql.SQL(verb + " ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(verifier)
        )
    )
    connection.execute(
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
            sql.Identifier(DATABASE), sql.Identifier(role)
        )
    )


def _schema(connection: psycopg.Connection, role: str) -> None:
    name = sql.Identifier(role)
    connection.execute(
        sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(name, name)
    )
    connection.execute(
        sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}").format(
            name, sql.Identifier(DATABASE), name
        )
    )


def _grant(connection: psycopg.Connection, grant: Grant) -> None:
    """Let a role at the tables of another's schema, those to come included."""
    names = {"role": sql.Identifier(grant.role), "other": sql.Identifier(grant.schema)}
    for statement in (
        "GRANT USAGE ON SCHEMA {other} TO {role}",
        "GRANT {privileges} ON ALL TABLES IN SCHEMA {other} TO {role}",
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {other} IN SCHEMA {other}"
            " GRANT {privileges} ON TABLES TO {role}"
        ),
    ):
        privileges = sql.SQL(grant.privileges)
        connection.execute(sql.SQL(statement).format(**names, privileges=privileges))
    path = [grant.role, *(row.schema for row in GRANTS if row.role == grant.role)]
    connection.execute(
        sql.SQL("ALTER ROLE {role} IN DATABASE {database} SET search_path = {path}").format(
            role=names["role"],
            database=sql.Identifier(DATABASE),
            path=sql.SQL(", ").join(map(sql.Identifier, path)),
        )
    )
