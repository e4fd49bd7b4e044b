"""One plan carried out on whole batches of Avro bytes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from residency.plan.model import Plan
from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.assemble import assemble
from residency.plan.walk.build import Builder
from residency.plan.walk.emission import Emission
from residency.plan.walk.fills import Column, varint
from residency.plan.walk.found import Found, walk_all
from residency.plan.walk.program import Program, write_program
from residency.plan.walk.wish import UnwalkableError
from residency.tokens import Tokeniser
from schemas.registry import EventSchema, Registry

_SHORT = 64  # bytes of a string with its length, where one byte holds the length
_LITTLE = 4_096  # bytes of an output buffer to start with

Row = tuple[bytes, bytes]  # external id; minimal record in the wire format


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk made of a batch.

    Attributes:
        rows: Per event one (key, value) per output of the plan, or None where `strip`
            has to decide.
        asked: Per event the text at each of the paths asked for; None where it is absent
            and where the event is not plain.

    """

    rows: list[tuple[Row, ...] | None] = field(repr=False)
    asked: list[tuple[bytes | None, ...]] = field(repr=False)


class Walker:
    """Carries out one plan. Holds the region's keys through its tokeniser, no values."""

    def __init__(
        self,
        plan: Plan,
        schema: EventSchema,
        tokeniser: Tokeniser,
        registry: Registry,
        ask: Sequence[str] = (),
    ) -> None:
        """Compile *plan*.

        Args:
            plan: The plan.
            schema: The schema of its events.
            tokeniser: Holds the keys.
            registry: Knows the minimal schemas.
            ask: Paths of strings that the caller needs to see, such as the residence.

        Raises:
            UnwalkableError: Schema or plan is of a form that only `strip` knows.

        """
        if plan.normaliser != tokeniser.normaliser:
            msg = f"a plan of normaliser {plan.normaliser}; strip says what to do"
            raise UnwalkableError(msg)
        self.plan = plan
        builder = Builder(plan, schema, tokeniser)
        self._asked = [builder.slot(path) for path in ask]
        self._outputs = tuple(
            builder.output(number, registry) for number in range(len(plan.outputs))
        )
        self._fills = tuple(builder.fills)
        self._checks = tuple(builder.checks)
        self._slots = builder.slots
        self._program: Program = write_program(schema.avro, builder.wish)

    def walk(self, values: Sequence[bytes], versions: Sequence[int]) -> Walked:
        """Return what leaves of each event.

        Args:
            values: Confluent wire format, all of the plan's schema.
            versions: The row version of each.

        """
        if not values:
            return Walked([], [])
        found = walk_all(self._program, values, self._slots)
        for check in self._checks:
            check.mark(found.data, found.slots, found.status)
        fills, fill_ends, columns = self._fill(found)
        outputs = [
            self._emit(emission, found, fills, fill_ends, versions) for emission, _ in self._outputs
        ]
        keys = [columns[fill] for _, fill in self._outputs]
        is_plain = (found.status == ops.PLAIN).tolist()
        made = [zip(k, v, strict=True) for k, v in zip(keys, outputs, strict=True)]
        rows: list[tuple[Row, ...] | None] = (
            list(zip(*made, strict=True)) if made else [()] * len(values)
        )
        if not all(is_plain):
            rows = [row if plain else None for row, plain in zip(rows, is_plain, strict=True)]
        return Walked(rows, self._ask(found))

    def _ask(self, found: Found) -> list[tuple[bytes | None, ...]]:
        if not self._asked:
            return [()] * len(found.status)
        data = found.data
        columns = [
            [None if z < 0 else data[a:z] for a, z in zip(*found.slots[slot].tolist(), strict=True)]
            for slot in self._asked
        ]
        return list(zip(*columns, strict=True))

    def _fill(self, found: Found) -> tuple[Any, Any, dict[int, list[bytes]]]:
        """Return (the fills joined, where each ends per event, the external ids per fill)."""
        ids = {fill for _, fill in self._outputs}
        joined: list[bytes] = []
        ends: list[list[int]] = []
        keys: dict[int, list[bytes]] = {}
        base = 0
        for number, fill in enumerate(self._fills):
            column = fill.column(found.data, found.slots)
            ends.append(list(accumulate(column.sizes, initial=base)))
            base = ends[-1][-1]
            joined.append(column.joined)
            if number in ids:
                keys[number] = _texts(column)
        return view(b"".join(joined)), np.array(ends, np.int64), keys

    def _emit(
        self, emission: Emission, found: Found, fills: Any, ends: Any, versions: Sequence[int]
    ) -> list[bytes]:
        """Return one output's record per event; nothing for what is not plain."""
        numbers = ints(versions)
        record_ends = np.zeros(len(found.status), np.int64)
        room = _LITTLE + 2 * (len(found.data) + len(fills)) + 512 * len(found.status)
        while True:
            out = np.empty(room, np.uint8)
            done = assemble(
                emission.code, emission.literals, emission.literal_ends, emission.names,
                found.array, found.slots, fills, ends, numbers, found.status, out, record_ends,
            )  # fmt: skip
            if done == len(found.status):
                break
            room *= 2
        joined = out[: record_ends[-1]].tobytes()
        return [joined[a:z] for a, z in pairwise([0, *record_ends.tolist()])]


def _texts(column: Column) -> list[bytes]:
    """Return the strings of a column that has one for each event, all of one length."""
    joined, size = column.joined, column.sizes[0]
    skip = len(varint(size)) if size > _SHORT else 1
    return [joined[at + skip : at + size] for at in range(0, len(joined), size)]
