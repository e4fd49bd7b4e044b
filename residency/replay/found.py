"""What a replay finds: a closed list, what each means, and what to do next."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

MAX_FINDINGS = 1_000  # listed in a report; the counts hold them all
NO_LEAF: Final = -1


class Verdict(StrEnum):
    """What became of one minimal record, or of one raw record that gave none."""

    SAME = "same"
    NOTHING = "nothing to send"
    QUARANTINED = "quarantined"
    REFUSED = "gate-refused"
    NOT_YET = "not yet"
    ERASED = "erased"
    DIFFERS = "differs"
    OTHER_CODE = "differs (other code)"
    NOT_LOGGED = "not logged"
    TWICE = "logged twice"
    PLAN_GONE = "plan gone"
    KEYS_GONE = "keys gone"
    DECISION_GONE = "decision gone"
    UNOPENED = "unopened"
    RAW_GONE = "no raw record: before the topic's start"
    RAW_MISSING = "no raw record: missing"


def word(verdict: Verdict) -> str:
    """Return how a ``replay`` leaf writes a verdict: ``not-logged``."""
    return verdict.name.lower().replace("_", "-")


FINE: Final = frozenset(
    {
        Verdict.SAME,
        Verdict.NOTHING,
        Verdict.QUARANTINED,
        Verdict.REFUSED,
        Verdict.NOT_YET,
        Verdict.ERASED,
    }
)
NEXT_STEP: Final[Mapping[Verdict, str]] = {
    Verdict.DIFFERS: "this release made other bytes of the same raw record: see whether keys, "
    "plans or the raw topic were changed, and keep all three as evidence",
    Verdict.OTHER_CODE: "another release made it: check that release out and replay with it",
    Verdict.NOT_LOGGED: "it left without a leaf, or the leaf was removed: look for it in the org, "
    "and run `homeport ledger verify` with a checkpoint kept elsewhere",
    Verdict.TWICE: "one record has two transfer leaves: see who else held the ledger's key",
    Verdict.PLAN_GONE: "this release holds no plan of that digest: `git log -S DIGEST -- "
    "residency/approved_plans` names the release that does; replay with it",
    Verdict.KEYS_GONE: "the keyring lacks that version: restore <region>/keys/tokens.json",
    Verdict.DECISION_GONE: "the region's database holds no decision about these texts, and the "
    "model is not asked again: restore the table `decisions` from its backup",
    Verdict.UNOPENED: "the gateway sealed it, its subject is not erased, and no key opens it: "
    "restore the vault's table `subjects` and the keyring; see docs/raw-sealing.md",
    Verdict.RAW_GONE: "retention has deleted it and the vault's archive does not hold it, or the "
    "topic was made anew: leave it out with --from",
    Verdict.RAW_MISSING: "the topic holds the time before and after it, but not it: see who may "
    "delete records or write leaves",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that is not as it must be, by record id and never by value.

    Attributes:
        topic: Of the raw record.
        partition: Of the raw record.
        offset: Of the raw record.
        record: The minimal record's name.
        leaf: Index of the leaf that it is about; -1 without one.
        verdict: What is wrong.

    """

    topic: str
    partition: int
    offset: int
    record: str
    leaf: int
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {
            "verdict": self.verdict.value,
            "record": self.record,
            "leaf": None if self.leaf < 0 else self.leaf,
        }


@dataclass(slots=True)
class Found:
    """What a replay found so far on one partition; grows in the order of the offsets.

    Attributes:
        counts: By verdict; `Verdict.NOTHING`, `Verdict.QUARANTINED` and `Verdict.ERASED` count
            raw records, all others minimal records or leaves.
        findings: The first `MAX_FINDINGS`.
        erased: How many records of erased subjects there are, by the leaf of the erasure;
            `NO_LEAF`: it is under way, and what it has changed so far counts. Which records they
            are is not told: they are one person's.
        raw: Raw records read.

    """

    counts: Counter[Verdict] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    raw: int = 0
    erased: Counter[int] = field(default_factory=Counter)

    def note(self, finding: Finding) -> None:
        """Count a finding and list it, while there is room."""
        self.counts[finding.verdict] += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    def to_json(self) -> dict[str, Any]:
        """Return it for a file; the inverse of `from_json`."""
        return {
            "counts": {verdict.value: n for verdict, n in self.counts.items()},
            "findings": [
                [f.topic, f.partition, f.offset, f.record, f.leaf, f.verdict.value]
                for f in self.findings
            ],
            "raw": self.raw,
            "erased": list(self.erased.items()),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Return what `to_json` wrote."""
        return cls(
            Counter({Verdict(name): n for name, n in row["counts"].items()}),
            [
                Finding(topic, partition, offset, record, leaf, Verdict(verdict))
                for topic, partition, offset, record, leaf, verdict in row["findings"]
            ],
            row["raw"],
            Counter(dict(row["erased"])),
        )


def total(parts: Iterable[Found]) -> Found:
    """Return the findings of several partitions as one, the list in the order of their records."""
    whole = Found()
    findings: list[Finding] = []
    for part in parts:
        whole.counts.update(part.counts)
        whole.raw += part.raw
        whole.erased.update(part.erased)
        findings += part.findings
    whole.findings = sorted(findings)[:MAX_FINDINGS]
    return whole
