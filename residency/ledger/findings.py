"""What can be the matter with a file of a ledger, and what a person has to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What is the matter with a file; the first three mean that the ledger does not hold."""

    ALTERED = "altered"  # its content is not what the checkpoint signs
    MISSING = "missing"  # the ledger needs it
    STRANGER = "stranger"  # it stands among the tiles and is none
    TORN = "torn"  # it lies beyond the checkpoint: an append that was torn, or is under way
    STALE = "stale"  # a partial tile that a wider one replaces
    DRAFT = "draft"  # not yet renamed to its place when its writer ended
    FOREIGN = "foreign"  # it lies beside the ledger and is no part of it


WRONG: Final = frozenset({Kind.ALTERED, Kind.MISSING, Kind.STRANGER})
ADVICE: Final = {
    Kind.ALTERED: "stop the egress worker, keep the folder, restore the file from a mirror",
    Kind.MISSING: "stop the egress worker and restore the file from a backup or mirror",
    Kind.STRANGER: "find out who put it there, then move it away",
    Kind.TORN: "nothing, unless the next start is refused: it removes the file",
    Kind.STALE: "nothing; a repair removes it",
    Kind.DRAFT: "nothing: the writer's next start removes it; so does a repair",
    Kind.FOREIGN: "nothing: the writer leaves it alone",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One file that is not as a writer at rest leaves it.

    Attributes:
        kind: What is the matter.
        path: The file, relative to the ledger's folder.
        text: It in words.
        leaf: The first leaf that it concerns; None if there is none or it cannot be told.

    """

    kind: Kind
    path: str
    text: str
    leaf: int | None = None

    @property
    def is_wrong(self) -> bool:
        """Return whether the ledger does not hold because of it."""
        return self.kind in WRONG

    @property
    def advice(self) -> str:
        """Return what a person has to do about it."""
        return ADVICE[self.kind]
