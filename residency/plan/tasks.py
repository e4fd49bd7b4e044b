"""Tasks in a plan: how a model labels text, named by the SHA-256 of their files.

They are data of the layer that asks the model, and come in as an argument, as processors do.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from residency.contracts.model import FieldSource
from residency.plan.model import LabelPlan

UNKNOWN: Final = "unknown"  # nobody can say; a member of every vocabulary
WITHHELD: Final = "withheld"  # not said, because enough has been said of this customer


class Task(Protocol):
    """What a plan needs to know of a task.

    Attributes:
        name: Contracts and plans name it by this.
        version: From 1.
        sha256: Of its file, hex.
        labels: The closed vocabulary; `UNKNOWN` is one of them.

    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> Sequence[str]: ...  # noqa: D102


Tasks: TypeAlias = Mapping[str, Task]
NO_TASKS: Final[Tasks] = MappingProxyType({})


def make_label(field: str, source: FieldSource, text: str, tasks: Tasks) -> LabelPlan | str:
    """Return how *field* is made of the request's field *text*, or what is in its way.

    Args:
        field: The CRM field.
        source: Where the contract wants it to come from.
        text: The request's field.
        tasks: Those there are.

    """
    name = source.task or ""
    task = tasks.get(name)
    if task is None:
        return f"there is no inference/tasks/{name}.toml"
    values = set(task.labels)
    if UNKNOWN not in values or WITHHELD in values:
        return f"task {name}: {UNKNOWN!r} is one of its labels, and {WITHHELD!r} never"
    found = tuple(sorted(values | {WITHHELD}))
    return LabelPlan(field, name, task.version, task.sha256, text, found)


def text_field(path: str) -> str:
    """Return the request's field for the text at a path: ``text_body`` for ``body``."""
    return "text_" + "_".join("".join(c if c.isalnum() else " " for c in path).split())
