"""An erasure as it goes: its steps, and what it has to remember between two of them. Pure.

Each step is durable once it is named, and may be carried out again: whoever dies in between
begins it anew and ends the same. What is remembered holds no value; the tokens of rows abroad
only as long as records have to be made of them.

* ``asked``: the erasure and its suppression are kept: nothing new of the person is decided.
* ``settled``: what had been decided before has reached vault, ledger and org.
* ``listed``: the rows abroad are known.
* ``abroad``: each is emptied or deleted, by its contract, and the ledger has the outcomes.
* ``home``: the subject's key is destroyed, with all that was sealed under it or says of it.
* ``logged``: the ledger has the erasure's leaf.
* ``certified``: the certificate lies in the region's folder.
* ``done``: nothing is remembered but that it was done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Self

from residency.ledger.erasures import COUNTED
from schemas.events import RecordId


class Step(StrEnum):
    """The last step that is done."""

    ASKED = "asked"
    SETTLED = "settled"
    LISTED = "listed"
    ABROAD = "abroad"
    HOME = "home"
    LOGGED = "logged"
    CERTIFIED = "certified"
    DONE = "done"


STEPS: Final = tuple(Step)
ACCEPTED: Final = "accepted"
SUPERSEDED: Final = "superseded"


@dataclass(frozen=True, slots=True)
class RowAbroad:
    """A row of the org's that an erasure empties or deletes.

    Attributes:
        object: Salesforce object.
        token: Its external id; empty once the ledger has the outcome.
        name: Of the record that erases it: the row's newest, with the next resend number.
        topic_id: Of the raw topic that it names.
        version: The row's.
        plan: Digest of the plan that says what becomes of it.
        output: Number of the plan's output that says it.
        deletes: It goes.
        result: What the ledger says became of the record; None: nothing yet.
        leaf: Index of the record's transfer leaf.

    """

    object: str
    token: str = field(repr=False)
    name: str
    topic_id: str
    version: int
    plan: str
    output: int
    deletes: bool
    result: str | None = None
    leaf: int | None = None

    @property
    def id(self) -> RecordId:
        """The record that erases it."""
        return RecordId.parse(self.name, self.topic_id)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be sent for it: done, or a newer record has passed it."""
        return self.result in {ACCEPTED, SUPERSEDED}

    def again(self) -> Self:
        """Return it with the next resend number, after a refusal."""
        again = replace(self.id, resend=self.id.resend + 1)
        return replace(self, name=str(again), result=None, leaf=None)


@dataclass(frozen=True, slots=True)
class State:
    """What an erasure remembers.

    Attributes:
        raw: Where the raw topics ended after it was asked for, ``topic[partition]`` to offset.
        minimal: Likewise the topics that egress reads, once the border had passed those.
        turned: When the gateway was given another key to seal what comes, so that the subject's
            own can go, Unix seconds; none where it had sealed nothing.
        late: Where the raw topics ended once nothing that was sealed before that was on its way.
        rows: The rows abroad.
        numbered: Whether the rows' records have their resend numbers: from then on they are sent.
        undecided: Names of kept events of which no plan says today what they had become.
        counts: By word of `residency.ledger.erasures.COUNTED`.
        tables: Tables that held what is destroyed and are still to be vacuumed.
        time: Of the leaf: set before it is asked for, so that asking again asks for the same.
        problem: What keeps it from going on, in words; none: it goes on by itself.

    """

    raw: Mapping[str, int] = field(default_factory=dict)
    minimal: Mapping[str, int] = field(default_factory=dict)
    turned: float | None = None
    late: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[RowAbroad, ...] = ()
    numbered: bool = False
    undecided: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    time: str | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, what is empty left out; the inverse of `from_json`."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Return the state that *row* writes."""
        known: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in row.items()
        }
        known["rows"] = tuple(RowAbroad(**one) for one in row.get("rows", ()))
        return cls(**known)

    def named(self) -> "State":
        """Return it without the rows' tokens, once the ledger has all outcomes."""
        return replace(self, rows=tuple(replace(row, token="") for row in self.rows))

    def with_counts(self, **counts: int) -> "State":
        """Return it with more counted; what is 0 stays unsaid."""
        return replace(self, counts={**self.counts, **{k: n for k, n in counts.items() if n}})

    @property
    def logged(self) -> dict[str, int]:
        """Return the counts that a leaf says."""
        return {name: n for name, n in sorted(self.counts.items()) if name in COUNTED}

    @property
    def leaves(self) -> tuple[int, ...]:
        """Return the transfer leaves of the records that erased rows, in order."""
        return tuple(sorted(row.leaf for row in self.rows if row.leaf is not None))


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure.

    Attributes:
        request: Its name, 32 hex digits.
        subject: Whose, 16 bytes.
        token: The customer's identity token; empty once it is done, or if nothing tells it.
        asked_at: When, Unix seconds.
        asked_by: Name of the event that asked, or ``command``.
        step: The last that is done.
        leaf: Index of its leaf.

    """

    request: str
    subject: bytes = field(repr=False)
    token: str = field(repr=False)
    asked_at: float
    asked_by: str
    step: Step
    state: State = field(default_factory=State)
    leaf: int | None = None

    def at(self, step: Step, state: State | None = None) -> "Erasure":
        """Return it one step further, without the problem that it had."""
        state = self.state if state is None else state
        return replace(self, step=step, state=replace(state, problem=None))

    def stuck(self, problem: str) -> "Erasure":
        """Return it where it is, with what keeps it there."""
        return replace(self, state=replace(self.state, problem=problem))


def request_of(topic_id: str, record: str) -> str:
    """Return the request of the erasure that a raw record asks for: the same each time it is read.

    Args:
        topic_id: Kafka's, of its topic.
        record: Its name, ``topic[partition]@offset``.

    """
    return sha256(f"{topic_id}\x1f{record}".encode()).hexdigest()[:32]


def passed(ends: Mapping[str, int], positions: Mapping[str, int]) -> bool:
    """Return whether a reader has passed all *ends*; one without a position is at the start."""
    return all(positions.get(place, 0) >= end for place, end in ends.items())


def outcome_counts(rows: Sequence[RowAbroad]) -> dict[str, int]:
    """Return how many rows were emptied, and how many deleted."""
    done = [row for row in rows if row.result == ACCEPTED]
    deleted = sum(row.deletes for row in done)
    return {"anonymised": len(done) - deleted, "deleted": deleted}
