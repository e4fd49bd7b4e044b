"""The expected rows: what the org should hold of each row, as HMACs of its fields' values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg.types.json import Jsonb

from residency.expected import Held
from schemas.events import VersionKind

Key = tuple[str, str]  # object, external id

# records: how many accepted ones the row folds; together as many as the ledger accepted, so that
# a row that is lost shows even where the org has lost it, too.
TABLE: Final = """
CREATE TABLE IF NOT EXISTS expected_rows (
  object text NOT NULL,
  external_id text NOT NULL,
  base_version bigint NOT NULL,
  label_version bigint NOT NULL,
  fields jsonb NOT NULL,
  base_record text,
  label_record text,
  deleted boolean NOT NULL,
  records bigint NOT NULL DEFAULT 1,
  base_resend integer NOT NULL DEFAULT 0,
  PRIMARY KEY (object, external_id)
);
"""


@dataclass(frozen=True, slots=True)
class ExpectedRow:
    """What the org should hold of one row, as far as one record set it.

    Attributes:
        kind: Which of the row's versions the record raises.
        fields: Field name to the HMAC, hex, of the value last accepted; None: emptied.
        record: The record's name.
        deleted: The row is not to be in the org: *fields* is empty, and what was known of
            it before counts no more.
        topic_id: Kafka's id of the raw topic that *record* names.
        resend: Of *record*: one that is sent again may say something else, as at an erasure.

    """

    object: str
    external_id: str
    kind: VersionKind
    version: int
    fields: Mapping[str, str | None]
    record: str
    deleted: bool = False
    topic_id: str = ""
    resend: int = 0


def apply(cursor: psycopg.Cursor[Any], rows: Sequence[ExpectedRow]) -> None:
    """Apply accepted *rows* in their order; what is equal or older of its kind changes nothing.

    Of base records of one version the one with the highest resend number is the newest.

    `residency.expected.Held` is the rule; a test holds the two together.
    """
    start = 0
    while start < len(rows):  # runs of one kind: each is one round trip
        stop = start
        while stop < len(rows) and rows[stop].kind == rows[start].kind:
            stop += 1
        statement = _BASE if rows[start].kind == "base" else _LABELS
        cursor.executemany(statement, [_values(row) for row in rows[start:stop]])
        start = stop


def held(connection: psycopg.Connection[Any], keys: Iterable[Key]) -> dict[Key, Held]:
    """Return what those rows hold that exist, or did."""
    wanted = list(keys)
    rows = connection.execute(_HELD, ([k[0] for k in wanted], [k[1] for k in wanted]))
    return {(row[0], row[1]): Held(*row[2:]) for row in rows.fetchall()}


_HELD: LiteralString = """
SELECT e.object, e.external_id, base_version, label_version, deleted FROM expected_rows e
JOIN unnest(%s::text[], %s::text[]) AS w(object, external_id)
  ON e.object = w.object AND e.external_id = w.external_id
"""

_BASE: LiteralString = """
INSERT INTO expected_rows AS e
  (object, external_id, base_version, label_version, fields, base_record, deleted, base_resend)
VALUES (%(object)s, %(external_id)s, %(version)s,
  CASE WHEN %(deleted)s THEN %(version)s ELSE 0 END, %(fields)s, %(record)s, %(deleted)s,
  %(resend)s)
ON CONFLICT (object, external_id) DO UPDATE SET
  base_version = excluded.base_version,
  label_version = greatest(e.label_version, excluded.label_version),
  fields = CASE WHEN e.deleted OR excluded.deleted THEN excluded.fields
    ELSE e.fields || excluded.fields END,
  base_record = excluded.base_record,
  label_record = CASE WHEN excluded.deleted THEN NULL ELSE e.label_record END,
  deleted = excluded.deleted,
  records = e.records + (e.base_version < excluded.base_version)::int,
  base_resend = excluded.base_resend
WHERE (e.base_version, e.base_resend) < (excluded.base_version, excluded.base_resend)
"""

_LABELS: LiteralString = """
INSERT INTO expected_rows AS e
  (object, external_id, base_version, label_version, fields, label_record, deleted)
VALUES (%(object)s, %(external_id)s, 0, %(version)s, %(fields)s, %(record)s, false)
ON CONFLICT (object, external_id) DO UPDATE SET
  label_version = excluded.label_version,
  fields = e.fields || excluded.fields,
  label_record = excluded.label_record,
  records = e.records + 1
WHERE NOT e.deleted AND e.label_version < excluded.label_version
"""


def _values(row: ExpectedRow) -> dict[str, Any]:
    return {
        "object": row.object,
        "external_id": row.external_id,
        "version": row.version,
        "fields": Jsonb(dict(row.fields)),
        "record": row.record,
        "deleted": row.deleted,
        "resend": row.resend,
    }
