"""The texts that make up a policy, and what is wrong in them, with file and line."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from residency.policy.lines import Path as Keys
from residency.policy.lines import line_of
from schemas.errors import SetupError

ROOT = Path(__file__).parents[1]  # holds regions.toml, destinations.toml and policy/
PACKS = "policy/packs"
SINGLE = {
    "regions": "regions.toml",
    "destinations": "destinations.toml",
    "special": "policy/special_categories.toml",
    "overrides": "policy/overrides.toml",
    "sets": "policy/transfer_sets.toml",
    "bases": "policy/bases.toml",
    "retired": "policy/retired_ids.toml",
    "budgets": "policy/leak_budget.toml",
    "access": "vault/access.toml",
}
_AT_LINE = re.compile(r"\(at line (\d+)")
# group 1 is a bare NO; strings and comments are passed over
_BARE_NO = re.compile(r"\"[^\"]*\"|'[^']*'|#.*|(?<![\w-])(NO)(?![\w-])", re.IGNORECASE)
UNQUOTED = 'a bare word in a list of codes: YAML 1.1 reads NO as false; write "NO", in quotes'
_EMPTY = "an empty text; say what belongs here, or take the key out"
T = TypeVar("T")


class BadPolicyError(SetupError):
    """A policy file is not one we can enforce in full."""


class Severity(StrEnum):
    """Whether a finding fails the lint."""

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing the lint says.

    Attributes:
        line: From 1.
        kind: A word from the list in docs/policy.md.
        text: What is wrong, by row id, and what to do.

    """

    file: str
    line: int
    kind: str
    text: str
    severity: Severity = Severity.PROBLEM

    def __str__(self) -> str:
        """Return ``file:line: kind: text``."""
        mark = "note: " if self.severity is Severity.NOTE else ""
        return f"{self.file}:{self.line}: {mark}{self.kind}: {self.text}"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A file as its author wrote it."""

    name: str
    text: str = field(repr=False)

    def finding(
        self, at: Keys, kind: str, text: str, severity: Severity = Severity.PROBLEM
    ) -> Finding:
        """Return a finding about what stands at a path of keys and positions."""
        return Finding(self.name, line_of(self.text, at), kind, text, severity)

    def table(self, findings: list[Finding]) -> Mapping[str, Any]:
        """Return the file's content; empty, and a finding, if it is not TOML.

        A bare NO is a finding and read as the country, so that the rest is looked at, too.
        """
        lines = self.text.split("\n")
        while True:
            try:
                return tomllib.loads("\n".join(lines))
            except tomllib.TOMLDecodeError as exc:
                at = _AT_LINE.search(str(exc))
                line = int(at[1]) if at else self.text.rstrip("\n").count("\n") + 1
                quoted = _BARE_NO.sub(lambda m: f'"{m[1]}"' if m[1] else m[0], lines[line - 1])
                if quoted == lines[line - 1]:
                    findings.append(Finding(self.name, line, "syntax", f"not TOML: {exc}"))
                    return {}
                lines[line - 1] = quoted
                findings.append(Finding(self.name, line, "unquoted-no", UNQUOTED))

    def row(self, row: object, at: Keys, kind: type[T], findings: list[Finding]) -> T | None:
        """Return a row as a value, and a finding for each fault; None, if it cannot be read.

        What is returned may have findings: whoever is to enforce it refuses them all.
        """
        known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        row, bare = _without_booleans(row, at)
        findings += [self.finding(where, "unquoted-no", UNQUOTED) for where in bare]
        findings += [self.finding(where, "bad-row", _EMPTY) for where in _blank(row, at)]
        for key in row if isinstance(row, dict) else ():
            if key not in known:
                told = f"unknown key {key!r}; have {', '.join(sorted(known))}"
                findings.append(self.finding((*at, key), "unknown-key", told))
        try:
            value: T = _reader(kind).validate_python(row)  # type: ignore[arg-type]  # a class hashes
        except ValidationError as exc:
            findings += [self._invalid(at, error["loc"], error["msg"]) for error in exc.errors()]
            return None
        return value

    def _invalid(self, at: Keys, where: Keys, message: str) -> Finding:
        name = ".".join(str(part) for part in where)
        return self.finding((*at, *where), "bad-row", f"{name}: {message}")


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A value and where it stands."""

    value: T
    file: PolicyFile
    at: Keys

    def finding(
        self, at: str | Keys, kind: str, text: str, severity: Severity = Severity.PROBLEM
    ) -> Finding:
        """Return a finding about a key of the row; about the row, if *at* is empty."""
        keys = self.at + ((at,) if isinstance(at, str) and at else tuple(at))
        return self.file.finding(keys, kind, text, severity)


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _blank(row: object, at: Keys) -> Iterator[Keys]:
    """Yield where a row has a text that says nothing."""
    if isinstance(row, str) and not row.strip():
        yield at
    elif isinstance(row, dict):
        for key, value in row.items():
            yield from _blank(value, (*at, key))
    elif isinstance(row, list):
        for number, value in enumerate(row):
            yield from _blank(value, (*at, number))


def _without_booleans(row: object, at: Keys) -> tuple[object, list[Keys]]:
    """Return a row without booleans in its lists, and where they stood: none belongs there."""
    if isinstance(row, dict):
        parts = {key: _without_booleans(value, (*at, key)) for key, value in row.items()}
        return {k: v for k, (v, _) in parts.items()}, [w for _, ws in parts.values() for w in ws]
    if isinstance(row, list):
        bare = [(*at, n) for n, value in enumerate(row) if isinstance(value, bool)]
        rest = [
            _without_booleans(value, (*at, n))
            for n, value in enumerate(row)
            if not isinstance(value, bool)
        ]
        return [value for value, _ in rest], bare + [w for _, ws in rest for w in ws]
    return row, []


@dataclass(frozen=True)
class PolicyFiles:
    """All files of one policy.

    Attributes:
        packs: By file name without its ending.

    """

    regions: PolicyFile
    destinations: PolicyFile
    special: PolicyFile
    overrides: PolicyFile
    sets: PolicyFile
    bases: PolicyFile
    retired: PolicyFile
    budgets: PolicyFile
    access: PolicyFile
    packs: Mapping[str, PolicyFile]


def shipped_files() -> PolicyFiles:
    """Return the policy that this checkout ships."""
    single = {
        key: PolicyFile(shown(ROOT / name), text_of(ROOT / name)) for key, name in SINGLE.items()
    }
    return PolicyFiles(**single, packs=_packs(ROOT / PACKS))


def files_at(path: Path) -> PolicyFiles:
    """Return the policy in a folder or a pack file; what it lacks is as shipped.

    Args:
        path: A folder like ``residency``, or like ``residency/policy``, or of packs alone,
            or one pack file, which then stands in for the shipped one of its name.

    Raises:
        BadPolicyError: There is no pack.

    """
    shipped = shipped_files()
    if path.is_file():
        pack = PolicyFile(shown(path), text_of(path))
        return replace(shipped, packs={**shipped.packs, path.stem: pack})
    folder, single = _layout(path)
    found = {key: PolicyFile(shown(at), text_of(at)) for key, at in single.items() if at.is_file()}
    packs = _packs(folder)
    if not packs:
        msg = f"{path}: no policy pack there; give a folder with packs/*.toml, or a pack file"
        raise BadPolicyError(msg)
    return replace(shipped, **found, packs=packs)


def _layout(path: Path) -> tuple[Path, Mapping[str, Path]]:
    """Return the folder of the packs and where the other files would be."""
    root = path.resolve()
    root = root.parent if root.name == "packs" else root
    root = root.parent if root.name == "policy" else root
    if (root / PACKS).is_dir():
        return root / PACKS, {key: root / name for key, name in SINGLE.items()}
    if (root / "packs").is_dir():
        return root / "packs", {k: root / n.rsplit("/", 1)[-1] for k, n in SINGLE.items()}
    return path, {}


def files_from(read: Callable[[str], str | None], packs: list[str], name: str) -> PolicyFiles:
    """Return the policy that *read* gives by path below ``residency``; as shipped what it lacks.

    Args:
        read: Returns a file's text, or None.
        packs: Names of the packs there.
        name: What to call the place, such as a git revision.

    """
    shipped = shipped_files()
    found = {
        key: PolicyFile(f"{name}:{at}", text)
        for key, at in SINGLE.items()
        if (text := read(at)) is not None
    }
    texts = {pack: read(f"{PACKS}/{pack}.toml") or "" for pack in packs}
    rows = {pack: PolicyFile(f"{name}:{PACKS}/{pack}.toml", text) for pack, text in texts.items()}
    return replace(shipped, **found, packs=rows)


def _packs(folder: Path) -> Mapping[str, PolicyFile]:
    return {p.stem: PolicyFile(shown(p), text_of(p)) for p in sorted(folder.glob("*.toml"))}


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        BadPolicyError: It cannot be read.

    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        msg = f"{path}: cannot be read as text; every policy file is UTF-8 TOML"
        raise BadPolicyError(msg) from exc


def shown(path: Path) -> str:
    """Return the path as people below the working folder would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
