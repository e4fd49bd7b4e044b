"""References: a parent named by its external id, and whether what is named is there.

Source: REST API, "Insert or Update (Upsert) a Record Using an External ID": a relationship's
name holds an object with the parent's external id; SOAP API, StatusCode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.sandbox.access import User, View
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import (
    NO_SUCH_ROW,
    InvalidValueError,
    Problem,
    no_such_column,
    wrong_json,
)
from connectors.sandbox.ids import record_id
from connectors.sandbox.rows.values import Coerce, Row, coercer
from connectors.sandbox.store import Store, key_of

_NO_OWNER = Problem("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", ("OwnerId",))


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A parent named by one of its external ids.

    Attributes:
        field: The reference.
        key: The parent's external id.
        value: As it is stored.

    """

    field: Field
    key: Field
    value: str | int


@dataclass(frozen=True, slots=True)
class Linked:
    """A row some of whose references are still to be looked up."""

    row: Row
    keys: tuple[ForeignKey, ...]


Checked = Row | list[Problem]
Read = Checked | Linked


class Links:
    """The references of one object, as users with one permission set see them."""

    def __init__(self, view: View) -> None:
        """Prepare the references of *view*."""
        self._parents, self._master = view.parents, view.sobject.master
        self._fields = [f for f in view.fields.values() if f.references and f.name in view.editable]
        self._coercers: dict[tuple[str, str], Coerce] = {}

    def key(self, field: Field, name: str) -> Field | None:
        """Return the external id of *field*'s parent that *name* is, whatever its case."""
        parent = self._parents.get(field.name)
        key = None if parent is None else parent.field(name)
        return key if key is not None and key.is_external_id else None

    def foreign_key(self, field: Field, value: object) -> ForeignKey | None:
        """Return the parent that *value* names, such as ``{"Key__c": "123"}``; None for none.

        Raises:
            InvalidValueError: It is no object with one external id of the parent in it.

        """
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong_json(value, field.references[0])
        named = [(name, v) for name, v in value.items() if name != "attributes"]
        if len(named) != 1:
            text = f"The {field.relationship} object must name one external id field"
            raise InvalidValueError(Problem("INVALID_FIELD", text, (), is_parse_error=True))
        ((name, key_value),) = named
        key = self.key(field, name)
        if key is None:
            raise InvalidValueError(self._not_a_key(field, name))
        coerce = self._coercers.setdefault((field.name, key.name), coercer(key))
        stored = coerce(key_value)
        if stored is None:
            text = f"{key.name} not specified"
            raise InvalidValueError(Problem("MISSING_ARGUMENT", text))
        return ForeignKey(field, key, stored)

    def _not_a_key(self, field: Field, name: str) -> Problem:
        target = field.references[0]
        parent = self._parents.get(field.name)
        if parent is None or parent.field(name) is None:
            return no_such_column(name, target)
        text = (
            f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed"
            f" field for {target}"
        )
        return Problem("INVALID_FIELD", text, ())

    def resolved(self, store: Store, user: User, reads: Sequence[Read]) -> list[Checked]:
        """Return *reads* with the numbers of the parents, and refusals where there are none."""
        rows = self._found(store, user, reads)
        for field in self._fields:
            named = {
                int(n) for r in rows if isinstance(r, dict) and (n := r.get(field.name)) is not None
            }
            if named:
                there = store.find_rows(field.references[0], ("OwnerId", "IsDeleted"), named)
                rows = [self._checked(r, field, there, user) for r in rows]
        return rows

    def _found(self, store: Store, user: User, reads: Sequence[Read]) -> list[Checked]:
        """Look the parents up by their external ids."""
        keys = {k for r in reads if isinstance(r, Linked) for k in r.keys}
        found: dict[ForeignKey, int | Problem] = {k: self._find(store, user, k) for k in keys}
        rows: list[Checked] = []
        for read in reads:
            if not isinstance(read, Linked):
                rows.append(read)
                continue
            numbers = [(key.field.name, found[key]) for key in read.keys]
            problems = [n for _, n in numbers if isinstance(n, Problem)]
            parents = {name: n for name, n in numbers if isinstance(n, int)}
            rows.append(problems or {**read.row, **parents})
        return rows

    def _find(self, store: Store, user: User, wanted: ForeignKey) -> int | Problem:
        parent, key = self._parents[wanted.field.name], wanted.key
        found = store.find_keys(parent.name, key, [wanted.value])
        rows = [
            number
            for number, owner in found.get(key_of(key, wanted.value), [])
            if parent.may_see(owner, user)
        ]
        if len(rows) == 1:
            return rows[0]
        if not rows:
            text = (
                f"Foreign key external ID: {wanted.value} not found for field {key.name} in entity"
                f" {parent.name}"
            )
            return Problem("INVALID_FIELD", text, ())
        ids = ", ".join(record_id(parent.prefix, number) for number in rows)
        text = f"{key.label}: more than one record found for external id field: [{ids}]"
        return Problem("DUPLICATE_EXTERNAL_ID", text, (key.name,))

    def _checked(self, row: Checked, field: Field, there: Mapping[int, Row], user: User) -> Checked:
        """Return *row* if the parent it names is among those *there*; a master's owner owns it."""
        number = row.get(field.name) if isinstance(row, dict) else None
        if number is None or isinstance(row, list):
            return row
        parent = there.get(int(number))
        if parent is None or parent["IsDeleted"]:
            return [_NO_OWNER if field.name == "OwnerId" else NO_SUCH_ROW]
        owner = int(parent["OwnerId"] or 0)
        view = self._parents.get(field.name)
        if view is None or not view.may_see(owner, user):
            text = "insufficient access rights on cross-reference id: "
            text += record_id(field.key_prefix, int(number))
            return [Problem("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", text)]
        return {**row, "OwnerId": owner} if field == self._master else row
