"""Write minimal records from what a walk found: the second kernel, and the tape's reader."""

from typing import Any

import numpy as np

from residency.plan.walk import ops
from residency.plan.walk.accelerator import compiled, view
from residency.plan.walk.bits import narrow, read_unscaled, write_long

Ints = Any  # an int64 array
(
    LITERAL, TEXT, NUMBER, NUMBER_OR_ZERO, TRUTH, SYMBOL, AMOUNT, TOTAL, TOTAL_OR_ZERO,
    FILL, VERSION, CLEARED, EMPTY,
) = (
    ops.LITERAL, ops.TEXT, ops.NUMBER, ops.NUMBER_OR_ZERO, ops.TRUTH, ops.SYMBOL, ops.AMOUNT,
    ops.TOTAL, ops.TOTAL_OR_ZERO, ops.FILL, ops.VERSION, ops.CLEARED, ops.EMPTY,
)  # fmt: skip
WIDTH, ABSENT, PLAIN, ODD = ops.EMIT_WIDTH, ops.ABSENT, ops.PLAIN, ops.ODD
NOT_NULLABLE, NULL_FIRST = 0, 1  # where null stands in the field's union
ROOM = 24  # bytes: more than any number with its union index takes


@compiled
def write_amount(out: Any, at: int, value: int) -> int:
    """Write a decimal's unscaled value in its shortest form; return the position after it."""
    width, rest = 1, value
    while not -0x80 <= rest <= 0x7F:
        rest >>= 8
        width += 1
    at = write_long(out, at, width)
    for place in range(width - 1, -1, -1):
        out[at + width - 1 - place] = (value >> (8 * place)) & 0xFF
    return at + width


@compiled
def assemble(
    code: Ints,
    literals: Any,
    literal_ends: Ints,
    names: int,
    data: Any,
    slots: Ints,
    fills: Any,
    fill_ends: Ints,
    versions: Ints,
    status: Any,
    out: Any,
    out_ends: Ints,
) -> int:
    """Write one output of every plain event; return how many were done before *out* was full.

    Args:
        code: The output's program.
        literals: Constant bytes, joined; *literal_ends* says where each ends, the first entry is 0.
        names: How many fields can be named as cleared.
        data: What was walked.
        slots: What the walk found.
        fills: Values made in Python, as Avro has them; fill *f* of event *n* lies from
            ``fill_ends[f, n]`` to ``fill_ends[f, n + 1]``, and is absent if that is nothing.
        versions: The row version of each event.
        status: A verdict each; set to `ODD` where a value breaks its range.
        out: Out, the records, joined.
        out_ends: Out: where each event's record ends; nothing for what is not plain.

    """
    cleared = np.zeros(names + 1, np.uint8)
    at = 0
    for event in range(len(status)):
        start = at
        if status[event] != PLAIN:
            out_ends[event] = at
            continue
        cleared[:] = 0
        for base in range(0, len(code), WIDTH):
            op, source = code[base], code[base + 1]
            low, high = code[base + 4], code[base + 5]
            if at + ROOM > len(out):
                return event
            if op == LITERAL:
                first, last = literal_ends[source], literal_ends[source + 1]
                if at + last - first > len(out):
                    return event
                out[at : at + last - first] = literals[first:last]
                at += last - first
                continue
            if op == VERSION:
                at = write_long(out, at, versions[event])
                continue
            if op == CLEARED:
                number = 0
                for name in range(high):
                    number += cleared[name]
                if number:
                    at = write_long(out, at, number)
                for name in range(high):
                    if cleared[name]:
                        first, last = literal_ends[low + name], literal_ends[low + name + 1]
                        if at + last - first + 1 > len(out):
                            return event
                        out[at : at + last - first] = literals[first:last]
                        at += last - first
                out[at] = 0
                at += 1
                continue
            # --- a field: is it there? ---
            first, last = 0, 0
            if op == FILL:
                first, last = fill_ends[source, event], fill_ends[source, event + 1]
                is_there = first < last
            elif op == EMPTY:
                is_there = False
            else:
                first, last = slots[source, 0, event], slots[source, 1, event]
                is_there = last != ABSENT
                if not is_there and (op == NUMBER_OR_ZERO or op == TOTAL_OR_ZERO):
                    is_there, first = True, 0
            nullable = code[base + 2]
            if not is_there:
                if nullable == NOT_NULLABLE:
                    status[event] = ODD
                    break
                out[at] = 0 if nullable == NULL_FIRST else 2
                at += 1
                if code[base + 3] >= 0:
                    cleared[code[base + 3]] = 1
                continue
            if nullable != NOT_NULLABLE:
                out[at] = 2 if nullable == NULL_FIRST else 0
                at += 1
            # --- its value ---
            if op == FILL or op == TEXT:
                if at + last - first + ROOM > len(out):
                    return event
                if op == TEXT:
                    at = write_long(out, at, last - first)
                    out[at : at + last - first] = data[first:last]
                else:
                    out[at : at + last - first] = fills[first:last]
                at += last - first
            elif op == TRUTH:
                out[at] = first
                at += 1
            elif op == SYMBOL:
                source = low + first
                first, last = literal_ends[source], literal_ends[source + 1]
                if at + last - first > len(out):
                    return event
                out[at : at + last - first] = literals[first:last]
                at += last - first
            else:
                if op == AMOUNT:
                    first, is_wide = read_unscaled(data, narrow(data, first, last), last)
                    if is_wide:
                        status[event] = ODD
                        break
                if not low <= first <= high:
                    status[event] = ODD
                    break
                if op == NUMBER or op == NUMBER_OR_ZERO:
                    at = write_long(out, at, first)
                else:
                    at = write_amount(out, at, first)
        if status[event] != PLAIN:
            at = start
        out_ends[event] = at
    return len(status)


@compiled
def splice(
    data: Any,
    fills: Any,
    tape: Ints,
    tape_ends: Ints,
    head: Any,
    status: Any,
    out: Any,
    out_ends: Ints,
) -> int:
    """Write what each plain event's tape says, after *head*; return how many fitted.

    Rows are (-1, from, to) for bytes of *data*, and (edit, from, to) for bytes of *fills*.
    """
    at, row = 0, 0
    for event in range(len(tape_ends)):
        last_row = tape_ends[event]
        if status[event] != PLAIN:
            out_ends[event] = at
            continue
        if at + len(head) > len(out):
            return event
        out[at : at + len(head)] = head
        at += len(head)
        while row < last_row:
            first, last = tape[row, 1], tape[row, 2]
            if at + last - first > len(out):
                return event
            if tape[row, 0] < 0:
                out[at : at + last - first] = data[first:last]
            else:
                out[at : at + last - first] = fills[first:last]
            at += last - first
            row += 1
        out_ends[event] = at
    return len(tape_ends)


ALPHABET = view(b"abcdefghijklmnopqrstuvwxyz234567")
TOKEN_TEXT = 26  # characters of 128 bits


@compiled
def write_tokens(macs: Any, stride: int, head: Any, alphabet: Any, out: Any) -> None:
    """Write a row per MAC: *head*, then its first 128 bits in base32 (RFC 4648), lower case."""
    size = len(head) + TOKEN_TEXT
    for row in range(len(macs) // stride):
        at = row * size
        out[at : at + len(head)] = head
        at += len(head)
        held, bits = 0, 0
        for place in range(16):
            held = (held << 8) | macs[row * stride + place]
            bits += 8
            while bits >= 5:
                bits -= 5
                out[at] = alphabet[(held >> bits) & 31]
                at += 1
            held &= (1 << bits) - 1
        out[at] = alphabet[(held << 2) & 31]
