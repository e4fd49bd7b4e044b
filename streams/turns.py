"""Which records of a batch are sent, in which turn, and which come too late for their row.

Whether a record is too late depends on what the org accepted of its row before it. As long as
that is the same whatever the org says of the records in front, all go out together, and the
sink keeps their order; where it is not, the record waits for their outcomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.postgres.expected_rows import Key
from connectors.salesforce.outcome import BEHIND, Outcome, Result
from residency.expected import Held
from schemas.events import LoggedRecord
from streams.crossing import Sink, key_of

_NOTHING = Held()


@dataclass(slots=True)
class Turn:
    """What to do with some records now.

    Attributes:
        send: To the sink, in this order.
        past: Superseded: their rows hold newer ones of their kind, or are deleted.
        later: To look at again once *send* is settled.

    """

    send: list[LoggedRecord] = field(default_factory=list)
    past: list[LoggedRecord] = field(default_factory=list)
    later: list[LoggedRecord] = field(default_factory=list)


def next_turn(left: Sequence[LoggedRecord], rows: Mapping[Key, Held]) -> Turn:
    """Return what to do with *left*, which is in order, on rows that hold *rows*.

    At least the first record of each row is sent or past, so turns come to an end.
    """
    turn = Turn()
    hoped: dict[Key, Held] = {}  # if all that is sent in this turn is accepted
    stopped: set[Key] = set()
    for one in left:
        key, version = key_of(one.record), one.record.version
        now = rows.get(key, _NOTHING)
        then = hoped.get(key, now)
        is_past = now.is_past(one.kind, version)
        if key in stopped or is_past != then.is_past(one.kind, version):
            stopped.add(key)
            turn.later.append(one)
        elif is_past:
            turn.past.append(one)
        else:
            hoped[key] = then.after(one.kind, version, deletes=one.record.deletes)
            turn.send.append(one)
    return turn


def write(sink: Sink, logged: Sequence[LoggedRecord], held: Mapping[Key, Held]) -> list[Outcome]:
    """Send *logged*, which is in order; return an outcome each, in the same order.

    Raises:
        RetriableError: The org does not answer; nothing is known of any record.
        HaltError: Going on makes no sense before somebody mended the org's set-up or ours.

    """
    rows, outcomes, waits = dict(held), [], set[Key]()
    left = list(logged)
    while left:
        turn = next_turn([one for one in left if key_of(one.record) not in waits], rows)
        outcomes += [_unsent(one, Result.SUPERSEDED, None) for one in turn.past]
        outcomes += [
            _unsent(one, Result.PARKED, BEHIND) for one in left if key_of(one.record) in waits
        ]
        for outcome in sink.write(turn.send) if turn.send else ():
            record, key = outcome.record, key_of(outcome.record.record)
            if outcome.result is Result.PARKED:
                waits.add(key)
            elif outcome.result is Result.ACCEPTED:
                before = rows.get(key, _NOTHING)
                rows[key] = before.after(
                    record.kind, record.record.version, deletes=record.record.deletes
                )
            outcomes.append(outcome)
        left = turn.later
    place = {one.record.id: n for n, one in enumerate(logged)}
    return sorted(outcomes, key=lambda outcome: place[outcome.record.record.id])


def _unsent(record: LoggedRecord, result: Result, code: str | None) -> Outcome:
    return Outcome(record, result, code, created=False)
