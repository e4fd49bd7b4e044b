"""Holds raw records against the region's suppressions: the erased do not come back.

An erasure outranks availability: while the suppressions cannot be read, nothing is decided, and
records wait where they are.
"""

from collections.abc import Collection, Mapping

from connectors.postgres.vault.suppressions import Suppressions
from residency.vault.kinds import load_kinds
from residency.vault.suppress import Judgement, Suppression, judge, tell
from schemas.errors import SetupError
from schemas.events import RawBatch
from schemas.registry import load_registry


class Erased:
    """What one process can know of its region's erased subjects. One thread.

    Each call raises as `Suppressions` does.
    """

    def __init__(self, dsn: str) -> None:
        """Remember where the vault is; the first call connects."""
        self._suppressions = Suppressions(dsn)
        self._registry = load_registry()
        self._kinds = load_kinds()

    def close(self) -> None:
        """Close the connection."""
        self._suppressions.close()

    def judge(self, batch: RawBatch) -> Judgement:
        """Return what the rule says of a batch, by one query, and change nothing."""
        found = self._suppressions.of(set(batch.keys))
        if not found:
            return Judgement()
        values = batch.values
        return judge(batch.keys, found, lambda n: tell(values[n], self._registry, self._kinds))

    def refused(self, batch: RawBatch) -> Mapping[int, Suppression]:
        """Return what refuses records of a batch, by their number; keep what the others lift."""
        judged = self.judge(batch)
        for subject, at in judged.lifts.items():
            self._suppressions.lift(subject, at)
        return judged.refused

    def tokens(self, tokens: Collection[str]) -> Collection[str]:
        """Return those of some customers' *tokens* that are suppressed."""
        return self._suppressions.of_tokens(tokens).keys()


def need(dsn: str | None, who: str) -> str:
    """Return where the vault is.

    Raises:
        SetupError: The settings of *who* do not say.

    """
    if dsn is None:
        msg = f"{who}: no postgres in its settings; run `homeport up` to write them again"
        raise SetupError(msg)
    return dsn
