"""What keeps a contract from being met: where it was asked for, and where it fails."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from schemas.errors import SetupError


@dataclass(frozen=True, slots=True)
class Fault:
    """One problem of one plan.

    Attributes:
        place: File and line of the contract, such as ``orders.toml:12``, or None.
        event: The event's full name.
        version: Of its schema.
        region: Whose policy it is.
        field: The CRM field, or None for the output or the event as a whole.
        text: What is wrong and the next step.

    """

    place: str | None
    event: str
    version: int
    region: str
    field: str | None
    text: str

    def __str__(self) -> str:
        """Return the problem in one line."""
        return merged([self])[0]


class PlanError(SetupError):
    """The contract cannot be met under the policy.

    Attributes:
        faults: All of them.
        problems: The same as text.

    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Join the problems into one text."""
        self.faults = tuple(faults)
        self.problems = tuple(map(str, faults))
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class _Same:
    """What two faults share that a reader would mend in one go."""

    place: str | None
    event: str
    field: str | None
    text: str

    @classmethod
    def of(cls, fault: Fault) -> Self:
        return cls(fault.place, fault.event, fault.field, fault.text)


def merged(faults: Iterable[Fault]) -> list[str]:
    """Return one line per problem, however many versions and regions have it, in their order."""
    found: dict[_Same, list[Fault]] = {}
    for fault in faults:
        found.setdefault(_Same.of(fault), []).append(fault)
    return [_line(same, list(group)) for same, group in found.items()]


def _line(same: _Same, group: Sequence[Fault]) -> str:
    versions = ", ".join(f"v{n}" for n in sorted({fault.version for fault in group}))
    regions = ", ".join(dict.fromkeys(fault.region for fault in group))
    where = f"{same.event} {versions} in {regions}"
    return ": ".join(part for part in (same.place, where, same.field, same.text) if part)
