"""Several records of one row become one row to send, field by field.

What the org holds afterwards is what it would hold after the records one by one: a later value
of a field replaces an earlier one, None clears, an absent field stays as it is. A deletion
breaks a merge, and so does a record that is older than what is merged already: the org has to
see these in their turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from schemas.errors import HaltError
from schemas.events import LoggedRecord, RecordId

VERSIONS = ("Base_Version__c", "Label_Version__c")  # a row carries those of its records' kinds

Key = tuple[str, str]  # object and external id, compared with case: the key field has case


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do to one row: write some records' fields, or delete it.

    Attributes:
        key: Object and external id.
        places: Where in the batch its records stand, in that order.
        records: At least one; a deletion is one alone.
        fields: What to write, the external id included.
        is_late: An earlier record of the batch is newer; the org will hardly take this one.

    """

    key: Key = field(repr=False)
    places: tuple[int, ...]
    records: tuple[LoggedRecord, ...]
    fields: Mapping[str, Any] = field(repr=False)
    is_late: bool = False

    @property
    def deletes(self) -> bool:
        """Return whether the row is to be deleted."""
        return self.records[0].record.deletes

    @property
    def ids(self) -> tuple[RecordId, ...]:
        """Return its records' names, oldest first."""
        return tuple(record.record.id for record in self.records)

    def name(self, *fields: str) -> str:
        """Return how errors name it: object, and the newest record that has one of *fields*."""
        named = [one for one in self.records if not one.fields.keys().isdisjoint(fields)]
        return f"{(named or self.records)[-1].record.id}: {self.key[0]}"

    def alone(self) -> list["Step"]:
        """Return a step for each of its records, in order."""
        return [
            Step(self.key, (place,), (record,), record.fields)
            for place, record in zip(self.places, self.records, strict=True)
        ]


def merge(batch: Sequence[LoggedRecord], key_field: str) -> dict[Key, list[Step]]:
    """Return what to do to each row, in order; every record of *batch* is in one step.

    Raises:
        HaltError: A record has no external id.

    """
    runs: dict[Key, list[list[int]]] = {}
    newest: dict[Key, dict[str, int]] = {}  # of each kind, since the key's last deletion
    closed: set[Key] = set()  # whose last run takes nothing more
    late: set[int] = set()
    for place, one in enumerate(batch):
        key = one.record.object, _key(one, key_field)
        own = {name: one.fields[name] for name in VERSIONS if name in one.fields}
        known = {} if one.record.deletes else newest.setdefault(key, {})
        is_late = any(own[name] < known.get(name, 0) for name in own)
        alone = one.record.deletes or is_late
        late |= {place} if is_late else set()
        if key not in runs or alone or key in closed:
            runs.setdefault(key, []).append([place])
        else:
            runs[key][-1].append(place)
        (closed.add if alone else closed.discard)(key)
        if one.record.deletes:
            newest.pop(key, None)
        elif not alone:
            known |= own
    return {
        key: [_step(batch, key, run, is_late=run[0] in late) for run in found]
        for key, found in runs.items()
    }


def join(steps: Sequence[Step]) -> Step:
    """Return one step that writes what *steps*, all of one row, write in their order."""
    places = tuple(chain.from_iterable(step.places for step in steps))
    records = tuple(chain.from_iterable(step.records for step in steps))
    return Step(steps[0].key, places, records, _folded(records))


def _key(one: LoggedRecord, key_field: str) -> str:
    key = one.fields.get(key_field)
    if not isinstance(key, str) or not key:
        msg = f"{one.record.id}: {one.record.object} has no {key_field}"
        raise HaltError(msg)
    return key


def _step(batch: Sequence[LoggedRecord], key: Key, run: Sequence[int], *, is_late: bool) -> Step:
    records = tuple(batch[place] for place in run)
    return Step(key, tuple(run), records, _folded(records), is_late)


def _folded(records: Iterable[LoggedRecord]) -> Mapping[str, Any]:
    return dict(chain.from_iterable(record.fields.items() for record in records))
