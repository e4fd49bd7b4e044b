"""Decisions about texts, in the region's Postgres: each made once, and what it cost whom.

The table is the memory of enrichment and its ledger of bits in one: what a customer's labels
have told is the sum over their rows, so no crash can charge without a decision or decide
without a charge, and a record that is met again finds its row.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from connectors.postgres.connection import CONNECT_S, Connection
from residency.decisions import Answered, Decision, Key, Question
from residency.leak import is_within
from residency.policy.budgets import Budget
from schemas.errors import RetriableError

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE: Final = """
CREATE TABLE IF NOT EXISTS decisions (
  topic_id text NOT NULL,
  record text NOT NULL,
  asked text NOT NULL,
  subject text NOT NULL,
  plan text NOT NULL,
  cost integer NOT NULL,
  is_withheld boolean NOT NULL,
  taken_at timestamptz NOT NULL,
  model text,
  answers jsonb,
  PRIMARY KEY (topic_id, record, asked)
);
CREATE INDEX IF NOT EXISTS decisions_told ON decisions (subject, taken_at) WHERE NOT is_withheld;
CREATE INDEX IF NOT EXISTS decisions_record ON decisions (record);
"""


class NoDecisionsError(RetriableError):
    """Enrichment has not run here yet, so nothing was ever decided."""


class Decisions:
    """Enrichment's own table. One connection, one thread; a lost connection is made anew."""

    def __init__(self, dsn: str) -> None:
        """Remember where; the first call connects and creates what is missing."""
        self._connection = Connection(dsn, TABLE)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def take(self, asked: Sequence[Question], budget: Budget, now: datetime) -> list[Decision]:
        """Return the decision on each question, in order: those known, and new ones.

        A new one says whether its labels may go out and is charged for, before anybody reads
        the texts; it has no answers yet. All of it is durable when this returns, or nothing.

        Args:
            asked: In the order they came; a customer's earlier one is charged first.
            budget: What may be told of one customer.
            now: The time, aware; the window ends here.

        Raises:
            RetriableError: Postgres went away; nothing is charged.

        """
        subjects = sorted({one.subject for one in asked})
        since = now - timedelta(days=budget.window_days)
        with (
            self._connection.open() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            # another worker may charge the same customer: one after the other
            cursor.execute(_LOCK, (subjects,))
            found = _find(cursor, [one.key for one in asked])
            told = dict(cursor.execute(_TOLD, (subjects, since)).fetchall())
            fresh = _charge([one for one in asked if one.key not in found], budget, told)
            cursor.executemany(_TAKE, [_taken(one, now) for one in fresh.values()])
        found.update(fresh)
        return [found[one.key] for one in asked]

    def settle(self, answered: Sequence[Decision]) -> list[Decision]:
        """Keep what was answered; return each decision as it is kept: the first answer stays.

        Raises:
            RetriableError: Postgres went away; whether they are kept is not known.

        """
        rows = [
            (one.model, Jsonb(_to_json(one.answers or {})), *one.question.key) for one in answered
        ]
        with (
            self._connection.open() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            cursor.executemany(_SETTLE, rows)
            found = _find(cursor, [one.question.key for one in answered])
        return [found[one.question.key] for one in answered]

    def forget(self, keys: Sequence[Key]) -> None:
        """Delete the decisions on some questions, whose customer is erased.

        Raises:
            RetriableError: Postgres went away; call again.

        """
        if keys:
            with self._connection.open() as connection:
                connection.execute(_FORGET, [list(column) for column in zip(*keys, strict=True)])


class DecisionReader:
    """Reads decisions for replays and people; writes nothing, and could not."""

    def __init__(self, dsn: str) -> None:
        """Remember where; each call connects."""
        self._dsn = dsn

    def find(self, keys: Iterable[Key]) -> dict[Key, Decision]:
        """Return the decisions of those *keys* that have one with answers."""
        wanted = list(keys)
        if not wanted:
            return {}
        with self._open() as connection, connection.cursor() as cursor:
            found = _find(cursor, wanted)
        return {key: one for key, one in found.items() if one.answers is not None}

    def told(self, since: datetime) -> list[tuple[str, int, int, int]]:
        """Return, per customer, millibits told since then, records answered, and withheld."""
        with self._open() as connection:
            return connection.execute(_SUMS, (since,)).fetchall()

    def of_subject(self, subject: str, since: datetime) -> list[tuple[Decision, datetime]]:
        """Return the decisions on a customer's texts since then, oldest first, and their times."""
        return self._rows(_COLUMNS + _BY_SUBJECT, (subject, since))

    def of_record(self, record: str) -> list[tuple[Decision, datetime]]:
        """Return the decisions on one record, by its name without a resend number."""
        return self._rows(_COLUMNS + _BY_RECORD, (record,))

    def _rows(
        self, query: LiteralString, values: tuple[Any, ...]
    ) -> list[tuple[Decision, datetime]]:
        with self._open() as connection:
            rows = connection.execute(query, values).fetchall()
        return [(_decision(row), row[9]) for row in rows]

    @contextmanager
    def _open(self) -> "Iterator[psycopg.Connection[Any]]":
        """Yield a connection.

        Raises:
            RetriableError: Postgres does not answer.
            NoDecisionsError: Enrichment never ran here.

        """
        try:
            with psycopg.connect(self._dsn, connect_timeout=CONNECT_S) as connection:
                connection.read_only = True
                yield connection
        except psycopg.OperationalError as exc:
            msg = f"Postgres: {type(exc).__name__}; is the database up? see `homeport status`"
            raise RetriableError(msg) from None
        except psycopg.errors.UndefinedTable:
            msg = "Postgres has no decisions; the region's enrichment makes them at its start"
            raise NoDecisionsError(msg) from None


def _charge(asked: Iterable[Question], budget: Budget, told: dict[str, int]) -> dict[Key, Decision]:
    """Return a new decision per question; *told* grows by what they cost."""
    fresh: dict[Key, Decision] = {}
    for one in asked:
        if one.key in fresh:
            continue
        before = told.get(one.subject, 0)
        fits = is_within(budget, before, one.cost)
        if fits:
            told[one.subject] = before + one.cost
        fresh[one.key] = Decision(one, is_withheld=not fits)
    return fresh


def _find(cursor: psycopg.Cursor[Any], keys: Sequence[Key]) -> dict[Key, Decision]:
    columns = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
    rows = cursor.execute(_COLUMNS + _BY_KEY, columns).fetchall()
    return {one.question.key: one for one in map(_decision, rows)}


def _decision(row: Sequence[Any]) -> Decision:
    asked = Question(Key(row[0], row[1], row[2]), row[3], row[4], row[5])
    answers = None if row[8] is None else {k: Answered(**v) for k, v in row[8].items()}
    return Decision(asked, row[6], row[7], answers)


def _to_json(answers: Mapping[str, Answered]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in answers.items()}


def _taken(one: Decision, now: datetime) -> tuple[Any, ...]:
    asked = one.question
    return (*asked.key, asked.subject, asked.plan, asked.cost, one.is_withheld, now)


_LOCK: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended(s, 0)) FROM unnest(%s::text[]) WITH ORDINALITY
  AS w(s, n) ORDER BY n
"""
_TOLD: LiteralString = """
SELECT subject, sum(cost)::bigint FROM decisions
WHERE subject = ANY(%s) AND taken_at > %s AND NOT is_withheld GROUP BY subject
"""
_TAKE: LiteralString = """
INSERT INTO decisions (topic_id, record, asked, subject, plan, cost, is_withheld, taken_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_SETTLE: LiteralString = """
UPDATE decisions SET model = %s, answers = %s
WHERE topic_id = %s AND record = %s AND asked = %s AND answers IS NULL
"""
_FORGET: LiteralString = """
DELETE FROM decisions d
USING unnest(%s::text[], %s::text[], %s::text[]) AS w(topic_id, record, asked)
WHERE d.topic_id = w.topic_id AND d.record = w.record AND d.asked = w.asked
"""
_COLUMNS: LiteralString = """
SELECT d.topic_id, d.record, d.asked, subject, plan, cost, is_withheld, model, answers, taken_at
FROM decisions d
"""
_BY_KEY: LiteralString = """
JOIN unnest(%s::text[], %s::text[], %s::text[]) AS w(topic_id, record, asked)
  ON d.topic_id = w.topic_id AND d.record = w.record AND d.asked = w.asked
"""
_BY_SUBJECT: LiteralString = "WHERE subject = %s AND taken_at > %s ORDER BY taken_at, record"
_BY_RECORD: LiteralString = "WHERE record = %s ORDER BY taken_at"
_SUMS: LiteralString = """
SELECT subject, coalesce(sum(cost) FILTER (WHERE NOT is_withheld), 0)::bigint,
  count(*) FILTER (WHERE NOT is_withheld), count(*) FILTER (WHERE is_withheld)
FROM decisions WHERE taken_at > %s GROUP BY subject ORDER BY 2 DESC, 1
"""
