"""The survivors that somebody looked at: each with the reason why it changes nothing."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "excuses.toml"


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why a mutant may live.

    Attributes:
        file: Relative to the checkout.
        function: Qualified name, or ``<module>``.
        change: As the run prints it.
        because: What makes it equivalent, or not worth a test.

    """

    file: str
    function: str
    change: str
    because: str

    @property
    def key(self) -> str:
        """Return the name of the mutant."""
        return f"{self.file}\x1f{self.function}\x1f{self.change}"


def load(file: Path = FILE) -> tuple[Excuse, ...]:
    """Return the excuses.

    Raises:
        ValueError: One lacks a reason, or a mutant is excused twice.

    """
    rows = tomllib.loads(file.read_text(encoding="utf-8")).get("excuse", [])
    found = tuple(Excuse(**row) for row in rows)
    if any(not excuse.because.strip() for excuse in found) or len(
        {excuse.key for excuse in found}
    ) != len(found):
        msg = f"{file.name}: every excuse has a reason and a mutant of its own"
        raise ValueError(msg)
    return found
