"""What a data engineer's processor is: a pure function, a marker on it, and its file.

The marker only attaches what the function declares. `discover` finds the files; nothing is
registered by importing one.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Final, TypeAlias

from residency.plan.processors import Fields, Value
from schemas.errors import SetupError

__all__ = ["FOLDER", "Fields", "Loaded", "Value", "discover", "load", "processor"]

FOLDER: Final = Path(__file__).parent / "processors"
Function: TypeAlias = Callable[[Fields], Fields]
_MARK: Final = "__homeport_processor__"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a processor declares: its object, the fields it sees, the fields it may change."""

    object: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def processor(
    *,
    object: str,  # noqa: A002, the design's word
    reads: tuple[str, ...],
    writes: tuple[str, ...],
) -> Callable[[Function], Function]:
    """Attach what a processor declares to it; the function stays as it is.

    Args:
        object: Salesforce object whose minimal records it takes.
        reads: The fields that it sees; others are not there for it.
        writes: The fields that it may give back.

    """
    descriptor = Descriptor(object, tuple(reads), tuple(writes))

    def mark(function: Function) -> Function:
        setattr(function, _MARK, descriptor)
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Loaded:
    """A processor with its file's digest: what plans refer to.

    Attributes:
        doc: First line of the function's docstring.
        sha256: Of the file, hex.
        function: The function itself.

    """

    name: str
    doc: str
    object: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    sha256: str
    function: Function = field(repr=False)

    def apply(self, fields: Fields, /) -> Fields:
        """Return the changed ones of *fields*."""
        return self.function(fields)


def discover(folder: Path = FOLDER) -> Mapping[str, Loaded]:
    """Return the processors of *folder* by name, in the order of their names.

    Raises:
        SetupError: A file is no processor; the text names it and the next step.

    """
    files = sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))
    return MappingProxyType({file.stem: load(file) for file in files})


def load(file: Path) -> Loaded:
    """Return the processor that *file* holds.

    Raises:
        SetupError: It cannot be imported, or has not exactly one marked function of its name.

    """
    source = file.read_bytes()
    module = _imported(file, source)
    found = [f for f in vars(module).values() if hasattr(f, _MARK)]
    if len(found) != 1 or found[0].__name__ != file.stem:
        msg = f"{file.name}: must hold one @processor function, called {file.stem}"
        raise SetupError(msg)
    function = found[0]
    told: Descriptor = getattr(function, _MARK)
    doc = (inspect.getdoc(function) or "").partition("\n")[0]
    digest = hashlib.sha256(source).hexdigest()
    return Loaded(file.stem, doc, told.object, told.reads, told.writes, digest, function)


def _imported(file: Path, source: bytes) -> ModuleType:
    """Return the module made of the very bytes that the digest is of."""
    module = ModuleType(f"streams.processors.{file.stem}")
    module.__file__ = str(file)
    try:
        exec(compile(source, str(file), "exec", dont_inherit=True), vars(module))  # noqa: S102
    except Exception as error:
        problem = f"{type(error).__name__} as it is imported"
        msg = f"{file.name}: {problem}; run `homeport processors check {file.stem}`"
        raise SetupError(msg) from error
    return module
