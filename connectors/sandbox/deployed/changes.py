"""What a deployment takes away from the tables, before `schema.deploy` adds to them.

Runs inside the deployment's transaction, so that a refusal leaves the tables as they were.
"""

import sqlite3

from connectors.sandbox.deployed.metadata import Field, Metadata, SObject


class UnfitRowsError(Exception):
    """Rows that are there do not fit the new metadata.

    Attributes:
        sobject: Whose rows.
        field: That cannot be unique.

    """

    def __init__(self, sobject: str, field: str) -> None:
        """Name the field; no value."""
        super().__init__(f"{sobject}.{field}")
        self.sobject, self.field = sobject, field


def unchangeable(old: Field, new: Field) -> str | None:
    """Return why a field of the org cannot become *new*, or None if it can.

    Stored values keep their form, so that what decides on it stays as it is.
    """
    if old.type != new.type:
        return f"The test org cannot change a field's type, {old.type} to {new.type}"
    if old.scale != new.scale:
        return f"The test org cannot change a field's scale, {old.scale} to {new.scale}"
    if old.references != new.references:
        return "The test org cannot change what a field refers to"
    if old.is_case_sensitive != new.is_case_sensitive:
        return "The test org cannot change whether a field is case sensitive"
    return None


def prepare(db: sqlite3.Connection, old: Metadata, new: Metadata) -> None:
    """Take away what *new* has no more; rows of an object that goes are gone with it.

    An object's table and key prefix stay, so that no id is ever given out again.

    Raises:
        UnfitRowsError: A field cannot be unique, two live rows have the same value.

    """
    for name, before in old.objects.items():
        after = new.objects.get(name)
        if before.rows is not None:
            continue
        if after is None:
            db.execute(f'DELETE FROM "{name}"')  # noqa: S608 -- metadata
        for field in before.fields:
            kept = None if after is None else after.field(field.name)
            if field.is_custom and kept is None:
                _drop_index(db, before, field)
                db.execute(f'ALTER TABLE "{name}" DROP COLUMN "{field.name}"')
            elif kept is not None and _is_indexed_otherwise(field, kept):
                _drop_index(db, before, field)
                if kept.is_unique:
                    _check_unique(db, before, kept)


def _is_indexed_otherwise(old: Field, new: Field) -> bool:
    return _index(old) != _index(new)


def _index(field: Field) -> tuple[bool, bool]:
    is_there = field.is_unique or field.is_external_id or field.on_delete is not None
    return is_there, field.is_unique


def _drop_index(db: sqlite3.Connection, sobject: SObject, field: Field) -> None:
    db.execute(f'DROP INDEX IF EXISTS "{sobject.name}.{field.name}"')


def _check_unique(db: sqlite3.Connection, sobject: SObject, field: Field) -> None:
    sql = (
        f'SELECT 1 FROM "{sobject.name}" WHERE IsDeleted = 0'  # noqa: S608 -- metadata
        f' AND "{field.name}" IS NOT NULL GROUP BY "{field.name}" HAVING COUNT(*) > 1 LIMIT 1'
    )
    if db.execute(sql).fetchone() is not None:
        raise UnfitRowsError(sobject.name, field.name)
