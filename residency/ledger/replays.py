"""The ``replay`` leaf: somebody held the ledger against the raw records, and what came out.

It binds the report by its digest, so that a report cannot be taken back or dated anew. What was
found stands in it as counts by a closed list of words; names of records are in the report alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from residency.ledger import forms

# `residency.replay.found.Verdict`, as words of a leaf; a test holds the two together.
VERDICTS: Final = frozenset(
    {
        "same", "nothing", "quarantined", "refused", "not-yet", "differs", "other-code",
        "not-logged", "twice", "plan-gone", "keys-gone", "decision-gone", "raw-gone", "raw-missing",
        "erased", "unopened",
    }
)  # fmt: skip
MAX_TOPICS: Final = 100


@dataclass(frozen=True, slots=True)
class ReplayLeaf:
    """A replay was made.

    Attributes:
        time: See `residency.ledger.leaves.quantise`.
        request: See `residency.ledger.notices`.
        report: SHA-256 of the signed report, the file ``replay.note``, hex.
        size: How many leaves of the ledger were held against raw records.
        release: Digest of the code that replayed.
        topics: Raw topics, sorted, each once, one at least.
        since: Published from that minute on; None: from the first record.
        until: Published before; None: up to the last one that was decided.
        raw: How many raw records were read.
        counts: By word of `VERDICTS`; none is 0.
        resent: How many records were sent again.

    """

    time: str
    request: str
    report: str
    size: int
    release: str
    topics: tuple[str, ...]
    since: str | None
    until: str | None
    raw: int
    counts: Mapping[str, int]
    resent: int = 0

    kind: ClassVar[str] = "replay"

    def __post_init__(self) -> None:
        """Refuse what is not of the field's form.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_time(self.time)
        forms.check_text("request", self.request, forms.REQUEST)
        forms.check_text("report", self.report, forms.DIGEST)
        forms.check_integer("size", self.size)
        forms.check_word("release", self.release, forms.RELEASE)
        for topic in self.topics:
            forms.check_word("topics", topic, forms.TOPIC)
        is_sorted = tuple(sorted(set(self.topics))) == self.topics
        forms.check(is_sorted and 0 < len(self.topics) <= MAX_TOPICS, "topics", "sorted, each once")
        for name, time in (("since", self.since), ("until", self.until)):
            if time is not None:
                forms.check_time(time, name)
        forms.check_integer("raw", self.raw)
        forms.check(self.counts.keys() <= VERDICTS, "counts", "by verdict")
        for count in self.counts.values():
            forms.check_integer("counts", count)
            forms.check(count, "counts", "without those that are 0")
        forms.check_integer("resent", self.resent)

    def to_bytes(self) -> bytes:
        """Return the entry; the inverse of `residency.ledger.leaves.parse_leaf`."""
        return forms.canonical(
            {
                "kind": self.kind,
                "time": self.time,
                "request": self.request,
                "report": self.report,
                "size": self.size,
                "release": self.release,
                "topics": list(self.topics),
                "since": self.since,
                "until": self.until,
                "raw": self.raw,
                "counts": dict(self.counts),
                "resent": self.resent,
            }
        )

    @classmethod
    def from_fields(cls, row: Mapping[str, Any]) -> Self:
        """Return the leaf whose JSON object is *row*.

        Raises:
            FormatError: Names the field, not its value.

        """
        forms.check_fields(row, _FIELDS)
        forms.check(isinstance(row["topics"], list), "topics", "a list")
        forms.check(isinstance(row["counts"], dict), "counts", "an object")
        values = {name: row[name] for name in _FIELDS - {"kind", "topics"}}
        return cls(topics=tuple(row["topics"]), **values)


_FIELDS = forms.NOTICE_FIELDS | {
    "report", "size", "release", "topics", "since", "until", "raw", "counts", "resent",
}  # fmt: skip
