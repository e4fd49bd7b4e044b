"""What is held of a person outside of the region, as the ledger and the person's events show it.

A leaf names the raw record that was sent from, and commits to the bytes that went out. Made anew
of the raw record, under the plan and the key version that the leaf names, they either are those
bytes, so their fields are what was sent; or the export says why it cannot tell. Pure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from residency.contracts.model import EXTERNAL_ID
from residency.decisions import Decision, Key, asked_of, key_of
from residency.ledger.leaves import TransferLeaf, commitment, month_key, month_of, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.plan.labels import label_record
from residency.plan.model import Plan
from residency.replay.books import Books
from schemas.codec import decode
from schemas.errors import HaltError, QuarantineError
from schemas.events import Coordinates, LabelRequest, RawEvent, RecordId
from schemas.plainjson import to_plain
from schemas.registry import CLEARED, DELETED, Registry, load_registry

Raw = tuple[str, str]  # Kafka's topic id and the raw record's name
FindDecisions = Callable[[Sequence[Key]], Mapping[Key, Decision]]

NO_KEYS: Final = "the keys of its version are gone"
NO_PLAN: Final = "its plan is none of this release's approved ones"
NO_DECISION: Final = "the region no longer has the decision that its labels rest on"
OTHER_BYTES: Final = (
    "made anew it is other bytes than the leaf commits to: code or an erasure made it"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One minimal record of a person, as the ledger has it.

    Attributes:
        leaf: Index of its transfer leaf.
        transfer: That leaf.
        outcome: Index of its outcome leaf; None: it is not known what became of it.
        result: Of that leaf.

    """

    leaf: int
    transfer: TransferLeaf
    outcome: int | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a minimal record said.

    Attributes:
        external_id: Of its row.
        fields: CRM field to its value, in plain JSON; None empties it.

    """

    external_id: str = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False)


def sent_of(
    entries: Iterable[bytes], raws: Iterable[Raw], progress: Callable[[int], None]
) -> tuple[list[Sent], list[int]]:
    """Return the minimal records of raw records, oldest first, and leaves about them beside.

    The second are outcomes of records that the gate refused: they have no transfer.

    Args:
        entries: All of a ledger, from its first.
        raws: The person's.
        progress: Told how many entries were read.

    """
    wanted = frozenset(raws)
    sent: dict[RecordId, Sent] = {}
    beside: list[int] = []
    for index, entry in enumerate(entries):
        progress(index)
        row = orjson.loads(entry)
        if (row.get("topic_id"), str(row.get("record")).partition("#")[0]) not in wanted:
            continue
        leaf = parse_leaf(entry)
        if isinstance(leaf, TransferLeaf):
            sent[leaf.record] = Sent(index, leaf)
        elif isinstance(leaf, OutcomeLeaf):
            before = sent.get(leaf.record)
            if before is None:
                beside.append(index)
            else:
                sent[leaf.record] = Sent(before.leaf, before.transfer, index, leaf.result)
    return list(sent.values()), beside


class Remaker:
    """Makes minimal records anew and holds them against their leaves."""

    def __init__(self, books: Books, root: bytes, decisions: FindDecisions) -> None:
        """Take plans and keys, the region's commitment root, and what finds decisions."""
        self._books = books
        self._root = root
        self._decisions = decisions
        self._registry: Registry = load_registry()

    def contents(self, sent: Sent, raw: bytes, generations: Sequence[int]) -> Contents | str:
        """Return what a minimal record said, or why nobody can tell any more.

        Args:
            sent: The record.
            raw: Value of the raw record that its leaf names.
            generations: Of the raw topic, those that may be; a row version has one in it.

        """
        leaf = sent.transfer
        if leaf.keys not in self._books.versions:
            return NO_KEYS
        if leaf.plan not in self._books.plans:
            return NO_PLAN
        why = OTHER_BYTES
        for generation in generations:
            made = self._made(leaf, raw, generation)
            if made is None:
                why = NO_DECISION if leaf.model is not None else OTHER_BYTES
            elif self._is(leaf, made[1]):
                return self._read(*made)
        return why

    def _made(self, leaf: TransferLeaf, raw: bytes, generation: int) -> tuple[str, bytes] | None:
        """Return external id and bytes of a record, made anew; None if it cannot be made."""
        record = leaf.record
        event = RawEvent(record.at, record.topic_id, generation, raw)
        try:
            crossing = self._books.of(leaf.keys).minimise(event)
        except QuarantineError:
            return None
        for one in crossing.records:
            if one.id.output == record.output:
                return one.external_id, one.value
        for request in crossing.requests:
            if request.id.output == record.output:
                return self._labelled(request, crossing.plan)
        return None

    def _labelled(self, request: LabelRequest, plan: Plan) -> tuple[str, bytes] | None:
        """Return the label record that a request became."""
        key = key_of(request.id, asked_of(plan.outputs[request.id.output]))
        decision = self._decisions([key]).get(key)
        if decision is None:
            return None
        try:
            made = label_record(request, plan, decision.labels(), self._registry)
        except HaltError:  # what is kept is no answer of this plan's
            return None
        return made.external_id, made.value

    def _is(self, leaf: TransferLeaf, value: bytes) -> bool:
        key = month_key(self._root, month_of(leaf.time))
        return commitment(key, leaf.record, value) == leaf.commitment

    def _read(self, external_id: str, value: bytes) -> Contents:
        schema, decoded = decode(self._registry, value)
        plain = to_plain(schema, decoded)
        cleared = plain.pop(CLEARED, None) or []
        plain.pop(DELETED, None)
        plain.pop(EXTERNAL_ID, None)
        fields = {name: value for name, value in plain.items() if value is not None}
        return Contents(external_id, {**fields, **dict.fromkeys(cleared)})


@dataclass(slots=True)
class Row:
    """A row outside of the region, as its accepted records made it.

    Attributes:
        fields: CRM field to its value, and the record that set it last.
        is_deleted: It was deleted, and nothing came after.

    """

    object: str
    external_id: str = field(repr=False)
    fields: dict[str, tuple[Any, str]] = field(default_factory=dict, repr=False)
    is_deleted: bool = False

    def take(self, record: str, contents: Contents, *, deletes: bool) -> None:
        """Apply one more accepted record."""
        self.is_deleted = deletes
        if deletes:
            self.fields.clear()
        for name, value in contents.fields.items():
            if value is None:
                self.fields.pop(name, None)
            else:
                self.fields[name] = (value, record)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "object": self.object,
            "external_id": self.external_id,
            "deleted": self.is_deleted,
            "fields": {
                name: {"value": value, "record": record}
                for name, (value, record) in sorted(self.fields.items())
            },
        }


def rows_of(records: Iterable[tuple[Sent, Contents | str]]) -> list[Row]:
    """Return the rows that a person's accepted records made, in the order of their first."""
    rows: dict[tuple[str, str], Row] = {}
    accepted = [
        (sent, contents)
        for sent, contents in records
        if sent.result == "accepted" and isinstance(contents, Contents)
    ]
    for sent, contents in sorted(accepted, key=lambda one: one[0].outcome or 0):
        leaf = sent.transfer
        row = rows.setdefault(
            (leaf.object, contents.external_id), Row(leaf.object, contents.external_id)
        )
        row.take(str(leaf.record), contents, deletes=leaf.deletes)
    return list(rows.values())


def record_json(sent: Sent, contents: Contents | str) -> dict[str, Any]:
    """Return one minimal record as JSON: its leaves, and what it said or why nobody can tell."""
    leaf = sent.transfer
    told: dict[str, Any] = (
        {"external_id": None, "fields": None, "why": contents}
        if isinstance(contents, str)
        else {"external_id": contents.external_id, "fields": dict(contents.fields), "why": None}
    )
    return {
        "record": str(leaf.record),
        "topic_id": leaf.record.topic_id,
        "object": leaf.object,
        "deletes": leaf.deletes,
        "sent_at": leaf.time,
        "plan": leaf.plan,
        "basis": list(leaf.basis),
        "transfer_leaf": sent.leaf,
        "outcome_leaf": sent.outcome,
        "result": sent.result,
        **told,
    }


def leaves_of(records: Iterable[Sent], beside: Iterable[int]) -> Iterator[int]:
    """Yield the leaves that are about a person's records."""
    for one in records:
        yield one.leaf
        if one.outcome is not None:
            yield one.outcome
    yield from beside


def raw_of(at: Coordinates, topic_id: str) -> Raw:
    """Return what a raw record is found by among leaves."""
    return topic_id, str(at)
