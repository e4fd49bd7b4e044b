"""A look into the vault: what may be asked, and what is shown of an event. Pure.

Whether something may be asked depends on the caller's role, the schemas and `access.toml`, never
on what the vault holds: so a refusal tells nothing about anybody.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

from residency.ledger.accesses import Purpose
from residency.policy.limits import within
from residency.vault.access import Role
from residency.vault.index import Kind
from schemas.errors import HomeportError
from schemas.events import Coordinates, RecordId
from schemas.fieldcheck import categories
from schemas.plainjson import to_plain
from schemas.registry import EventSchema, Registry
from schemas.resolve import Leaf, steps_of

TICKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{1,63}")
MAX_FIELDS: Final = 100
MAX_EVENTS: Final = 200  # of one look-up
MAX_TERM: Final = 1_024  # characters


class Refused(StrEnum):
    """Why a look-up is refused. A closed list: answers and logs show it."""

    CALLER = "caller"  # no such token
    PURPOSE = "purpose"  # not one of the role's
    TICKET = "ticket"  # none, or not of the form
    FIELD = "field"  # no event has it, or the role may not see it
    EVENT = "event"  # likewise
    TERM = "term"  # what to look by: none, two, or not of the form
    RATE = "rate"  # too many look-ups
    EXPORT = "export"  # the role may not have all that is held of a person


class RefusedError(HomeportError):
    """A look-up is refused; what the vault holds played no part in that.

    Attributes:
        why: Of the closed list.
        retry_after_s: When the caller may try again; None: never with this.

    """

    def __init__(self, why: Refused, text: str, retry_after_s: int | None = None) -> None:
        """Take the text, which names a role, a field or a limit, and no value."""
        super().__init__(f"refused ({why}): {text}")
        self.why = why
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class ByValue:
    """Whom a look-up is about: whoever has this value."""

    kind: Kind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ByRecord:
    """Likewise: whose this raw record is; *topic_id* is Kafka's id of its topic."""

    at: Coordinates
    topic_id: str


Term: TypeAlias = ByValue | ByRecord
VALUES: Final[Mapping[str, Kind]] = {kind.name.lower(): kind for kind in Kind}
RECORD: Final = "record"


def term_of(by: Mapping[str, object], topic_ids: Mapping[str, str]) -> Term:
    """Return what to look by.

    Args:
        by: One word of `VALUES`, or `RECORD`, to its text.
        topic_ids: Of the region's raw topics, by name.

    Raises:
        RefusedError: It is not one, or not of its form.

    """
    words = (*VALUES, RECORD)
    word, text = next(iter(by.items())) if len(by) == 1 else ("", None)
    if word not in words or not isinstance(text, str) or not 0 < len(text) <= MAX_TERM:
        msg = f"look by one of {', '.join(words)}, a text of at most {MAX_TERM} characters"
        raise RefusedError(Refused.TERM, msg)
    if word in VALUES:
        return ByValue(VALUES[word], text)
    try:
        at = RecordId.parse(text if "#" in text else f"{text}#0").at
    except ValueError:
        msg = "a record is named like eu.commerce.orders.v1[0]@7"
        raise RefusedError(Refused.TERM, msg) from None
    if at.topic not in topic_ids:
        msg = f"that is no record of a raw topic here: {', '.join(sorted(topic_ids))}"
        raise RefusedError(Refused.TERM, msg)
    return ByRecord(at, topic_ids[at.topic])


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to see, and why.

    Attributes:
        purpose: Why.
        ticket: In whose course, of the form `TICKET`.
        fields: Leaf paths, such as ``customer.email``, and Fides categories.
        event: Only events of this full name; None: of all that the role may see.
        limit: At most so many events of a person, the newest.

    """

    purpose: Purpose
    ticket: str = field(repr=False)
    fields: tuple[str, ...]
    event: str | None = None
    limit: int = 20


@dataclass(frozen=True)
class View:
    """What a caller sees of events: the fields asked for, as far as the role may see them.

    Attributes:
        schemas: By schema id, the leaves that are shown of its events, in their order.

    """

    schemas: Mapping[int, tuple[str, ...]]
    registry: Registry

    @cached_property
    def events(self) -> frozenset[str]:
        """Return the full names of the events of which anything is shown."""
        return frozenset(self.registry.by_id(number).subject for number in self.schemas)

    def shown(self, schema: EventSchema, decoded: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is shown of an event by path; nothing where a field has no value.

        Of a path that goes through an array a list of its values, through a map an object.

        Args:
            schema: The event's.
            decoded: As `schemas.codec.decode` gives it.

        """
        steps = {path: steps_of(path) for path in self.schemas.get(schema.id, ())}
        plain = to_plain(schema, decoded, only={first for first, *_ in steps.values()})
        found = {path: _found(plain, rest) for path, rest in steps.items()}
        return {path: value for path, value in found.items() if value is not None}


def view_of(ask: Ask, role: Role, registry: Registry) -> View:
    """Return what a caller of *role* sees.

    Raises:
        RefusedError: The role may not ask this.

    """
    _check_form(ask, role)
    open_to = {s.id: s for s in registry.raw() if s.subject in role.events}
    if ask.event is not None:
        open_to = {number: s for number, s in open_to.items() if s.subject == ask.event}
        if not open_to:
            msg = f"role {role.id} sees no event {_named(ask.event)}; name one of access.toml's"
            raise RefusedError(Refused.EVENT, msg)
    chosen: dict[int, set[str]] = {number: set() for number in open_to}
    for wanted in ask.fields:
        hits = [
            (number, leaf.path)
            for number, schema in open_to.items()
            for leaf in _matching(schema.leaves, wanted)
            if role.sees(leaf.category)
        ]
        if not hits:
            msg = f"role {role.id} sees no field {_named(wanted)} of these events"
            raise RefusedError(Refused.FIELD, msg)
        for number, path in hits:
            chosen[number].add(path)
    shown = {
        number: tuple(leaf.path for leaf in open_to[number].leaves if leaf.path in paths)
        for number, paths in chosen.items()
        if paths
    }
    return View(shown, registry)


def _check_form(ask: Ask, role: Role) -> None:
    """Refuse what is not of its form, or not for this role, whatever the fields."""
    check_purpose(ask.purpose, ask.ticket, role)
    if not 0 < len(ask.fields) <= MAX_FIELDS:
        msg = f"name 1 to {MAX_FIELDS} fields, by path or by category"
        raise RefusedError(Refused.FIELD, msg)
    if not 0 < ask.limit <= MAX_EVENTS:
        msg = f"at most {MAX_EVENTS} events at once, and at least one"
        raise RefusedError(Refused.EVENT, msg)


def check_purpose(purpose: Purpose, ticket: str, role: Role) -> None:
    """Refuse a purpose that is not one of *role*'s, or a ticket that is not of the form.

    Raises:
        RefusedError: It is so.

    """
    if purpose not in role.purposes:
        msg = f"role {role.id} looks for {', '.join(role.purposes)}, not for {purpose}"
        raise RefusedError(Refused.PURPOSE, msg)
    if not TICKET.fullmatch(ticket):
        msg = "a look-up needs a ticket, such as CASE-17: 2 to 64 letters, digits and ._:/#-"
        raise RefusedError(Refused.TICKET, msg)


def _matching(leaves: Iterable[Leaf], wanted: str) -> Iterator[Leaf]:
    """Yield the leaves that *wanted* names: those of a category, or the one at a path."""
    is_category = wanted in categories()
    for leaf in leaves:
        if within(leaf.category, wanted) if is_category else leaf.path == wanted:
            yield leaf


def _named(text: str) -> str:
    """Return a name for an error: as it is if it can be one, else not at all."""
    return repr(text) if _NAME.fullmatch(text) else "of that form"


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]{}]{0,127}")


def _found(value: Any, steps: Sequence[str]) -> Any:  # noqa: ANN401, JSON
    """Return what lies at a leaf's path: a list through an array, an object through a map."""
    if value is None or not steps:
        return value
    step, *rest = steps
    if step == "[]":
        found = [_found(one, rest) for one in value]
        return [one for one in found if one is not None] or None
    if step == "{}":
        return {key: _found(one, rest) for key, one in value.items()} or None
    return _found(value.get(step), rest)
