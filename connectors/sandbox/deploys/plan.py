"""What a package would make of the org, component by component. Touches no row.

Source: Metadata API Developer Guide, "deploy()" and "DeployMessage".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from connectors.sandbox.deployed.changes import unchangeable
from connectors.sandbox.deployed.metadata import Metadata
from connectors.sandbox.deploys.components import (
    Component,
    Problem,
    is_empty,
    is_required,
    names_of,
    path_of,
    renamed,
    split,
    without_grants,
)
from connectors.sandbox.deploys.options import DeployOptions
from connectors.sandbox.deploys.package import Package
from connectors.sandbox.deploys.source import Source
from connectors.sfdx.places import PARTS, PLACES
from schemas.errors import SetupError

_Names: TypeAlias = Mapping[str, Mapping[str, str]]  # source files by type and full name
_ORDER = ("CustomObject", "CustomField", "ValidationRule")  # each may name the ones before it
_ALL = "*"
_OBJECT = "CustomObject"
_SETS = f"{PLACES['PermissionSet'][0]}/"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a package would do.

    Attributes:
        steps: Components that can be deployed, in the order in which they are.
        problems: Of the others.
        source: What is deployed afterwards.
        metadata: What that makes.

    """

    steps: tuple[Component, ...]
    problems: tuple[Problem, ...]
    source: Source
    metadata: Metadata


@dataclass(slots=True)
class _Found:
    options: DeployOptions
    names: dict[tuple[str, str], str]  # what is there, by type and lower-case name
    steps: list[Component] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def make_plan(
    source: Source,
    metadata: Metadata,
    packages: Iterable[Package],
    options: DeployOptions,
    is_cancelled: Callable[[], bool],
) -> Plan:
    """Return what *packages* would make of the org that has *source*.

    Args:
        source: What is deployed now.
        metadata: What that makes.
        packages: To deploy.
        options: Of the deployment.
        is_cancelled: Asked between two tries; then the plan ends early.

    """
    known = {**names_of(source.files()), _OBJECT: metadata.objects}
    names = {(kind, name.lower()): name for kind in known for name in known[kind]}
    found = _Found(options, names)
    for package in packages:
        _collect(package, source, metadata, found)
    steps, after, result = _settle(source, metadata, found, is_cancelled)
    return Plan(tuple(steps), tuple(found.problems), after, result)


def without(plan: Plan, problem: Problem, source: Source) -> Plan:
    """Return *plan* for the org that has *source*, less the component that *problem* is about."""
    kept = [s for s in plan.steps if (s.kind, s.name) != _key(problem)]
    after = _apply(source, kept)
    return Plan(tuple(kept), (*plan.problems, problem), after, after.load())


def problem_of(component: Component, text: str) -> Problem:
    """Return a problem with *component*."""
    return Problem(component.kind, component.name, component.file, text)


def _key(problem: Problem) -> tuple[str, str]:
    return problem.kind, problem.name


def _collect(package: Package, source: Source, metadata: Metadata, found: _Found) -> None:
    """Add the package's components to *found*, and what is wrong with it."""
    named: set[tuple[str, str]] = set()
    there = names_of(source.files())
    for member in package.members:
        components, problems = split(member)
        wanted = [one for one in components if _is_wanted(one, package)]
        named |= {(one.kind, one.name) for one in components} | {(member.kind or "", member.name)}
        if components and not wanted:
            found.problems.append(problem_of(components[0], "Not in package.xml"))
            continue
        found.problems += problems
        for one in (_known(one, found.names) for one in wanted):
            if one.kind == _OBJECT and one.name in metadata.objects and is_empty(one):
                continue  # it only brings parts: what the object is stays
            found.steps.append(one)
    if not found.options.allow_missing_files:
        _add_missing(package, named, there, found)
    for file, kind, name in package.deleted:
        _add_deletion(file, kind, name, there, found)


def _known(one: Component, names: dict[tuple[str, str], str]) -> Component:
    """Return the component under the name by which the org knows it: names have no case."""
    owner, _, part = one.name.partition(".")
    owner = names.get((_OBJECT, owner.lower()), owner) if one.kind in PARTS else owner
    name = f"{owner}.{part}" if part else owner
    return renamed(one, names.setdefault((one.kind, name.lower()), name))


def _is_wanted(one: Component, package: Package) -> bool:
    names = package.wanted.get(one.kind, frozenset())
    owner = one.name.partition(".")[0] if one.kind in PARTS else ""
    objects = package.wanted.get(_OBJECT, frozenset()) if owner else frozenset()
    return bool({one.name, _ALL} & names or {owner, _ALL} & objects)


def _add_missing(
    package: Package,
    named: set[tuple[str, str]],
    there: _Names,
    found: _Found,
) -> None:
    """Add what the manifest names and no file holds."""
    for kind, names in sorted(package.wanted.items()):
        if kind not in there:
            text = f"Unknown type name '{kind}' specified in package.xml"
            found.problems.append(Problem(kind, "", package.file, text))
            continue
        for name in sorted(names - {_ALL}):
            if (kind, name) not in named:
                text = (
                    f"An object '{name}' of type {kind} was named in package.xml, but was not"
                    " found in zipped directory"
                )
                found.problems.append(Problem(kind, name, package.file, text))


def _add_deletion(file: str, kind: str, name: str, there: _Names, found: _Found) -> None:
    name = found.names.get((kind, name.lower()), name)
    if kind not in there:
        text = f"Unknown type name '{kind}' specified in {file}"
        found.problems.append(Problem(kind, name, file, text))
    elif name == _ALL:
        text = "Wildcards are not allowed in a manifest of deletions"
        found.problems.append(Problem(kind, name, file, text))
    elif name not in there[kind]:
        text = f"No {kind} named: {name} found"
        fails = not found.options.ignore_warnings
        found.problems.append(Problem(kind, name, file, text, is_warning=True, fails=fails))
    else:
        found.steps.append(Component(kind, name, file))


def _settle(
    source: Source, before: Metadata, found: _Found, is_cancelled: Callable[[], bool]
) -> tuple[list[Component], Source, Metadata]:
    """Drop steps, with the reason, until what is left makes metadata.

    A step that does not fit is found by halving: the shortest beginning of the list that makes
    none ends with it.
    """
    steps = sorted(found.steps, key=_rank)
    while True:
        result = _try(source, before, steps)
        if isinstance(result, Metadata):
            return steps, _apply(source, steps), result
        fits, fails = 0, len(steps)
        while fails - fits > 1 and not is_cancelled():
            middle = (fits + fails) // 2
            attempt = _try(source, before, steps[:middle])
            if isinstance(attempt, Metadata):
                fits = middle
            else:
                fails, result = middle, attempt
        culprit = steps.pop(fails - 1)
        found.problems.append(problem_of(culprit, result))
        if is_cancelled():
            return [], source, before


def _try(source: Source, before: Metadata, steps: Sequence[Component]) -> Metadata | str:
    """Return the metadata that *steps* make, or why they make none."""
    result = _apply(source, steps)
    files = result.files()
    for step in steps:
        owner = step.name.partition(".")[0]
        is_standard = owner in before.objects and not owner.endswith("__c")
        is_custom = owner.endswith("__c") and path_of(_OBJECT, owner) in files
        is_about_object = step.kind == _OBJECT or step.kind in PARTS
        if is_about_object and not (step.is_deletion or is_standard or is_custom):
            return f"Entity of type 'CustomObject' named '{owner}' cannot be found"
    try:
        after = result.load()
    except SetupError as exc:
        return str(exc)
    except ValueError:
        return "A number was expected"
    return _misfit(before, after, steps) or after


def _misfit(before: Metadata, after: Metadata, steps: Sequence[Component]) -> str | None:
    """Return what keeps the org from becoming *after*."""
    for name, sobject in after.objects.items():
        known = before.objects.get(name)
        for one in sobject.fields:
            old = None if known is None else known.field(one.name)
            text = None if old is None else unchangeable(old, one)
            if text is not None:
                return text
    for step in steps:
        if step.kind == "PermissionSet" and not step.is_deletion:
            text = _unknown_grant(after, step.name)
            if text is not None:
                return text
    return None


def _unknown_grant(metadata: Metadata, name: str) -> str | None:
    """Return which object or field a permission set names that is not there."""
    granted = metadata.permission_sets[name]
    for sobject in sorted(granted.objects):
        if sobject not in metadata.objects:
            return f"In field: object - no CustomObject named {sobject} found"
    for full_name in sorted(granted.readable | granted.editable):
        owner, _, part = full_name.partition(".")
        known = metadata.objects.get(owner)
        if known is None or known.field(part) is None:
            return f"In field: field - no CustomField named {full_name} found"
    return None


def _rank(step: Component) -> tuple[int, int]:
    """Order steps so that each finds what it names: deletions last, parts before wholes."""
    at = _ORDER.index(step.kind) if step.kind in _ORDER else len(_ORDER)
    return (1, -at) if step.is_deletion else (0, at)


def _apply(source: Source, steps: Sequence[Component]) -> Source:
    for one in steps:
        if not one.is_deletion:
            source = source.put(one.path, one.content)
            if is_required(one):  # everybody sees it now; sets that are deployed follow later
                source = _without_grants(source, one.name)
            continue
        below = f"objects/{one.name}/" if one.kind == _OBJECT else one.path
        for path in source.files():
            if path.startswith(below):
                source = source.take(path)
        source = _without_grants(source, one.name)
    return source


def _without_grants(source: Source, gone: str) -> Source:
    """Return *source* with nothing granted on *gone*, an object or a field."""
    for path, content in source.files().items():
        if path.startswith(_SETS) and (left := without_grants(content, gone)) != content:
            source = source.put(path, left)
    return source
