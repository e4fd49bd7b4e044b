"""What a reconciliation can find, and how bad each is. Nothing here holds a value or a token."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal[
    "unlogged",
    "foreign",
    "missing",
    "gone",
    "recycled",
    "not-deleted",
    "changed",
    "duplicate",
    "outside-contract",
    "row-lost",
    "row-unbacked",
    "count-differs",
]
Severity = Literal["critical", "high"]

# Critical: the org holds what the log does not know, or no longer what was sent. High: the
# region's own notes are wrong, or there is something to clear up.
SEVERITIES: Final[Mapping[Kind, Severity]] = {
    "unlogged": "critical",
    "foreign": "critical",
    "missing": "critical",
    "gone": "critical",
    "recycled": "critical",
    "not-deleted": "critical",
    "changed": "critical",
    "duplicate": "high",
    "outside-contract": "critical",
    "row-lost": "high",
    "row-unbacked": "high",
    "count-differs": "high",
}
MEANINGS: Final[Mapping[Kind, str]] = {
    "unlogged": "made by our user, and no leaf says that it was sent",
    "foreign": "made by somebody else in our object",
    "missing": "accepted, and not in the org",
    "gone": "accepted, and neither the org nor the expected rows have it",
    "recycled": "accepted, and in the org's recycle bin",
    "not-deleted": "its deletion was accepted, and it is in the org",
    "changed": "a field holds something else than what was accepted last",
    "duplicate": "more than one row with this external id",
    "outside-contract": "a field that no contract has holds something",
    "row-lost": "accepted by the ledger, and the expected row is gone or behind",
    "row-unbacked": "the expected row names a record that no leaf says was accepted",
    "count-differs": "the expected rows fold more or fewer records than the ledger accepted",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        object: Salesforce object.
        kind: See `MEANINGS`.
        row: Keyed digest of the row's external id, hex; empty where it is about no one row.
        field: The field that it is about, or None.
        org_ids: Record ids in the org, sorted; at most 100.
        records: Names of the minimal records that made the row, as far as they are known. Where
            counts differ, those of the accepted records of which nobody knows whether a row has
            them; at most 100.
        count: Of rows or records that it is about; None where nobody can count them.

    """

    object: str
    kind: Kind
    row: str = ""
    field: str = ""
    org_ids: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    count: int | None = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "kind": self.kind,
            "severity": SEVERITIES[self.kind],
            "object": self.object,
            "field": self.field or None,
            "row": self.row or None,
            "org_ids": list(self.org_ids),
            "records": list(self.records),
            "count": self.count,
            "meaning": MEANINGS[self.kind],
        }


@dataclass(frozen=True, slots=True)
class Looked:
    """How much of one object was looked at.

    Attributes:
        org: Rows that the org showed, other regions' left out.
        expected: Rows that the region keeps notes of.
        in_flight: Rows on their way just now: no finding, the next run looks again.

    """

    org: int
    expected: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one reconciliation saw.

    Attributes:
        region: Whose.
        origin: The ledger's name.
        size: Its size when the run ended.
        since: Where the window began, RFC 3339; None: everything was compared.
        horizon: Where it ends: later changes are the next run's.
        looked: By object.
        findings: Sorted.

    """

    region: str
    origin: str
    size: int
    since: str | None
    horizon: str
    looked: Mapping[str, Looked]
    findings: Sequence[Finding]

    @property
    def counts(self) -> dict[Kind, int]:
        """Return how many findings there are of each kind, every kind named."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in SEVERITIES}

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "region": self.region,
            "ledger": {"origin": self.origin, "size": self.size},
            "since": self.since,
            "horizon": self.horizon,
            "clean": not self.findings,
            "objects": {
                name: {"org_rows": n.org, "expected_rows": n.expected, "in_flight": n.in_flight}
                for name, n in self.looked.items()
            },
            "counts": self.counts,
            "findings": [finding.to_json() for finding in self.findings],
        }
