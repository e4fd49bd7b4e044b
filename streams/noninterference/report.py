"""What a run found: pairs, what varied in them, and what told them apart."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.noninterference.compare import Difference, summed

SHOWN = 20  # differences that are named one by one


@dataclass(slots=True)
class Report:
    """A run, or a share of one.

    Attributes:
        pairs: Compared, by schema: ``commerce.orders.OrderPlaced@2``.
        endings: How both sides ended, by how often; `crosses` should be most.
        verdicts: What the gate said of both sides' records, by how often.
        varied: How often each leaf that must not show differed, by schema and path.
        found: How often what differed: (subject, path, what).
        shown: The first differences, each by record.
        interpreters: What carried the plan out.
        notes: What was not compared, and why.

    """

    pairs: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    varied: dict[str, Counter[str]] = field(default_factory=dict)
    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    shown: list[Difference] = field(default_factory=list)
    interpreters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_interrupted: bool = False

    @property
    def unvaried(self) -> list[str]:
        """Leaves that never differed, so that nothing was tried about them."""
        return sorted(
            f"{schema}: {path}"
            for schema, counts in self.varied.items()
            for path, times in counts.items()
            if times == 0
        )

    @property
    def is_fine(self) -> bool:
        """Whether something was compared, every leaf varied and nothing differed."""
        return bool(self.pairs) and not self.found and not self.unvaried

    def add(self, differences: Iterable[Difference]) -> None:
        """Count *differences*; keep the first few."""
        for one in differences:
            self.found[one.subject, one.path, one.what] += 1
            if len(self.shown) < SHOWN:
                self.shown.append(one)

    def cover(self, schema: str, varied: Mapping[str, int]) -> None:
        """Add what varied in the pairs of a schema."""
        counts = self.varied.setdefault(schema, Counter())
        for path, times in varied.items():
            counts[path] += times

    def merge(self, other: "Report") -> None:
        """Add the share of another process."""
        self.pairs += other.pairs
        self.endings += other.endings
        self.verdicts += other.verdicts
        self.found += other.found
        self.shown = (self.shown + other.shown)[:SHOWN]
        self.interpreters = self.interpreters or other.interpreters
        self.notes = self.notes or other.notes
        self.is_interrupted |= other.is_interrupted
        for schema, counts in other.varied.items():
            self.cover(schema, counts)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        leaves = [times for counts in self.varied.values() for times in counts.values()]
        return {
            "pairs": self.pairs.total(),
            "schemas": dict(sorted(self.pairs.items())),
            "interpreters": list(self.interpreters),
            "leaves": len(leaves),
            "least_varied": min(leaves, default=0),
            "never_varied": self.unvaried,
            "endings": dict(self.endings.most_common()),
            "gate": dict(self.verdicts.most_common()),
            "differences": self.found.total(),
            "found": summed(self.found),
            "first": [str(one) for one in self.shown],
            "not_compared": list(self.notes),
            "interrupted": self.is_interrupted,
            "fine": self.is_fine and not self.is_interrupted,
        }
