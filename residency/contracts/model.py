"""A contract as data, read from TOML and merged per event."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked_dataclass

from schemas.errors import SetupError

CONTRACTS_FOLDER = Path(__file__).parent
Aggregate = Literal["count", "sum", "min", "max"]
_STRICT = ConfigDict(extra="forbid")


class BadContractError(SetupError):
    """A contract file is not one we can carry out in full."""


@checked_dataclass(frozen=True, config=_STRICT)
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
        country: With *path*: the leaf that says which country's rules a generaliser uses.
        at: With *path*: the leaf with the event's time, for generalisers relative to it.
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
    country: str | None = None
    at: str | None = None
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
        return self

    @property
    def aggregate(self) -> tuple[Aggregate, str] | None:
        """Return how the values at which path become one, if they do."""
        return next(((how, path) for how, path in self._aggregates if path is not None), None)

    @property
    def _aggregates(self) -> tuple[tuple[Aggregate, str | None], ...]:
        return ("count", self.count), ("sum", self.sum), ("min", self.min), ("max", self.max)


@checked_dataclass(frozen=True, config=_STRICT)
class _Block:
    events: tuple[str, ...]
    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource] = field(default_factory=dict)
    deletes: bool = False


@checked_dataclass(frozen=True, config=_STRICT)
class _Nothing:
    event: str
    because: str


@checked_dataclass(frozen=True, config=_STRICT)
class _File:
    output: tuple[_Block, ...] = ()
    nothing: tuple[_Nothing, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One row that one event writes, or deletes.

    Attributes:
        deletes: The event deletes the row; there are no fields then.

    """

    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource]
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """What the CRM wants of every event type.

    Attributes:
        outputs: Event type -> its outputs, in the files' order; their position is the
            output number in record ids.
        nothing: Event types of which the CRM wants nothing, and why.

    """

    outputs: Mapping[str, tuple[Output, ...]]
    nothing: Mapping[str, str] = field(default_factory=dict)

    def knows(self, event: str) -> bool:
        """Say whether anybody decided about *event*; silence is refusal."""
        return event in self.outputs or event in self.nothing


def load_contract(folder: Path = CONTRACTS_FOLDER) -> Contract:
    """Return all contracts of *folder*, merged per event and object.

    Raises:
        BadContractError: Names the file and what is wrong in it.

    """
    outputs: dict[str, dict[str, Output]] = {}
    nothing: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        parsed = _read(path)
        nothing.update({row.event: row.because for row in parsed.nothing})
        for block in parsed.output:
            for event in block.events:
                rows = outputs.setdefault(event, {})
                rows[block.object] = _merge(path, event, rows.get(block.object), block)
    both = sorted(outputs.keys() & nothing.keys())
    if both:
        msg = f"{', '.join(both)}: listed under [[output]] and [[nothing]]; choose one"
        raise BadContractError(msg)
    return Contract({event: tuple(rows.values()) for event, rows in outputs.items()}, nothing)


def _read(path: Path) -> _File:
    try:
        return TypeAdapter(_File).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as exc:
        msg = f"{path.name}: {exc}"
        raise BadContractError(msg) from exc
    except ValidationError as exc:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors())
        msg = f"{path.name}: " + "; ".join(faults)
        raise BadContractError(msg) from exc


def _merge(path: Path, event: str, before: Output | None, block: _Block) -> Output:
    if before is None:
        return Output(block.object, block.external_id, block.fields, block.deletes)
    if before.external_id != block.external_id:
        msg = f"{path.name}: {event}: two external ids for one {block.object}"
        raise BadContractError(msg)
    if before.deletes or block.deletes:
        msg = f"{path.name}: {event}: a block that deletes {block.object} stands alone"
        raise BadContractError(msg)
    twice = sorted(before.fields.keys() & block.fields.keys())
    if twice:
        msg = f"{path.name}: {event}: {', '.join(twice)} mapped twice on {block.object}"
        raise BadContractError(msg)
    return Output(block.object, block.external_id, {**before.fields, **block.fields})
