"""Leaves about no record: what was done in the region beside sending, such as a replay.

Whoever does such a thing asks the ledger's writer for the leaf, see `residency.ledger.requests`;
`NOTICES` is the closed list of kinds that may be asked for. A new kind is a class in a module of
its own, a row here, and its published schema.

Each carries ``request``, 128 random bits of whoever asked: so no two are the same bytes, the
writer can tell after a crash which of them it has appended, and nobody can guess an entry from
its hash.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, Self

from residency.ledger.accesses import AccessLeaf
from residency.ledger.certificates import ModelLeaf
from residency.ledger.erasures import ErasureLeaf
from residency.ledger.policies import PolicyLeaf
from residency.ledger.replays import ReplayLeaf
from residency.ledger.resumes import ResumeLeaf


class Notice(Protocol):
    """What every leaf about no record has; it refuses what is not of its strict form."""

    kind: ClassVar[str]

    @property
    def time(self) -> str:
        """When it was asked for, see `residency.ledger.leaves.quantise`."""
        ...

    @property
    def request(self) -> str:
        """Return the 32 hex digits that whoever asked for it drew."""
        ...

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        ...

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        ...


NOTICES: Final[Mapping[str, type[Notice]]] = {
    AccessLeaf.kind: AccessLeaf,
    ErasureLeaf.kind: ErasureLeaf,
    ModelLeaf.kind: ModelLeaf,
    PolicyLeaf.kind: PolicyLeaf,
    ReplayLeaf.kind: ReplayLeaf,
    ResumeLeaf.kind: ResumeLeaf,
}
