"""The vault's erasures: who asked, how far each is, and the destruction itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from connectors.postgres.connection import Connection
from connectors.postgres.vault.destroying import KEYS, Renew, destroy
from connectors.postgres.vault.suppressions import token_digest
from connectors.postgres.vault.tables import opened
from connectors.postgres.vault.turning import Fresh
from residency.vault.erasure import Erasure, State, Step

BY_COMMAND: Final = "command"


@dataclass(frozen=True, slots=True)
class Wish:
    """An erasure that a command asks for.

    Attributes:
        request: 32 hex digits, drawn at random.
        token: Of the customer; empty if nothing tells it.
        ticket: Of whoever asks.
        reason: In words; stays in the region.

    """

    request: str
    subject: bytes = field(repr=False)
    token: str = field(repr=False)
    ticket: str
    reason: str


class Erasures:
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

    def ask(self, wish: Wish, now: datetime) -> str:
        """Keep an erasure and its suppression, both or neither; return the erasure's request.

        Where one of the subject is under way, that one's: it is asked for already.
        """
        with opened(self._connection) as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(4711, 3)")
            row = connection.execute(_UNDER_WAY, (wish.subject,)).fetchone()
            if row is not None:
                return str(row[0])
            state = {"reason": wish.reason}
            values = (wish.request, wish.subject, wish.token, now, BY_COMMAND, wish.ticket)
            connection.execute(_ASK, (*values, Jsonb(state)))
            digest = token_digest(wish.token) if wish.token else b""
            connection.execute(_SUPPRESS, (wish.subject, digest, now, wish.request))
        return wish.request

    def at(self, step: Step, limit: int) -> list[Erasure]:
        """Return erasures whose last step is *step*, the oldest first."""
        with opened(self._connection) as connection:
            rows = connection.execute(_COLUMNS + _AT, (step, limit)).fetchall()
        return [_erasure(row) for row in rows]

    def some(self, requests: Sequence[str]) -> list[Erasure]:
        """Return the erasures of these names."""
        with opened(self._connection) as connection:
            rows = connection.execute(_COLUMNS + _NAMED, (list(requests),)).fetchall()
        return [_erasure(row) for row in rows]

    def newest(self, limit: int) -> list[Erasure]:
        """Return the erasures that were asked for last, the newest first."""
        with opened(self._connection) as connection:
            rows = connection.execute(_COLUMNS + _NEWEST, (limit,)).fetchall()
        return [_erasure(row) for row in rows]

    def steps(self) -> dict[str, int]:
        """Return how many erasures there are by their last step."""
        with opened(self._connection) as connection:
            rows = connection.execute("SELECT step, count(*) FROM vault.erasures GROUP BY step")
            return {row[0]: int(row[1]) for row in rows.fetchall()}

    def progress(self) -> dict[str, int]:
        """Return how far the vault's writer is: ``topic id[partition]`` to its next offset."""
        with opened(self._connection) as connection:
            rows = connection.execute("SELECT topic_id, partition, next FROM vault.progress")
            return {f"{row[0]}[{row[1]}]": int(row[2]) for row in rows.fetchall()}

    def save(self, erasures: Sequence[Erasure]) -> None:
        """Keep how far *erasures* are, all or none."""
        with (
            opened(self._connection) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.executemany(_SAVE, [_saved(one) for one in erasures])

    def end(self, erasures: Sequence[Erasure], now: datetime) -> None:
        """Keep that *erasures* are done; forget their tokens."""
        with (
            opened(self._connection) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.executemany(_SAVE, [_saved(one) for one in erasures])
            cursor.execute(_END, (now, [one.request for one in erasures]))

    def destroy(self, erasures: Sequence[Erasure], renew: Renew, fresh: Fresh) -> list[Erasure]:
        """Destroy the subjects' keys and all that is kept of them; return the erasures, a step on.

        In one transaction with their step: what is counted is what was destroyed, once. The names
        of the records stay, as those of erased subjects. Of who has registered again meanwhile,
        what came since is kept, under a new key.

        Whose key a gateway has sealed with has it turned first: that one comes back with ``turned``
        in its state, where it is, to be given again once all that was sealed before is read.

        Args:
            erasures: All that are to come home.
            renew: Seals events anew.
            fresh: Makes a new key of a subject, wrapped.

        Returns:
            Those that changed.

        """
        with (
            opened(self._connection) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            done = destroy(cursor, erasures, renew, fresh)
            cursor.executemany(_SAVE, [_saved(one) for one in done])
        return done

    def vacuum(self, tables: Sequence[str]) -> None:
        """Free what destroyed rows left in *tables*; the keys' own is written anew.

        A row that is deleted lies in its page until that is used again; of a wrapped key not even
        that may stay.
        """
        with opened(self._connection) as connection:
            for table in sorted(tables):
                how = sql.SQL("VACUUM (FULL) {}" if table == KEYS else "VACUUM {}")
                connection.execute(how.format(sql.Identifier(*table.split("."))))


def _erasure(row: Sequence[Any]) -> Erasure:
    state: Mapping[str, Any] = row[6]
    known = {name: value for name, value in state.items() if name != "reason"}
    return Erasure(
        row[0],
        bytes(row[1]),
        row[2],
        row[3].astimezone(UTC).timestamp(),
        row[4],
        Step(row[5]),
        State.from_json(known),
        row[7],
    )


def _saved(one: Erasure) -> tuple[Any, ...]:
    return one.step, one.leaf, Jsonb(one.state.to_json()), one.request


_UNDER_WAY: LiteralString = """
SELECT request FROM vault.erasures WHERE subject = %s AND ended_at IS NULL
ORDER BY asked_at LIMIT 1
"""
_ASK: LiteralString = """
INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, ticket, step, state)
VALUES (%s, %s, %s, %s, %s, %s, 'asked', %s)
"""
_SUPPRESS: LiteralString = """
INSERT INTO vault.suppressions AS s (subject, token_digest, since, request) VALUES (%s, %s, %s, %s)
ON CONFLICT (subject) DO UPDATE SET token_digest = excluded.token_digest,
  since = greatest(s.since, excluded.since), request = excluded.request, lifted_at = NULL
"""
_COLUMNS: LiteralString = """
SELECT request, subject, token, asked_at, asked_by, step, state, leaf FROM vault.erasures
"""
_AT: LiteralString = "WHERE step = %s AND ended_at IS NULL ORDER BY asked_at, request LIMIT %s"
_NAMED: LiteralString = "WHERE request = ANY(%s) ORDER BY asked_at, request"
_NEWEST: LiteralString = "ORDER BY asked_at DESC, request LIMIT %s"
_SAVE: LiteralString = """
UPDATE vault.erasures SET step = %s, leaf = %s,
  state = %s || CASE WHEN state ? 'reason' THEN jsonb_build_object('reason', state -> 'reason')
    ELSE '{}' END
WHERE request = %s
"""
_END: LiteralString = """
UPDATE vault.erasures SET token = '', ended_at = %s WHERE request = ANY(%s)
"""
