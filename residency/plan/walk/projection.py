"""An event less some fields and with others edited, in its own shape and order.

The walker's other output: no flat row for a CRM, but the event itself made smaller, nested
records, arrays and maps included. Kept bytes are copied in runs.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from residency.plan.walk import ops
from residency.plan.walk.accelerator import view
from residency.plan.walk.assemble import splice
from residency.plan.walk.fills import Column
from residency.plan.walk.found import spans_of
from residency.plan.walk.kernel import walk
from residency.plan.walk.program import Acts, write_program
from residency.plan.walk.wish import Wish

Places = Any  # an int64 array
Edit = Callable[[bytes, Places, Places], Column]
"""Makes new values of the spans of a leaf: (data, firsts, lasts), a size for each. A number has
its value for a first and 0 for a last."""

_TAPE = 64  # rows per event to start with


class Projection:
    """Makes smaller events of one schema's."""

    def __init__(self, avro: Any, acts: Acts, edits: Sequence[Edit], head: bytes) -> None:
        """Compile the projection.

        Args:
            avro: The events' resolved schema.
            acts: Which paths are dropped, and which are edited by which of *edits*.
            edits: The functions that make the new values.
            head: What each result starts with, such as its wire header.

        Raises:
            UnwalkableError: The schema cannot be walked.

        """
        self._program = write_program(avro, Wish(), acts)
        self._edits = tuple(edits)
        self._head = view(head)[: len(head)]
        self._tape = np.empty((1, 3), np.int64)

    def project(self, values: Sequence[bytes]) -> list[bytes | None]:
        """Return each event's projection; None where it is malformed or oddly encoded.

        Oddly: an array or map that is kept has several blocks, or says their sizes.
        """
        if not values:
            return []
        data, array, starts, ends = spans_of(values)
        status = np.zeros(len(values), np.uint8)
        row_ends = self._walk(array, starts, ends, status)
        tape = self._tape[: row_ends[-1]]
        fills = view(self._edit(data, tape))
        room = len(data) + len(fills) + len(values) * len(self._head)
        out, record_ends = np.empty(room, np.uint8), np.empty(len(values), np.int64)
        splice(array, fills, tape, row_ends, self._head, status, out, record_ends)
        joined = out.tobytes()
        made: list[bytes | None] = [
            joined[first:last] for first, last in pairwise([0, *record_ends.tolist()])
        ]
        if not status.any():
            return made
        plain = (status == ops.PLAIN).tolist()
        return [one if is_plain else None for one, is_plain in zip(made, plain, strict=True)]

    def _walk(self, array: Any, starts: Any, ends: Any, status: Any) -> Any:
        """Fill the tape; return where each event's rows end on it."""
        slots, row_ends = np.empty((1, 2, 1), np.int64), np.zeros(len(starts), np.int64)
        program, room = self._program, max(len(self._tape), _TAPE * len(starts) + 2)
        while True:
            if room > len(self._tape):
                self._tape = np.empty((room, 3), np.int64)
            done = walk(
                program.code, program.table, program.keys, program.key_ends, program.depth,
                array, starts, ends, slots, self._tape, row_ends, status,
            )  # fmt: skip
            if done == len(starts):
                return row_ends
            room *= 2

    def _edit(self, data: bytes, tape: Any) -> bytes:
        """Make the edited values and put their places on the tape; return them, joined."""
        made: list[bytes] = []
        base, whose = 0, tape[:, 0].copy()
        for number, edit in enumerate(self._edits):
            rows = np.flatnonzero(whose == number)
            column = edit(data, tape[rows, 1], tape[rows, 2])
            places = np.array(list(accumulate(column.sizes, initial=base)), np.int64)
            tape[rows, 1], tape[rows, 2] = places[:-1], places[1:]
            base = int(places[-1])
            made.append(column.joined)
        return b"".join(made)
