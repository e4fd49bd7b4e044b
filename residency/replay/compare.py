"""Hold raw records against the leaves that name them: pure, one partition at a time.

The raw record, the plan, the key version and the release that a leaf names give the same bytes
(promise 8), so their commitment is the leaf's. What the leaf says beside it (object, schema,
basis, whether it deletes) is the plan's to say, and is compared too.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from residency.decisions import Decision, Key, asked_of, key_of
from residency.ledger.leaves import commit, month_key
from residency.plan.labels import label_record, read_request
from residency.plan.model import Plan
from residency.replay.books import Books, Made, MadeBy, Place, by_offset, make
from residency.replay.claims import Claim, Terms
from residency.replay.found import NO_LEAF, Finding, Found, Verdict
from schemas.errors import HaltError, QuarantineError, Reason
from schemas.events import Coordinates, RawBatch, RecordId
from schemas.registry import load_registry

# What an erasure that is not done yet leaves behind: rows that it has deleted or emptied, by a
# resend; requests that enrichment dropped; decisions that are purged already.
_BY_AGAIN: Final = frozenset({Verdict.DIFFERS, Verdict.OTHER_CODE})
_BY_ERASURE: Final = frozenset({Verdict.NOT_LOGGED, Verdict.DECISION_GONE, Verdict.UNOPENED})
FindDecisions: TypeAlias = Callable[[Sequence[Key]], Mapping[Key, Decision]]
"""Returns those decisions about texts that the region keeps."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where else a record of a partition may be than in the ledger.

    Attributes:
        pending: Outputs by offset that wait for egress.
        quarantined: Offsets of raw records that the border quarantined.

    """

    pending: Mapping[int, frozenset[int]] = field(default_factory=dict)
    quarantined: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Erasures:
    """Which of a batch's records are of people whose erasure was asked for.

    Attributes:
        done: Offsets of what is erased, or was refused when it came late, each with the leaf of
            the erasure; None: it has none yet.
        under_way: Offsets of records that are still there while their subject is being erased.

    """

    done: Mapping[int, int | None] = field(default_factory=dict)
    under_way: Collection[int] = ()


NO_ERASURES: Final = Erasures()


class Comparer:
    """Compares one partition, batch by batch, and remembers what it found in `found`."""

    def __init__(  # noqa: PLR0913, PLR0917, each is a different thing to hold records against
        self,
        place: Place,
        books: Books,
        terms: Sequence[Terms],
        root: bytes,
        release: str,
        elsewhere: Elsewhere,
        found: Found,
        decisions: FindDecisions,
    ) -> None:
        """Take what to compare with; *root* is the region's commitment root key."""
        self.found = found
        self._place = place
        self._books = books
        self._terms = terms
        months = {one.month for one in terms}
        self._month_keys = {month: month_key(root, month) for month in months}
        self._release = release
        self._elsewhere = elsewhere
        self._agreed: dict[tuple[int, int, int], bool] = {}
        self._find_decisions = decisions
        self._under_way: Collection[int] = ()  # of the batch
        self._decisions: Mapping[Key, Decision] = {}  # of the batch
        self._asked: dict[tuple[str, int], str] = {}  # by plan and output
        self._registry = load_registry()
        self._at = f"{place.topic}[{place.partition}]@"

    def batch(
        self,
        raw: RawBatch,
        claims: Iterable[Claim],
        gone: Verdict = Verdict.RAW_MISSING,
        erasures: Erasures = NO_ERASURES,
    ) -> None:
        """Compare the next records with all claims on the offsets that they span.

        Args:
            raw: The records. What they hold is not looked at where their subject is erased.
            claims: All on those offsets.
            gone: What is said of a leaf without a raw record.
            erasures: Whose subject is erased, or being erased.

        """
        claimed_at, erased = by_offset(claims), erasures.done
        self._under_way = erasures.under_way
        for offset, leaf in erased.items():
            self._erased(claimed_at.pop(offset, ()), leaf)
        if erased:
            raw = raw.part([n for n, offset in enumerate(raw.offsets) if offset not in erased])
        made = make(self._books, self._place, raw, claimed_at, self._terms)
        keys = self._keys(raw.offsets, claimed_at, made)
        self._decisions = self._find_decisions(keys) if keys else {}
        current = self._books.current
        for n, offset in enumerate(raw.offsets):
            claimed = claimed_at.pop(offset, ())
            logged, refused = set[int](), set[int]()
            seen: set[tuple[int, int]] = set()
            for claim in claimed:
                if claim.refused:
                    refused.add(claim.output)
                    continue
                self._transfer(claim, made, n, is_second=(claim.output, claim.resend) in seen)
                seen.add((claim.output, claim.resend))
                logged.add(claim.output)
            self._rest(offset, made[current][n], logged, refused)
        self.found.raw += len(raw)
        for left in claimed_at.values():
            self.without_raw(left, gone)

    def without_raw(self, claims: Iterable[Claim], verdict: Verdict) -> None:
        """Note the transfers among *claims*, of records that Kafka does not have."""
        for claim in claims:
            if not claim.refused:
                self._note(claim, verdict)

    def _erased(self, claims: Iterable[Claim], leaf: int | None) -> None:
        """Note a raw record of an erased subject: nothing of it can be compared any more."""
        self.found.counts[Verdict.ERASED] += 1
        self.found.erased[NO_LEAF if leaf is None else leaf] += 1
        seen: set[tuple[int, int]] = set()
        for claim in claims:
            if claim.refused:
                continue
            name = claim.output, claim.resend
            if name in seen:
                self._note(claim, Verdict.TWICE)
            seen.add(name)

    def _transfer(self, claim: Claim, made: MadeBy, n: int, *, is_second: bool) -> None:
        terms = self._terms[claim.terms]
        if is_second:
            self._note(claim, Verdict.TWICE)
        if terms.keys not in self._books.versions:
            self._note(claim, Verdict.KEYS_GONE)
        elif terms.plan not in self._books.plans:
            self._note(claim, Verdict.PLAN_GONE)
        elif (verdict := self._held(claim, terms, made[terms.keys][n])) is not Verdict.SAME:
            self._note(claim, verdict)
        elif not is_second:
            self.found.counts[Verdict.SAME] += 1

    def _held(self, claim: Claim, terms: Terms, made: Made) -> Verdict:
        """Return whether the record gives what the leaf says, commitment and all."""
        differs = Verdict.DIFFERS if terms.release == self._release else Verdict.OTHER_CODE
        if isinstance(made, QuarantineError):
            return Verdict.UNOPENED if made.reason is Reason.UNOPENED else differs
        if claim.output >= len(made.rows):
            return differs
        if not self._agrees(claim, terms, made.plan):
            return differs
        _, value = made.rows[claim.output]
        if made.plan.outputs[claim.output].labels:
            decision = self._decisions.get(self._key(claim, made.plan))
            if decision is None:
                return Verdict.DECISION_GONE
            if decision.model != terms.model:
                return differs
            value = self._labelled(claim, terms.keys, made.plan, value, decision)
        name = f"{self._place.topic_id}/{self._name(claim.offset, claim.output, claim.resend)}"
        is_same = commit(self._month_keys[terms.month], name.encode(), value) == claim.commitment
        return Verdict.SAME if is_same else differs

    def _keys(
        self, offsets: Sequence[int], by_offset: Mapping[int, Sequence[Claim]], made: MadeBy
    ) -> list[Key]:
        """Return what the decisions are found by that the claims of a batch rest on."""
        keys = []
        for n, offset in enumerate(offsets):
            for claim in by_offset.get(offset, ()):
                if claim.refused or (terms := self._terms[claim.terms]).keys not in made:
                    continue
                one = made[terms.keys][n]
                if isinstance(one, QuarantineError) or claim.output >= len(one.rows):
                    continue
                if one.plan.outputs[claim.output].labels:
                    keys.append(self._key(claim, one.plan))
        return keys

    def _key(self, claim: Claim, plan: Plan) -> Key:
        which = plan.digest, claim.output
        if which not in self._asked:
            self._asked[which] = asked_of(plan.outputs[claim.output])
        return key_of(self._record(claim), self._asked[which])

    def _record(self, claim: Claim) -> RecordId:
        at = Coordinates(self._place.topic, self._place.partition, claim.offset)
        return RecordId(at, claim.output, claim.resend, self._place.topic_id)

    def _labelled(
        self, claim: Claim, keys: int, plan: Plan, value: bytes, decision: Decision
    ) -> bytes:
        """Return the label record that a request became, or nothing if it cannot have."""
        try:
            request = read_request(self._record(claim), plan.digest, keys, value, self._registry)
            return label_record(request, plan, decision.labels(), self._registry).value
        except HaltError:  # what is kept is no answer of this plan's: somebody changed it
            return b""

    def _agrees(self, claim: Claim, terms: Terms, plan: Plan) -> bool:
        """Return whether all that a leaf says beside its commitment is what *plan* says."""
        key = (claim.terms, plan.schema_id, claim.output)
        found = self._agreed.get(key)
        if found is None:
            output = plan.outputs[claim.output]
            is_labelled = terms.model is not None
            said = (terms.plan, terms.object, terms.schema, terms.deletes, terms.basis, is_labelled)
            ours = (
                plan.digest,
                output.object,
                output.label_schema_id or output.schema_id,
                output.deletes,
                output.basis,
                bool(output.labels),
            )
            found = self._agreed[key] = said == ours
        return found

    def _rest(self, offset: int, made: Made, logged: set[int], refused: set[int]) -> None:
        """Account for what a record gives, or not, beside what is logged."""
        counts = self.found.counts
        if isinstance(made, QuarantineError):
            is_told = bool(logged) or offset in self._elsewhere.quarantined
            if made.reason is Reason.UNOPENED and not is_told:
                self._find(offset, 0, 0, -1, Verdict.UNOPENED)
            elif not logged:
                counts[Verdict.QUARANTINED] += 1
            return
        if not made.rows and not logged:
            counts[Verdict.NOTHING] += 1
            return
        if not logged and offset in self._elsewhere.quarantined:
            counts[Verdict.QUARANTINED] += 1
            return
        pending = self._elsewhere.pending.get(offset, frozenset())
        for output in range(len(made.rows)):
            if output in logged:
                continue
            if output in refused:
                counts[Verdict.REFUSED] += 1
            elif output in pending:
                counts[Verdict.NOT_YET] += 1
            else:
                self._find(offset, output, 0, -1, Verdict.NOT_LOGGED)

    def _note(self, claim: Claim, verdict: Verdict) -> None:
        self._find(claim.offset, claim.output, claim.resend, claim.leaf, verdict)

    def _find(self, offset: int, output: int, resend: int, leaf: int, verdict: Verdict) -> None:
        is_sent_again = resend > 0 and verdict in _BY_AGAIN
        if offset in self._under_way and (is_sent_again or verdict in _BY_ERASURE):
            self.found.counts[Verdict.ERASED] += 1
            self.found.erased[NO_LEAF] += 1
            return
        place, name = self._place, self._name(offset, output, resend)
        self.found.note(Finding(place.topic, place.partition, offset, name, leaf, verdict))

    def _name(self, offset: int, output: int, resend: int) -> str:
        """Return the record's name, as `RecordId` writes it."""
        again = f"+{resend}" if resend else ""
        return f"{self._at}{offset}#{output}{again}"
