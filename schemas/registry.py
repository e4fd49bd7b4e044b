"""The schema registry of the embedded stack: a folder of Avro files with pinned ids.

``ids.toml`` beside the folder pins each file to an id and a digest. A file that does not
match its pin refuses to load, because bytes written under an id must be read by the very
schema that wrote them.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import fastavro

from schemas.errors import SetupError
from schemas.events import LABEL_VERSION, VersionKind
from schemas.resolve import (
    Leaf,
    digest,
    leaves,
    named_types,
    read_avsc,
    read_types,
    resolve,
    without_logical,
)

__all__ = ["AVRO_FOLDER", "EventSchema", "Leaf", "Pin", "Registry", "load_registry", "read_pins"]

AVRO_FOLDER = Path(__file__).with_name("avro")
IDS_FILE = "ids.toml"
MINIMAL = "minimal"  # domain of the schemas of minimal records
REQUESTS = "requests"  # of those of what the region's model is asked; they never leave
OURS = frozenset({MINIMAL, REQUESTS})  # what we write; all other schemas are of events
OBJECT = "homeport.object"
# Fields of every minimal record that say what to do with the row, and are no fields of it.
CLEARED, DELETED = "cleared", "deleted"
SCHEMA_ID = "homeport.schema-id"


@dataclass(frozen=True, slots=True)
class Pin:
    """A row of ``ids.toml``: what an id stands for, for ever."""

    id: int
    subject: str
    version: int
    file: str
    digest: str


@dataclass(frozen=True, eq=False)  # one object per pinned file: identity is enough, and fast
class EventSchema:
    """One version of one event's schema.

    Attributes:
        id: Pinned id, in each record's wire format.
        subject: The record's full name, such as ``commerce.orders.OrderPlaced``.
        version: From 1, per subject.
        digest: SHA-256 of the resolved schema, hex.
        avro: The resolved schema, self-contained.
        domain: ``orders``, ``customers``, ``messages``; ``minimal`` for minimal records,
            ``requests`` for what the region's model is asked.

    """

    id: int
    subject: str
    version: int
    digest: str
    avro: dict[str, Any] = field(repr=False)
    domain: str

    @cached_property
    def parsed(self) -> dict[str, Any]:
        """Return what fastavro reads and writes with; parsed on first use."""
        parsed: dict[str, Any] = fastavro.parse_schema(self.avro)  # type: ignore[assignment]
        return parsed

    @cached_property
    def physical(self) -> dict[str, Any]:
        """Return the schema without logical types: dates are days, decimals are bytes."""
        parsed: dict[str, Any] = fastavro.parse_schema(without_logical(self.avro))  # type: ignore[assignment]
        return parsed

    @cached_property
    def types(self) -> Mapping[str, Mapping[str, Any]]:
        """Return every named type that the schema declares, by full name."""
        return named_types(self.avro)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Return every leaf in the order of the fields; paths are unique."""
        return leaves(self.avro)

    @property
    def object(self) -> str | None:
        """Return the Salesforce object of a minimal record or a request, else None."""
        name: str | None = self.avro.get(OBJECT)
        return name

    @property
    def kind(self) -> VersionKind:
        """Which of a row's two versions the minimal records raise."""
        names = {row["name"] for row in self.avro["fields"]}
        return "labels" if LABEL_VERSION in names else "base"


@dataclass(frozen=True)
class Registry:
    """Every pinned schema, in the order of their ids."""

    schemas: tuple[EventSchema, ...]

    @cached_property
    def _ids(self) -> Mapping[int, EventSchema]:
        return {schema.id: schema for schema in self.schemas}

    def __iter__(self) -> Iterator[EventSchema]:
        """Yield every schema, lowest id first."""
        return iter(self.schemas)

    def by_id(self, schema_id: int) -> EventSchema:
        """Return the schema of an id.

        Raises:
            KeyError: No schema has this id.

        """
        return self._ids[schema_id]

    def versions(self, subject: str) -> tuple[EventSchema, ...]:
        """Return a subject's versions, oldest first; none if it is unknown."""
        found = [schema for schema in self.schemas if schema.subject == subject]
        return tuple(sorted(found, key=lambda schema: schema.version))

    def latest(self, subject: str) -> EventSchema:
        """Return a subject's newest version.

        Raises:
            KeyError: No schema has this subject.

        """
        versions = self.versions(subject)
        if not versions:
            raise KeyError(subject)
        return versions[-1]

    def event(self, subject: str, version: object = None) -> EventSchema:
        """Return one version of an event's schema; the newest if *version* is None.

        Raises:
            KeyError: No event has this subject, or it has no such version. The argument is
                the subject or the version, whichever is not known.

        """
        known = {s.version: s for s in self.versions(subject) if s.domain not in OURS}
        if not known:
            raise KeyError(subject)
        wanted = max(known) if version is None else version
        if type(wanted) is not int or wanted not in known:  # True would be 1
            raise KeyError(version)
        return known[wanted]

    def raw(self) -> tuple[EventSchema, ...]:
        """Return the schemas of events, without those of what we write."""
        return tuple(schema for schema in self.schemas if schema.domain not in OURS)

    def minimal(self, object_name: str, kind: VersionKind = "base") -> EventSchema:
        """Return the newest schema of one kind of an object's minimal records.

        Raises:
            KeyError: There is none for this object.

        """
        return self._only(
            object_name, (s for s in self.schemas if s.domain == MINIMAL and s.kind == kind)
        )

    def request(self, object_name: str) -> EventSchema:
        """Return the newest schema of what the region's model is asked for an object's rows.

        Raises:
            KeyError: There is none for this object.

        """
        return self._only(object_name, (s for s in self.schemas if s.domain == REQUESTS))

    def _only(self, object_name: str, among: Iterable[EventSchema]) -> EventSchema:
        subjects = {schema.subject for schema in among if schema.object == object_name}
        if len(subjects) != 1:
            raise KeyError(object_name)
        return self.latest(subjects.pop())


def domain_of(file: str, subject: str) -> str:
    """Return the domain of a subject: what we write by its folder, an event by its namespace."""
    folder = file.partition("/")[0]
    return folder if folder in OURS else subject.split(".")[-2]


def read_pins(folder: Path) -> tuple[Pin, ...]:
    """Return the rows of the ``ids.toml`` that lies beside *folder*.

    Raises:
        SetupError: It is missing or a row lacks something.

    """
    path = folder.parent / IDS_FILE
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("schema", [])
        return tuple(_pin(row) for row in rows)
    except (OSError, ValueError, TypeError) as exc:
        columns = ", ".join(Pin.__slots__)
        msg = f"{path.name}: not readable ({type(exc).__name__}); a row has {columns}"
        raise SetupError(msg) from exc


def _pin(row: Mapping[str, Any]) -> Pin:
    pin = Pin(**row)
    numbers, words = (pin.id, pin.version), (pin.subject, pin.file, pin.digest)
    if {type(n) for n in numbers} != {int} or {type(word) for word in words} != {str}:
        msg = "id and version are numbers, the rest is text"
        raise TypeError(msg)
    return pin


@cache
def load_registry(folder: Path = AVRO_FOLDER) -> Registry:
    """Return the schemas of a folder, each checked against its pin.

    Raises:
        SetupError: A file is missing, unpinned or not what its pin says.

    """
    types = read_types(folder)
    pins = sorted(read_pins(folder), key=lambda pin: pin.id)
    schemas = tuple(_load(folder, pin, types) for pin in pins)
    for what in ("id", "file"):
        values = [getattr(pin, what) for pin in pins]
        if len(set(values)) != len(values):
            msg = f"{IDS_FILE}: two rows have the same {what}; run: homeport schema check"
            raise SetupError(msg)
    unpinned = {f"{path.parent.name}/{path.name}" for path in event_files(folder)} - {
        pin.file for pin in pins
    }
    if unpinned:
        msg = f"{IDS_FILE}: no row for {', '.join(sorted(unpinned))}; run: homeport schema check"
        raise SetupError(msg)
    return Registry(schemas)


def event_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that need a pin: events and what we write, not shared types."""
    return tuple(sorted(path for name in ("raw", *OURS) for path in folder.glob(f"{name}/*.avsc")))


def _load(folder: Path, pin: Pin, types: Mapping[str, Mapping[str, Any]]) -> EventSchema:
    """Return one schema, checked against its pin."""
    avro = resolve(read_avsc(folder / pin.file), types, pin.file)
    subject = f"{avro.get('namespace', '')}.{avro.get('name', '')}"
    if subject != pin.subject or avro.get(SCHEMA_ID) != pin.id or digest(avro) != pin.digest:
        msg = f"{pin.file}: not what {IDS_FILE} pins under id {pin.id}; run: homeport schema check"
        raise SetupError(msg)
    return EventSchema(
        pin.id, pin.subject, pin.version, pin.digest, avro, domain_of(pin.file, subject)
    )
