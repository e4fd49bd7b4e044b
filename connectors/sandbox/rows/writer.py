"""The write path: create, update and upsert of up to 200 rows, as sObject Collections do.

Source: REST API, "sObject Collections" (upsert); one call is one transaction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.access import User, View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import Problem, not_found, refuse
from connectors.sandbox.faults.hindrances import UNHINDERED, Hindrances
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.checks import checked
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.values import Row
from connectors.sandbox.store import Store, key_of

MAX_RECORDS = 200  # per call; Salesforce's limit

ROLLED_BACK = Problem(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone"
    " header",
)
_NO_ACCESS = Problem("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record: an id, or problems.

    Attributes:
        id: 18 characters, or None if it was refused.
        created: Whether the row is new.

    """

    id: str | None
    created: bool = False
    problems: tuple[Problem, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the item of a collection's answer; a refused one has no id and no created."""
        if self.id is None:
            errors = [p.as_record_error() for p in self.problems]
            return {"success": False, "errors": errors}
        return {"id": self.id, "success": True, "errors": [], "created": self.created}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes where, and when.

    Attributes:
        now: Seconds since 1970; the row's CreatedDate and LastModifiedDate.
        refuses_whole: A record that does not parse refuses the whole request. Which of the two
            the real org does is not documented, see `OrgOptions`.
        hindrances: What keeps rows from being written for now.

    """

    store: Store
    view: View
    reader: RecordReader
    user: User
    now: int
    refuses_whole: bool = False
    hindrances: Hindrances = UNHINDERED

    def upsert(
        self, key: Field, records: Sequence[Mapping[str, Any]], body: str, *, all_or_none: bool
    ) -> list[Outcome]:
        """Create or update one row per record, matched by *key*; outcomes are in order.

        Raises:
            ApiError: The request as a whole is refused; nothing is written.

        """
        read = [self._read(record, body) for record in records]
        read = [_keyed(r, key) for r in read]
        _refuse_twins(records, read, key)
        with self.store.transaction():
            keys = {r[key.name]: None for r in read if isinstance(r, dict)}
            found = self.store.find_keys(self.view.name, key, [k for k in keys if k is not None])
            plans = [
                self._plan(r, found.get(key_of(key, r[key.name] or ""), []), key)
                if isinstance(r, dict)
                else r
                for r in read
            ]
            return self._write(plans, all_or_none=all_or_none, key=key)

    def create(self, record: Mapping[str, Any], body: str) -> Outcome:
        """Create one row."""
        read = self._read(record, body)
        with self.store.transaction():
            plan = self._plan(read, [], None) if isinstance(read, dict) else read
            return self._write([plan], all_or_none=True)[0]

    def update(self, sequence: int, owner: int, record: Mapping[str, Any], body: str) -> Outcome:
        """Update the row with that number, which belongs to *owner*."""
        read = self._read(record, body)
        with self.store.transaction():
            plan = self._plan(read, [(sequence, owner)], None) if isinstance(read, dict) else read
            return self._write([plan], all_or_none=True)[0]

    def delete(self, sequence: int) -> None:
        """Put the row into the recycle bin: it keeps its values and frees its keys."""
        with self.store.transaction():
            self.store.update(self.view.name, [{"Id": sequence, "IsDeleted": 1, **self._stamp()}])

    def hindrance(self, sequence: int) -> Problem | None:
        """Return what keeps the row of that number from being deleted now, if anything does."""
        return self.hindrances.of(self.view, [sequence])[0]

    def _read(self, record: Mapping[str, Any], body: str) -> Row | list[Problem]:
        read = self.reader.read(record, body)
        if isinstance(read, list) and self.refuses_whole and read[0].is_parse_error:
            raise refuse(400, read[0].code, read[0].message)
        return read

    def _plan(
        self, row: Row, matches: Sequence[tuple[int, int]], key: Field | None
    ) -> Row | list[Problem]:
        """Return the row to write, with its ``Id`` if it exists, or what is wrong."""
        problems: list[Problem] = []
        is_new = not matches
        missing = self.reader.missing(row, is_new=is_new)
        if missing:
            problems.append(missing)
        if (key or is_new) and not self.view.access.create:
            problems.append(_forbidden(self.view, "inserted"))
        elif (key or not is_new) and not self.view.access.edit:
            problems.append(_forbidden(self.view, "updated"))
        if len(matches) > 1 and key is not None:
            text = f"{key.label}: more than one record found for external id field"
            problems.append(Problem("DUPLICATE_EXTERNAL_ID", text, (key.name,)))
        elif matches and not self.view.may_see(matches[0][1], self.user):
            problems.append(_NO_ACCESS)
        owner = row.get("OwnerId")
        if owner is not None and not self.store.user_exists(int(owner)):
            text = "Owner ID: owner cannot be blank"
            problems.append(Problem("INVALID_CROSS_REFERENCE_KEY", text, ("OwnerId",)))
        if problems:
            return problems
        return row if is_new else {"Id": matches[0][0], **row}

    def _write(
        self,
        plans: Sequence[Row | list[Problem]],
        *,
        all_or_none: bool,
        key: Field | None = None,
    ) -> list[Outcome]:
        """Write the good rows and return every record's outcome, in order."""
        plans = self.hindrances.applied(self.view, checked(self.store, self.view, plans, key))
        if all_or_none and any(isinstance(plan, list) for plan in plans):
            return [
                Outcome(None, problems=tuple(plan) if isinstance(plan, list) else (ROLLED_BACK,))
                for plan in plans
            ]
        sequence = self.store.next_sequence(self.view.name)
        renamed = self.reader.names.renamed(self.store, plans)
        new: list[Row] = []
        changed: list[Row] = []
        outcomes: list[Outcome] = []
        for plan in plans:
            if isinstance(plan, list):
                outcomes.append(Outcome(None, problems=tuple(plan)))
                continue
            is_new = "Id" not in plan
            at = sequence if is_new else int(plan["Id"] or 0)
            text = record_id(self.view.prefix, at)
            if is_new:
                new.append(self._new_row(plan, at, text))
                sequence += 1
            else:
                changed.append(self._changed_row(plan, text, renamed.get(at)))
            outcomes.append(Outcome(text, created=is_new))
        self.store.insert(self.view.name, new)
        self.store.update(self.view.name, changed)
        return outcomes

    def _new_row(self, row: Row, sequence: int, text: str) -> Row:
        made: Row = {"CreatedDate": self.now, "CreatedById": self.user.sequence}
        full: Row = {"OwnerId": self.user.sequence, **row, **made, **self._stamp()}
        full["Id"] = sequence
        return full | self.reader.names.given(row, sequence, text, self.now)

    def _changed_row(self, row: Row, text: str, name: str | None) -> Row:
        full = {**row, **self._stamp()}
        if name or "Name" in full:
            full["Name"] = name or full["Name"] or text
        return full

    def _stamp(self) -> Row:
        return {
            "LastModifiedDate": self.now,
            "LastModifiedById": self.user.sequence,
            "SystemModstamp": self.now,
        }


def parse_collection(document: object, view: View) -> tuple[list[dict[str, Any]], bool]:
    """Return (records, allOrNone) of a collections request's body.

    Raises:
        ApiError: It is not such a body, holds more than 200 records, or another type.

    """
    if not isinstance(document, dict) or not isinstance(document.get("records"), list):
        text = "The request body must be an object with a list of records"
        raise refuse(400, "INVALID_INPUT", text)
    records: list[Any] = document["records"]
    all_or_none = document.get("allOrNone", False)
    if not isinstance(all_or_none, bool):
        text = "Cannot deserialize instance of boolean: allOrNone"
        raise refuse(400, "JSON_PARSER_ERROR", text)
    if len(records) > MAX_RECORDS:
        text = f"record limit reached. cannot submit more than {MAX_RECORDS} records into this call"
        raise refuse(400, "EXCEEDED_ID_LIMIT", text)
    for record in records:
        _check_type(record, view)
    return records, all_or_none


def external_id_field(view: View, name: str) -> Field:
    """Return the external id field of that name.

    Raises:
        ApiError: 404, there is none that the user sees.

    """
    field = view.field(name)
    if field is None or not field.is_external_id:
        text = f"Provided external ID field does not exist or is not accessible: {name}"
        raise not_found(text)
    return field


def _check_type(record: object, view: View) -> None:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    kind = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(kind, str):
        raise refuse(400, "INVALID_INPUT", "Each record needs attributes with a type")
    if kind.lower() != view.name.lower():
        text = f"Record type {kind} does not match the resource's type {view.name}"
        raise refuse(400, "INVALID_INPUT", text)


def _keyed(read: Row | list[Problem], key: Field) -> Row | list[Problem]:
    """Return *read*, or the refusal of a row without a value for its key."""
    if isinstance(read, dict) and read.get(key.name) is None:
        return [Problem("MISSING_ARGUMENT", f"{key.name} not specified")]
    return read


def _refuse_twins(
    records: Sequence[Mapping[str, Any]], read: list[Row | list[Problem]], key: Field
) -> None:
    """Replace, in place, every record whose key another one of the request has too.

    Rows are matched before their fields are checked, so a twin with bad data counts as one.
    """
    keys = [_raw_key(record, key) for record in records]
    seen = Counter(k for k in keys if k is not None)
    for at, (value, row) in enumerate(zip(keys, read, strict=True)):
        if value is None or seen[value] == 1:
            continue
        if isinstance(row, dict) or not row[0].is_parse_error:
            text = f"Duplicate external id specified: {value}"
            read[at] = [Problem("DUPLICATE_VALUE", text, (key.name,))]


def _raw_key(record: Mapping[str, Any], key: Field) -> str | int | None:
    """Return the key's value in *record*, whatever the case of its name; None if empty."""
    value = record.get(key.name)
    if value is None:
        named = (v for name, v in record.items() if name.lower() == key.name.lower())
        value = next(named, None)
    return key_of(key, value) if isinstance(value, str | int) and value != "" else None


def _forbidden(view: View, verb: str) -> Problem:
    text = f"entity type cannot be {verb}: {view.sobject.label}"
    return Problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text)
