"""What the names in one SELECT stand for: fields of its object and of the objects above it.

Every name goes through the user's views, so that a field, an object or a row that the user
cannot see can neither be read nor filtered by. A parent is joined; one that the user cannot
see, or that lies in the recycle bin, is as good as none.
"""

from dataclasses import dataclass

from connectors.sandbox.access import User, View, Views
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.soql.lexer import pointed
from connectors.sandbox.soql.tree import Item, Query

MAX_UP = 5  # relationships in one path; Salesforce's limit
MAX_PARENTS = 55  # relationships to parents in one query; Salesforce's limit
NOBODY = -1  # no user and no row has this number

_NAMES = "Please reference your WSDL or the describe call for the appropriate names."


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks, and what of the org they see."""

    views: Views
    user: User
    with_deleted: bool


@dataclass(frozen=True, slots=True)
class Place:
    """The object itself or one above it, within a statement.

    Attributes:
        table: Its name in the statement.
        path: The relationships that lead to it, in their canonical case.
        below: Where the last of them starts.
        key: The field of that object which refers to this one.

    """

    table: str
    view: View
    path: tuple[str, ...] = ()
    below: "Place | None" = None
    key: str | None = None

    @property
    def line(self) -> "tuple[Place, ...]":
        """All places from the object itself to this one."""
        return (self,) if self.below is None else (*self.below.line, self)


@dataclass(frozen=True, slots=True)
class Reference:
    """A field in a statement."""

    place: Place
    field: Field

    @property
    def sql(self) -> str:
        """The field's column."""
        return f'{self.place.table}."{self.field.name}"'

    @property
    def name(self) -> str:
        """The field's path in its canonical case, such as ``Account.Name``."""
        return ".".join((*self.place.path, self.field.name))


class Scope:
    """The names of one SELECT."""

    def __init__(self, reader: Reader, query: Query, view: View, table: str) -> None:
        """Look names up from *view*, which the statement knows as *table*."""
        self.reader = reader
        self.root = Place(table, view)
        self._text = query.text
        self._places: dict[tuple[str, ...], Place] = {}
        self._joins: list[str] = []
        self._aliases: dict[str, Place] = {view.name.lower(): self.root}
        self._aliases[query.source.lower()] = self.root
        for alias in query.aliases:
            steps = alias.path.split(".") if alias.path else []
            self._aliases[alias.name.lower()] = self._walk(steps, alias.at)

    @property
    def source(self) -> str:
        """The statement's FROM, with the parents that were named so far."""
        return f'FROM "{self.root.view.name}" {self.root.table}{"".join(self._joins)}'

    def field(self, item: Item) -> Reference:
        """Return the field that *item* names.

        Raises:
            ApiError: 400 INVALID_FIELD, the user sees no such field.

        """
        *steps, name = item.path.split(".")
        place = self._walk(steps, item.at)
        field = place.view.field(name)
        if field is None:
            text = (
                f"No such column '{name}' on entity '{place.view.name}'. If you are attempting to"
                " use a custom field, be sure to append the '__c' after the custom field name."
                f" {_NAMES}"
            )
            raise self.refuse(item.at, "INVALID_FIELD", text)
        return Reference(place, field)

    def visible(self, place: Place) -> list[str]:
        """Return the conditions under which the user sees a row of *place*."""
        terms = [] if self.reader.with_deleted else [f"{place.table}.IsDeleted = 0"]
        if not place.view.may_see(NOBODY, self.reader.user):
            terms.append(f"{place.table}.OwnerId = {self.reader.user.sequence:d}")
        return terms

    def refuse(self, at: int, code: str, message: str) -> ApiError:
        """Return a refusal that points at the offset *at* of the query."""
        return refuse(400, code, pointed(self._text, at, message))

    def _walk(self, steps: list[str], at: int) -> Place:
        place = self.root
        if steps and steps[0].lower() in self._aliases:
            place, steps = self._aliases[steps[0].lower()], steps[1:]
        for step in steps:
            place = self._parent(place, step, at)
        return place

    def _parent(self, child: Place, step: str, at: int) -> Place:
        key = (*(s.lower() for s in child.path), step.lower())
        known = self._places.get(key)
        if known is not None:
            return known
        found = self.reader.views.parent(self.reader.user, child.view, step)
        if found is None:
            text = (
                f"Didn't understand relationship '{step}' in field path. If you are attempting to"
                " use a custom relationship, be sure to append the '__r' after the custom"
                f" relationship name. {_NAMES}"
            )
            raise self.refuse(at, "INVALID_FIELD", text)
        if len(key) > MAX_UP or len(self._places) == MAX_PARENTS:
            text = f"a query names at most {MAX_PARENTS} parents, each by {MAX_UP} relationships"
            raise self.refuse(at, "MALFORMED_QUERY", text)
        view, field = found
        table = f"{self.root.table}_{len(self._places) + 1}"
        place = Place(table, view, (*child.path, field.relationship or step), child, field.name)
        terms = [f'{table}.Id = {child.table}."{field.name}"', *self.visible(place)]
        self._joins.append(f' LEFT JOIN "{view.name}" {table} ON {" AND ".join(terms)}')
        self._places[key] = place
        return place
