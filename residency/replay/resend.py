"""Choose which records are sent again, and under which number: pure, one partition at a time.

A record that is sent again keeps its coordinates and its row version, so a row that has gone on
is not set back; only its resend number grows. One that the org accepted before is sent as the
very bytes it was sent as, made anew under the plan and key version of its leaf and held against
the leaf's commitment; one that never was is made under today's. What lies in quarantine is left
to the retries, which settle its entry there. Labels are left to enrichment, whose request waits
in Kafka until it is answered.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from residency.ledger.leaves import commit, month_key
from residency.plan.model import OutputPlan, Plan
from residency.replay.books import Books, Made, MadeBy, Place, by_offset, make
from residency.replay.claims import (
    ACCEPTED,
    REFUSAL,
    REJECTED,
    SUPERSEDED,
    TRANSFER,
    Claim,
    Terms,
)
from schemas.errors import QuarantineError
from schemas.events import Coordinates, RawBatch, RecordId, row_version

Outputs = Mapping[int, frozenset[int]]  # by offset


@dataclass(frozen=True, slots=True)
class Wish:
    """Which records of a partition somebody wants sent again.

    Attributes:
        named: These, whatever became of them: by offset the outputs, none for all of them.
            None: all that are not logged, or were refused and lie in no quarantine.
        accepted: Also those that the org accepted.

    """

    named: Outputs | None = None
    accepted: bool = False

    @property
    def is_explicit(self) -> bool:
        """Whether somebody who gets nothing sent wants to know why."""
        return self.accepted or self.named is not None

    def has(self, offset: int, output: int | None = None) -> bool:
        """Return whether an output is wanted; without one, whether any of the raw record is."""
        if self.named is None:
            return True
        outputs = self.named.get(offset)
        return outputs is not None and (output is None or not outputs or output in outputs)


@dataclass(frozen=True, slots=True)
class Stock:
    """Where the records of a partition are, beside the ledger, when the choice is made.

    Attributes:
        size: The ledger's when the resend was first begun: what is logged from there on, this
            resend has sent, or somebody else since.
        waiting: Outputs that wait for egress.
        undecided: Offsets of raw records in quarantine.
        refused: Outputs in quarantine that no retry has settled.
        today: Plans that ended before it are not used.

    """

    size: int
    waiting: Outputs = field(default_factory=dict)
    undecided: frozenset[int] = frozenset()
    refused: Outputs = field(default_factory=dict)
    today: date = date.min


@dataclass(frozen=True, slots=True)
class Again:
    """A record to be sent again.

    Attributes:
        keys: Version of the token keys.
        key: Kafka key: the row's external id.
        value: Minimal bytes in wire format.

    """

    id: RecordId
    plan: Plan
    output: OutputPlan
    keys: int
    version: int
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stays:
    """A record that was wanted and is not sent again: why, in words."""

    record: str
    why: str


@dataclass(frozen=True, slots=True)
class Already:
    """A record that was sent again since the resend was begun."""

    record: str


Choice = Again | Stays | Already


class Chooser:
    """Chooses on one partition, batch by batch."""

    def __init__(  # noqa: PLR0913, PLR0917, each is a different thing to choose by
        self,
        place: Place,
        books: Books,
        terms: Sequence[Terms],
        root: bytes,
        stock: Stock,
        wish: Wish,
    ) -> None:
        """Take what to choose by; *root* is the region's commitment root key."""
        self._place = place
        self._books = books
        self._terms = terms
        self._month_keys = {month: month_key(root, month) for month in {t.month for t in terms}}
        self._stock = stock
        self._wish = wish

    def batch(
        self, raw: RawBatch, claims: Iterable[Claim], erased: Container[int] = ()
    ) -> Iterator[Choice]:
        """Yield what is chosen of the next records.

        Args:
            raw: The records.
            claims: All on the offsets that they span, outcomes among them.
            erased: Numbers of the records whose subject is erased: nothing of them is sent.

        """
        claimed = by_offset(claims)
        made = make(self._books, self._place, raw, claimed, self._terms)
        for n, offset in enumerate(raw.offsets):
            if not self._wish.has(offset):
                continue
            if n in erased:
                yield from self._stays(offset, _ERASED)
                continue
            outputs: dict[int, list[Claim]] = {}
            for claim in claimed.get(offset, ()):
                outputs.setdefault(claim.output, []).append(claim)
            now = made[self._books.current][n]
            if not isinstance(now, QuarantineError):
                for output in range(len(now.rows)):
                    outputs.setdefault(output, [])
            elif not outputs:
                yield from self._stays(offset, f"it cannot be decided: {now.reason}")
            for output in sorted(outputs):
                if self._wish.has(offset, output):
                    yield from self._one(offset, output, outputs[output], made, n)

    def _stays(self, offset: int, why: str) -> Iterator[Choice]:
        """Yield that nothing of a raw record is sent, to somebody who wants to know why."""
        if self._wish.is_explicit:
            yield Stays(f"{self._at(offset)}", why)

    def _one(
        self, offset: int, output: int, claims: Sequence[Claim], made: MadeBy, n: int
    ) -> Iterator[Choice]:
        """Yield what is chosen of one record; nothing if all is well with it."""
        newest = max((claim.resend for claim in claims), default=0)
        name = RecordId(self._at(offset), output, newest)
        now = made[self._books.current][n]
        if _is_request(now, output):
            if self._wish.is_explicit:
                yield Stays(str(name), _LABELS)
            return
        if any(claim.leaf >= self._stock.size for claim in claims):
            yield Already(str(name))
            return
        last = {claim.what: claim for claim in claims if claim.resend == newest}
        found: Again | str | None = self._unanswered(offset, output, last)
        if found is None and ACCEPTED in last:
            found = self._same(name, last, made, n) if self._wish.is_explicit else None
        elif found is None:
            found = self._anew(name, made[self._books.current][n])
        if isinstance(found, Again):
            yield found
        elif found is not None and (self._wish.is_explicit or found == _EXPIRED):
            yield Stays(str(name), found)

    def _unanswered(self, offset: int, output: int, last: Mapping[int, Claim]) -> str | None:
        """Return why a record must not be touched whatever is wished, if it must not."""
        stock = self._stock
        if output in stock.waiting.get(offset, ()):
            return "it waits for egress"
        if not last and offset in stock.undecided:
            return "its raw record is in quarantine: `homeport quarantine retry`"
        if last.keys() & {REFUSAL, REJECTED}:
            is_kept = output in stock.refused.get(offset, ())
            return "it is in quarantine: `homeport quarantine retry`" if is_kept else None
        if SUPERSEDED in last:
            return "a newer record of its row was accepted before it"
        if last and ACCEPTED not in last:
            return "egress has announced it and will settle it by itself"
        return None

    def _same(self, name: RecordId, last: Mapping[int, Claim], made: MadeBy, n: int) -> Again | str:
        """Return a record to be sent as the bytes that were accepted, or why it cannot be."""
        claim = last.get(TRANSFER)
        if claim is None:
            return "the ledger has its outcome and no transfer: `homeport ledger verify`"
        terms = self._terms[claim.terms]
        if terms.keys not in self._books.versions or terms.plan not in self._books.plans:
            return "its plan is not approved any more, or its keys are gone"
        now = made[terms.keys][n]
        if isinstance(now, QuarantineError) or name.output >= len(now.rows):
            return _OTHER
        whole = f"{self._place.topic_id}/{name}".encode()
        bound = commit(self._month_keys[terms.month], whole, now.rows[name.output][1])
        if now.plan.digest != terms.plan or bound != claim.commitment:
            return _OTHER
        return self._again(name, now, terms.keys)

    def _anew(self, name: RecordId, now: Made) -> Again | str:
        """Return a record as it is made today, or why it is not."""
        if isinstance(now, QuarantineError):
            return f"it cannot be decided today: {now.reason}"
        if name.output >= len(now.rows):
            return "today's plan makes no such output"
        return self._again(name, now, self._books.current)

    def _again(self, name: RecordId, now: Made, keys: int) -> Again | str:
        if isinstance(now, QuarantineError):
            return _OTHER
        if now.plan.not_after is not None and now.plan.not_after < self._stock.today:
            return _EXPIRED
        at, place = name.at, self._place
        key, value = now.rows[name.output]
        return Again(
            RecordId(at, name.output, name.resend + 1, place.topic_id),
            now.plan,
            now.plan.outputs[name.output],
            keys,
            row_version(place.generation, at.offset),
            key,
            value,
        )

    def _at(self, offset: int) -> Coordinates:
        return Coordinates(self._place.topic, self._place.partition, offset)


_OTHER = "it would be other bytes than those that were accepted: `homeport replay` says more"
_LABELS = "labels are not sent again: enrichment answers each request once, and keeps it"
_ERASED = "its subject is erased"
_EXPIRED = "something that its plan rests on has ended: have a new plan approved"


def _is_request(made: Made, output: int) -> bool:
    """Return whether an output is a request, which becomes labels and not itself a record."""
    if isinstance(made, QuarantineError) or output >= len(made.plan.outputs):
        return False
    return bool(made.plan.outputs[output].labels)
