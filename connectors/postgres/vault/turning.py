"""The turn from a subject's key to the next, before the first may be destroyed.

A gateway may have sealed raw records under the key that border and vault have not read yet. So
it is given another one for what comes, and the erasure waits until all that lies under the first
is read. Whose raw records lie in plain has no need of that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, LiteralString, TypeAlias

import psycopg

from connectors.postgres.vault.rows import Wrapped
from residency.vault.erasure import Erasure

Fresh: TypeAlias = Callable[[bytes], Wrapped]


def turn(
    cursor: psycopg.Cursor[Any], erasures: Sequence[Erasure], fresh: Fresh
) -> tuple[list[Erasure], list[Erasure]]:
    """Turn those keys that were not turned yet; nobody may be sealing meanwhile.

    An erasure whose subject's key is turned for another waits for that one: it is in neither.

    Args:
        cursor: In the transaction that holds keys.
        erasures: All of which come to the destruction.
        fresh: Makes a new key of a subject, wrapped.

    Returns:
        Those whose subjects' keys may be destroyed now, and those whose were turned.

    """
    subjects = [one.subject for one in erasures]
    whose = {bytes(r[0]): r[1] for r in cursor.execute(_TURNED, (subjects,)).fetchall()}
    awaited = {bytes(r[0]) for r in cursor.execute(_AWAITED, (subjects,)).fetchall()}
    ready, turned = list[Erasure](), list[Erasure]()
    for one in erasures:
        request = whose.get(one.subject)
        if request == one.request or (request is None and one.subject not in awaited):
            ready.append(one)
        elif request is None:
            whose[one.subject] = one.request
            values = (one.subject, *fresh(one.subject), one.request)
            row = cursor.execute(_TURN, values).fetchone()
            at = row[0].timestamp() if row else 0.0
            turned.append(replace(one, state=replace(one.state, turned=at, late={})))
    return ready, turned


def take_over(cursor: psycopg.Cursor[Any], subjects: Sequence[bytes]) -> None:
    """Make the next keys of some *subjects* their own, once those are destroyed."""
    cursor.execute(_TAKE_OVER, (list(subjects),))


_TURNED: LiteralString = """
SELECT subject, request FROM vault.next_keys WHERE subject = ANY(%s::bytea[])
"""
_AWAITED: LiteralString = "SELECT subject FROM vault.awaited WHERE subject = ANY(%s::bytea[])"
_TURN: LiteralString = """
INSERT INTO vault.next_keys (subject, kek, wrapped, request) VALUES (%s, %s, %s, %s)
RETURNING made_at
"""
_TAKE_OVER: LiteralString = """
WITH taken AS (
  DELETE FROM vault.next_keys WHERE subject = ANY(%s::bytea[])
  RETURNING subject, kek, wrapped, made_at
)
INSERT INTO vault.subjects (subject, kek, wrapped, made_at)
SELECT subject, kek, wrapped, made_at FROM taken
"""
