"""The erased do not come back: which records of erased subjects pass, and which bring one back.

Border, vault writer, resend, retry and replay share this rule, so that a record is refused by
all of them or by none. It depends on the subject, and on what an event of an erased subject says
of itself: its kind, and its own time. Not on Kafka's time or offset: a topic that was restored
from a backup has new ones.

* A suppression that holds refuses everything but an event that asks for erasure.
* A registration that is newer than the suppression lifts it, as of the registration's own time.
* A lifted suppression refuses what is older than the registration: it is of the erased past, in
  whatever order it comes. So is a request for erasure that was carried out before.

A text that waits for the region's model says no time of its own, and no erasure waits for a
model. So of texts Kafka's time counts, which is that of the border's decision: see `refuses_text`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from residency.vault.kinds import EventKind
from schemas.codec import decode_physical
from schemas.errors import QuarantineError
from schemas.registry import Registry

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Suppression:
    """An erased subject.

    Attributes:
        subject: The key of its raw records.
        since: When its erasure was asked for, aware.
        request: Id of that erasure, safe to log.
        lifted_at: The own time of the registration that lifted it, aware; None while it holds.

    """

    subject: bytes = field(repr=False)
    since: datetime
    request: str
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an event says of itself, as far as the rule asks.

    Attributes:
        occurred_at: Its own time, aware.
        erases: It asks for its customer's erasure.
        registers: It opens an account.

    """

    occurred_at: datetime
    erases: bool = False
    registers: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rule says of a batch.

    Attributes:
        refused: The suppression that refuses a record, by the record's number in the batch.
        lifts: When a suppression is to be lifted, by subject; to be kept before anything of the
            batch is.

    """

    refused: Mapping[int, Suppression] = field(default_factory=dict)
    lifts: Mapping[bytes, datetime] = field(default_factory=dict, repr=False)


def tell(value: bytes, registry: Registry, kinds: Mapping[str, EventKind]) -> Told | None:
    """Return what the event in a raw record's *value* says; None where it cannot be read."""
    try:
        schema, fields = decode_physical(registry, value)
        kind = kinds[schema.subject]
        occurred_at = EPOCH + timedelta(milliseconds=fields["occurred_at"])
    except (QuarantineError, KeyError, OverflowError):  # no event of ours, or no such time
        return None
    return Told(occurred_at, kind.erases, kind.registers)


def judge(
    keys: Sequence[bytes],
    suppressed: Mapping[bytes, Suppression],
    tell: Callable[[int], Told | None],
) -> Judgement:
    """Return which records of a batch are refused, and which suppressions it lifts.

    The batch's registrations count first, wherever they stand in it: a batch that is decided
    again after a crash, its lifts kept, ends the same.

    Args:
        keys: Of the batch's records.
        suppressed: By subject, those of *keys* that were ever erased.
        tell: Number of a record to what its event says; None where nothing can be read of it.
            Asked only about records of *suppressed*.

    """
    told = {n: tell(n) for n, key in enumerate(keys) if key in suppressed}
    held, lifts = dict(suppressed), dict[bytes, datetime]()
    for n, one in told.items():
        before = held[keys[n]]
        if one is not None and _lifts(one, before):
            held[keys[n]] = replace(before, lifted_at=one.occurred_at)
            lifts[keys[n]] = one.occurred_at
    refused = {n: held[keys[n]] for n, one in told.items() if not _passes(one, held[keys[n]])}
    return Judgement(refused, lifts)


def refuses_text(suppression: Suppression, time_ms: int) -> bool:
    """Return whether a text is of the erased past that has waited for the model since *time_ms*.

    One that was there before the registration that lifted the suppression is: had the model been
    quicker, the erasure had destroyed what was made of it.

    Args:
        suppression: Of the customer whose text it is; lifted ones count.
        time_ms: Kafka's time of the request, since 1970; below 0 where it has none.

    """
    lifted = suppression.lifted_at
    return lifted is None or EPOCH + timedelta(milliseconds=time_ms) < lifted


def _lifts(event: Told, suppression: Suppression) -> bool:
    """Tell whether an event is the first registration after an erasure, as far as is known."""
    lifted = suppression.lifted_at
    return (
        event.registers
        and event.occurred_at > suppression.since
        and (lifted is None or event.occurred_at < lifted)
    )


def _passes(event: Told | None, suppression: Suppression) -> bool:
    if event is None:
        return False
    if suppression.lifted_at is None:
        return event.erases
    return event.occurred_at >= suppression.lifted_at
