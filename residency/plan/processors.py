"""Processors in a plan: pure functions on what may leave already, named by their SHA-256.

They are written above this layer, one file each, and come in as an argument. A processor sees
the fields that it says it reads, and what it says it writes is all that it can change.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from residency.plan.model import ProcessorRef
from schemas.errors import HaltError, SetupError

Value: TypeAlias = str | int | bool | bytes | None  # Avro's physical minimal types
Fields: TypeAlias = Mapping[str, Value]
CLEARED: Final = "cleared"
UNTOUCHABLE: Final = frozenset({"External_Id__c", "Base_Version__c", CLEARED, "deleted"})


class Processor(Protocol):
    """One file's function with what it declares.

    Attributes:
        name: The file's stem; contracts and plans name it by this.
        object: The object whose records it takes.
        reads: The fields that it sees.
        writes: The fields that it may change.
        sha256: Of the file, hex.

    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def object(self) -> str: ...  # noqa: D102
    @property
    def reads(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def writes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102

    def apply(self, fields: Fields, /) -> Fields:
        """Return the changed ones of *fields*; None empties a field in the org."""
        ...


Processors: TypeAlias = Mapping[str, Processor]
NO_PROCESSORS: Final[Processors] = MappingProxyType({})


def apply_processors(
    values: Mapping[str, Any], refs: Iterable[ProcessorRef], processors: Processors
) -> Mapping[str, Any]:
    """Return a minimal record's fields after the processors of its output, in their order.

    Args:
        values: Field name to physical value; a mapped field without one is listed under
            ``cleared``, in order.
        refs: The output's, from the plan.
        processors: By name; held against the plans by `check_refs` when they were loaded.

    Raises:
        HaltError: A processor raised, or gave back what it does not say it writes: the
            standard suite was not run over it.

    """
    for ref in refs:
        processor = processors[ref.name]
        seen = MappingProxyType({name: values.get(name) for name in processor.reads})
        values = _changed(values, _applied(processor, seen))
    return values


def _applied(processor: Processor, seen: Fields) -> Fields:
    try:
        made = dict(processor.apply(seen))
    except Exception:  # noqa: BLE001 - whatever it is: its text may quote a value
        made = None
    if made is None or not made.keys() <= set(processor.writes):
        problem = "raised an error" if made is None else "changed more than it says it writes"
        msg = (
            f"processor {processor.name}: {problem}; "
            f"run `homeport processors check {processor.name}`"
        )
        raise HaltError(msg)  # outside the block: the cause would quote the value
    return made


def _changed(values: Mapping[str, Any], made: Fields) -> Mapping[str, Any]:
    kept = {name: value for name, value in values.items() if name not in made}
    emptied = {name for name, value in made.items() if value is None}
    cleared = (set(values[CLEARED]) - made.keys()) | emptied
    set_now = {name: value for name, value in made.items() if value is not None}
    return {**kept, **set_now, CLEARED: sorted(cleared)}


def refer(
    names: Iterable[str], target: str, mapped: Iterable[str], processors: Processors
) -> tuple[tuple[ProcessorRef, ...], tuple[str, ...]]:
    """Return the references to an output's processors, and what is wrong with them.

    Args:
        names: As the contract lists them.
        target: The output's object.
        mapped: The fields that the contract maps on it.
        processors: Those there are.

    """
    refs: list[ProcessorRef] = []
    problems: list[str] = []
    fields = set(mapped)
    for name in names:
        found = processors.get(name)
        if found is None:
            problems.append(f"there is no streams/processors/{name}.py")
        elif found.object != target:
            problems.append(f"processor {name} is for {found.object}, not {target}")
        elif absent := sorted({*found.reads, *found.writes} - fields):
            problems.append(f"processor {name} needs {', '.join(absent)}: map them too")
        else:
            refs.append(ProcessorRef(name, found.sha256))
    return tuple(refs), tuple(problems)


def check_refs(refs: Iterable[ProcessorRef], processors: Processors) -> None:
    """Hold the processors that are here against those that approved plans name.

    Raises:
        SetupError: One is missing, or its file is not the one that was approved.

    """
    for ref in refs:
        found = processors.get(ref.name)
        if found is None or found.sha256 != ref.sha256:
            msg = (
                f"processor {ref.name}: its file is not the one that the plan names; "
                "restore it, or review `homeport plan show` and run `homeport plan approve`"
            )
            raise SetupError(msg)
