"""Data classification of the org's fields, from the categories of the events' fields."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from residency.contracts.model import EXTERNAL_ID, Contract
from residency.plan.model import leaf_path
from schemas.errors import SetupError
from schemas.registry import Registry

CLASSES_FILE = Path(__file__).with_name("classes.toml")
Security = Literal["Public", "Internal", "Confidential", "Restricted", "MissionCritical"]
Group = Literal["CCPA", "COPPA", "GDPR", "HIPAA", "PCI", "PII"]
_HEIGHT: Mapping[Security, int] = {
    "Public": 0,
    "Internal": 1,
    "Confidential": 2,
    "Restricted": 3,
    "MissionCritical": 4,
}
_STRICT = ConfigDict(extra="forbid")


@checked_dataclass(frozen=True, config=_STRICT)
class Classification:
    """How closely a field is held, and under which laws."""

    security: Security
    groups: frozenset[Group]

    def with_(self, other: "Classification") -> "Classification":
        """Return the stricter of both, under the laws of both."""
        security = max(self.security, other.security, key=_HEIGHT.__getitem__)
        return Classification(security, self.groups | other.groups)


@dataclass(frozen=True, slots=True)
class Classes:
    """The table: what a row has at least, and what a category prefix adds."""

    row: Classification
    prefixes: Mapping[str, Classification]

    def of(self, categories: Iterable[str]) -> Classification:
        """Return the class of a field that is made of *categories*.

        Raises:
            SetupError: The table has no row for one of them.

        """
        found = self.row
        for category in categories:
            found = found.with_(self._longest(category))
        return found

    def _longest(self, category: str) -> Classification:
        prefix = category
        while prefix:
            if prefix in self.prefixes:
                return self.prefixes[prefix]
            prefix = prefix.rpartition(".")[0]
        msg = f"{CLASSES_FILE.name}: no class for category {category or '(none)'}; add one"
        raise SetupError(msg)


@checked_dataclass(frozen=True, config=_STRICT)
class _File:
    row: Classification
    class_: Mapping[str, Classification]


@cache
def load_classes(path: Path = CLASSES_FILE) -> Classes:
    """Return the table.

    Raises:
        SetupError: It cannot be read as one.

    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        document["class_"] = document.pop("class", {})
        file = TypeAdapter(_File).validate_python(document)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as exc:
        msg = f"{path.name}: not a table of classes ({type(exc).__name__}); see its head"
        raise SetupError(msg) from exc
    return Classes(file.row, file.class_)


def categories_of(contract: Contract, registry: Registry) -> Mapping[tuple[str, str], set[str]]:
    """Return the categories that each field of each object is made of, in any event's version.

    A field that holds a constant, the region or a count is made of none.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for event, outputs in contract.outputs.items():
        leaves = [leaf for schema in registry.versions(event) for leaf in schema.leaves]
        for output in outputs:
            for name, source in {EXTERNAL_ID: output.external_id, **output.fields}.items():
                paths = {leaf_path(path) for path in source.paths}
                categories = {leaf.category for leaf in leaves if leaf.path in paths}
                found.setdefault((output.object, name), set()).update(categories)
    return found
