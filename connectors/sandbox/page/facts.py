"""What the pages show of the org, read on the reader's thread."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from connectors.sandbox.access import User, View
from connectors.sandbox.bulk.kept import DAILY_BATCHES, used_batches
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.limits import ROW_KB, STORAGE_MB
from connectors.sandbox.logins.apps import CLI_APP
from connectors.sandbox.org import Org
from connectors.sandbox.rows.forms import render_datetime
from connectors.sandbox.rows.values import Render, renderer
from connectors.sandbox.store import ADMIN, Store

OWNER = User(1, ADMIN, None)  # whoever came through the door may see what the administrator sees
ROWS_PER_PAGE = 25
VALUES_SHOWN = 8  # of a picklist
_UNSHOWN = frozenset({"IsDeleted", "SystemModstamp", "CreatedById", "LastModifiedById"})
_LAST = ("OwnerId", "CreatedDate", "LastModifiedDate")


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One object in the overview.

    Attributes:
        fields: How many fields it has.
        live: Rows that are not deleted.
        deleted: Rows in the recycle bin.
        changed: When a row changed last, UTC; None if there is no row.

    """

    name: str
    label: str
    fields: int
    live: int
    deleted: int
    changed: str | None


@dataclass(frozen=True, slots=True)
class Meter:
    """An allowance and how much of it is used."""

    label: str
    used: int
    maximum: int
    unit: str

    @property
    def percent(self) -> float:
        """How much is used, at most 100."""
        return min(100.0, 100 * self.used / self.maximum) if self.maximum else 100.0


@dataclass(frozen=True, slots=True)
class AppFacts:
    """One app that may log in.

    Attributes:
        sessions: How many are open; the expired that nobody has used since count, too.
        used: Its API calls in 24 hours.

    """

    name: str
    users: tuple[str, ...]
    flows: tuple[str, ...]
    is_blocked: bool
    sessions: int
    used: int
    daily_calls: int | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of an object's rows, newest first.

    Attributes:
        columns: Fields that a row of the page has a value in.
        rows: For each row its values as text, in the order of *columns*.
        empty: Labels of the fields that have none.
        total: How many rows there are.
        number: Of the page, from 1.
        pages: How many there are, at least one.

    """

    columns: tuple[Field, ...]
    rows: Sequence[Sequence[str]]
    empty: Sequence[str]
    total: int
    number: int
    pages: int

    @property
    def first(self) -> int:
        """Which row of all the page starts with, from 1; 0 if there is none."""
        return (self.number - 1) * ROWS_PER_PAGE + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Which row of all the page ends with."""
        return self.first + len(self.rows) - 1 if self.rows else 0


def views(org: Org) -> list[View]:
    """Return every object, those of the org's own metadata before the standard ones."""
    return sorted(org.views.all(OWNER), key=lambda view: not view.name.endswith("__c"))


def objects(org: Org, store: Store) -> list[ObjectFacts]:
    """Return what is in every object."""
    found = []
    for view in views(org):
        sums = "COALESCE(SUM(IsDeleted = 0), 0), COALESCE(SUM(IsDeleted <> 0), 0)"
        sql = f'SELECT {sums}, MAX(LastModifiedDate) FROM "{view.name}"'  # noqa: S608 -- metadata
        live, deleted, changed = store.select(sql)[0]
        moment = _moment(render_datetime(changed))
        found.append(
            ObjectFacts(view.name, view.sobject.label, len(view.fields), live, deleted, moment)
        )
    return found


def meters(org: Org, store: Store, rows: int) -> list[Meter]:
    """Return the org's allowances; *rows* are what takes up its storage."""
    return [
        Meter("API calls in 24 hours", org.usage.used(), org.usage.maximum, "calls"),
        Meter("Bulk batches in 24 hours", used_batches(store), DAILY_BATCHES, "batches"),
        Meter("Data storage", rows * ROW_KB // 1024, STORAGE_MB, "MB"),
    ]


def apps(org: Org, store: Store) -> list[AppFacts]:
    """Return every app, and first the command that opens sessions without one."""
    counted = dict(store.select("SELECT app, COUNT(*) FROM sessions GROUP BY app"))
    command = AppFacts(
        name=CLI_APP,
        users=(),
        flows=("homeport sandbox token",),
        is_blocked=False,
        sessions=counted.get(CLI_APP, 0),
        used=org.usage.used(CLI_APP),
        daily_calls=None,
    )
    return [command] + [
        AppFacts(
            name=app.name,
            users=app.users(),
            flows=app.flows(),
            is_blocked=app.blocked,
            sessions=counted.get(app.name, 0),
            used=org.usage.used(app.name),
            daily_calls=app.daily_calls,
        )
        for app in org.apps.all()
    ]


def records(view: View, store: Store, number: int, *, deleted: bool) -> RecordPage:
    """Return a page of an object's rows, live or in the recycle bin; a number too high is the last.

    Args:
        view: The object.
        store: The reader's.
        number: Of the page, from 1.
        deleted: Show those in the recycle bin.

    """
    where = f'FROM "{view.name}" WHERE IsDeleted = ?'  # metadata names
    total = int(store.select(f"SELECT COUNT(*) {where}", (deleted,))[0][0])
    pages = max(1, -(-total // ROWS_PER_PAGE))
    number = min(number, pages)
    fields = _columns(view)
    names = ", ".join(f'"{field.name}"' for field in fields)
    sql = f"SELECT {names} {where} ORDER BY Id DESC LIMIT ? OFFSET ?"
    found = store.select(sql, (deleted, ROWS_PER_PAGE, (number - 1) * ROWS_PER_PAGE))
    renders = [renderer(field, view.prefix) for field in fields]
    rows = [[_text(f, r, v) for f, r, v in zip(fields, renders, row, strict=True)] for row in found]
    filled = [at for at in range(len(fields)) if any(row[at] for row in rows)]
    # a row that was given no name has its id for one
    shown = [at for at in filled if at == 0 or any(row[at] != row[0] for row in rows)]
    return RecordPage(
        columns=tuple(fields[at] for at in shown),
        rows=[[row[at] for at in shown] for row in rows],
        empty=[f.label for at, f in enumerate(fields) if rows and at not in filled],
        total=total,
        number=number,
        pages=pages,
    )


def rules_of(field: Field) -> list[str]:
    """Return what the field demands of a value, in people's words."""
    told = {
        "external id": field.is_external_id,
        "unique": field.is_unique,
        "case sensitive": field.is_case_sensitive,
        "required": field.is_required,
        "read only": not field.is_writable,
    }
    words = [word for word, holds in told.items() if holds] + list(field.values[:VALUES_SHOWN])
    more = len(field.values) - VALUES_SHOWN
    return [*words, f"{more} more"] if more > 0 else words


def _columns(view: View) -> tuple[Field, ...]:
    """Return the fields worth a column: the id, the object's own, then whose and when."""
    fields = [f for f in view.fields.values() if f.name not in _UNSHOWN]
    own = [f for f in fields if f.name not in _LAST]
    own.sort(key=lambda f: (f.name != "Id", not f.is_external_id, f.name != "Name"))
    return (*own, *(f for f in fields if f.name in _LAST))


def _text(field: Field, render: Render, value: object) -> str:
    """Return a stored value as people read it."""
    if value is None:
        return ""
    if field.precision:
        return f"{Decimal(str(value)).scaleb(-field.scale):.{field.scale}f}"
    shown = render(value)  # type: ignore[arg-type]
    if field.type == "datetime":
        return _moment(str(shown)) or ""
    return shown if isinstance(shown, str) else orjson.dumps(shown).decode()


def _moment(text: str | None) -> str | None:
    """Return the API's form of an instant as ``2013-05-07 22:07:19``."""
    return None if text is None else text[:19].replace("T", " ")
