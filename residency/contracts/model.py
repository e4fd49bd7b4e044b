"""A contract as a value: what the CRM needs, per event type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from residency.plan.model import parse_path
from schemas.events import VersionKind

Aggregate = Literal["count", "sum", "min", "max"]
STRICT = ConfigDict(extra="forbid")
EXTERNAL_ID = "External_Id__c"
SUBJECT = "subject"


@checked_dataclass(frozen=True, config=STRICT)
class FieldSource:
    """Where one CRM field comes from: exactly one of the sources.

    Attributes:
        path: A leaf of the event, such as ``customer.email``, ``items[0].sku`` or
            ``attributes{gift}``.
        count: An array whose length is sent; below another array (``parcels[].items``)
            the lengths are added up.
        sum: A leaf below an array, such as ``items[].quantity``: all its values added up.
        min: Likewise, the lowest of them; with none, the field is emptied.
        max: Likewise, the highest.
        constant: A fixed text.
        region: The region's id.
        clear: Empty the field.
        identity: With *path*: the external id namespace whose token is sent.
        parent: With *identity*: the object whose row has that token as its external id.
        country: With *path*: the leaf that says which country's rules a generaliser uses.
        at: With *path*: the leaf with the event's time, for generalisers relative to it.
        task: With *path*: the task by which the region's model labels the text there.
        otherwise: What to do where the policy gives less than the contract asks for, or
            the schema version has no such path.

    """

    path: str | None = None
    count: str | None = None
    sum: str | None = None
    min: str | None = None
    max: str | None = None
    constant: str | None = None
    region: bool = False
    clear: bool = False
    identity: str | None = None
    parent: str | None = None
    country: str | None = None
    at: str | None = None
    task: str | None = None
    otherwise: Literal["refuse", "omit"] = "refuse"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        over = [path for _, path in self._aggregates]
        given = [*over, self.path, self.constant, self.region or None, self.clear or None]
        if len([source for source in given if source is not None]) != 1:
            msg = "give exactly one of path, count, sum, min, max, constant, region, clear"
            raise ValueError(msg)
        if self.path is None and (self.identity or self.country or self.at):
            msg = "identity, country and at go with path"
            raise ValueError(msg)
        if self.task is not None and (self.path is None or self.identity or self.beside):
            msg = "task goes with path alone: it labels the text there"
            raise ValueError(msg)
        if self.parent is not None and self.identity is None:
            msg = "parent goes with identity: it names the object whose rows have that external id"
            raise ValueError(msg)
        for path in self.paths:
            parse_path(path)
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """Return every path that it names."""
        over = [path for _, path in self._aggregates]
        return tuple(p for p in (self.path, *over, *self.beside) if p is not None)

    @property
    def beside(self) -> tuple[str, ...]:
        """Return the paths that a generaliser reads beside the value."""
        return tuple(p for p in (self.country, self.at) if p is not None)

    @property
    def aggregate(self) -> tuple[Aggregate, str] | None:
        """Return how the values at which path become one, if they do."""
        return next(((how, path) for how, path in self._aggregates if path is not None), None)

    @property
    def _aggregates(self) -> tuple[tuple[Aggregate, str | None], ...]:
        return ("count", self.count), ("sum", self.sum), ("min", self.min), ("max", self.max)


@dataclass(frozen=True, slots=True)
class Output:
    """One row that one event writes, deletes or has labelled.

    Attributes:
        fields: Each by its name; of labels, each has a task.
        deletes: The event deletes the row; there are no fields then.
        hard: Likewise, for good: not by way of the org's recycle bin.
        places: Field name -> where it is mapped, such as ``orders.toml:12``; the empty name
            is the output itself.
        processors: Names of the functions that its fields go through, in this order.
        subject: Whose texts are labelled: the customer's identity. None of an output that is
            made of the event itself.

    """

    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource]
    deletes: bool = False
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    processors: tuple[str, ...] = ()
    subject: FieldSource | None = None
    hard: bool = False

    @property
    def kind(self) -> VersionKind:
        """Which of its row's two versions it raises."""
        return "base" if self.subject is None else "labels"

    @property
    def sources(self) -> Mapping[str, FieldSource]:
        """Return everything that is read of the event, by what it is for."""
        subject = {} if self.subject is None else {SUBJECT: self.subject}
        return {EXTERNAL_ID: self.external_id, **subject, **self.fields}

    def place(self, name: str) -> str | None:
        """Return where a field is mapped, or else the output; None if it is of no file."""
        return self.places.get(name) or self.places.get("")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What becomes of the rows of one object when their person is erased.

    Attributes:
        action: The row goes, or it stays and is emptied.
        keep: Of a row that stays: fields that keep their value.
        fields: Likewise: fields that are set to a constant. All others are emptied.
        places: As of `Output`.
        hard: The row goes for good: not by way of the org's recycle bin.

    """

    object: str
    action: Literal["delete", "anonymise"]
    keep: tuple[str, ...] = ()
    fields: Mapping[str, FieldSource] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    hard: bool = False

    @property
    def deletes(self) -> bool:
        """Return whether the row goes."""
        return self.action == "delete"

    def place(self, name: str = "") -> str | None:
        """Return where a field is named, or else the whole; None if it is of no file."""
        return self.places.get(name) or self.places.get("")


@dataclass(frozen=True, slots=True)
class Contract:
    """What the CRM wants of every event type.

    Attributes:
        outputs: Event type -> its outputs, in the files' order, labels last; their position is
            the output number in record ids.
        nothing: Event types of which the CRM wants nothing, and why.
        places: Event type -> where it is first named.
        erasures: Object -> what becomes of its rows at an erasure.

    """

    outputs: Mapping[str, tuple[Output, ...]]
    nothing: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    erasures: Mapping[str, Erasure] = field(default_factory=dict)

    def knows(self, event: str) -> bool:
        """Say whether anybody decided about *event*; silence is refusal."""
        return event in self.outputs or event in self.nothing
