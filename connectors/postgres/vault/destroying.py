"""The destruction of subjects' keys, and of all that the vault keeps of them: one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, LiteralString, TypeAlias

import psycopg

from connectors.postgres.vault.rows import Row, Term, Wrapped
from connectors.postgres.vault.store import Writing
from connectors.postgres.vault.turning import Fresh, take_over, turn
from residency.vault.erasure import Erasure, Step
from residency.vault.suppress import Suppression
from schemas.events import Coordinates

KEYS: Final = "vault.subjects"
_INDEX: Final = "vault.blind_index"
_DECISIONS: Final = "enrich.decisions"


@dataclass(frozen=True, slots=True)
class Returned:
    """A kept event of a subject who has registered again since the erasure was asked for.

    Attributes:
        row: As it is kept.
        wrapped: The subject's key, which goes.
        suppression: Of the subject, lifted: it tells which events came since.
        following: The key that the subject's raw records are sealed under already, if there is.

    """

    row: Row = field(repr=False)
    wrapped: Wrapped = field(repr=False)
    suppression: Suppression = field(repr=False)
    following: Wrapped | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Renewed:
    """What is kept of the subjects who have registered again.

    Attributes:
        keys: Another one each, wrapped.
        rows: What came since, sealed under it.
        terms: What the blind index says of that.

    """

    keys: dict[bytes, Wrapped] = field(default_factory=dict, repr=False)
    rows: tuple[Row, ...] = field(default=(), repr=False)
    terms: frozenset[Term] = field(default=frozenset(), repr=False)


Renew: TypeAlias = Callable[[Sequence[Returned]], Renewed]


def destroy(
    cursor: psycopg.Cursor[Any], erasures: Sequence[Erasure], renew: Renew, fresh: Fresh
) -> list[Erasure]:
    """Destroy, and return *erasures* a step on, with what was destroyed counted.

    Those of whom a gateway has sealed come first with their key turned, and not a step on.
    """
    # writers hold it shared: a batch that is being sealed is counted, or comes after
    cursor.execute("SELECT pg_advisory_xact_lock(4711, 1)")
    ready, turned = turn(cursor, erasures, fresh)
    return turned + (_destroy(cursor, ready, renew) if ready else [])


def _destroy(
    cursor: psycopg.Cursor[Any], erasures: Sequence[Erasure], renew: Renew
) -> list[Erasure]:
    subjects = [one.subject for one in erasures]
    renewed = renew(_returned(cursor, subjects))
    stays = {(row.topic_id, row.partition, row.offset) for row in renewed.rows}
    events = {bytes(r[0]): r[1:] for r in cursor.execute(_EVENTS, (subjects,)).fetchall()}
    cursor.execute(_NAME, (subjects, [one.request for one in erasures]))
    cursor.executemany(_NAME_ROW, _rows_of(erasures))
    cursor.executemany(_UNNAME, sorted(stays))
    cursor.execute("DELETE FROM vault.events WHERE subject = ANY(%s::bytea[])", (subjects,))
    index = dict(cursor.execute(_UNINDEX, (subjects,)).fetchall())
    cursor.execute("DELETE FROM vault.subjects WHERE subject = ANY(%s::bytea[])", (subjects,))
    take_over(cursor, subjects)
    if renewed.keys:
        writing = Writing(cursor)
        writing.add_keys(renewed.keys, max(row.kept_at for row in renewed.rows))
        writing.keep(row.encoded() for row in renewed.rows)
        writing.add(renewed.terms)
    told = _forget(cursor, [one.token for one in erasures if one.token], renewed.rows)
    done = []
    for one in erasures:
        # popped: two erasures of one subject destroy it once
        count, tables = events.pop(one.subject, (0, []))
        count -= sum(row.subject == one.subject for row in renewed.rows) if tables else 0
        found = {*tables, KEYS, _INDEX, *([_DECISIONS] if one.token in told else [])}
        state = one.state.with_counts(
            events=count,
            index=index.pop(one.subject, 0),
            decisions=told.pop(one.token, 0),
        )
        done.append(one.at(Step.HOME, replace(state, tables=tuple(sorted(found)))))
    return done


def _returned(cursor: psycopg.Cursor[Any], subjects: Sequence[bytes]) -> list[Returned]:
    """Return all that is kept of those *subjects* whose suppression is lifted."""
    found = []
    for *columns, kek, wrapped, since, request, lifted, next_kek, following in cursor.execute(
        _RETURNED, (list(subjects),)
    ).fetchall():
        row = Row(*columns)
        told = Suppression(row.subject, since, request, lifted)
        next_key = None if following is None else Wrapped(next_kek, following)
        found.append(Returned(row, Wrapped(kek, wrapped), told, next_key))
    return found


def _forget(
    cursor: psycopg.Cursor[Any], tokens: Sequence[str], stays: Sequence[Row]
) -> dict[str, int]:
    """Delete the decisions on customers' texts, and return how many, by token.

    But for those on what came since they are back: a replay of it needs them.
    """
    row = cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (_DECISIONS,)).fetchone()
    if row is None or not row[0]:
        return {}  # enrichment never ran
    ids = [one.topic_id for one in stays]
    names = [str(Coordinates(one.topic, one.partition, one.offset)) for one in stays]
    return dict(cursor.execute(_FORGET, (list(tokens), ids, names)).fetchall())


def _rows_of(erasures: Sequence[Erasure]) -> list[tuple[Any, ...]]:
    """Return the raw records whose rows abroad were erased: the vault may not have kept them."""
    return [
        (row.topic_id, row.id.at.partition, row.id.at.offset, one.request)
        for one in erasures
        for row in one.state.rows
    ]


_RETURNED: LiteralString = """
SELECT e.event, e.kept_at, e.topic, e.topic_id, e.partition, e."offset", e.subject, e.schema_id,
  e.sealed, s.kek, s.wrapped, p.since, p.request, p.lifted_at, n.kek, n.wrapped
FROM vault.events e JOIN vault.subjects s ON s.subject = e.subject
JOIN vault.suppressions p ON p.subject = e.subject
LEFT JOIN vault.next_keys n ON n.subject = e.subject
WHERE e.subject = ANY(%s::bytea[]) AND p.lifted_at IS NOT NULL
"""
_EVENTS: LiteralString = """
SELECT e.subject, count(*), array_agg(DISTINCT 'vault.' || c.relname)
FROM vault.events e JOIN pg_class c ON c.oid = e.tableoid
WHERE e.subject = ANY(%s::bytea[]) GROUP BY e.subject
"""
_NAME: LiteralString = """
INSERT INTO vault.erased (topic_id, partition, "offset", request)
SELECT e.topic_id, e.partition, e."offset", w.request
FROM vault.events e JOIN unnest(%s::bytea[], %s::text[]) AS w(subject, request)
  ON e.subject = w.subject
ON CONFLICT DO NOTHING
"""
_NAME_ROW: LiteralString = """
INSERT INTO vault.erased (topic_id, partition, "offset", request) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_UNNAME: LiteralString = """
DELETE FROM vault.erased WHERE topic_id = %s AND partition = %s AND "offset" = %s
"""
_UNINDEX: LiteralString = """
WITH gone AS (DELETE FROM vault.blind_index WHERE subject = ANY(%s::bytea[]) RETURNING subject)
SELECT subject, count(*) FROM gone GROUP BY subject
"""
_FORGET: LiteralString = """
WITH gone AS (
  DELETE FROM enrich.decisions WHERE subject = ANY(%s) AND (topic_id, split_part(record, '#', 1))
    NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
  RETURNING subject
)
SELECT subject, count(*) FROM gone GROUP BY subject
"""
