"""A batch is joined so that each event's body is found again, and no value is ever printed."""

import numpy as np
from walk_cases import HEAD, prefixed, record

from residency.plan.walk import ops
from residency.plan.walk.found import spans_of, walk_all
from residency.plan.walk.program import write_program
from residency.plan.walk.wish import Wish

WISH = Wish()
WISH.at("f0").stores.append((0, ops.SET))
PROGRAM = write_program(record("string"), WISH)


def test_spans_are_the_bodies_behind_the_wire_headers() -> None:
    values = [HEAD + b"ab", HEAD, HEAD + b"c"]

    data, array, starts, ends = spans_of(values)

    assert data == bytes(array) == b"".join(values)
    assert [data[a:z] for a, z in zip(starts, ends, strict=True)] == [b"ab", b"", b"c"]


def test_a_batch_of_nothing_has_no_spans() -> None:
    data, _, starts, ends = spans_of([])

    assert (data, list(starts), list(ends)) == (b"", [], [])


def test_what_was_found_is_not_printed() -> None:
    found = walk_all(PROGRAM, [HEAD + prefixed(b"Ada Lovelace")], 1)

    shown = repr(found)

    assert "Ada" not in shown
    assert "data" not in shown
    assert "array=" not in shown


def test_slots_of_a_refused_event_are_absent_and_those_of_the_others_are_not() -> None:
    values = [HEAD + prefixed(b"abc"), HEAD + prefixed(b"d") + b"\0", HEAD + prefixed(b"e")]

    found = walk_all(PROGRAM, values, 1)

    assert list(found.status) == [ops.PLAIN, ops.MALFORMED, ops.PLAIN]
    assert found.slots[0, 1].tolist() == [9, ops.ABSENT, 24]
    assert np.asarray(found.slots).shape == (1, 2, 3)
