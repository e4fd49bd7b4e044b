"""Everything that the demo found, and what of it is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from residency.ledger.verify import Report
from streams.demo.erased import Erased
from streams.demo.leaks import Leak
from streams.demo.observe import Counts
from streams.demo.publish import Published


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the demo found.

    Attributes:
        with_inference: Whether model servers ran, so that requests for labels were answered.
        labelled_rows: Rows in the org that have labels.
        surplus: Rows in the org beyond one per external id.
        erased: What became of each request for erasure.
        unwell: Processes that crashed or did not answer while the demo ran, and how.
        blind: Where the leak search's self-test did not find what it had planted.

    """

    published: Published
    regions: Mapping[str, Counts]
    surplus: int
    leaks: Sequence[Leak]
    blind: Sequence[str]
    unwell: Sequence[str]
    ledgers: Mapping[str, Report]
    rows: int
    with_inference: bool
    labelled_rows: int
    canaries: int
    searched_bytes: int
    seconds: float
    setup_seconds: float
    erased: Sequence[Erased] = ()

    def total(self, result: str) -> int:
        """Return how many minimal records had a result, over all regions."""
        return sum(counts.results.get(result, 0) for counts in self.regions.values())

    def to_json(self) -> dict[str, Any]:
        """Return the documented object of ``homeport demo --json``."""
        regions = self.regions.values()
        return {
            "published": self.published.published,
            "refused": self.published.refused,
            "duplicates_dropped": self.published.duplicates_dropped,
            "raw": sum(c.raw for c in regions),
            "with_records": sum(c.border.sent for c in regions),
            "nothing_to_send": sum(c.border.nothing for c in regions),
            "quarantined": sum(c.border.quarantined for c in regions),
            "minimal": sum(c.minimal for c in regions),
            "delivered": self.total("accepted"),
            "superseded": self.total("superseded"),
            "rejected": self.total("rejected"),
            "gate_refused": self.total("gate-refused"),
            "duplicates": self.surplus,
            "leaks_found": len(self.leaks),
            "ledger": {
                region: {"size": report.size, "verified": report.verified}
                for region, report in self.ledgers.items()
            },
            "rows": self.rows,
            "label_requests": sum(c.border.requests for c in regions),
            "labelled": sum(c.enrich.minimal for c in regions),
            "rows_with_labels": self.labelled_rows,
            "erasures": {
                "asked": len(self.erased),
                "done": sum(one.is_done for one in self.erased),
                "shown": [one.to_json() for one in self.shown()],
            },
            "canaries": self.canaries,
            "searched_bytes": self.searched_bytes,
            "seconds": round(self.seconds, 1),
            "setup_seconds": round(self.setup_seconds, 1),
            "problems": self.problems(),
        }

    def shown(self) -> list[Erased]:
        """Return one erasure of each region: one that is done, and of many kinds of rows."""
        best: dict[str, Erased] = {}
        for one in self.erased:
            best[one.region] = max(
                best.get(one.region, one), one, key=lambda e: (e.is_done, len(e.rows))
            )
        return [best[region] for region in self.regions if region in best]

    def problems(self) -> list[str]:
        """Return everything that is wrong; empty if the demo proved its point."""
        p, c = self.published, list(self.regions.values())
        raw = sum(one.raw for one in c)
        found = [
            f"a gateway's answer was not the expected one ({n} x {what})"
            for what, n in p.surprises.items()
        ]
        if p.published != p.refused + p.duplicates_dropped + raw:
            found.append("published is not refused + duplicates + raw")
        if raw != sum(one.border.raw for one in c):
            found.append("raw is not with records + nothing to send + quarantined")
        if sum(one.minimal for one in c) != sum(one.settled for one in c):
            found.append("minimal is not delivered + superseded + rejected + gate-refused")
        if self.with_inference and not all(one.is_labelled for one in c):
            found.append("a request for labels has no answer")
        if self.with_inference and not self.labelled_rows:
            found.append("no row in the org has labels")
        found += [f"{what}; see `homeport logs`" for what in self.unwell]
        if self.surplus:
            found.append(f"{self.surplus} surplus rows in the org")
        found += [
            f"leak: {leak.place}, {leak.encoding}, byte {leak.position}" for leak in self.leaks
        ]
        found += [fault for one in self.erased for fault in one.faults()]
        found += [f"the leak search is blind: {spot}" for spot in self.blind]
        found += [
            f"{region}: ledger does not verify: {'; '.join(report.problems[:3])}"
            for region, report in self.ledgers.items()
            if not report.verified
        ]
        return found
