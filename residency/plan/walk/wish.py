"""What a plan wants to know of an event, laid out as the event's schema is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from residency.plan.model import Each, MapKey, parse_path
from schemas.errors import SetupError


class UnwalkableError(SetupError):
    """A schema or plan that the walker does not carry out; `strip` does."""


@dataclass(slots=True)
class Wish:
    """What is wanted of one node of a schema and of what lies below it.

    Attributes:
        stores: (slot, how) to keep the node's value in.
        counts: Slots for the number of an array's items.
        fields: Of a record.
        items: Of an array, by position.
        each: Of every item of an array.
        entries: Of a map, by key.

    """

    stores: list[tuple[int, int]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    fields: dict[str, "Wish"] = field(default_factory=dict)
    items: dict[int, "Wish"] = field(default_factory=dict)
    each: "Wish | None" = None
    entries: dict[str, "Wish"] = field(default_factory=dict)

    def at(self, path: str) -> "Wish":
        """Return the wish for the node at *path*; see `parse_path`.

        Raises:
            UnwalkableError: It adds up what maps hold: a key that comes twice would have to
                be taken back.

        """
        wish, steps = self, parse_path(path)
        if any(isinstance(step, MapKey) for step in steps) and Each() in steps:
            msg = f"{path}: adds up what maps hold"
            raise UnwalkableError(msg)
        for step in steps:
            match step:
                case int():
                    wish = wish.items.setdefault(step, Wish())
                case MapKey():
                    wish = wish.entries.setdefault(step.key, Wish())
                case Each():
                    wish.each = wish.each or Wish()
                    wish = wish.each
                case str():
                    wish = wish.fields.setdefault(step, Wish())
        return wish

    def plus(self, other: "Wish | None") -> "Wish":
        """Return both wishes for one node."""
        if other is None:
            return self
        return Wish(
            self.stores + other.stores,
            self.counts + other.counts,
            _merged(self.fields, other.fields),
            _merged(self.items, other.items),
            other.each if self.each is None else self.each.plus(other.each),
            _merged(self.entries, other.entries),
        )

    def slots(self) -> list[int]:
        """Return every slot that this node or one below it writes."""
        below = [*self.fields.values(), *self.items.values(), *self.entries.values()]
        below += [self.each] if self.each else []
        own = [slot for slot, _ in self.stores] + self.counts
        return own + [slot for wish in below for slot in wish.slots()]


def _merged(some: Mapping[Any, Wish], more: Mapping[Any, Wish]) -> dict[Any, Wish]:
    return {key: some.get(key, Wish()).plus(more.get(key)) for key in {**some, **more}}
