"""A batch of events handed to the kernel, and what it found in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.kernel import walk
from residency.plan.walk.program import Program

BODY_AT = 5  # magic byte and schema id come first


def spans_of(values: Sequence[bytes]) -> tuple[bytes, Any, Any, Any]:
    """Return (the values joined, the same as an array, where each body starts, where it ends)."""
    data = b"".join(values)
    sizes = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(sizes)
    return data, view(data), ints(ends - sizes + BODY_AT), ints(ends)


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk found in a batch.

    Attributes:
        data: The events, joined.
        array: The same for the kernels.
        slots: See `kernel.walk`; those of events that are not plain are absent.
        status: A verdict per event.

    """

    data: bytes = field(repr=False)
    array: Any = field(repr=False)
    slots: Any
    status: Any


def walk_all(program: Program, values: Sequence[bytes], slots: int) -> Found:
    """Walk a batch along a program that writes so many slots."""
    number = len(values)
    data, array, starts, ends = spans_of(values)
    found = np.full((slots, 2, number), ops.ABSENT, np.int64)
    status = np.zeros(number, np.uint8)
    walk(
        program.code, program.table, program.keys, program.key_ends, program.depth,
        array, starts, ends, found, np.empty((2, 3), np.int64), np.empty(number, np.int64),
        status,
    )  # fmt: skip
    found[:, 1, status != ops.PLAIN] = ops.ABSENT
    return Found(data, array, found, status)
