"""The write path: create, update and upsert of up to 200 rows, as sObject Collections do.

Source: REST API, "sObject Collections"; one call is one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.access import User, View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import NO_ACCESS, Problem, not_writable, refuse
from connectors.sandbox.faults.hindrances import UNHINDERED, Hindrances
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.checks import checked
from connectors.sandbox.rows.dependents import Dependents, blocker, hand_over, release, taken_along
from connectors.sandbox.rows.links import Checked, Read
from connectors.sandbox.rows.matching import keyed, refuse_twins
from connectors.sandbox.rows.names import stamp
from connectors.sandbox.rows.reader import RecordReader
from connectors.sandbox.rows.targets import NO_ID_ALLOWED, Target, targets, without_id
from connectors.sandbox.rows.values import Row
from connectors.sandbox.store import Store, key_of

MAX_RECORDS = 200  # per call; Salesforce's limit

ROLLED_BACK = Problem(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone"
    " header",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record.

    Attributes:
        id: 18 characters; None for a row that does not exist.
        created: Whether the row is new.
        problems: Why it was not written; of a row that was, there are none.

    """

    id: str | None
    created: bool = False
    problems: tuple[Problem, ...] = ()

    def as_json(self, *, with_flag: bool = False) -> dict[str, Any]:
        """Return the item of a collection's answer, for an upsert with ``created``."""
        item: dict[str, Any] = {} if self.id is None else {"id": self.id}
        if self.problems:
            return {
                **item,
                "success": False,
                "errors": [p.as_record_error() for p in self.problems],
            }
        item |= {"success": True, "errors": []}
        return {**item, "created": self.created} if with_flag else item


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes where, and when.

    Attributes:
        now: Seconds since 1970; the row's CreatedDate and LastModifiedDate.
        refuses_whole: A record that does not parse refuses the whole request. Which of the two
            the real org does is not documented, see `OrgOptions`.
        dependents: Which rows a delete concerns beside its own.
        hindrances: What keeps rows from being written for now.

    """

    store: Store
    view: View
    reader: RecordReader
    user: User
    now: int
    refuses_whole: bool = False
    hindrances: Hindrances = UNHINDERED
    dependents: Dependents = field(default_factory=dict)

    def upsert(
        self, key: Field, records: Sequence[Mapping[str, Any]], body: str, *, all_or_none: bool
    ) -> list[Outcome]:
        """Create or update one row per record, matched by *key*; outcomes are in order.

        Raises:
            ApiError: The request as a whole is refused; nothing is written.

        """
        read = [self._read(record, body) for record in records]
        read = [keyed(r, key) for r in read]
        refuse_twins(records, read, key)
        with self.store.transaction():
            rows = self._linked(read)
            keys = {r[key.name]: None for r in rows if isinstance(r, dict)}
            found = self.store.find_keys(self.view.name, key, [k for k in keys if k is not None])
            plans = [
                self._plan(r, found.get(key_of(key, r[key.name] or ""), []), key)
                if isinstance(r, dict)
                else r
                for r in rows
            ]
            return self._write(plans, all_or_none=all_or_none, key=key)

    def create(self, record: Mapping[str, Any], body: str) -> Outcome:
        """Create one row."""
        return self.create_all([record], body, all_or_none=True)[0]

    def create_all(
        self, records: Sequence[Mapping[str, Any]], body: str, *, all_or_none: bool
    ) -> list[Outcome]:
        """Create one row per record; outcomes are in order."""
        read = [self._read_new(record, body) for record in records]
        with self.store.transaction():
            plans = [
                self._plan(r, [], None) if isinstance(r, dict) else r for r in self._linked(read)
            ]
            return self._write(plans, all_or_none=all_or_none)

    def update(self, sequence: int, owner: int, record: Mapping[str, Any], body: str) -> Outcome:
        """Update the row with that number, which belongs to *owner*."""
        read = self._read(record, body)
        with self.store.transaction():
            (row,) = self._linked([read])
            plan = self._plan(row, [(sequence, owner)], None) if isinstance(row, dict) else row
            return self._write([plan], all_or_none=True)[0]

    def update_all(
        self, records: Sequence[Mapping[str, Any]], body: str, *, all_or_none: bool
    ) -> list[Outcome]:
        """Update the rows that the records name by their ``id``; outcomes are in order."""
        split = [without_id(record) for record in records]
        read = [self._read(others, body) for _, others in split]
        with self.store.transaction():
            rows = targets(self.store, self.view, [text for text, _ in split])
            linked = self._linked(read)
            plans = [self._plan_named(r, row) for r, row in zip(linked, rows, strict=True)]
            return self._write(plans, all_or_none=all_or_none)

    def delete(self, sequence: int) -> None:
        """Put the row into the recycle bin: it keeps its values and frees its keys.

        Its details go with it, and lookups at it are emptied.
        """
        name = self.view.name
        with self.store.transaction():
            taken = release(self.store, self.dependents, name, sequence, self.now)
            for sobject, number in ((name, sequence), *taken):
                self.store.update(sobject, [{"Id": number, "IsDeleted": 1, **self._stamp()}])

    def purge(self, sequence: int) -> None:
        """Remove the row for good, with its details."""
        name = self.view.name
        with self.store.transaction():
            taken = release(self.store, self.dependents, name, sequence, self.now)
            for sobject, number in ((name, sequence), *taken):
                self.store.purge(sobject, number)

    def restore(self, sequence: int) -> None:
        """Take the row and its details out of the bin; nobody else may hold the row's keys."""
        name = self.view.name
        with self.store.transaction():
            back = taken_along(self.store, self.dependents, name, sequence)
            for sobject, number in ((name, sequence), *back):
                self.store.update(sobject, [{"Id": number, "IsDeleted": 0, **self._stamp()}])

    def hindrance(self, sequence: int) -> Problem | None:
        """Return what keeps the row of that number from being deleted now, if anything does."""
        hindrance = self.hindrances.of(self.view, [sequence])[0]
        return hindrance or blocker(self.store, self.dependents, self.view.name, sequence)

    def _read(self, record: Mapping[str, Any], body: str) -> Read:
        read = self.reader.read(record, body)
        if isinstance(read, list) and self.refuses_whole and read[0].is_parse_error:
            raise refuse(400, read[0].code, read[0].message)
        return read

    def _linked(self, reads: Sequence[Read]) -> list[Checked]:
        """Return the rows with their parents' numbers, inside the transaction."""
        return self.reader.links.resolved(self.store, self.user, reads)

    def _read_new(self, record: Mapping[str, Any], body: str) -> Read:
        text, others = without_id(record)
        if text is not None:
            return [NO_ID_ALLOWED]
        return self._read(others, body)

    def _plan_named(self, read: Checked, row: Target | Problem) -> Checked:
        if not isinstance(read, dict):
            return read
        return [row] if isinstance(row, Problem) else self._plan(read, [row], None)

    def _plan(self, row: Row, matches: Sequence[tuple[int, int]], key: Field | None) -> Checked:
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
            problems.append(NO_ACCESS)
        locked = [] if is_new else [name for name in self.reader.fixed if name in row]
        if locked:
            problems.append(not_writable(locked))
        if problems:
            return problems
        return row if is_new else {"Id": matches[0][0], **row}

    def _write(
        self,
        plans: Sequence[Checked],
        *,
        all_or_none: bool,
        key: Field | None = None,
    ) -> list[Outcome]:
        """Write the good rows and return every record's outcome, in order."""
        plans = self.hindrances.applied(self.view, checked(self.store, self.view, plans, key))
        if all_or_none and any(isinstance(plan, list) for plan in plans):
            return [self._refused(plan) for plan in plans]
        sequence = self.store.next_sequence(self.view.name)
        names, stamped = self.reader.names, self._stamp()
        renamed = names.renamed(self.store, plans)
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
                new.append(names.made(plan, at, text, stamped))
                sequence += 1
            else:
                changed.append(names.changed(plan, text, renamed.get(at), stamped))
            outcomes.append(Outcome(text, created=is_new))
        self.store.insert(self.view.name, new)
        self.store.update(self.view.name, changed)
        hand_over(self.store, self.dependents, self.view.name, changed)
        return outcomes

    def _refused(self, plan: Checked) -> Outcome:
        """Return what becomes of a record when another one takes the whole request down."""
        if isinstance(plan, list):
            return Outcome(None, problems=tuple(plan))
        at = plan.get("Id")
        text = None if at is None else record_id(self.view.prefix, int(at))
        return Outcome(text, problems=(ROLLED_BACK,))

    def _stamp(self) -> Row:
        return stamp(self.user, self.now)


def _forbidden(view: View, verb: str) -> Problem:
    text = f"entity type cannot be {verb}: {view.sobject.label}"
    return Problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text)
