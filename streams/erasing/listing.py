"""Which rows abroad are an erased person's: by two ways that know nothing of each other.

The archive is gone through with the approved plans: each kept event names the rows that it
wrote. And the region's expected rows are asked which of them name the customer, by the HMAC of
the token that the row holds: so a row is found, too, whose events the vault's retention has
taken. Of what either names, those rows are erased of which the org accepted something, or which
wait for it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.kafka.topology import TopicInfo
from connectors.postgres.vault.abroad import Abroad, RowKey, RowKnown
from connectors.postgres.vault.reader import Kept, VaultReader
from residency.expected import field_hmacs
from residency.plan.book import PlanBook
from residency.plan.model import OutputPlan, Plan
from residency.vault.erasure import Erasure, RowAbroad, Step
from residency.vault.suppress import Suppression
from schemas.errors import QuarantineError
from schemas.events import GENERATION_STEP, RawBatch, RecordId
from streams.erasing.keeping import came_since

CUSTOMER = "customer"  # the identity that names a person
BATCH = 2_000  # events that are decided together


@dataclass(slots=True)
class _Found:
    """What is found of one erasure's subject."""

    keys: set[RowKey] = field(default_factory=set)
    undecided: list[str] = field(default_factory=list)
    since: set[str] = field(default_factory=set)  # records of after a new registration


class Lister:
    """Lists the rows abroad of a region's subjects."""

    def __init__(
        self, book: PlanBook, topics: Mapping[str, TopicInfo], abroad: Abroad, expected_key: bytes
    ) -> None:
        """Take the approved plans and what egress knows."""
        self._book = book
        self._topics = topics
        self._abroad = abroad
        self._key = expected_key
        self._persons = {o.object for _, o in _base(book) if o.external_id.domain == CUSTOMER}
        self._parents = {
            (output.object, made.name)
            for _, output in _base(book)
            for made in output.fields
            if made.identity and made.domain == CUSTOMER
        }

    def list(
        self,
        erasures: Sequence[Erasure],
        reader: VaultReader,
        suppressed: Mapping[bytes, Suppression],
    ) -> list[Erasure]:
        """Return *erasures* with their rows abroad, a step on; one may have a problem instead.

        Args:
            erasures: Some.
            reader: Of the archive.
            suppressed: What is known of their subjects: whether they have registered again.

        Raises:
            RetriableError: Postgres does not answer.

        """
        found = {one.request: _Found() for one in erasures}
        self._archived(erasures, reader, found, suppressed)
        self._named(erasures, found)
        known = self._abroad.rows({key for one in found.values() for key in one.keys})
        ids = self._topic_ids(known.values())
        return [self._listed(one, found[one.request], known, ids) for one in erasures]

    def _archived(
        self,
        erasures: Sequence[Erasure],
        reader: VaultReader,
        found: Mapping[str, _Found],
        suppressed: Mapping[bytes, Suppression],
    ) -> None:
        owners: list[_Found] = []
        kept: list[Kept] = []
        for one in erasures:
            for event in reader.events(one.subject):
                owners.append(found[one.request])
                kept.append(event)
                if len(kept) >= BATCH:
                    self._decide(kept, owners, suppressed)
                    owners, kept = [], []
        self._decide(kept, owners, suppressed)

    def _decide(
        self,
        kept: Sequence[Kept],
        owners: Sequence[_Found],
        suppressed: Mapping[bytes, Suppression],
    ) -> None:
        """Note what rows *kept* events wrote, each for its owner."""
        subjects, values = [one.subject for one in kept], [one.value for one in kept]
        since = came_since(subjects, values, suppressed)
        batch = RawBatch(
            [one.topic for one in kept],
            [one.partition for one in kept],
            [one.offset for one in kept],
            [one.value for one in kept],
            [one.subject for one in kept],
        )
        made = self._book.minimise_batch(batch, lambda topic: self._topics[topic].generation)
        for event, owner, crossed, is_since in zip(kept, owners, made, since, strict=True):
            if is_since:
                owner.since.add(event.name)
            elif isinstance(crossed, QuarantineError):
                owner.undecided.append(event.name)
            else:
                rows = zip(crossed.plan.outputs, crossed.rows, strict=True)
                owner.keys |= {RowKey(output.object, key.decode()) for output, (key, _) in rows}

    def _named(self, erasures: Sequence[Erasure], found: Mapping[str, _Found]) -> None:
        """Note the rows that are, or name, the customers."""
        tokens = {one.token: found[one.request] for one in erasures if one.token}
        for token, owner in tokens.items():
            owner.keys |= {RowKey(target, token) for target in self._persons}
        for target, name in sorted(self._parents):
            macs = {
                field_hmacs(self._key, target, {name: token})[name] or "": owner
                for token, owner in tokens.items()
            }
            for key, mac in self._abroad.named_by(target, name, list(macs)).items():
                macs[mac].keys.add(key)

    def _topic_ids(self, known: Iterable[RowKnown]) -> Mapping[str, str]:
        """Return Kafka's id of the topic that each record is of: an older topic's, it may be."""
        current, older = dict[str, str](), list[str]()
        for one in known:
            info = self._topics[RecordId.parse(one.record).at.topic]
            if one.version // GENERATION_STEP == info.generation:
                current[one.record] = info.id
            else:
                older.append(one.record)
        return {**(self._abroad.topic_ids(older) if older else {}), **current}

    def _listed(
        self,
        one: Erasure,
        found: _Found,
        known: Mapping[RowKey, RowKnown],
        ids: Mapping[str, str],
    ) -> Erasure:
        rows = []
        for key in sorted(found.keys & known.keys()):
            row = known[key]
            if row.is_deleted or _is_newer(row.record, one.state.raw, found.since):
                continue
            planned = self._plan(row)
            if planned is None:
                return one.stuck(f"no approved plan in force says what becomes of {key.object}")
            plan, number = planned
            rows.append(_row(row, ids[row.record], plan, number))
        state = replace(one.state, rows=tuple(rows), undecided=tuple(found.undecided))
        return one.at(Step.LISTED, state)

    def _plan(self, row: RowKnown) -> tuple[Plan, int] | None:
        """Return an approved plan in force, with the output, that says what becomes of a row.

        All of a region's plans say the same of one object.
        """
        today = datetime.now(UTC).date()
        for plan in self._book.plans.values():
            if plan.not_after is not None and plan.not_after < today:
                continue
            for number, output in enumerate(plan.outputs):
                if output.object == row.key.object and output.erasure is not None:
                    return plan, number
        return None


def _base(book: PlanBook) -> Iterator[tuple[Plan, OutputPlan]]:
    for plan in book.plans.values():
        yield from ((plan, output) for output in plan.outputs if not output.labels)


def _is_newer(record: str, ends: Mapping[str, int], since: Collection[str]) -> bool:
    """Return whether a row has gone on since its person registered again, which takes a record.

    One behind the ends that were waited for can be nothing else: the archive may not have it yet.
    """
    at = RecordId.parse(record).at
    return str(at) in since or at.offset >= ends.get(f"{at.topic}[{at.partition}]", at.offset + 1)


def _row(known: RowKnown, topic_id: str, plan: Plan, number: int) -> RowAbroad:
    name, erasure = RecordId.parse(known.record), plan.outputs[number].erasure
    if name.output < len(plan.outputs) and plan.outputs[name.output].labels:
        name = RecordId(name.at, number)  # of the row only labels were accepted
    return RowAbroad(
        known.key.object,
        known.key.external_id,
        str(name),
        topic_id,
        known.version,
        plan.digest,
        number,
        erasure is not None and erasure.deletes,
    )
