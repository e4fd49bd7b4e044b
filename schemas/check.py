"""Find everything that is wrong with a folder of schemas and its pinned ids, at once."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import avro.compatibility
import avro.errors
import avro.schema
import fastavro.schema

from schemas.errors import SetupError
from schemas.fieldcheck import FieldCheck, Problem
from schemas.registry import (
    AVRO_FOLDER,
    IDS_FILE,
    OURS,
    SCHEMA_ID,
    Pin,
    event_files,
    read_pins,
)
from schemas.resolve import (
    digest,
    full_name,
    leaves,
    named_types,
    read_avsc,
    resolve,
)

__all__ = ["Problem", "find_problems"]

Schemas = dict[str, dict[str, Any]]


def find_problems(folder: Path = AVRO_FOLDER) -> tuple[Problem, ...]:
    """Return what is wrong with the schemas of *folder* and their pins, sorted by file.

    Looked for: fields without exactly one known category, bad patterns, types we do not
    read, ids and digests that differ from their pins, unpinned files, and versions that
    could not read what an older one wrote.
    """
    problems: list[Problem] = []
    types = _read(sorted(folder.glob("types/*.avsc")), folder, problems)
    events = _read(event_files(folder), folder, problems)
    shared = {full_name(schema): schema for schema in types.values()}
    resolved: Schemas = {}
    for file, schema in events.items():
        found = _try(problems, file, partial(resolve, schema, shared, file))
        if found is not None:
            resolved[file] = found
    problems += _fields(types | events, shared)
    problems += _unused(types, resolved)
    for file, schema in resolved.items():
        _try(problems, file, partial(leaves, schema))
        _try(problems, file, partial(fastavro.schema.parse_schema, schema))
    pins = _try(problems, IDS_FILE, partial(read_pins, folder)) or ()
    problems += _pins(pins, resolved, set(events))
    problems += _compatibility(pins, resolved)
    return tuple(sorted(set(problems), key=lambda p: (p.file, p.path or "", p.text)))


def _try(problems: list[Problem], file: str, action: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return what *action* returns; if it refuses the schema, note why and return None."""
    try:
        return action()
    except SetupError as exc:
        problems.append(Problem(file, None, str(exc).removeprefix(f"{file}: ")))
    except (fastavro.schema.SchemaParseException, avro.errors.AvroException) as exc:
        problems.append(Problem(file, None, f"is not an Avro schema: {exc}"))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        problems.append(Problem(file, None, f"is not an Avro schema ({type(exc).__name__})"))
    return None


def _read(paths: list[Path] | tuple[Path, ...], folder: Path, problems: list[Problem]) -> Schemas:
    """Return the schemas of files by their names relative to *folder*."""
    found: Schemas = {}
    for path in paths:
        file = path.relative_to(folder).as_posix()
        schema = _try(problems, file, partial(read_avsc, path))
        if schema is not None:
            found[file] = schema
    return found


def _fields(schemas: Schemas, shared: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    for file, schema in schemas.items():
        names = {**shared, **named_types(schema)}
        short = {name.rpartition(".")[2]: found for name, found in names.items()}
        tagged = file.partition("/")[0] not in OURS
        yield from FieldCheck(file, {**short, **names}, tagged).record(schema)


def _unused(types: Schemas, resolved: Schemas) -> Iterator[Problem]:
    used = {name for schema in resolved.values() for name in named_types(schema)}
    for file, schema in types.items():
        if full_name(schema) not in used:
            yield Problem(file, None, "no event uses this type; use it or remove it")


def _pins(pins: tuple[Pin, ...], resolved: Schemas, files: set[str]) -> Iterator[Problem]:
    yield from _used_twice(pins, resolved)
    for pin in pins:
        if pin.file not in files:
            yield Problem(IDS_FILE, None, f"id {pin.id} pins {pin.file}, which is not there")
        elif pin.file in resolved:
            yield from _pin(pin, resolved[pin.file])
    for file in sorted(resolved.keys() - {pin.file for pin in pins}):
        now = digest(resolved[file])
        yield Problem(file, None, f"is not pinned; add a row to {IDS_FILE} with digest {now}")


def _used_twice(pins: tuple[Pin, ...], resolved: Schemas) -> Iterator[Problem]:
    rows = [f"id {pin.id}" for pin in pins]
    rows += [f"file {pin.file}" for pin in pins]
    rows += [f"{pin.subject} version {pin.version}" for pin in pins]
    for what, count in Counter(rows).items():
        if count > 1:
            yield Problem(IDS_FILE, None, f"{what} has {count} rows; an id stands for one file")
    owner: dict[object, str] = {}
    for file, schema in resolved.items():
        first = owner.setdefault(schema.get(SCHEMA_ID, file), file)
        if first != file:
            yield Problem(file, None, f"says the same id as {first}; take the next free one")


def _pin(pin: Pin, schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield where a file differs from its pin."""
    own = schema.get(SCHEMA_ID)
    subject = full_name(schema)
    if own is None:
        yield Problem(pin.file, None, f"does not say its id; add {SCHEMA_ID!r}: {pin.id}")
    elif own != pin.id:
        yield Problem(pin.file, None, f"changed its id from {pin.id} to {own}; put it back")
    if subject != pin.subject:
        yield Problem(pin.file, None, f"changed its name from {pin.subject} to {subject}")
    # compared as if the id were right, so that one mistake makes one problem
    now = digest({**schema, SCHEMA_ID: pin.id})
    if now != pin.digest:
        yield Problem(
            pin.file,
            None,
            f"changed under pinned id {pin.id}; put it back and add a new version, "
            f"or, if no record was ever written with it, pin digest {now}",
        )


def _compatibility(pins: tuple[Pin, ...], resolved: Schemas) -> Iterator[Problem]:
    """Yield where a version could not read what an older one wrote (backward, transitive)."""
    by_subject: dict[str, list[Pin]] = defaultdict(list)
    for pin in sorted(pins, key=lambda pin: pin.version):
        if pin.file in resolved:
            by_subject[pin.subject].append(pin)
    for subject, versions in by_subject.items():
        numbers = [pin.version for pin in versions]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Problem(IDS_FILE, None, f"the versions of {subject} do not count up from 1")
        for old, new in combinations(versions, 2):
            for path, kinds in _incompatible(resolved[old.file], resolved[new.file]):
                yield Problem(new.file, path, f"cannot read version {old.version}: {kinds}")


def _incompatible(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str | None, str]]:
    """Yield (field path, kinds of fault) where *new* could not read what *old* wrote."""
    try:
        writer = avro.schema.make_avsc_object(dict(old))
        reader = avro.schema.make_avsc_object(dict(new))
    except avro.errors.AvroException:
        return  # said already: it is not an Avro schema
    checker = avro.compatibility.ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    result = checker.get_compatibility(reader, writer)
    if result.compatibility is avro.compatibility.SchemaCompatibilityType.compatible:
        return
    kinds = ", ".join(sorted({kind.value.replace("_", " ") for kind in result.incompatibilities}))
    for place in result.locations:
        around = place.rstrip("/") + "/"
        if not any(other != place and other.startswith(around) for other in result.locations):
            yield _path_of(place, new), kinds


def _path_of(pointer: str, schema: Mapping[str, Any]) -> str | None:
    """Return the field path of a place that Avro's checker names by JSON pointer."""
    names, path, before = named_types(schema), "", ""
    at: Any = schema
    for step in pointer.strip("/").split("/"):
        found: Any = names.get(at, at) if isinstance(at, str) else at
        try:
            at = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, TypeError, ValueError, IndexError):
            break
        if before == "fields":
            path += f".{at['name']}"
        path += {"items": "[]", "values": "{}"}.get(step, "")
        before = step
    return path.removeprefix(".") or None
