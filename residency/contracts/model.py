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
_STRICT = ConfigDict(extra="forbid")


class BadContractError(SetupError):
    """A contract file is not one we can carry out in full."""


@checked_dataclass(frozen=True, config=_STRICT)
class FieldSource:
    """Where one CRM field comes from: exactly one of the sources.

    Attributes:
        path: A leaf of the event, such as ``customer.email`` or ``items[0].sku``.
        count: An array whose length is sent.
        constant: A fixed text.
        region: The region's id.
        clear: Empty the field.
        identity: With *path*: the external id namespace whose token is sent.
        country: With *path*: the leaf that says which country's rules a generaliser uses.
        otherwise: What to do where the policy gives less than the contract asks for, or
            the schema version has no such path.

    """

    path: str | None = None
    count: str | None = None
    constant: str | None = None
    region: bool = False
    clear: bool = False
    identity: str | None = None
    country: str | None = None
    otherwise: Literal["refuse", "omit"] = "refuse"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [self.path, self.count, self.constant, self.region or None, self.clear or None]
        if sum(source is not None for source in given) != 1:
            msg = "give exactly one of path, count, constant, region, clear"
            raise ValueError(msg)
        if self.path is None and (self.identity or self.country):
            msg = "identity and country go with path"
            raise ValueError(msg)
        return self


@checked_dataclass(frozen=True, config=_STRICT)
class _Block:
    events: tuple[str, ...]
    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource]
    processors: tuple[str, ...] = ()


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
    """One row that one event writes.

    Attributes:
        processors: Names of the functions that its fields go through, in this order.

    """

    object: str
    external_id: FieldSource
    fields: Mapping[str, FieldSource]
    processors: tuple[str, ...] = ()


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
        return Output(block.object, block.external_id, block.fields, block.processors)
    if before.external_id != block.external_id:
        msg = f"{path.name}: {event}: two external ids for one {block.object}"
        raise BadContractError(msg)
    twice = sorted(before.fields.keys() & block.fields.keys())
    if twice:
        msg = f"{path.name}: {event}: {', '.join(twice)} mapped twice on {block.object}"
        raise BadContractError(msg)
    if again := sorted(set(before.processors) & set(block.processors)):
        msg = f"{path.name}: {event}: {', '.join(again)} named twice on {block.object}"
        raise BadContractError(msg)
    processors = before.processors + block.processors
    return Output(block.object, block.external_id, {**before.fields, **block.fields}, processors)
