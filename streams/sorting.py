"""A batch of egress by what the ledger and the gate say of each record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from connectors.postgres.egress_store import Entry
from residency.gate.check import Gate, GateHalt
from residency.ledger.log import Draft
from schemas.errors import BreachError, Cause, QuarantineError, Reason
from schemas.events import RecordId
from streams.crossing import Arrival, Refused

GATE_REFUSED: Final = "gate-refused"


@dataclass(slots=True)
class Sorted:
    """What is to be done with the records of a batch; each is in one list at most.

    Attributes:
        fresh: Never announced.
        unsettled: Announced, and what became of them is not known.
        parked: Announced, and waiting for their turn.
        settled: They have an outcome.
        refused: The gate does not let them pass, and never did.

    """

    fresh: list[Draft] = field(default_factory=list)
    unsettled: list[tuple[Draft, Entry]] = field(default_factory=list)
    parked: list[tuple[Draft, Entry]] = field(default_factory=list)
    settled: list[tuple[Draft, Entry]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def drafts(self) -> dict[RecordId, Draft]:
        """Return those that may be sent, by name."""
        known = (draft for draft, _ in self.unsettled)
        return {draft.record.id: draft for draft in chain(self.fresh, known)}


def sort(
    gate: Gate,
    batch: Sequence[Arrival],
    known: Mapping[RecordId, Entry],
    there: Collection[RecordId],
    stays: Collection[str] = frozenset(),
) -> Sorted:
    """Return *batch*, sorted; a record that comes twice counts once.

    Args:
        gate: Sees each record, whatever is known of it.
        batch: In order.
        known: What the ledger says of them.
        there: Which records are parked.
        stays: Names of records of which a person said that they stay if the gate halts at them.

    Raises:
        BreachError: The gate refuses what was announced, or a record came with other bytes.

    """
    found = Sorted()
    seen: dict[RecordId, bytes] = {}
    for arrival in batch:
        record = arrival.record
        if record.id in seen:
            if seen[record.id] != record.value:
                msg = f"{record.id}: twice before egress, with other bytes"
                raise BreachError(msg, Cause.GATE, (str(record.id),))
            continue
        seen[record.id] = record.value
        entry = known.get(record.id)
        if entry is not None and entry.result == GATE_REFUSED:
            continue
        draft = _passed(gate, arrival, entry, found, stays)
        if draft is None:
            continue
        if entry is None:
            found.fresh.append(draft)
        elif entry.outcome is not None:
            found.settled.append((draft, entry))
        elif record.id in there:
            found.parked.append((draft, entry))
        else:
            found.unsettled.append((draft, entry))
    return found


def _passed(
    gate: Gate, arrival: Arrival, entry: Entry | None, found: Sorted, stays: Collection[str]
) -> Draft | None:
    """Return what the gate lets pass; None, and noted in *found*, where it refuses.

    Raises:
        BreachError: It refuses what was announced already, or halts.

    """
    try:
        fields = gate.check(arrival.record, arrival.model)
    except GateHalt as error:
        if entry is not None or str(arrival.record.id) not in stays:
            raise
        found.refused.append(Refused(arrival.record, Reason.GATE, error.field))
        return None
    except QuarantineError as error:
        if entry is None:
            found.refused.append(Refused(arrival.record, error.reason, error.path))
        elif entry.outcome is None:  # an earlier release let it pass, and may have sent it
            msg = (
                f"{entry.id}: leaf {entry.transfer} announced it, and now the gate refuses"
                " it: ask the org whether it has the row, then settle it by hand"
            )
            raise BreachError(msg, Cause.GATE, (str(entry.id),)) from None
        return None
    return Draft(arrival.record, fields, arrival.basis, arrival.release, arrival.model)
